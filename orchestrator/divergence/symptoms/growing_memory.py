"""Memory that keeps growing: something is kept from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.symptom import Advice, Observation, RunFacts, Symptom
from orchestrator.divergence.verdict import Verdict

_UNITS = {"gib": 1024.0, "gb": 1e9 / 2**20, "bytes": 2.0**-20}
"""Ends of reported names, and their unit in MiB; other names are in MiB."""

GROWTH = 0.2
"""Memory has grown by this fraction since it settled."""

SETTLED = 5
"""Number of reports after which memory should have settled."""

LEAST_GROWING = 10
SHARE_GROWING = 0.8


class MemoryGrowth:
    """Find memory that grows report by report.

    Caches fill in steps and then stay; a leak grows in most reports.
    """

    def __init__(self) -> None:
        self._count = 0
        self._settled = math.nan
        self._settled_step = 0
        self._last = math.nan
        self._grown = 0
        self._reported = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report and yield a note once memory has grown for long."""
        for name, value in seen.of_kind("memory"):
            plain = name.lower()
            unit = next((size for end, size in _UNITS.items() if plain.endswith(end)), 1.0)
            found = self._reading(name, seen.step, value * unit, seen.plan.memory_limit_mib)
            if found is not None:
                yield found

    def _reading(
        self, name: str, step: int, memory_mib: float, limit_mib: float | None
    ) -> Verdict | None:
        self._count += 1
        if self._count == SETTLED:
            self._settled, self._settled_step = memory_mib, step
        grows = self._count > SETTLED and memory_mib > self._last
        self._grown += grows
        self._last = memory_mib
        seen = self._count - SETTLED
        if self._reported or seen < LEAST_GROWING or self._grown < SHARE_GROWING * seen:
            return None
        if not self._settled > 0 or memory_mib < (1 + GROWTH) * self._settled:
            return None
        self._reported = True
        pace = (memory_mib - self._settled) / max(1, step - self._settled_step)
        full = ""
        if limit_mib is not None and pace > 0:
            at = step + max(0.0, limit_mib - memory_mib) / pace
            full = f", and reaches its limit of {limit_mib:.0f} MiB at step {at:.0f}"
        return Verdict(
            "warn",
            "growing memory",
            self._settled_step,
            f"{name} grew from {self._settled:.0f} MiB at step {self._settled_step} to "
            f"{memory_mib:.0f} MiB at step {step}, {pace:.3g} MiB per step{full}",
            {"from_mib": self._settled, "to_mib": memory_mib, "mib_per_step": pace},
        )


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "something is kept from step to step, most often losses with their graph",
        ("collect loss.item(), not loss", "detach carried states", "empty lists each epoch"),
        ("do not ask for a larger card before the growth is gone",),
    )


SYMPTOM = Symptom("growing memory", "warn", "likely", _advise, MemoryGrowth)
