"""A learning rate that does not follow its configured schedule."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.divergence.schedule.rate_audit import LEAST_POINTS, audit
from orchestrator.divergence.series import ThinnedPoints
from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)

KEPT = 128
"""Most rates of a run that are kept."""


class ScheduleFault(Detector):
    """Audit the first learning rate that is reported; further parameter groups have their own.

    The audit runs after the first tenth of the training, and then whenever the number of reports
    has grown by half, so that a report costs the same on average.
    """

    def __init__(self) -> None:
        self._name: str | None = None
        self._rates = ThinnedPoints(KEPT)
        self._due = LEAST_POINTS
        self._found: dict[str, str] = {}  # kind to what was reported of it
        self._present: set[str] = set()  # kinds that the last audit found

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield each fault that shows for the first time."""
        step, last_step = seen.step, seen.plan.total_steps
        for name, rate in seen.of_kind("rate"):
            self._name = self._name or name
            if name != self._name:
                continue
            self._rates.add(step, rate)
            is_early = last_step is not None and step < last_step / 10
            is_last = last_step == step  # a run that continues beyond it is audited as before
            if is_early or (self._rates.count < self._due and not is_last):
                continue
            if seen.plan.schedule is None:
                continue
            self._due = self._rates.count + max(1, self._rates.count // 2)
            points = self._rates.points
            if points[-1] != (step, rate):
                points = [*points, (step, rate)]
            faults = audit(points, seen.plan.schedule, last_step)
            self._present = {fault.kind for fault in faults}
            for fault in faults:
                if fault.kind not in self._found:
                    self._found[fault.kind] = fault.text
                    yield Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers)

    def holds(self, found: Verdict) -> bool:
        """Return whether the audit of all rates finds the same kind of fault."""
        return any(self._found.get(kind) == found.reason for kind in self._present)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the scheduler is not stepped as it was configured",
        ("fix the schedule and restart", "only then change the learning rate"),
        ("do not conclude anything about the learning rate from this run",),
    )


SYMPTOM = Symptom("schedule", "warn", "sure", _advise, ScheduleFault, is_separate=True)
