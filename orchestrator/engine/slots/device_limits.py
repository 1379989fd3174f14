"""How many trials may run at once on each device: what a search found, and what memory forbade."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.engine.slots.occupancy import OccupiedSlot
from orchestrator.placement import CPU, Device, Plan
from orchestrator.placement.concurrency import Measurement, Pays, SearchDown, SearchUp
from orchestrator.placement.hardware import RAM_PER_TRIAL_BYTES
from orchestrator.placement.memory_needs import History, MemoryKey

Found = list[dict[str, Any]]
"""What a search decided, in JSON types, for the event log."""


@dataclass(frozen=True)
class _DeviceSearch:
    device: str  # its id, of a cluster `<node>:<id>`
    kept_as: MemoryKey
    search: SearchUp


class DeviceLimits:
    """The greatest numbers of trials at once, by device.

    Args:
        history: keeps the results for later sweeps.
        pays: whether it pays to try fewer.
        is_shared: whether another user computes on the device of a key. Results beside another user
            are valid for this sweep only, and are not kept.

    Attributes:
        searches: whether the best number of trials at once is searched for.
        fallback: for people, to what it fell back after an out-of-memory; "" if it did not.
    """

    def __init__(
        self,
        plan: Plan,
        options: SlotOptions,
        *,
        history: History | None,
        pays: Pays,
        is_shared: Callable[[str], bool],
    ) -> None:
        self._plan = plan
        self._policy = policy = options.policy
        self._window = options.window
        self._history = history
        self._pays = pays
        self._is_shared = is_shared
        on_cpu = plan.on_cpu
        grows = plan.mode == "sequential" and policy.max_parallel != 1
        grows = grows and policy.placement in (("grow",) if on_cpu else ("grow", "auto"))
        # Setting how many cores a trial takes also sets how many run at once.
        thins = plan.max_parallel > 1 and policy.cpus_per_trial is None
        self._begins_with_all = on_cpu and policy.placement == "auto" and thins
        self.searches = grows or self._begins_with_all
        self.fallback = ""
        self._searches: dict[str, _DeviceSearch] = {}
        self._ceilings: dict[str, int] = {}

    def limit(
        self, device: Device, there: Sequence[OccupiedSlot], least_bytes: int | None, left: int
    ) -> int | None:
        """Return how many trials may run at once on a device; None if only memory limits it.

        `there` are attempts of ours; `left` trials wait, of which the smallest takes `least_bytes`.
        """
        ceiling = self._ceilings.get(device.key)
        if not self.searches:
            return ceiling
        known = self._searches.get(device.key)
        if known is None:
            limit = self._plan.max_parallel if self._begins_with_all else 1
        else:
            limit = known.search.limit_within(self._room(device, there, least_bytes, left))
        return limit if ceiling is None else min(limit, ceiling)

    def started(self, attempt_id: str, device: Device, kept_as: MemoryKey) -> Found:
        """Note that an attempt runs on a device, and return what that decides.

        If it is the first one there, results for the device are kept as `kept_as`.
        """
        if not self.searches:
            return []
        if device.key not in self._searches:
            learned = self._history.growth(kept_as) if self._history is not None else None
            most, window = self._plan.max_parallel, self._window
            search = (
                SearchDown(most, pays=self._pays, learned=learned, window=window)
                if self._begins_with_all
                else SearchUp(1, learned=learned, window=window)
            )
            name = f"{device.node}:{device.id}" if device.node else device.id
            self._searches[device.key] = _DeviceSearch(name, kept_as, search)
        return self._note([device.key], lambda search: search.started(attempt_id))

    def reported(self, attempt_id: str, keys: Sequence[str], step: float, now: float) -> Found:
        """Note how far an attempt on the devices of some keys is, by a clock in seconds."""
        return self._note(keys, lambda search: search.reported(attempt_id, step, now))

    def ended(self, attempt_id: str, keys: Sequence[str]) -> Found:
        """Note that an attempt no longer runs."""
        return self._note(keys, lambda search: search.ended(attempt_id))

    def ran_out(self, at_once: Mapping[str, int], number: int, place: str) -> bool:
        """Lower the limits because a trial ran out of memory; return whether `fallback` changed.

        `at_once` is how many ran there, by key of the device; `place` is the device for people, ""
        if there is only one.
        """
        before = self.fallback
        for key, count in at_once.items():
            if count < 2:
                continue
            limit = self._ceilings[key] = min(count - 1, self._ceilings.get(key, count))
            if key in self._searches:
                self._searches[key].search.out_of_memory(count)
            level = "sequential" if limit == 1 else f"{limit} at once"
            where = f" on {place}" if place else ""
            self.fallback = f"fell back to {level}{where} after out-of-memory in trial {number}"
        return self.fallback != before

    def summaries(self) -> dict[str, str]:
        """Return what was tried out, a sentence by name of the device."""
        found = {each.device: each.search.summary() for each in self._searches.values()}
        return {device: text for device, text in found.items() if text}

    def _note(self, keys: Sequence[str], note: Callable[[SearchUp], Measurement | None]) -> Found:
        """Pass an event to the searches of some devices, and keep what they find."""
        found = []
        for key in keys:
            known = self._searches.get(key)
            measurement = None if known is None else note(known.search)
            if known is None or measurement is None:
                continue
            summary = known.search.summary()
            found.append({"device": known.device, **measurement.to_dict(), "words": summary})
            learned = known.search.learned()
            if self._history is not None and learned is not None and not self._is_shared(key):
                self._history.record_growth(known.kept_as, learned)
        return found

    def _room(
        self, device: Device, there: Sequence[OccupiedSlot], least_bytes: int | None, left: int
    ) -> int:
        """Return how many trials a device holds at once, including ours that run there."""
        bounds = [len(there) + left, self._policy.max_parallel]
        if device.id == CPU:
            bounds.append(self._plan.max_parallel)
            least_bytes = RAM_PER_TRIAL_BYTES if least_bytes is None else least_bytes
        if least_bytes is None:
            return 1
        # Of what was promised to running trials, the unused part still looks free.
        due = sum(max(0, each.slot.memory_bytes - (each.used or 0)) for each in there)
        more = max(0, device.free_bytes - due) // least_bytes
        bounds.append(max(1, len(there) + more))
        return min(bound for bound in bounds if bound is not None)
