"""What was wrong with a run that is over: its reports replayed, each finding with its advice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import audit, learning_rates
from orchestrator.divergence.schedule.rate_log import reported_rates
from orchestrator.divergence.series import number
from orchestrator.divergence.symptom import Advice, RunFacts, Symptom, Verdict
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.divergence.watch import Watch

Report = tuple[int, Mapping[str, float]]

_TARGET_REACHED = Symptom(
    "target reached",
    "warn",
    "sure",
    lambda found, facts: Advice(
        "every target is met",
        ("evaluate the test set, once",),
        ("do not tune further against the test set",),
    ),
)

_CERTAINTY = ("sure", "likely", "possible")
_OPPOSITES = (("raise", "lower"), ("or train for more", "stop early"), ("resume", "restart"))
"""How changes begin that contradict each other."""
_INSTEAD_OF = {
    "plateau": {"dead from the start", "rising", "has not learned"},
    "has not learned": {"dead from the start", "rising"},
}
_UNMOVED = 9
"""Number of reports with one learning rate that are worth a hint."""

_CAME_BACK = 3
"""Number of later values at or below the best one that show that a run was not lost."""


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
        has_fallen: whether the loss can fall.
        findings: gravest first, then the most certain; none contradicts one before it.
        targets: reported name → (its target, its best value, the first step that met it); the
            last two are None if it was not reported, or not met.
        rates: see `learning_rates`.
        hint: what else to look at; empty if there is nothing.
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
    targets: Mapping[str, tuple[float, float | None, int | None]]
    rates: Mapping[str, float]
    hint: str
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
    phases: Sequence[int] = (),
    config: Mapping[str, Any] | None = None,
    unit: str = "epoch",
    loss_can_fall: bool = False,
    is_over: bool = True,
) -> Diagnosis:
    """Replay the reports of a run and return what was found, and what to do about it.

    What later reports refute is not returned: a run that came back from a spike to its best value
    was not lost, and what was wrong before the log starts again belongs to another run.

    The other arguments are those of `Watch`.

    Args:
        reports: (step, metrics) in the order of reporting.
        config: parameters of the run, for the advice.
        unit: what steps count, for messages.
        loss_can_fall: True if another run of the same kind has shown that the loss can fall.
        is_over: False while the run continues; forecasts are of use only then.
    """
    aims = dict(targets or {})
    if metric is not None and target is not None:
        aims[metric] = target, goal
    watch = Watch(metric, goal, targets=aims, total_steps=total_steps, phases=phases)
    later = _Later(reports)
    lost: Verdict | None = None
    ended = len(reports)
    for count, (step, metrics) in enumerate(reports, start=1):
        new = watch.update(step, metrics, loss_can_fall=loss_can_fall)
        lost = next((verdict for verdict in new if verdict.stops), None)
        if lost is not None and later.refutes(lost, count, str(watch.judged), watch.sign):
            watch.spare()
            lost = None
        if lost is not None:
            ended = count
            break
    found = [
        one for one in watch.standing(is_over=is_over) if lost is None or not _is_part(one, lost)
    ]
    # Faults of the schedule show best in all of it, even if the run ended earlier.
    rates = reported_rates(reports)
    faults = audit(rates, schedule, total_steps) if schedule is not None else []
    for fault in faults:
        found.append(Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers))
    met = {name: _reached(reports, name, *aim) for name, aim in aims.items()}
    if met and all(step is not None for _, _, step in met.values()):
        found.append(_target_reached(met))

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
        for verdict in ([*found] if lost is None else [lost, *found])
    ]
    findings.sort(
        key=lambda finding: (
            not finding.is_fatal,
            finding.symptom != "schedule",
            _CERTAINTY.index(finding.confidence),
        )
    )
    return Diagnosis(
        judged=judged,
        sign=watch.sign,
        reports=len(series),
        first=finite[0][1] if finite else None,
        best=best[1],
        best_step=best[0],
        last=series[-1][1] if series else None,
        has_fallen=watch.has_fallen,
        findings=tuple(_consistent(_joined(findings))),
        targets=met,
        rates=learning_rates(reports, schedule, total_steps),
        hint=_hint(rates) if schedule is None else "",
        saved=len(reports) - ended,
    )


class _Later:
    """What the reports after each report show."""

    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports = reports
        self._restarts = [False] * (len(reports) + 1)
        for index in range(len(reports) - 1, 0, -1):
            is_back = reports[index][0] < reports[index - 1][0]
            self._restarts[index] = self._restarts[index + 1] or is_back
        self._levels: dict[str, list[float]] = {}

    def refutes(self, lost: Verdict, count: int, judged: str, sign: float) -> bool:
        """Return whether the reports after the first `count` show that a run was not lost."""
        if count < len(self._reports) and self._restarts[count]:
            return True
        best = (
            sign * lost.numbers["best"]
            if "best" in lost.numbers
            else self._best(count, judged, sign)
        )
        return self._level(judged, sign)[count] <= best

    def _best(self, count: int, judged: str, sign: float) -> float:
        values = (sign * metrics.get(judged, math.nan) for _, metrics in self._reports[:count])
        return min((value for value in values if math.isfinite(value)), default=-math.inf)

    def _level(self, judged: str, sign: float) -> list[float]:
        """Return for each count what the judged series came down to afterwards, and kept."""
        if judged not in self._levels:
            levels = [math.inf] * (len(self._reports) + 1)
            lowest: list[float] = []
            values = [sign * metrics.get(judged, math.nan) for _, metrics in self._reports]
            for index in range(len(values) - 1, -1, -1):
                if math.isfinite(values[index]):
                    lowest = sorted([*lowest, values[index]])[:_CAME_BACK]
                levels[index] = lowest[-1] if len(lowest) == _CAME_BACK else math.inf
            self._levels[judged] = levels
        return self._levels[judged]


def _is_part(found: Verdict, lost: Verdict) -> bool:
    """Return whether a note adds nothing to what ended the run."""
    return found.symptom in (lost.symptom, *_INSTEAD_OF, "dead from the start", "rising")


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding per symptom, the first one with the reasons of all."""
    first: dict[str, Finding] = {}
    for finding in findings:
        known = first.setdefault(finding.symptom, finding)
        if known is not finding:
            reason = f"{known.reason}; {finding.reason}"
            first[finding.symptom] = replace(known, reason=reason)
    return list(first.values())


def _consistent(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield each finding without the changes that contradict those of a finding before it."""
    given: list[str] = []
    symptoms = {finding.symptom for finding in findings}
    for finding in findings:
        if symptoms & _INSTEAD_OF.get(finding.symptom, set()):
            continue  # its remedy is the opposite, or the other says more
        change = tuple(
            text
            for text in finding.advice.change
            if not any(_contradict(text, one) for one in given)
        )
        if not change:
            continue
        given += change
        yield replace(finding, advice=replace(finding.advice, change=change))


def _contradict(one: str, other: str) -> bool:
    return any(
        (one.startswith(first) and other.startswith(second))
        or (one.startswith(second) and other.startswith(first))
        for first, second in _OPPOSITES
    )


def _hint(rates: Sequence[tuple[float, float]]) -> str:
    """Return what to look at if a rate that may have a schedule never moves."""
    values = {rate for _, rate in rates}
    if len(rates) < _UNMOVED or len(values) > 1:
        return ""
    return (
        f"lr is {number(values.pop())} in all {len(rates)} reports. If it should follow a "
        "schedule, the scheduler is not stepped: compare them with --schedule"
    )


def _rate_at(rates: Sequence[tuple[float, float]], step: int | None) -> float | None:
    before = [rate for place, rate in rates if step is not None and place <= step]
    return before[-1] if before else None


def _reached(
    reports: Sequence[Report], metric: str, target: float, goal: str
) -> tuple[float, float | None, int | None]:
    """Return the target, the best value, and the first step that met it."""
    sign = 1.0 if goal == "minimize" else -1.0
    pairs = [(step, metrics[metric]) for step, metrics in reports if metric in metrics]
    pairs = [(step, value) for step, value in pairs if math.isfinite(value)]
    best = min((value for _, value in pairs), key=lambda value: sign * value, default=None)
    met_at = next((step for step, value in pairs if sign * value <= sign * target), None)
    return target, best, met_at


def _target_reached(met: Mapping[str, tuple[float, float | None, int | None]]) -> Verdict:
    texts = [
        f"{name} meets its target {number(target)} from step {step}"
        for name, (target, _, step) in met.items()
    ]
    last = max(step for _, _, step in met.values() if step is not None)
    return Verdict("warn", _TARGET_REACHED.name, last, "; ".join(texts))


def _finding(verdict: Verdict, facts: RunFacts) -> Finding:
    symptom = all_symptoms().get(str(verdict.symptom), _TARGET_REACHED)
    is_passing = symptom.name == "non-finite" and not verdict.stops  # of validation
    return Finding(
        symptom=symptom.name,
        is_fatal=verdict.stops,
        since=verdict.onset,
        reason=verdict.reason,
        numbers=verdict.numbers,
        confidence="possible" if is_passing else symptom.confidence,
        advice=symptom.advise(verdict, facts),
    )
