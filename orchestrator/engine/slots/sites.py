"""The machines of a sweep: this one, or the nodes of a cluster, each with its own admission."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.slots.device_limits import DeviceLimits
from orchestrator.engine.slots.machine import Machine
from orchestrator.engine.slots.occupancy import Occupancy, OccupiedSlot
from orchestrator.engine.slots.trial_needs import Kind, kinds_of
from orchestrator.placement import Device
from orchestrator.placement.admission import Admission, Waiting, Want

RECHECK_S = 1.0
"""After a refusal, how long no machine is looked at while nothing has changed; it takes long."""


@dataclass(frozen=True)
class Site:
    """One machine with what runs there, and how many trials may.

    Machines share nothing that is given out, so each decides with the code for one. What is known
    of trials (needs, durations) is common to all.
    """

    machine: Machine
    occupancy: Occupancy
    limits: DeviceLimits
    most: int

    @property
    def admission(self) -> Admission:
        """Decides which trial has room there."""
        return self.occupancy.admission

    @property
    def load(self) -> float:
        """The part of its slots that is out."""
        return len(self.occupancy.slots) / max(1, self.most)

    def choose(self, wants: Sequence[Want], places: Sequence[int]) -> int | None:
        """Return which of some places starts there now, or None."""
        asked = [wants[place] for place in places]
        if self.admission.refuses(asked):
            return None
        self._set_limits(wants)
        if self.machine.on_cpu and len({want.need for want in asked}) > 1:
            # RAM is rarely short, so small differences there do not alter the order.
            longest = max(asked, key=lambda want: want.duration_s or 0.0)
            if self.admission.choose([longest]) is not None:
                return places[asked.index(longest)]
        found = self.admission.choose(asked)
        return None if found is None else places[found]

    def place_of(self, occupied: OccupiedSlot) -> str:
        """Return where an attempt runs, for people; "" if there is one place only."""
        node = occupied.slot.node
        gpu = f"GPU {occupied.slot.device}" if len(self.occupancy.reading) > 1 else ""
        return " of ".join(text for text in (gpu, node) if text)

    def _set_limits(self, wants: Sequence[Want]) -> None:
        needs = [want.need.memory_bytes for want in wants]
        least = min((need for need in needs if need is not None), default=None)
        there = self.occupancy.by_device()
        for device in self.occupancy.reading:
            limit = self.limits.limit(device, there.get(device.key, []), least, len(wants))
            self.admission.limit_device(device.key, limit)


class WantsByKind:
    """What candidates want on each machine: the same on all that have the same models of GPUs."""

    def __init__(self, wants_on: Callable[[Sequence[Device]], Sequence[Want]]) -> None:
        self._wants_on = wants_on
        self._known: dict[frozenset[Kind], Sequence[Want]] = {}

    def on(self, site: Site) -> Sequence[Want]:
        """Return what each candidate wants there."""
        kinds = kinds_of(site.occupancy.reading)
        key = frozenset(kinds)
        if key not in self._known:
            self._known[key] = self._wants_on(list(kinds.values()))
        return self._known[key]

    def has_others_than(self, places: Sequence[int]) -> bool:
        """Return whether on any machine asked about, others want what none of some places does."""
        for wants in self._known.values():
            known = {(wants[place].need, wants[place].alone) for place in places}
            if any((want.need, want.alone) not in known for want in wants):
                return True
        return False


def summary_of(sites: Iterable[Site], waiting: Waiting | None) -> dict[str, Any]:
    """Return the state of placement in JSON types; {} for no news."""
    limits = [site.limits for site in sites]
    found: dict[str, Any] = {
        "waiting": None if waiting is None else waiting.to_dict(),
        "growth": {name: text for each in limits for name, text in each.summaries().items()},
        "fallback": "; ".join(each.fallback for each in limits if each.fallback) or None,
    }
    return found if any(found.values()) else {}


def waiting_of(sites: Sequence[Site]) -> Waiting | None:
    """Return why the next trial waits for others on all machines; None if on one it need not."""
    found = [site.admission.waiting for site in sites]
    known = [waiting for waiting in found if waiting is not None]
    if len(known) < len(found) or not known:
        return None
    return min(known, key=lambda waiting: waiting.missing_bytes)
