"""A learning rate that does not follow its configured schedule."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.divergence.schedule.rates import Rates
from orchestrator.divergence.symptom import Advice, Observation, RunFacts, Symptom
from orchestrator.divergence.verdict import Verdict


class ScheduleFault:
    """Audit the first learning rate that is reported; further parameter groups have their own."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._name: str | None = None

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report and yield each fault that shows for the first time."""
        schedule, last_step = seen.plan.schedule, seen.plan.total_steps
        for name, rate in seen.of_kind("rate"):
            self._name = self._name or name
            if name == self._name:
                for fault in self._rates.add(seen.step, rate, schedule, last_step):
                    yield Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the scheduler is not stepped as it was configured",
        ("fix the schedule and restart", "only then change the learning rate"),
        ("do not conclude anything about the learning rate from this run",),
    )


SYMPTOM = Symptom("schedule", "warn", "sure", _advise, ScheduleFault, is_separate=True)
