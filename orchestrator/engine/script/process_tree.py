"""Everything that a script has started: finding it, ending it, leaving nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_GET_CHILD_SUBREAPER = 37
_SIGNALS_TO_RESET = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE),
)
# How long a process may take to vanish after SIGKILL; one in a driver's hands can take for ever.
_KILL_TIMEOUT_S = 5.0

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    group: int
    is_dead: bool
    started: str

    @property
    def identity(self) -> tuple[int, str]:
        """Tells it from a later process that was given the same id."""
        return self.pid, self.started


def guard_for_script() -> Callable[[], None]:
    """Return what a new process does before it becomes the script.

    Signals mean again what a program expects, and on Linux the process dies with the one that
    started it.
    """
    parent = os.getpid()

    def guard() -> None:
        for number in _SIGNALS_TO_RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if _libc is not None:
            _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return guard


class Tree:
    """The processes that this one starts while a block runs.

    On Linux this process becomes their reaper, so that one that detached itself (a daemon) is
    still found among our children. Elsewhere those of our own session are found.

    Attributes:
        root: id of the process whose end someone else collects (its `Popen`); it is not reaped.
    """

    def __init__(self) -> None:
        self.root: int | None = None
        self._before: frozenset[tuple[int, str]] = frozenset()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Collect what starts inside the block."""
        was_reaper = _set_reaper(True)
        self._before = frozenset(process.identity for process in _processes())
        try:
            yield
        finally:
            _set_reaper(was_reaper)

    def alive(self) -> list[int]:
        """Return the ids of what was started and still lives, and reap what is dead."""
        own, processes = os.getpid(), _processes()
        children: dict[int, list[_Process]] = {}
        for process in processes:
            children.setdefault(process.parent, []).append(process)
        found: dict[int, _Process] = {}
        waiting = [own]
        while waiting:
            for process in children.get(waiting.pop(), ()):
                if process.pid not in found and process.identity not in self._before:
                    found[process.pid] = process
                    waiting.append(process.pid)
        # Without a reaper, a process whose parent ended is only known by its group; and that is
        # ours alone where we lead a session, and not a shell's pipeline.
        if os.getsid(0) == own:
            for process in processes:
                is_new = process.identity not in self._before and process.pid != own
                if process.group == own and is_new:
                    found.setdefault(process.pid, process)
        for process in found.values():
            if process.is_dead and process.parent == own and process.pid != self.root:
                _reap(process.pid)
        return [process.pid for process in found.values() if not process.is_dead]

    def signal(self, number: int) -> None:
        """Send a signal to everything that was started."""
        for pid in self.alive():
            _send(pid, number)

    def ask(self, number: int) -> None:
        """Ask everything that was started to end by a signal.

        SIGUSR1 and SIGUSR2 mean something to the program alone: they would kill its workers.
        """
        if number in (signal.SIGUSR1, signal.SIGUSR2) and self.root is not None:
            _send(self.root, number)
        else:
            self.signal(number)

    def end(self, grace_s: float) -> list[int]:
        """End everything that was started: SIGTERM, then SIGKILL to what is left after `grace_s`.

        Returns:
            The ids of processes that SIGKILL did not end within seconds; the kernel holds them.
        """
        try:
            if grace_s > 0:
                self.signal(signal.SIGTERM)
                self._wait(grace_s)
        finally:
            # Also when the wait is cut short by a second Ctrl+C.
            deadline = time.monotonic() + _KILL_TIMEOUT_S
            left = self.alive()
            while left and time.monotonic() < deadline:
                for pid in left:
                    _send(pid, signal.SIGKILL)
                time.sleep(0.02)
                left = self.alive()
        return left

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)


def _processes() -> list[_Process]:
    """Return what the system runs."""
    if sys.platform != "linux":
        return _processes_by_ps()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                # The command stands in brackets and may hold any character, brackets too.
                facts = stream.read().decode(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        state, parent, group = facts[:3]
        found.append(_Process(int(name), int(parent), int(group), state in "ZX", facts[19]))
    return found


def _processes_by_ps() -> list[_Process]:
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,state=,lstart="],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = (line.split(maxsplit=4) for line in done.stdout.splitlines())
    return [
        _Process(int(row[0]), int(row[1]), int(row[2]), row[3].startswith("Z"), row[4])
        for row in rows
        if len(row) == 5
    ]


def _set_reaper(on: bool) -> bool:
    """Switch adoption of orphans on or off, and return how it was."""
    if _libc is None:
        return False
    was = ctypes.c_int(0)
    _libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    _libc.prctl(_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
    return bool(was.value)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
