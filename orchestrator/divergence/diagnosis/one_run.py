"""What was wrong with a run that is over: its reports replayed, each finding with its advice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import audit, learning_rates, reported_rates
from orchestrator.divergence.series import number
from orchestrator.divergence.symptom import Advice, RunFacts, Symptom, Verdict
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.divergence.watch import Watch, finding_key

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
    """A symptom found in one run, with its evidence: a sentence, and the same numbers by name."""

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
        best: its best finite value, before the end of a run that was lost.
        has_fallen: True if the loss has shown that it can fall.
        findings: gravest first.
        rates: see `learning_rates`.
        saved: number of reports after the one that ended the run.
    """

    judged: str | None
    sign: float
    reports: int
    first: float | None
    best: float | None
    best_step: int | None
    last: float | None
    has_fallen: bool
    findings: tuple[Finding, ...]
    rates: Mapping[str, float]
    saved: int

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
        if any(finding.symptom == _TARGET_REACHED.name for finding in self.findings):
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

    The other arguments are those of `Watch`.

    Args:
        reports: (step, metrics) in the order of reporting.
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
    for count, (step, metrics) in enumerate(reports, start=1):
        new = watch.update(step, metrics, loss_can_fall=loss_can_fall)
        found += new
        if any(verdict.stops for verdict in new):
            ended = count
            break
    # Faults of the schedule show best in all of it, even if the run ended earlier.
    rates = reported_rates(reports)
    for fault in audit(rates, schedule, total_steps) if schedule is not None else ():
        found.append(Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers))
    for name, aim in aims.items():
        reached = _reached(reports, name, *aim)
        if reached is not None:
            slow = f"{name} "
            found = [v for v in found if v.symptom != "too slow" or not v.reason.startswith(slow)]
            found.append(reached)

    judged = watch.judged
    series = [(s, metrics[judged]) for s, metrics in reports if judged and judged in metrics]
    finite = [(step, value) for step, value in series if math.isfinite(value)]
    last_step = reports[ended - 1][0] if ended < len(reports) else math.inf
    before = [point for point in finite if point[0] <= last_step]
    best = min(before or finite, key=lambda point: watch.sign * point[1], default=(None, None))
    facts = RunFacts(
        config=config or {},
        unit=unit,
        best_step=best[0],
        rate_at_best=_rate_at(rates, best[0]),
        first_step=reports[0][0] if reports else None,
    )
    findings = [
        _finding(verdict, replace(facts, rate=_rate_at(rates, verdict.onset)))
        for verdict in _merge(found)
    ]
    findings.sort(key=lambda finding: (not finding.is_fatal, finding.symptom != "schedule"))
    return Diagnosis(
        judged=judged,
        sign=watch.sign,
        reports=len(series),
        first=finite[0][1] if finite else None,
        best=best[1],
        best_step=best[0],
        last=series[-1][1] if series else None,
        has_fallen=watch.has_fallen,
        findings=tuple(findings),
        rates=learning_rates(reports),
        saved=len(reports) - ended,
    )


def _rate_at(rates: Sequence[tuple[float, float]], step: int | None) -> float | None:
    before = [rate for place, rate in rates if step is not None and place <= step]
    return before[-1] if before else None


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
    onsets: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in found:
        onsets.setdefault((finding_key(verdict), verdict.action), []).append(verdict)
    firsts = [verdicts[0] for verdicts in onsets.values()]
    fatal = {verdict.symptom for verdict in firsts if verdict.stops}
    is_dead = any(verdict.symptom == "dead from the start" for verdict in firsts)
    merged = []
    for (key, _), verdicts in onsets.items():
        first = verdicts[0]
        if is_dead and first.symptom == "plateau":
            continue  # what never moved is on no plateau, and its remedy differs
        if first.symptom in fatal and not first.stops and first.symptom != "non-finite":
            continue  # the warning before the end
        more = 0 if key == first.reason else len(verdicts) - 1
        if more:
            text = "1 more such onset" if more == 1 else f"{more} more such onsets"
            first = replace(first, reason=f"{first.reason} (and {text})")
        merged.append(first)
    return merged


def _finding(verdict: Verdict, facts: RunFacts) -> Finding:
    symptom = all_symptoms().get(str(verdict.symptom), _TARGET_REACHED)
    is_passing = symptom.name == "non-finite" and not verdict.stops
    return Finding(
        symptom=symptom.name,
        is_fatal=verdict.stops,
        since=verdict.onset,
        reason=verdict.reason,
        numbers=verdict.numbers,
        confidence="possible" if is_passing else symptom.confidence,
        advice=symptom.advise(verdict, facts),
    )
