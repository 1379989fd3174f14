"""Where a trial goes among devices as they are now, and what it lacks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.placement.admission.free_memory import Account
from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.hardware.cpu_slots import RAM_PER_TRIAL_BYTES
from orchestrator.placement.model import Device


@dataclass(frozen=True)
class Shortage:
    """What others must give back before a trial can start.

    Attributes:
        missing_bytes: on each device that it takes.
        device: where least is missing; None where there are too few devices.
    """

    missing_bytes: int
    device: Device | None


@dataclass(frozen=True)
class Rules:
    """What holds for all trials of a sweep.

    Attributes:
        width: devices that one trial takes.
        on_cpu: True where the only device is the host's memory.
        unknown_bytes: what a trial of unknown need must find free on a GPU at least.
        per_device: greatest number of trials at once by device key; no entry is no limit.
        is_shut: tells whether a device that runs a trial of ours must not get another.
    """

    width: int = 1
    on_cpu: bool = False
    unknown_bytes: int = 1
    per_device: Mapping[str, int] = field(default_factory=dict)
    is_shut: Callable[[Device], bool] = lambda device: False

    def least(self, want: Want) -> int:
        """Return the bytes without which a trial does not start."""
        need = want.need.memory_bytes
        if not self.on_cpu:
            return self.unknown_bytes if need is None else need
        # What is declared is memory of a GPU.
        guessed = need is None or want.need.source == "declared"
        return RAM_PER_TRIAL_BYTES if guessed or need is None else need

    def is_alone(self, want: Want) -> bool:
        """Tell whether a trial must have its devices to itself."""
        return want.alone or (want.need.memory_bytes is None and not self.on_cpu)

    def promise(self, want: Want, chosen: Sequence[Account]) -> int:
        """Return the bytes that a trial is promised on each device that was chosen for it."""
        room = min(account.available for account in chosen)
        return max(1, room if self.is_alone(want) else min(self.least(want), room))

    def places(self, want: Want, view: Sequence[Account]) -> list[Account] | None:
        """Return where a trial goes, in the order of `view`; None where it has no room now.

        Devices that run fewest of our trials come first, because trials that share one are
        slower. Of these the one whose gap fits best, so that the wide ones stay wide; a trial that
        takes all goes where most is.
        """
        alone = self.is_alone(want)
        good = [account for account in view if self._has_room(account, want, alone)]
        if len(good) < self.width:
            return None
        good.sort(key=lambda a: (a.ours, -a.available if alone else a.available))
        return sorted(good[: self.width], key=view.index)

    def shortage(self, want: Want, view: Sequence[Account]) -> Shortage | None:
        """Return what others must give back; None where the ends of our own trials suffice."""
        best = sorted(self._usable(view), key=lambda account: -account.prospect)
        if len(best) < self.width:
            return Shortage(self.least(want), None)
        last = best[self.width - 1]
        missing = self.least(want) - last.prospect
        if missing <= 0 or self._is_first_guess(last, want):
            return None
        return Shortage(missing, last.device)

    def greatest(self, view: Sequence[Account]) -> int:
        """Return the bytes that one trial could have on each device if none of ours ran."""
        sizes = sorted((account.prospect for account in self._usable(view)), reverse=True)
        return max(0, sizes[self.width - 1]) if len(sizes) >= self.width else 0

    def _has_room(self, account: Account, want: Want, alone: bool) -> bool:
        if self.width > 1 and account.device.is_instance:
            return False
        if account.ours:
            limit = self.per_device.get(account.device.key)
            if alone or account.closed or (limit is not None and account.ours >= limit):
                return False
            if self.is_shut(account.device):
                return False
        elif self.per_device.get(account.device.key) == 0:
            return False
        return account.available >= self.least(want) or self._is_first_guess(account, want)

    def _is_first_guess(self, account: Account, want: Want) -> bool:
        # Who can run one trial at all is not kept from it by a guess of its RAM.
        guessed = want.need.memory_bytes is None or want.need.source == "declared"
        return self.on_cpu and guessed and account.ours == 0

    def _usable(self, view: Sequence[Account]) -> list[Account]:
        return [account for account in view if self.width == 1 or not account.device.is_instance]
