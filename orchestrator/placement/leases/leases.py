"""Memory that sweeps have promised to trials, so that two of them do not count the same bytes.

A trial takes its memory some time after it was admitted. Until then the device still shows it as
free, also to another sweep on this machine, of this user or another. So each sweep leaves a file
for every slot that it hands out, in a folder that all users share::

    leases = Leases()
    with leases.deciding():                           # no other sweep decides meanwhile
        device = reader.read()[0]
        if device.free_bytes - leases.others(device.key) >= need:
            lease = leases.claim(device.key, need)
    lease.used(2 << 30)                               # 2 GiB of it show in the device's figures
    lease.release()

A lease is a locked file, not its content: the kernel lets go of the lock when the process ends,
however it ends, and a file without a lock is nothing. Process ids, which start anew in every
container and are given again, decide nothing. Where the folder cannot be used, claims hold for
this process alone and `Leases.problem` says why; a sweep does not fail for it. Containers that
share a GPU but no folder for temporary files are given one by ``SWEEP_LEASES``.

The leases of the slots that are out, so that other sweeps do not count their memory.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from orchestrator.placement.admission.free_memory import Holding
from orchestrator.placement.leases.record import Claim, pack_claim, parse_claim
from orchestrator.placement.leases.shared_folder import lock_within, open_shared, publish, read_held
from orchestrator.placement.model import Device

FOLDER = "SWEEP_LEASES"
DEFAULT = Path("/tmp/sweep-leases")
"""Where all users of a machine meet. The folder for temporary files as Python finds it will not
do: each user may have one of their own."""

DECIDE_WITHIN_S = 5.0
"""How long `deciding` waits for another sweep. It takes milliseconds to decide; one that holds on
for longer was stopped in the middle of it, and must not stop all others."""


class Lease:
    """Memory of a device that this process has claimed, until it is released or the process ends.

    Attributes:
        device: key of the device.
        memory_bytes: what is claimed.
    """

    def __init__(self, owner: Leases, device: str, memory_bytes: int) -> None:
        self.device = device
        self.memory_bytes = memory_bytes
        self.used_bytes = 0
        self._owner = owner
        self._file: int | None = None
        self._name = ""
        self._is_held = True
        self._publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def used(self, used_bytes: int) -> None:
        """Say how much of it shows in the device's own figures by now; others count the rest.

        Call it from time to time also without news: it brings back a file that was cleared away.
        """
        if not self._is_held:
            return
        self.used_bytes = min(max(0, used_bytes), self.memory_bytes)
        if self._file is None or os.fstat(self._file).st_nlink == 0:
            self._close()
            self._publish()
            return
        try:
            os.pwrite(self._file, self._content(), 0)
        except OSError as error:
            self._owner.problem = _unshared(self._owner.folder, error)

    def release(self) -> None:
        """Give the memory back; once is enough."""
        if not self._is_held:
            return
        self._is_held = False
        self._owner._forget(self)
        if self._file is not None:
            with suppress(OSError), self._owner._opened() as folder:
                os.unlink(self._name, dir_fd=folder)
        self._close()

    def _content(self) -> bytes:
        return pack_claim(Claim(self.device, self.memory_bytes, self.used_bytes, os.getpid()))

    def _publish(self) -> None:
        """Make the file, locked before anyone can see it."""
        content = self._content()
        try:
            with self._owner._opened() as folder:
                self._file, self._name = publish(folder, content)
        except OSError as error:
            self._owner.problem = _unshared(self._owner.folder, error)
        else:
            self._owner.problem = ""

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Leases:
    """The leases of this process, and what it sees of others.

    It belongs to one thread. A process that is forked off holds none of them.

    Args:
        folder: where all meet; by default ``SWEEP_LEASES``, else ``/tmp/sweep-leases``.

    Attributes:
        folder: that folder.
        problem: in words, why others do not see what is claimed here; "" while they do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get(FOLDER) or DEFAULT)
        self.problem = ""
        self._held: list[Lease] = []
        _all.add(self)

    def claim(self, device: str, memory_bytes: int) -> Lease:
        """Claim memory of a device; never refused, so look at `others` first, in `deciding`.

        Args:
            device: its key (`Device.key`).
            memory_bytes: what the trial may take.

        Raises:
            ValueError: `memory_bytes` is negative, or `device` no possible key.
        """
        lease = Lease(self, device, memory_bytes)
        self._held.append(lease)
        return lease

    def others(self, device: str) -> int:
        """Return the bytes of a device that other sweeps claim and that still look free."""
        return sum(claim.pending_bytes for claim in self.claims() if claim.device == device)

    def remaining(self, devices: Sequence[Device]) -> list[Device]:
        """Return devices with what other sweeps have promised taken off what is free on them."""
        promised: dict[str, int] = {}
        for claim in self.claims():
            promised[claim.device] = promised.get(claim.device, 0) + claim.pending_bytes
        return [
            replace(device, free_bytes=max(0, device.free_bytes - promised.get(device.key, 0)))
            for device in devices
        ]

    def claims(self) -> list[Claim]:
        """Return what other living processes, or other `Leases` of this one, claim."""
        own = {lease._name for lease in self._held}
        try:
            with self._opened(make=False) as folder:
                return list(read_held(folder, parse_claim, but=own))
        except FileNotFoundError:
            return []  # nobody has claimed anything yet
        except OSError as error:
            self.problem = _unshared(self.folder, error)
            return []

    @contextmanager
    def deciding(self, timeout_s: float = DECIDE_WITHIN_S) -> Iterator[bool]:
        """Keep other sweeps from deciding while this one reads devices, leases, and claims.

        Not to be entered twice by one process.

        Args:
            timeout_s: how long to wait for others; after that it goes on all the same.

        Yields:
            True where no other decides meanwhile.
        """
        try:
            folder = self._open()
        except OSError as error:
            self.problem = _unshared(self.folder, error)
            yield False
            return
        try:
            yield lock_within(folder, timeout_s)
        finally:
            os.close(folder)  # and the lock goes with it

    def release(self) -> None:
        """Give all back."""
        for lease in list(self._held):
            lease.release()

    def _forget(self, lease: Lease) -> None:
        if lease in self._held:
            self._held.remove(lease)

    def _abandon(self) -> None:
        """Let go of what the process that this one was forked from holds, without releasing it."""
        for lease in self._held:
            lease._is_held = False
            lease._close()
        self._held.clear()

    @contextmanager
    def _opened(self, *, make: bool = True) -> Iterator[int]:
        folder = self._open(make=make)
        try:
            yield folder
        finally:
            os.close(folder)

    def _open(self, *, make: bool = True) -> int:
        return open_shared(self.folder, is_ours=self.folder == DEFAULT, make=make)


def _unshared(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: must be a folder that all users may write, but {error.strerror or error}; "
        f"other sweeps on this machine do not see what this one claims. Set {FOLDER} to another."
    )


_all: weakref.WeakSet[Leases] = weakref.WeakSet()


def _after_fork() -> None:
    for leases in list(_all):
        leases._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Claims:
    """What this sweep tells others of its slots; nothing where nobody is to be told.

    Args:
        leases: where sweeps meet; None for a sweep that is alone.
    """

    def __init__(self, leases: Leases | None) -> None:
        self._leases = leases
        self._held: dict[int, list[Lease]] = {}

    def deciding(self) -> AbstractContextManager[object]:
        """Keep other sweeps from counting the same memory between our look at it and our claim."""
        return nullcontext() if self._leases is None else self._leases.deciding()

    def of_others(self, devices: Sequence[Device]) -> dict[str, int]:
        """Return what others promised and their trials do not use yet, by device key."""
        if self._leases is None:
            return {}
        return {device.key: self._leases.others(device.key) for device in devices}

    def hold(self, holding: Holding) -> None:
        """Claim what a trial was promised, in place of what was claimed for it before."""
        if self._leases is None:
            return
        claims = [self._leases.claim(key, holding.promised) for key in holding.keys]
        for claim in claims:
            claim.used(holding.used or 0)
        self.release(holding)
        self._held[holding.slot.index] = claims

    def used(self, holding: Holding) -> None:
        """Say what a trial holds by now."""
        for claim in self._held.get(holding.slot.index, []):
            claim.used(holding.used or 0)

    def release(self, holding: Holding) -> None:
        """Give up what was claimed for a trial."""
        for claim in self._held.pop(holding.slot.index, []):
            claim.release()
