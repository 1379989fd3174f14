"""Trying out on each device whether more trials at once get more done, and remembering it.

How many trials may run at once on each device: what growth found, and what memory forbade.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from orchestrator.engine.slots.device_state import Tell
from orchestrator.engine.slots.running_slot import OccupiedSlot
from orchestrator.placement import CPU, Device, Plan, Policy
from orchestrator.placement.concurrency import Measurement, Pays, SearchDown, SearchUp, Window
from orchestrator.placement.hardware import RAM_PER_TRIAL_BYTES
from orchestrator.placement.memory_needs import History, MemoryKey


class Growing:
    """The growth of a sweep, device by device.

    Args:
        history: where what is found out is kept for later sweeps; None keeps nothing.
        tell: told of every step (``tell("growth", device=id, at_once=2, ...)``).
        window: how much is measured before it is believed.
        from_all: on CPUs, how many start at once; from there fewer are tried (`SearchDown`). None
            starts with one on each device and tries more.
        pays: whether it pays to try fewer.
        is_shared: tells of a device's key whether somebody else computes there. What is found out
            beside them is good for this sweep, and no rule for later ones.
    """

    def __init__(
        self,
        history: History | None,
        tell: Tell,
        window: Window | None = None,
        *,
        from_all: int | None = None,
        pays: Pays = lambda at_once, fewer: "no",
        is_shared: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self._history = history
        self._from_all = from_all
        self._pays = pays
        self._is_shared = is_shared
        self._tell = tell
        self._window = window
        self._machines: dict[str, SearchUp] = {}
        self._ids: dict[str, str] = {}
        self._kept_as: dict[str, MemoryKey] = {}

    def limit(self, key: str, most: int) -> int:
        """Return how many trials may run at once on a device now.

        Args:
            key: of the device.
            most: how many memory, cores, and the trials that are left allow.
        """
        machine = self._machines.get(key)
        if machine is None:
            return self._from_all or 1
        return machine.limit_within(most)

    def started(self, trial: str, key: str, id_: str, kept_as: MemoryKey, now: float) -> None:
        """Note that a trial runs on a device.

        Args:
            trial: id of the attempt.
            key: of the device.
            id_: its id, for people.
            kept_as: under what the findings on this device are kept, where it is the first trial.
            now: seconds of a clock that never goes back.
        """
        if key not in self._machines:
            learned = self._history.growth(kept_as) if self._history is not None else None
            self._machines[key] = self._machine(learned)
            self._ids[key], self._kept_as[key] = id_, kept_as
        self._after(key, self._machines[key].started(trial))

    def reported(self, trial: str, keys: Sequence[str], step: float, now: float) -> None:
        """Note a report."""
        for key in keys:
            if key in self._machines:
                self._after(key, self._machines[key].reported(trial, step, now))

    def ended(self, trial: str, keys: Sequence[str], now: float) -> None:
        """Note that a trial runs no more."""
        for key in keys:
            if key in self._machines:
                self._after(key, self._machines[key].ended(trial))

    def out_of_memory(self, key: str, at_once: int) -> None:
        """Note that so many were too many."""
        if key in self._machines:
            self._machines[key].out_of_memory(at_once)

    def words(self) -> Mapping[str, str]:
        """Return in a sentence what was tried out, by id of the device."""
        said = {self._ids[key]: machine.summary() for key, machine in self._machines.items()}
        return {id_: words for id_, words in said.items() if words}

    def _machine(self, learned: Mapping[str, Any] | None) -> SearchUp:
        if self._from_all is None:
            return SearchUp(1, learned=learned, window=self._window)
        return SearchDown(self._from_all, pays=self._pays, learned=learned, window=self._window)

    def _after(self, key: str, event: Measurement | None) -> None:
        if event is None:
            return
        machine = self._machines[key]
        details: dict[str, Any] = {"device": self._ids[key], **event.to_dict()}
        self._tell("growth", **details, words=machine.summary())
        learned = machine.learned()
        if self._history is not None and learned is not None and not self._is_shared(key):
            self._history.record_growth(self._kept_as[key], learned)


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
        self, device: Device, there: Sequence[OccupiedSlot], least_bytes: int | None, left: int
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
        self, device: Device, there: Collection[OccupiedSlot], least_bytes: int | None, left: int
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
