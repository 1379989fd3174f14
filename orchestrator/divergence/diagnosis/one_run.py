"""What was wrong with a run that is over: its reports replayed, each finding with its advice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.divergence.policy import finding_key
from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import audit
from orchestrator.divergence.series.series_names import is_rate, training_rank
from orchestrator.divergence.symptom import Advice, RunFacts, Symptom
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.divergence.verdict import Verdict, number
from orchestrator.divergence.watch import Watch

Report = tuple[int, Mapping[str, float]]

_TARGET_REACHED = Symptom(
    "target reached",
    "warn",
    "sure",
    lambda found, facts: Advice(
        "the target is met",
        ("evaluate the test set, once",),
        ("do not tune further against the test set",),
    ),
    is_separate=True,
)


@dataclass(frozen=True)
class Finding:
    """A symptom found in one run, with its evidence.

    Attributes:
        symptom: its name.
        is_fatal: True if the run is lost.
        since: step at which it began.
        reason: the evidence, in a sentence with its numbers.
        numbers: the same numbers by name.
        confidence: ``"sure"``, ``"likely"`` or ``"possible"``.
        advice: likely cause, what to change and what not to.
    """

    symptom: str
    is_fatal: bool
    since: int | None
    reason: str
    numbers: Mapping[str, float]
    confidence: str
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in JSON types."""
        return {
            "symptom": self.symptom,
            "fatal": self.is_fatal,
            "since": self.since,
            "reason": self.reason,
            "numbers": dict(self.numbers),
            "confidence": self.confidence,
            "cause": self.advice.cause,
            "change": list(self.advice.change),
            "avoid": list(self.advice.avoid),
        }


@dataclass(frozen=True)
class Diagnosis:
    """The findings of one run.

    Attributes:
        judged: the deciding series; None if there was nothing to judge.
        sign: -1.0 if that series is maximized.
        reports: number of reports that contain it.
        first: its first finite value.
        best: its best finite value.
        best_step: step of the best value.
        last: its last value.
        has_fallen: True if the loss has shown that it can fall.
        findings: the findings, gravest first.
        rates: first, peak and last learning rate, if it was logged.
        saved: number of reports after the one that ended the run.
    """

    judged: str | None
    sign: float = 1.0
    reports: int = 0
    first: float | None = None
    best: float | None = None
    best_step: int | None = None
    last: float | None = None
    has_fallen: bool = False
    findings: tuple[Finding, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    saved: int = 0

    @property
    def is_lost(self) -> bool:
        """True if there is a fatal finding."""
        return any(finding.is_fatal for finding in self.findings)

    @property
    def outcome(self) -> str:
        """One word or two for the whole run."""
        if self.judged is None:
            return "not judged"
        if self.is_lost:
            return "diverged"
        if any(finding.symptom == "target reached" for finding in self.findings):
            return "target reached"
        return "in doubt" if self.findings else "sound"


def diagnose(
    reports: Sequence[Report],
    *,
    metric: str | None = None,
    goal: str = "minimize",
    target: float | None = None,
    targets: Mapping[str, tuple[float, str]] | None = None,
    total_steps: float | None = None,
    schedule: Declared | None = None,
    config: Mapping[str, Any] | None = None,
    unit: str = "epoch",
    loss_can_fall: bool = False,
) -> Diagnosis:
    """Replay the reports of a run and return what was found, and what to do about it.

    Args:
        reports: (step, metrics) in the order of reporting.
        metric: the name that ranks the trials; None if there is none.
        goal: ``"minimize"`` or ``"maximize"`` `metric`.
        target: value of `metric` to reach.
        targets: further reported names, with the value to reach and the goal.
        total_steps: the last planned step.
        schedule: the configured learning rate.
        config: parameters of the run, for the advice.
        unit: what steps count, for messages.
        loss_can_fall: True if another run of the same kind has shown that the loss can fall.
    """
    aims = dict(targets or {})
    if metric is not None and target is not None:
        aims[metric] = target, goal
    watch = Watch(metric, goal, targets=aims, total_steps=total_steps)
    found: list[Verdict] = []
    ended = len(reports)
    for index, (step, metrics) in enumerate(reports):
        new = watch.update(step, metrics, loss_can_fall=loss_can_fall)
        found += new
        if any(verdict.stops for verdict in new):
            ended = index + 1
            break
    rates = _rates_of(reports)
    # Faults of the schedule show best in all of it, even if the run ended earlier.
    found += _schedule_faults(rates, schedule, total_steps)
    reached = {name: _reached(reports, name, *aim) for name, aim in aims.items()}
    met = tuple(f"{name} " for name, verdict in reached.items() if verdict is not None)
    found = [one for one in found if one.symptom != "too slow" or not one.reason.startswith(met)]
    found += [verdict for verdict in reached.values() if verdict is not None]

    judged = watch.judged
    is_training = judged is not None and training_rank(judged) is not None
    sign = -1.0 if judged == metric and goal == "maximize" and not is_training else 1.0
    series = [(s, metrics[judged]) for s, metrics in reports if judged and judged in metrics]
    finite = [(step, value) for step, value in series if math.isfinite(value)]
    last_step = reports[ended - 1][0] if ended < len(reports) else math.inf
    before = [point for point in finite if point[0] <= last_step]
    best = min(before or finite, key=lambda point: sign * point[1], default=None)

    facts = RunFacts(
        config=config or {},
        unit=unit,
        best_step=best[0] if best else None,
        rate_at_best=_rate_at(rates, best[0]) if best else None,
        first_step=reports[0][0] if reports else None,
    )
    findings = [
        _finding(verdict, replace(facts, rate=_rate_at(rates, verdict.onset)))
        for verdict in _merge(found)
    ]
    findings.sort(key=lambda finding: (not finding.is_fatal, finding.symptom != "schedule"))
    return Diagnosis(
        judged=judged,
        sign=sign,
        reports=len(series),
        first=finite[0][1] if finite else None,
        best=best[1] if best else None,
        best_step=best[0] if best else None,
        last=series[-1][1] if series else None,
        has_fallen=watch.has_fallen,
        findings=tuple(findings),
        rates=_ends([rate for _, rate in rates if math.isfinite(rate)]),
        saved=len(reports) - ended,
    )


def _rates_of(reports: Sequence[Report]) -> list[tuple[int, float]]:
    """Return step and learning rate; of several parameter groups those of the first."""
    names = (name for _, metrics in reports for name in metrics if is_rate(name))
    first = next(names, "")
    return [(step, metrics[first]) for step, metrics in reports if first in metrics]


def _rate_at(rates: Sequence[tuple[int, float]], step: int | None) -> float | None:
    before = [rate for place, rate in rates if step is not None and place <= step]
    return before[-1] if before else None


def _ends(values: Sequence[float]) -> dict[str, float]:
    return {"first": values[0], "peak": max(values), "last": values[-1]} if values else {}


def _schedule_faults(
    rates: Sequence[tuple[int, float]], schedule: Declared | None, total_steps: float | None
) -> list[Verdict]:
    faults = [] if schedule is None else audit(rates, schedule, total_steps)
    return [Verdict("warn", "schedule", int(one.since), one.text, one.numbers) for one in faults]


def _reached(reports: Sequence[Report], metric: str, target: float, goal: str) -> Verdict | None:
    sign = 1.0 if goal == "minimize" else -1.0
    for step, metrics in reports:
        value = metrics.get(metric, math.nan)
        if sign * value <= sign * target:
            reason = f"{metric} {number(value)} at step {step} meets its target {number(target)}"
            numbers = {"value": value, "target": target}
            return Verdict("warn", _TARGET_REACHED.name, step, reason, numbers)
    return None


def _merge(found: Sequence[Verdict]) -> list[Verdict]:
    """Return each finding once: what ended the run, and the first onset of each symptom.

    The reason counts further onsets.
    """
    kept: dict[tuple[str, str], Verdict] = {}
    times: dict[tuple[str, str], int] = {}
    for verdict in found:
        key = finding_key(verdict), verdict.action
        times[key] = times.get(key, 0) + (verdict.reason != finding_key(verdict))
        kept.setdefault(key, verdict)
    fatal = {str(verdict.symptom) for verdict in kept.values() if verdict.stops}
    is_dead = any(verdict.symptom == "dead from the start" for verdict in kept.values())
    merged = []
    for verdict in kept.values():
        if is_dead and verdict.symptom == "plateau":
            continue  # what never moved is on no plateau, and its remedy differs
        if verdict.symptom in fatal and not verdict.stops and verdict.symptom != "non-finite":
            continue  # the warning before the end
        more = times[finding_key(verdict), verdict.action] - 1
        if more > 0:
            onsets = "1 more such onset" if more == 1 else f"{more} more such onsets"
            merged.append(replace(verdict, reason=f"{verdict.reason} (and {onsets})"))
        else:
            merged.append(verdict)
    return merged


def _finding(verdict: Verdict, facts: RunFacts) -> Finding:
    name = str(verdict.symptom)
    symptom = all_symptoms().get(name, _TARGET_REACHED)
    is_passing = name == "non-finite" and not verdict.stops
    return Finding(
        symptom=name,
        is_fatal=verdict.stops,
        since=verdict.onset,
        reason=verdict.reason,
        numbers=verdict.numbers,
        confidence="possible" if is_passing else symptom.confidence,
        advice=symptom.advise(verdict, facts),
    )
