"""Memory that keeps growing: something is kept from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator

from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

_UNITS = {"gib": 1024.0, "gb": 1e9 / 2**20, "bytes": 2.0**-20}
"""Ends of reported names, and their unit in MiB; other names are in MiB."""

GROWTH = 0.2
"""Memory has grown by this fraction since it settled."""

SETTLED = 5
"""Number of reports after which memory should have settled."""

LEAST_GROWING = 10
SHARE_GROWING = 0.8


class MemoryGrowth(Detector):
    """Find memory that grows report by report, once.

    Caches fill in steps and then stay; a leak grows in most reports.
    """

    def __init__(self) -> None:
        self._count = 0
        self._settled_mib = math.nan
        self._settled_step = 0
        self._last_mib = math.nan
        self._grown = 0
        self._reported = False

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note once memory has grown for long."""
        for name, value in seen.of_kind("memory"):
            ends = (size for end, size in _UNITS.items() if name.lower().endswith(end))
            memory_mib = value * next(ends, 1.0)
            if not self._reported and self._is_growing(seen.step, memory_mib):
                self._reported = True
                yield self._verdict(name, seen.step, memory_mib, seen.plan.memory_limit_mib)

    def _is_growing(self, step: int, memory_mib: float) -> bool:
        self._count += 1
        if self._count == SETTLED:
            self._settled_mib, self._settled_step = memory_mib, step
        self._grown += self._count > SETTLED and memory_mib > self._last_mib
        self._last_mib = memory_mib
        seen = self._count - SETTLED
        return (
            seen >= LEAST_GROWING
            and self._grown >= SHARE_GROWING * seen
            and self._settled_mib > 0
            and memory_mib >= (1 + GROWTH) * self._settled_mib
        )

    def _verdict(self, name: str, step: int, memory_mib: float, limit_mib: float | None) -> Verdict:
        pace = (memory_mib - self._settled_mib) / max(1, step - self._settled_step)
        reason = (
            f"{name} grew from {self._settled_mib:.0f} MiB at step {self._settled_step} to "
            f"{memory_mib:.0f} MiB at step {step}, {pace:.3g} MiB per step"
        )
        if limit_mib is not None and pace > 0:
            at = step + max(0.0, limit_mib - memory_mib) / pace
            reason += f", and reaches its limit of {limit_mib:.0f} MiB at step {at:.0f}"
        numbers = {"from_mib": self._settled_mib, "to_mib": memory_mib, "mib_per_step": pace}
        return Verdict("warn", "growing memory", self._settled_step, reason, numbers)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "something is kept from step to step, most often losses with their graph",
        ("collect loss.item(), not loss", "detach carried states", "empty lists each epoch"),
        ("do not ask for a larger card before the growth is gone",),
    )


SYMPTOM = Symptom("growing memory", "warn", "likely", _advise, MemoryGrowth)
