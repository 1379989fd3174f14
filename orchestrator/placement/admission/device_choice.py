"""Choose devices for a trial among those that there are now, or find what it lacks. Pure.

A trial that has just started holds nothing yet; what it was promised still counts as free on the
device and must not be given out a second time. Once it holds its memory, the device no longer
counts that as free, and the promise must not be subtracted again. So of every promise the part
that is not yet used is subtracted. If nobody reports what a trial uses it counts as nothing, which
wastes memory but gives none away twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.hardware.cpu_slots import RAM_PER_TRIAL_BYTES
from orchestrator.placement.leases.leases import Lease
from orchestrator.placement.model import CPU, Device, Slot


@dataclass
class Holding:
    """A slot that is out, and what its trial does with it.

    Attributes:
        keys: of its devices.
        promised: bytes that it may take on each of them.
        cores: that it may use, the workers of its data loader counted in.
        used: bytes that it holds on each of them; None if nobody has reported it.
        alone: True while nothing else of ours may start on its devices.
        shared: True once another trial of ours was on one of its devices.
        leases: what other sweeps see of it.
    """

    slot: Slot
    keys: tuple[str, ...]
    promised: int
    cores: int
    used: int | None = None
    alone: bool = False
    shared: bool = False
    leases: list[Lease] = field(default_factory=list)


@dataclass(frozen=True)
class DeviceAccount:
    """One device as admission sees it.

    Attributes:
        available: bytes that may be promised now; below 0 if too much is promised.
        prospect: bytes that would be available once all trials of ours there had ended; if nobody
            reports what they hold, what they were promised.
        ours: how many trials of ours are there.
        closed: True if one of them must stay alone.
    """

    device: Device
    available: int
    prospect: int
    ours: int
    closed: bool


def account_of(device: Device, holdings: Sequence[Holding], leased: int) -> DeviceAccount:
    """Return what is available on a device that other sweeps promised `leased` bytes of."""
    free = device.free_bytes - leased
    returned = sum(h.promised if h.used is None else h.used for h in holdings)
    return DeviceAccount(
        device=device,
        available=free - outstanding(holdings, device.used_bytes),
        prospect=min(device.total_bytes - leased, free + returned),
        ours=len(holdings),
        closed=any(holding.alone for holding in holdings),
    )


def outstanding(holdings: Sequence[Holding], held_bytes: int) -> int:
    """Return the bytes that are promised on a device and not yet used.

    Together they cannot use more than `held_bytes`, what is not free there: what they reported
    before may be more than they hold now.
    """
    used = sum(holding.used or 0 for holding in holdings)
    missing = sum(max(0, holding.promised - (holding.used or 0)) for holding in holdings)
    promised = sum(holding.promised for holding in holdings)
    return min(promised, missing + max(0, used - held_bytes))


@dataclass(frozen=True)
class DeviceView:
    """The devices as they are now, and what holds for all trials that go there.

    Attributes:
        accounts: the devices; the host's memory for trials on CPUs.
        width: devices that one trial takes.
        unknown_bytes: what a trial of unknown need must find free on a GPU at least.
        per_device: greatest number of trials at once by device key; no entry is no limit.
        is_shut: whether a device that runs a trial of ours must not get another.
    """

    accounts: Sequence[DeviceAccount]
    width: int
    unknown_bytes: int
    per_device: Mapping[str, int]
    is_shut: Callable[[Device], bool]

    @property
    def on_cpu(self) -> bool:
        """True if the only device is the host's memory."""
        return any(account.device.id == CPU for account in self.accounts)

    def is_alone(self, want: Want) -> bool:
        """Return whether a trial must have its devices to itself."""
        return want.alone or (want.need.memory_bytes is None and not self.on_cpu)

    def promise(self, want: Want, chosen: Sequence[DeviceAccount]) -> int:
        """Return the bytes that a trial is promised on each device that was chosen for it."""
        room = min(account.available for account in chosen)
        return max(1, room if self.is_alone(want) else min(self._least(want), room))

    def choose(self, want: Want) -> list[DeviceAccount] | None:
        """Return where a trial goes, in the order of the devices; None if it has no room now.

        Devices that run fewest of our trials come first, because trials that share one are
        slower. Of these the one whose gap fits best, so that the wide ones stay wide; a trial that
        takes all goes where most is.
        """
        alone = self.is_alone(want)
        good = [account for account in self._usable() if self._has_room(account, want, alone)]
        if len(good) < self.width:
            return None
        good.sort(key=lambda a: (a.ours, -a.available if alone else a.available))
        return sorted(good[: self.width], key=self.accounts.index)

    def shortage(self, want: Want) -> tuple[int, Device | None] | None:
        """Return the bytes that others must give back on each device before a trial can start.

        Returns:
            The bytes and the device on which least is missing (None if there are too few devices);
            None if the ends of our own trials suffice.
        """
        best = sorted(self._usable(), key=lambda account: -account.prospect)
        least = self._least(want)
        if len(best) < self.width:
            return least, None
        last = best[self.width - 1]
        missing = least - last.prospect
        if missing <= 0 or self._is_first_guess(last, want):
            return None
        return missing, last.device

    def greatest(self) -> int:
        """Return the bytes that one trial could have on each device if none of ours ran."""
        sizes = sorted((account.prospect for account in self._usable()), reverse=True)
        return max(0, sizes[self.width - 1]) if len(sizes) >= self.width else 0

    def _least(self, want: Want) -> int:
        """Return the bytes without which a trial does not start."""
        need = want.need.memory_bytes
        if not self.on_cpu:
            return self.unknown_bytes if need is None else need
        return RAM_PER_TRIAL_BYTES if need is None or _is_guess(want) else need

    def _has_room(self, account: DeviceAccount, want: Want, alone: bool) -> bool:
        limit = self.per_device.get(account.device.key)
        if limit == 0 and not account.ours:
            return False
        if account.ours:
            if alone or account.closed or (limit is not None and account.ours >= limit):
                return False
            if self.is_shut(account.device):
                return False
        return account.available >= self._least(want) or self._is_first_guess(account, want)

    def _is_first_guess(self, account: DeviceAccount, want: Want) -> bool:
        # A machine that can run one trial at all is not kept from it by a guess of its RAM.
        return self.on_cpu and _is_guess(want) and account.ours == 0

    def _usable(self) -> list[DeviceAccount]:
        # CUDA gives a process one MIG instance and no more.
        return [a for a in self.accounts if self.width == 1 or not a.device.is_instance]


def _is_guess(want: Want) -> bool:
    """Return whether nobody knows the RAM that a trial takes: what is declared is of a GPU."""
    return want.need.memory_bytes is None or want.need.source == "declared"
