"""What was wrong with a run that is over: its reports replayed, each finding with its advice.

::

    diagnosis = diagnose(reports, metric="val_mae", config={"lr": 1e-3})
    diagnosis.outcome             # "diverged", "in doubt", "target reached", "sound"
    diagnosis.findings[0].reason  # "train_loss is nan since step 3"

What the runs of one sweep say together: which parameter parts the sound from the lost.

One run never tells a cause. Several do where they differ in one thing alone; where two parameters
changed together, neither is proven, and that is said as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.divergence import series_names
from orchestrator.divergence.advice import CONFIDENCE, Advice, Facts, advise
from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_audit import audit
from orchestrator.divergence.verdict import Verdict
from orchestrator.divergence.watch import Watch, is_rate

Report = tuple[int, Mapping[str, float]]


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes:
        symptom: its name.
        is_fatal: True where the run is lost.
        since: the step at which it began.
        reason: the evidence, in a sentence with its numbers.
        numbers: the same by name.
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
        """Return it in JSON types."""
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
    """What can be said of one run.

    Attributes:
        judged: the series that decided; None where nothing could be judged.
        sign: -1.0 where that series is better high.
        reports: how many reports hold it.
        first: its first finite value.
        best: its best finite value.
        best_step: the step of that.
        last: its last value.
        has_fallen: True where the loss has shown that it can fall.
        findings: what was seen, the gravest first.
        rates: first, peak and last learning rate, where it was logged.
        saved: reports after the one that ended it.
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
        """True where something fatal was seen."""
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
    """Replay the reports of a run and say what was seen, and what to do about it.

    Args:
        reports: (step, metrics) in the order of reporting.
        metric: the name that ranks, or None.
        goal: which way `metric` is better.
        target: the value of `metric` to reach.
        targets: further reported names, with the value to reach and which way is better.
        total_steps: the last step that was planned.
        schedule: the learning rate that was configured.
        config: the parameters of the run, for the advice.
        unit: what the steps count, for the words.
        loss_can_fall: True where another run of the same kind has shown that the loss can fall.
    """
    aims = dict(targets or {})
    if metric is not None and target is not None:
        aims[metric] = target, goal
    watch = Watch(metric, goal, targets=aims, total_steps=total_steps)
    said: list[Verdict] = []
    ended = len(reports)
    for index, (step, metrics) in enumerate(reports):
        new = watch.update(step, metrics, loss_can_fall=loss_can_fall)
        said += new
        if any(verdict.stops for verdict in new):
            ended = index + 1
            break
    # Faults of the schedule show best in the whole of it, also where the run ended before.
    said += _schedule_faults(reports, schedule, total_steps)
    judged = watch.judged
    series = [(s, metrics[judged]) for s, metrics in reports if judged and judged in metrics]
    sign = -1.0 if judged == metric and goal == "maximize" and judged is not None else 1.0
    if judged is not None and series_names.training_rank(judged) is not None:
        sign = 1.0
    finite = [(step, value) for step, value in series if math.isfinite(value)]
    before = (
        finite if ended == len(reports) else [p for p in finite if p[0] <= reports[ended - 1][0]]
    )
    best = min(before or finite, key=lambda pair: sign * pair[1], default=None)
    reached = {name: _reached(reports, name, *aim) for name, aim in aims.items()}
    said = [
        verdict
        for verdict in said
        if verdict.symptom != "too slow"
        or not any(
            found and verdict.reason.startswith(f"{name} ") for name, found in reached.items()
        )
    ]
    said += [found for found in reached.values() if found is not None]
    rates = _rates_of(reports)
    findings = [
        _finding(verdict, _facts(verdict, reports, rates, best, config or {}, unit))
        for verdict in _once(said)
    ]
    findings.sort(key=lambda finding: (not finding.is_fatal, finding.symptom != "schedule"))
    return Diagnosis(
        judged,
        sign,
        len(series),
        finite[0][1] if finite else None,
        best[1] if best else None,
        best[0] if best else None,
        series[-1][1] if series else None,
        watch.has_fallen,
        tuple(findings),
        _rates([value for _, value in rates if math.isfinite(value)]),
        len(reports) - ended,
    )


def _rates_of(reports: Sequence[Report]) -> list[tuple[int, float]]:
    """Return step and learning rate; of several groups of parameters those of the first."""
    names = (name for _, metrics in reports for name in metrics if is_rate(name))
    first = next(names, "")
    return [(step, metrics[first]) for step, metrics in reports if first in metrics]


def _rates(values: Sequence[float]) -> dict[str, float]:
    return {"first": values[0], "peak": max(values), "last": values[-1]} if values else {}


def _schedule_faults(
    reports: Sequence[Report], schedule: Declared | None, total_steps: float | None
) -> list[Verdict]:
    if schedule is None:
        return []
    points = _rates_of(reports)
    return [
        Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers)
        for fault in audit(points, schedule, total_steps)
    ]


def _reached(reports: Sequence[Report], metric: str, target: float, goal: str) -> Verdict | None:
    sign = 1.0 if goal == "minimize" else -1.0
    for step, metrics in reports:
        value = metrics.get(metric, math.nan)
        if sign * value <= sign * target:
            reason = f"{metric} {number(value)} at step {step} meets its target {number(target)}"
            numbers = {"value": value, "target": target}
            return Verdict("warn", "target reached", step, reason, numbers)
    return None


def _once(said: Sequence[Verdict]) -> list[Verdict]:
    """Return the findings without repetitions: what ended the run, and each symptom's first.

    Several onsets of a note are one finding, with a word on how many there were.
    """
    kept: dict[str, Verdict] = {}
    times: dict[str, int] = {}
    for verdict in said:
        symptom = str(verdict.symptom)
        if symptom in ("schedule", "too slow", "target reached"):  # each is a matter of its own
            kept[verdict.reason] = verdict
            continue
        key = f"{symptom}{verdict.action}"
        times[key] = times.get(key, 0) + 1
        kept.setdefault(key, verdict)
    fatal = {str(verdict.symptom) for verdict in kept.values() if verdict.stops}
    found = []
    is_dead = any(verdict.symptom == "dead from the start" for verdict in kept.values())
    for key, verdict in kept.items():
        if is_dead and verdict.symptom == "plateau":
            continue  # what never moved stands on no plateau, and its cure is another
        if verdict.symptom in fatal and not verdict.stops and verdict.symptom != "non-finite":
            continue  # the warning that went before the end
        again = times.get(key, 1)
        if again > 1:
            more = "1 more such onset" if again == 2 else f"{again - 1} more such onsets"
            reason = f"{verdict.reason} (and {more})"
            verdict = Verdict(  # noqa: PLW2901
                verdict.action, verdict.symptom, verdict.onset, reason, verdict.numbers
            )
        found.append(verdict)
    return found


def _facts(
    verdict: Verdict,
    reports: Sequence[Report],
    rates: Sequence[tuple[int, float]],
    best: tuple[int, float] | None,
    config: Mapping[str, Any],
    unit: str,
) -> Facts:
    def rate_at(step: int | None) -> float | None:
        before = [rate for place, rate in rates if step is not None and place <= step]
        return before[-1] if before else None

    return Facts(
        config,
        unit,
        best[0] if best else None,
        rate_at(verdict.onset),
        rate_at(best[0]) if best else None,
        reports[0][0] if reports else None,
    )


def _finding(verdict: Verdict, facts: Facts) -> Finding:
    symptom = str(verdict.symptom)
    return Finding(
        symptom,
        verdict.stops,
        verdict.onset,
        verdict.reason,
        verdict.numbers,
        "possible" if symptom == "non-finite" and not verdict.stops else CONFIDENCE[symptom],
        advise(verdict, facts),
    )


LEAST_EACH = 2
"""Sound and lost runs that a boundary needs on each side of it."""


@dataclass(frozen=True)
class Seen:
    """One run of a sweep.

    Attributes:
        label: what people call it.
        config: its parameters.
        is_lost: True where it diverged.
    """

    label: str
    config: Mapping[str, Any]
    is_lost: bool


def compare_runs(runs: Sequence[Seen]) -> list[str]:
    """Return what the runs say together, in sentences; empty where they say nothing."""
    lost = [run for run in runs if run.is_lost]
    sound = [run for run in runs if not run.is_lost]
    if not lost or not sound:
        if len(lost) >= LEAST_EACH:
            return [
                f"All {len(lost)} runs diverged: what they have in common is at fault, not what "
                "the sweep varies."
            ]
        return []
    varied = _varied(runs)
    boundaries = {
        name: text
        for name in varied
        if (text := _boundary(name, lost, sound)) is not None
        and min(len(lost), len(sound)) >= LEAST_EACH
    }
    told = []
    if len(boundaries) == 1:
        (text,) = boundaries.values()
        told.append(f"Stable only {text}: {_counts(lost, sound)}.")
    elif boundaries:
        names = " and ".join(boundaries)
        ways = " or ".join(boundaries.values())
        told.append(
            f"Stable only {ways}: {_counts(lost, sound)}. {names} changed together, so neither "
            "is proven: hold one of them fixed."
        )
    told += _pairs(lost, sound, varied)
    return told


def _varied(runs: Sequence[Seen]) -> list[str]:
    names: dict[str, None] = {}
    for run in runs:
        names.update(dict.fromkeys(run.config))
    return [name for name in names if len({_key(run.config.get(name)) for run in runs}) > 1]


def _key(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boundary(name: str, lost: Sequence[Seen], sound: Sequence[Seen]) -> str | None:
    """Return for which values of `name` runs are sound, where that parts all of them."""
    bad = [run.config.get(name) for run in lost]
    good = [run.config.get(name) for run in sound]
    if all(_is_number(value) for value in (*bad, *good)):
        low, high = (
            [float(v) for v in good if v is not None],
            [float(v) for v in bad if v is not None],
        )
        if max(low) < min(high):
            return f"at {name} ≤ {number(max(low))}"
        if max(high) < min(low):
            return f"at {name} ≥ {number(min(low))}"
    if not {_key(value) for value in bad} & {_key(value) for value in good}:
        shown = list({_key(value): value for value in good}.values())
        if len(shown) <= 3:
            return f"with {name} {' or '.join(_shown(value) for value in shown)}"
    return None


def _shown(value: Any) -> str:
    return number(value) if _is_number(value) else str(value)


def _counts(lost: Sequence[Seen], sound: Sequence[Seen]) -> str:
    return f"all {len(sound)} runs there are sound, all {len(lost)} others diverged"


def _pairs(lost: Sequence[Seen], sound: Sequence[Seen], varied: Sequence[str]) -> list[str]:
    """Name the sound runs that differ least from lost ones."""
    told: list[str] = []
    proven: set[tuple[str, str, str]] = set()
    for run in lost:
        nearest = min(sound, key=lambda other: len(_different(run, other, varied)))
        names = _different(run, nearest, varied)
        if len(names) == 1:
            name = names[0]
            values = _shown(nearest.config.get(name)), _shown(run.config.get(name))
            if (name, *values) in proven:
                continue
            proven.add((name, *values))
            told.append(
                f"{nearest.label} differs from {run.label} only in {name} ({values[0]}, not "
                f"{values[1]}) and is sound: {name} is the cause."
            )
        elif len(names) == 2 and not told and len(lost) == 1:
            told.append(
                f"{nearest.label} is sound and differs from {run.label} in {names[0]} and "
                f"{names[1]}: they changed together, so neither is proven."
            )
    return told[:3]


def _different(one: Seen, other: Seen, varied: Sequence[str]) -> list[str]:
    return [name for name in varied if _key(one.config.get(name)) != _key(other.config.get(name))]
