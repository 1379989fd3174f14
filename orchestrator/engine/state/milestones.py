"""The milestones of one attempt: what its metrics should be at a step, and what answers if not."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.analysis import facts_of
from orchestrator.divergence import number as shown
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.engine.remedies import milestone_remedies, remedy_change
from orchestrator.runs import TrialRecord
from orchestrator.sweepfile.conditions import Bound, evaluate, names, parse


class Milestones:
    """Compares the reports of one attempt with ``expect``, and with the conditions of ``remedy``.

    Attributes:
        warned: the warnings so far.
    """

    def __init__(self, view: SweepView, record: TrialRecord) -> None:
        self._view = view
        self._record = record
        self._expected = _expected(view.spec.expect)
        self._answers = milestone_remedies(view.spec)
        self._awaited = set(self._answers)
        self._last_step: int | None = None
        self.warned: set[str] = set()

    def missed(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Return a warning for each milestone that this report misses or passes."""
        warnings = []
        for (name, place), bound in list(self._expected.items()):
            if name not in metrics or step < place:
                continue
            del self._expected[name, place]
            if step == place and not bound.holds(metrics[name]):
                value = shown(metrics[name])
                warnings.append(f"{name} is {value} at step {step}, but {bound} was expected there")
        for place in [place for place in self._awaited if step >= place]:
            self._awaited.remove(place)
            if step > place and self._last_step is not None:
                conditions = " and ".join(f"'{text}'" for text in self._answers[place])
                warnings.append(f"nothing was reported at step {place}: {conditions} is not judged")
        self._last_step = step
        self.warned |= set(warnings)
        return warnings

    def answered(self, step: int, metrics: Mapping[str, float]) -> tuple[str, str] | None:
        """Return the condition that holds at this report and has a remedy, and the evidence.

        The first one in the order of the file counts; one whose remedy cannot follow (it was
        tried, its own condition does not hold, or it changes nothing) leads to nothing.
        """
        for text in self._answers.get(step, ()):
            if remedy_change(self._view, self._record, text) is None:
                continue
            run = self._view.run_dir(self._record)
            known = facts_of(self._record, run, self._view.spec.metrics)
            now = {f"{name}@{step}": value for name, value in metrics.items()}
            values = {**known.values, **metrics, **now}
            condition = parse(text)
            if evaluate(condition, values, at=known.at) is True:
                used = sorted(names(condition, maybe_text=False), key=str)
                found = [(name, values.get(str(name), values.get(name.name))) for name in used]
                evidence = ", ".join(
                    f"{name} is {shown(value)}"
                    for name, value in found
                    if isinstance(value, int | float)
                )
                return text, f"{text} ({evidence})"
        return None


def _expected(expect: Mapping[str, Bound]) -> dict[tuple[str, int], Bound]:
    """Return the bound of each milestone by its metric and step."""
    found = {}
    for text, bound in expect.items():
        name, _, step = text.rpartition("@")
        if name and step.isdecimal():
            found[name, int(step)] = bound
    return found
