"""What the drivers of one sweep share: whose turn it is, who lives, and what became of each trial.

All that decides about trials happens in a driver's *turn*, which one has at a time: it reads what
the others have done, decides, and writes down what it has done. Turns, and the sign that a driver
lives, are locks that end with its process, however that ends. So no clocks are compared, and a
driver that only is slow loses nothing.

``drivers/trials.jsonl`` has a line for each change of a trial, with its whole record. It is the
file that turns lock, since over NFS only a locked file is certain to be read as it is.
"""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Protocol

from orchestrator.errors import SweepError, UsageError
from orchestrator.files import atomic, jsonl, lock
from orchestrator.runs import SweepDir

TURN_TIMEOUT_S = 60.0
_LOOK_EVERY_S = 0.01
_TURN = "turn"

# Options of a mounted NFS with which its locks hold on one machine only.
_LOCAL = re.compile(r"(^|,)(nolock|local_lock=(all|flock))(,|$)")


class Locks(Protocol):
    """Locks by name, which end with the process that holds them."""

    def take(self, name: str) -> None:
        """Wait for a lock and take it."""

    def release(self, name: str) -> None:
        """Release a lock."""

    def is_held(self, name: str) -> bool:
        """Return whether another driver holds a lock."""

    def watched(self) -> AbstractContextManager[None]:
        """Raise a `SweepError` if what holds locks and studies is lost in the block."""

    def close(self) -> None:
        """Give up all locks."""


class FileLocks:
    """Locks on files of a folder."""

    def __init__(self, folder: Path, ledger: Path) -> None:
        self._folder = folder
        self._ledger = ledger
        self._held: dict[str, IO[bytes]] = {}

    def take(self, name: str) -> None:
        """Wait for a lock and take it."""
        deadline = time.monotonic() + TURN_TIMEOUT_S
        while (held := lock.try_to_take(self._path(name))) is None:
            if time.monotonic() > deadline:
                raise SweepError(
                    f"{self._path(name)}: another driver of this sweep has held it for "
                    f"{TURN_TIMEOUT_S:.0f} s. See whether that is stopped or cut off, end it, and "
                    "give the same command again."
                )
            time.sleep(_LOOK_EVERY_S)
        self._held[name] = held

    def release(self, name: str) -> None:
        """Release a lock."""
        self._held.pop(name).close()

    def is_held(self, name: str) -> bool:
        """Return whether a process holds a lock."""
        return lock.is_held(self._path(name))

    def watched(self) -> AbstractContextManager[None]:
        """Return a block in which nothing is watched."""
        return nullcontext()

    def close(self) -> None:
        """Give up all locks."""
        for name in list(self._held):
            self.release(name)

    def _path(self, name: str) -> Path:
        return self._ledger if name == _TURN else self._folder / f"{name}.lock"


class Drivers:
    """The drivers of a sweep, of which this process is one.

    Args:
        locks: where locks hold for all of them; None for the sweep's folder.

    Attributes:
        name: of this driver, which no other ever has.
    """

    def __init__(self, sweep: SweepDir, locks: Locks | None = None) -> None:
        self._folder = sweep.drivers_dir
        self._ledger = self._folder / "trials.jsonl"
        self._folder.mkdir(exist_ok=True)
        self._ledger.touch()
        self._files = FileLocks(self._folder, self._ledger)
        self._locks = locks or self._files
        self._read = 0
        self._depth = 0
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def enter(self) -> bool:
        """Wait for this driver's turn; return whether it began only now."""
        if not self._depth:
            self._locks.take(_TURN)
        self._depth += 1
        return self._depth == 1

    def leave(self) -> None:
        """End what `enter` began."""
        self._depth -= 1
        if not self._depth:
            self._locks.release(_TURN)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Have a turn in the block; its value is that of `enter`."""
        began = self.enter()
        try:
            yield began
        finally:
            self.leave()

    def watched(self) -> AbstractContextManager[None]:
        """Raise a `SweepError` if the database of the drivers is lost in the block."""
        return self._locks.watched()

    def join(self) -> bool:
        """Show that this driver lives; return whether it is alone. Call it in a turn."""
        others = self.others()
        if not others:  # what they have left is in the run folders
            for path in self._folder.glob("*.lock"):
                path.unlink(missing_ok=True)
            os.truncate(self._ledger, 0)
        for locks in {id(each): each for each in (self._files, self._locks)}.values():
            locks.take(self.name)
        return not others

    def others(self) -> list[str]:
        """Return the names of the others that live."""
        names = [path.stem for path in self._folder.glob("*.lock")]
        return [name for name in names if name != self.name and self.lives(name)]

    def lives(self, name: str) -> bool:
        """Return whether another driver lives."""
        return self._locks.is_held(name)

    def write(self, **entry: Any) -> None:
        """Write down for the others what this driver did. Call it in a turn."""
        jsonl.append(self._ledger, {"driver": self.name, **entry})

    @property
    def has_news(self) -> bool:
        """True if something was written that `news` has not returned."""
        return self._ledger.stat().st_size > self._read

    def news(self) -> list[dict[str, Any]]:
        """Return what the others have written since the last call."""
        with self._ledger.open("rb") as stream:
            stream.seek(self._read)
            content = stream.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        return [entry for entry in jsonl.parse(whole) if entry.get("driver") != self.name]

    def close(self) -> None:
        """Let the others see that this driver ends."""
        self._locks.close()
        self._files.close()
        (self._folder / f"{self.name}.lock").unlink(missing_ok=True)


def scope_of(sweep: SweepDir) -> str:
    """Return a name of a sweep that no other has, also if its folder is made again."""
    sweep.drivers_dir.mkdir(exist_ok=True)
    file = sweep.drivers_dir / "scope.json"
    try:
        with file.open("x", encoding="utf-8"):
            pass
    except FileExistsError:
        for _ in range(100):
            if found := atomic.read_json(file):
                return str(found["scope"])
            time.sleep(0.05)  # the driver that made it writes it now
    scope = f"{sweep.name} {uuid.uuid4().hex}"
    atomic.write_json(file, {"scope": scope})
    return scope


def refuse_local_locks(folder: Path, mounts: str | None = None) -> None:
    """Raise `UsageError` if locks in a folder hold on this machine only, though others share it.

    Args:
        mounts: the content of ``/proc/self/mounts``.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
    inside = folder.resolve()
    found: tuple[int, str, str] = (0, "", "")
    for line in mounts.splitlines():
        _, place, kind, options, *_ = [*line.split(), "", "", "", ""]
        place = place.replace("\\040", " ")
        if inside.is_relative_to(place or "?") and len(place) >= found[0]:
            found = len(place), kind, options
    if found[1].startswith("nfs") and _LOCAL.search(found[2]):
        raise UsageError(
            f"{folder}: its locks hold on this machine only (mounted with {found[2]}), so nothing "
            "would keep drivers of two machines apart. Mount it without nolock and local_lock, or "
            "give --join postgresql://USER@HOST/DATABASE."
        )
