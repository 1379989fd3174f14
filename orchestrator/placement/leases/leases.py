"""Publish memory that a sweep has promised to trials, so that two sweeps never count it both.

A trial takes its memory some time after it was admitted. Until then the device still shows it as
free, also to other sweeps on this machine. So each sweep leaves a file for every slot that it hands
out, in a folder that all users share::

    leases = Leases()
    with leases.deciding():                           # no other sweep decides meanwhile
        device = reader.read()[0]
        if device.free_bytes - leases.pending().get(device.key, 0) >= need:
            lease = leases.claim(device.key, need)
    lease.used(2 << 30)                               # 2 GiB of it show in the device's figures
    lease.release()

A lease is a locked file: the kernel releases the lock when the process ends, however it ends, and a
file without a lock counts for nothing. Process ids, which start again in every container and are
reused, decide nothing. If the folder cannot be used, claims are seen by this process alone and
`Leases.problem` gives the reason; a sweep does not fail for it. Containers that share a GPU but no
folder for temporary files are given one by ``SWEEP_LEASES``.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from orchestrator.placement.leases.lease_files import (
    Claim,
    lock_within,
    open_folder,
    pack_claim,
    publish,
    read_claims,
)
from orchestrator.placement.model import Device

FOLDER = "SWEEP_LEASES"
DEFAULT = Path("/tmp/sweep-leases")
"""The folder of all users. Python's folder for temporary files would not do: each user may have
another."""

DECIDE_WITHIN_S = 5.0
"""How long `deciding` waits for another sweep. Deciding takes milliseconds; a sweep that takes more
was stopped in the middle of it, and must not stop all others."""


class Lease:
    """Memory of a device that this process claims until it is released or the process ends."""

    def __init__(self, owner: Leases, device: str, memory_bytes: int) -> None:
        self.device = device
        self.memory_bytes = memory_bytes
        self._used_bytes = 0
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
        """Publish how much of it the device shows as used by now; others count the rest.

        Call it from time to time also without news: it restores a file that was removed.
        """
        if not self._is_held:
            return
        self._used_bytes = min(max(0, used_bytes), self.memory_bytes)
        if self._file is None or os.fstat(self._file).st_nlink == 0:
            self._close()
            self._publish()
            return
        try:
            os.pwrite(self._file, self._content(), 0)
        except OSError as error:
            self._owner._note(error)

    def forget(self) -> None:
        """Close it in a forked process, without releasing it for the parent."""
        self._is_held = False
        self._close()

    def release(self) -> None:
        """Give the memory back; once is enough."""
        if not self._is_held:
            return
        self._is_held = False
        self._owner._held.discard(self)
        if self._file is not None:
            with suppress(OSError), self._owner._opened() as folder:
                os.unlink(self._name, dir_fd=folder)
        self._close()

    def _content(self) -> bytes:
        return pack_claim(Claim(self.device, self.memory_bytes, self._used_bytes, os.getpid()))

    def _publish(self) -> None:
        """Make the file, locked before anyone can see it."""
        content = self._content()
        try:
            with self._owner._opened() as folder:
                self._file, self._name = publish(folder, content)
        except OSError as error:
            self._owner._note(error)
        else:
            self._owner._note(None)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Leases:
    """The leases of this process, and what it sees of others.

    It belongs to one thread. A forked process holds none of them.

    Args:
        folder: shared by all; by default ``SWEEP_LEASES``, else ``/tmp/sweep-leases``.

    Attributes:
        problem: for people, why others do not see what is claimed here; "" while they do.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get(FOLDER) or DEFAULT)
        self.problem = ""
        self._held: set[Lease] = set()
        _all.add(self)

    def claim(self, device: str, memory_bytes: int) -> Lease:
        """Claim memory of the device of a key; never refused, so look at `pending` first.

        Raises:
            ValueError: `memory_bytes` is negative, or `device` is no possible key.
        """
        lease = Lease(self, device, memory_bytes)
        self._held.add(lease)
        return lease

    def pending(self) -> dict[str, int]:
        """Return the bytes that other sweeps claim and that still look free, by device key."""
        found: dict[str, int] = {}
        for claim in self.claims():
            pending = max(0, claim.memory_bytes - claim.used_bytes)
            found[claim.device] = found.get(claim.device, 0) + pending
        return found

    def remaining(self, devices: Sequence[Device]) -> list[Device]:
        """Return devices without the free memory that other sweeps have promised."""
        promised = self.pending()
        return [
            replace(device, free_bytes=max(0, device.free_bytes - promised.get(device.key, 0)))
            for device in devices
        ]

    def claims(self) -> list[Claim]:
        """Return what other living processes, or other `Leases` of this one, claim."""
        try:
            with self._opened(make=False) as folder:
                return list(read_claims(folder, but={lease._name for lease in self._held}))
        except FileNotFoundError:
            return []  # nobody has claimed anything yet
        except OSError as error:
            self._note(error)
            return []

    @contextmanager
    def deciding(self, timeout_s: float = DECIDE_WITHIN_S) -> Iterator[bool]:
        """Keep other sweeps from deciding while this one reads devices, leases, and claims.

        Not to be entered twice by one process. If others do not finish within `timeout_s`, it
        continues nevertheless.

        Yields:
            True if no other decides meanwhile.
        """
        with ExitStack() as stack:
            alone = False
            try:
                folder = stack.enter_context(self._opened())
                alone = lock_within(folder, timeout_s)  # until the folder is closed
            except OSError as error:
                self._note(error)
            yield alone

    def release(self) -> None:
        """Give all back."""
        for lease in list(self._held):
            lease.release()

    @contextmanager
    def _opened(self, *, make: bool = True) -> Iterator[int]:
        folder = open_folder(self.folder, is_ours=self.folder == DEFAULT, make=make)
        try:
            yield folder
        finally:
            os.close(folder)

    def _note(self, error: OSError | None) -> None:
        """Keep why others do not see what is claimed here; None once they do."""
        self.problem = ""
        if error is not None:
            self.problem = (
                f"{self.folder}: cannot share leases there ({error.strerror or error}), so other "
                "sweeps on this machine do not see what this one claims. Let all users write to "
                f"it, or set {FOLDER} to another folder."
            )


_all: weakref.WeakSet[Leases] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget all leases in a forked process, without releasing them for its parent."""
    for leases in list(_all):
        for lease in leases._held:
            lease.forget()
        leases._held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
