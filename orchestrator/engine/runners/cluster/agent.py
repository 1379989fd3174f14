"""The agent of a node: reads its hardware, and starts and supervises the trials there.

The driver calls `exchange` all the time. Each answer has the messages that the driver has not
confirmed yet, so a call or an answer that is lost costs nothing. An epoch ends when the driver was
not heard for the time of a lease: the agent kills its trials, and refuses starts that were sent
before.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from typing import Any

import ray

from orchestrator.engine.child import shared_forkserver
from orchestrator.engine.child.memory import tree_bytes
from orchestrator.engine.child.process import (
    LONGEST_TEMPORARY_PATH,
    Attempt,
    Message,
    TrialProcess,
    is_last,
    modules_to_load,
)
from orchestrator.engine.child.reaper import marked_folder
from orchestrator.engine.runners.cluster.copying import Piece, Source, unpacked
from orchestrator.engine.runners.cluster.fence import AgentLease, clock
from orchestrator.engine.runners.cluster.fitting import environment
from orchestrator.engine.state.reruns import is_killed
from orchestrator.files import MIB
from orchestrator.placement import CPU, Device, Host
from orchestrator.placement.hardware import HostReader, Reader, family, members, pids_comparable
from orchestrator.placement.leases import Leases

ANSWER_WITHIN_S = 0.5
READ_EVERY_S = 1.0
COPY_EVERY_S = 1.0
_POLL_S = 0.2
_SETTLE_S = 2.0  # from the first process of a node that is killed to the agent, if all are

LOST = "lost"
"""Kind of an agent's own message: it has ended the attempt, which shall run again."""


@dataclass(frozen=True)
class Snapshot:
    """What an agent reads of its node.

    Attributes:
        devices: GPUs, without the memory that other sweeps have promised there.
        note: what keeps GPUs from use, for people.
        ours: processes of the agent and of all trials there.
        families: each trial's process with its descendants.
        ram: bytes of RAM by trial's process, descendants counted in.
    """

    host: Host
    devices: tuple[Device, ...]
    note: str
    oom_kills: int
    comparable: bool
    ours: frozenset[int] = frozenset()
    families: Mapping[int, frozenset[int]] = field(default_factory=dict)
    ram: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """An attempt as JSON; if nodes share no folder, with the files of those before it.

    Attributes:
        files: content of each file by its path in the run folder, in parts: bytes, or references to
            objects of Ray. None if the run folder is reached from here.
    """

    attempt: str
    files: Mapping[str, Sequence[Any]] | None = None


@dataclass(frozen=True)
class Batch:
    """Messages of an attempt, and before them what has changed in its folder."""

    number: int
    attempt_id: str
    messages: list[Message]
    pieces: Sequence[Piece] = ()


@dataclass
class _Held:
    """A trial's process.

    Attributes:
        source: its folder, if that is copied to the driver.
        unheard: number of its last batch, until the driver has confirmed that.
        last: its last messages, which wait until its folder was copied.
        last_at: when they may be sent. If the whole node is being ended, the agent is too until
            then, and the trial is lost, which is no failure.
    """

    process: TrialProcess
    leases: list[Any]
    source: Source | None
    unheard: int | None = None
    last: list[Message] | None = None
    last_at: float = 0.0
    copied_at: float = 0.0

    def changes(self, *, has_news: bool) -> Sequence[Piece]:
        """Return what is due of the changes in its folder."""
        now = time.monotonic()
        is_over = self.last is not None
        if self.source is None or not (has_news or is_over or now - self.copied_at >= COPY_EVERY_S):
            return ()
        pieces = self.source.take(now, at_end=is_over)
        if not pieces:
            self.copied_at = now
        return pieces


class Agent:
    """An actor, one on each node; see the module. Its methods may be called at the same time.

    Args:
        node: its name.
        trainer: what the forkserver loads for; None for a program.
        lease_s: how long trials continue without the driver.
    """

    def __init__(self, node: str, trainer: str | None, lease_s: float) -> None:
        self._node = node
        self._lease = AgentLease(lease_s)
        self._epoch = 0
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._held: dict[str, _Held] = {}
        self._known: set[str] = set()
        self._outbox: list[Batch] = []
        self._sequence = 0
        self._is_nudged = False
        # The environment of Ray's workers may hide GPUs that its node has.
        self._reader, self._host = Reader({}), HostReader()
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._claims = Leases()
        self._stack = ExitStack()
        folder = self._stack.enter_context(
            marked_folder(longest_path=LONGEST_TEMPORARY_PATH, ends_all=True)
        )
        self._folder = folder / "runs"
        self._stack.enter_context(shared_forkserver.serving(folder, modules_to_load(trainer)))
        self._stack.enter_context(shared_forkserver.using(folder))
        self._wakeup, self._waker = os.pipe()
        threading.Thread(target=self._supervise, name="supervise", daemon=True).start()

    def describe(self, token: str, needed: list[str]) -> dict[str, Any]:
        """Return what there is here, in plain types, and how many cores are idle.

        Args:
            token: a file in the driver's folder for results.
            needed: paths that trials need.
        """
        return environment() | {
            "host": socket.gethostname(),
            # Ray takes it over from the environment of the node's processes.
            "token": os.environ.get("RAY_AUTH_MODE") == "token",
            "shares": bool(token) and os.path.exists(token),
            "missing": [path for path in needed if not os.path.exists(path)],
            "idle_cores": self._host.idle_cores(),
        }

    def exchange(
        self, sent_at: float, epoch: int, heard: int, ending: list[str], starts: dict[str, Start]
    ) -> tuple[int, list[Batch], Snapshot | None]:
        """Return the epoch, unconfirmed messages with their numbers, and a new snapshot if due.

        Args:
            sent_at: by the driver's clock.
            epoch: the one that the driver knows; attempts of an earlier one do not start.
            heard: number of the last message that the driver has taken in.
            ending: attempts that shall save what they have and end.
            starts: attempts to start by id; those that were started before are ignored.
        """
        with self._news:
            self._renew(sent_at)
            self._outbox = [each for each in self._outbox if each.number > heard]
            for held in self._held.values():
                if held.unheard is not None and held.unheard <= heard:
                    held.unheard = None
            for attempt_id in ending:
                if attempt_id in self._held:
                    self._held[attempt_id].process.stop()
            for attempt_id, start in starts.items():
                if attempt_id in self._known:
                    continue
                self._known.add(attempt_id)
                if epoch != self._epoch:
                    self._put(attempt_id, [[LOST, "cut off from the driver before it started"]])
                    continue
                # The forkserver may still load torch.
                begin = threading.Thread(target=self._begin, args=(self._epoch, attempt_id, start))
                begin.start()
            self._wake()
            self._news.wait_for(lambda: self._outbox or self._is_nudged, ANSWER_WITHIN_S)
            self._is_nudged = False
        snapshot = self._read()
        with self._lock:
            return self._epoch, list(self._outbox), snapshot

    def nudge(self) -> None:
        """Let `exchange` return at once, since the driver has news."""
        with self._news:
            self._is_nudged = True
            self._news.notify_all()

    def _begin(self, epoch: int, attempt_id: str, start: Start) -> None:
        attempt = Attempt.from_json(start.attempt)
        source = None
        try:
            if start.files is not None:
                attempt = replace(attempt, run_path=str(self._folder / attempt.run_dir.path.name))
                source = unpacked(attempt.run_dir.path, start.files, ray.get)
            leases = self._claim(attempt)
            process = TrialProcess(attempt)
        except Exception as error:  # of any kind: it must reach the driver as a message
            with self._news:
                # It may be the node's fault, which is about to end.
                self._put(attempt_id, [[LOST, f"did not start ({type(error).__name__}: {error})"]])
            return
        with self._news:
            self._held[attempt_id] = _Held(process, leases, source)
            if epoch != self._epoch:
                self._end(attempt_id)
                self._put(attempt_id, [[LOST, "cut off from the driver before it started"]])
            self._wake()

    def _renew(self, sent_at: float) -> None:
        now = clock()
        if self._lease.is_over(now):
            self._fence()
        self._lease.renew(sent_at, now)

    def _fence(self) -> None:
        """Kill all trials and begin a new epoch."""
        self._epoch += 1
        for held in self._held.values():
            held.process.kill()
        for attempt_id in list(self._held):
            self._end(attempt_id)
            self._put(attempt_id, [[LOST, "cut off from the driver"]])

    def _end(self, attempt_id: str) -> None:
        held = self._held.pop(attempt_id)
        held.process.close()
        for lease in held.leases:
            lease.release()
        if held.source is not None:
            held.source.close()
            shutil.rmtree(held.source.folder, ignore_errors=True)

    def _put(self, attempt_id: str, messages: list[Message], pieces: Sequence[Piece] = ()) -> int:
        self._sequence += 1
        self._outbox.append(Batch(self._sequence, attempt_id, messages, pieces))
        self._news.notify_all()
        return self._sequence

    def _wake(self) -> None:
        os.write(self._waker, b".")

    def _supervise(self) -> None:
        """Poll the trials, and end them when the driver was not heard for too long."""
        while True:
            with self._lock:
                polled = {key: one for key, one in self._held.items() if one.unheard is None}
                sources = [each for one in polled.values() for each in one.process.sources]
            with suppress(OSError, ValueError):  # a trial was ended meanwhile
                if self._wakeup in wait([self._wakeup, *sources], _POLL_S):
                    os.read(self._wakeup, 4096)
            with self._news:
                if self._held and self._lease.is_over(clock()):
                    self._fence()
                for attempt_id, held in polled.items():
                    if attempt_id in self._held:
                        self._pass_on(attempt_id, held)

    def _pass_on(self, attempt_id: str, held: _Held) -> None:
        """Put what an attempt has written and sent since the last time; last of all its end."""
        messages = held.process.poll(0.0)
        for kind, *details in messages:
            if kind == "memory":
                for lease in held.leases:
                    lease.used(int(details[0]))
        if is_last(messages):
            kind, *details = messages[-1]
            if kind == "failed" and is_killed(str(details[0])):
                held.last_at = time.monotonic() + _SETTLE_S
            held.last, messages = messages, []
        pieces: Sequence[Piece] = ()
        try:
            pieces = held.changes(has_news=bool(messages))
        except OSError as error:  # the folder was removed, or its disk fails
            held.last, held.source = [["failed", f"copying the run folder: {error}"]], None
        if messages or pieces:
            held.unheard = self._put(attempt_id, messages, pieces)
        elif held.last is not None and time.monotonic() >= held.last_at:
            self._put(attempt_id, held.last)
            self._end(attempt_id)

    def _claim(self, attempt: Attempt) -> list[Any]:
        """Show other sweeps on this node what an attempt was promised."""
        memory = int(attempt.slot.get("memory_mib", 0)) * MIB
        keys = [CPU] if attempt.device == "cpu" else str(attempt.slot.get("visible")).split(",")
        return [self._claims.claim(key, memory) for key in keys if key]

    def _read(self) -> Snapshot | None:
        """Read the node if it is time; None if not."""
        with self._reading:
            if self._snapshot is not None and time.monotonic() - self._read_at < READ_EVERY_S:
                return None
            with self._lock:
                pids = [one.process.pid for one in self._held.values()]
            host = self._host.read()
            promised = self._claims.pending().get(CPU, 0)
            devices = self._claims.remaining(self._reader.read())
            self._snapshot = Snapshot(
                replace(host, node=self._node, free_bytes=max(0, host.free_bytes - promised)),
                tuple(replace(device, node=self._node) for device in devices),
                self._reader.note,
                self._host.oom_kills(),
                pids_comparable(),
                family([os.getpid(), *pids]),
                {pid: members(pid) for pid in pids},
                {pid: tree_bytes(pid) for pid in pids},
            )
            self._read_at = time.monotonic()
            return self._snapshot
