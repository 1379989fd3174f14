"""How many trials may run at once on each device: what growth found, and what memory forbade."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.engine.slots.concurrency import Growing
from orchestrator.engine.slots.running_slot import Live
from orchestrator.placement.hardware.cpu_slots import RAM_PER_TRIAL_BYTES
from orchestrator.placement.model import CPU, Device, Plan, Policy


class Levels:
    """The greatest numbers of trials at once.

    Args:
        plan: bounds what cores allow, for trials on CPUs.
        policy: what limits beside memory.
        growing: what is tried out; None where nothing is.

    Attributes:
        growing: the same.
        fallback: in words, to what it went back after an out-of-memory; "" where it did not.
    """

    def __init__(self, plan: Plan, policy: Policy, growing: Growing | None) -> None:
        self.growing = growing
        self.fallback = ""
        self._plan = plan
        self._policy = policy
        self._ceilings: dict[str, int] = {}

    def limit(
        self, device: Device, there: Sequence[Live], least_bytes: int | None, left: int
    ) -> int | None:
        """Return how many trials may run at once on a device; None where only memory bounds it.

        Args:
            device: as it is now.
            there: attempts of ours on it.
            least_bytes: the least that one of the waiting trials takes; None where unknown.
            left: how many wait.
        """
        bounds = [self._ceilings.get(device.key)]
        if self.growing is not None:
            room = self._room(device, there, least_bytes, left)
            bounds.append(self.growing.limit(device.key, room))
        return min((bound for bound in bounds if bound is not None), default=None)

    def ran_out(self, at_once: Mapping[str, int], number: int, place: str) -> None:
        """Let fewer run at once where a trial ran out of memory.

        Args:
            at_once: how many ran there, by key of the device.
            number: the trial's.
            place: the device for people; "" where there is only one.
        """
        for key, count in at_once.items():
            if count < 2:
                continue
            limit = self._ceilings[key] = min(count - 1, self._ceilings.get(key, count))
            if self.growing is not None:
                self.growing.out_of_memory(key, count)
            level = "sequential" if limit == 1 else f"{limit} at once"
            where = f" on {place}" if place else ""
            self.fallback = f"fell back to {level}{where} after out-of-memory in trial {number}"

    def _room(
        self, device: Device, there: Collection[Live], least_bytes: int | None, left: int
    ) -> int:
        """Return how many trials a device holds at once, ours that run there among them."""
        bounds = [len(there) + left, self._policy.max_parallel]
        if device.id == CPU:
            bounds.append(self._plan.max_parallel)
            least_bytes = RAM_PER_TRIAL_BYTES if least_bytes is None else least_bytes
        if least_bytes is None:
            return 1
        # What runs has its memory; of what was promised the rest is still to be taken.
        due = sum(max(0, live.slot.memory_bytes - (live.used or 0)) for live in there)
        more = max(0, device.free_bytes - due) // least_bytes
        bounds.append(max(1, len(there) + more))
        return min(bound for bound in bounds if bound is not None)
