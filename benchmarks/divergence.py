"""Replay labelled learning curves through the divergence rule: ``python -m benchmarks.divergence``.

Each curve is fed report by report through a fresh rule with its defaults; `values` counts as the
training loss where `mode` is min, as the metric where it is max. These figures come out, for ours
and for the rules that others use:

- detection: of the runs labelled diverged, the part stopped at or after onset − 1;
- false stops: of the runs labelled healthy, the part stopped;
- latency: reports between onset and stop, the median over the detected runs;
- saved: of all reports that the diverged runs made, the part that would not have been;
- thrown away: the same of the healthy runs.

Intervals are Wilson's, 95 %. Curves of one repository are alike, so that the means over
repositories of detection and false stops stand beside. Ambiguous curves are left out. A curve
stopped earlier than onset − 1 counts as not detected.

A second table counts in how many curves of each label the watch sees which symptom.

With ``--cross-validate`` the thresholds of our rule are chosen anew for each repository from the
curves of all others, and judged on those of that one: what tuning promises where it was not done.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rules import RULES, Rule
from orchestrator.divergence import levels
from orchestrator.divergence.policy import SYMPTOMS, Policy
from orchestrator.divergence.rule import DivergenceRule
from orchestrator.divergence.watch import Watch

DIVERGED = ("diverged_nan", "diverged_explosion")
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Curve:
    """One labelled curve.

    Attributes:
        id: its name in the file.
        repo: where it comes from.
        mode: ``"min"`` or ``"max"``.
        values: the series, one value a report.
        label: what a person saw in it.
        onset: index at which the divergence began; None where there is none.
        ambiguous: True where the label is in doubt.
        val_loss: the validation loss of each report; None where there is none.
    """

    id: str
    repo: str
    mode: str
    values: tuple[float, ...]
    label: str
    onset: int | None
    ambiguous: bool
    val_loss: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a rule did to one curve.

    Attributes:
        stopped_at: index of the report at which it stopped the run; None where it never did.
        symptom: what it saw then.
    """

    stopped_at: int | None
    symptom: str | None


@dataclass(frozen=True)
class Score:
    """The figures over a file of curves.

    Attributes:
        diverged: number of curves labelled diverged.
        detected: how many of them were stopped at or after onset − 1.
        early: how many of them were stopped before that.
        healthy: number of curves labelled healthy.
        stopped: how many of them were stopped.
        latencies: reports between onset and stop, of each detected curve.
        others: label to (number of curves, stopped), for the labels that are neither.
        saved: part of the reports of diverged runs that a detection spares.
        thrown_away: part of the reports of healthy runs that are lost to false stops.
        by_repo: repository to (diverged, detected, healthy, stopped).
    """

    diverged: int
    detected: int
    early: int
    healthy: int
    stopped: int
    latencies: tuple[int, ...]
    others: dict[str, tuple[int, int]]
    saved: float = 0.0
    thrown_away: float = 0.0
    by_repo: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def repo_mean(self, of: int) -> float | None:
        """Return the mean over repositories of detection (`of` 0) or of false stops (2)."""
        shares = [counts[of + 1] / counts[of] for counts in self.by_repo.values() if counts[of]]
        return statistics.fmean(shares) if shares else None

    @property
    def latency(self) -> float | None:
        """Median latency in reports; None where nothing was detected."""
        return statistics.median(self.latencies) if self.latencies else None


def read_curves(path: Path) -> Iterator[Curve]:
    """Yield the curves of a JSON-lines file, gzipped or not."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    for line in content.splitlines():
        if line.strip():
            yield curve_of(json.loads(line))


def curve_of(raw: dict[str, Any]) -> Curve:
    """Make a curve of one record; words for non-finite values become numbers."""
    values = (NON_FINITE.get(value, value) for value in raw["values"] if value is not None)
    return Curve(
        id=raw["id"],
        repo=raw.get("repo", ""),
        mode=raw.get("mode", "min"),
        values=tuple(float(value) for value in values),
        label=raw.get("label", ""),
        onset=raw.get("onset"),
        ambiguous=bool(raw.get("ambiguous")),
        val_loss=tuple(
            None if value is None else float(NON_FINITE.get(value, value))
            for value in raw.get("val_loss") or ()
        ),
    )


def notes_on(curve: Curve) -> set[str]:
    """Return all symptoms that the watch sees in one curve, none of which ends it."""
    maximised = curve.mode == "max"
    name = "metric" if maximised else "train_loss"
    policy = Policy.of(dict.fromkeys(SYMPTOMS, "warn"))
    watch = Watch(
        "metric" if maximised else None, "maximize" if maximised else "minimize", policy=policy
    )
    found: set[str] = set()
    for index, value in enumerate(curve.values):
        report = {name: value}
        val = curve.val_loss[index] if index < len(curve.val_loss) else None
        if val is not None and not maximised:
            report["val_loss"] = val
        found |= {str(verdict.symptom) for verdict in watch.update(index, report)}
    return found


def notes_table(curves: list[Curve]) -> str:
    """Return how many curves of each label every symptom is seen in, as a Markdown table."""
    kept = [curve for curve in curves if not curve.ambiguous]
    labels = sorted({curve.label for curve in kept})
    seen = {curve.id: notes_on(curve) for curve in kept}
    heads = [f"{label} ({sum(curve.label == label for curve in kept)})" for label in labels]
    lines = [f"| seen | {' | '.join(heads)} |", "|---" * (len(labels) + 1) + "|"]
    for symptom in SYMPTOMS:
        counts = [
            sum(symptom in seen[curve.id] for curve in kept if curve.label == label)
            for label in labels
        ]
        if any(counts):
            lines.append(f"| {symptom} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def judge(curve: Curve) -> Outcome:
    """Replay one curve through our rule."""
    maximised = curve.mode == "max"
    name = "metric" if maximised else "train_loss"
    rule = DivergenceRule("metric" if maximised else None, "maximize" if maximised else "minimize")
    for index, value in enumerate(curve.values):
        verdict = rule.update(index, {name: value})
        if verdict.action == "stop":
            return Outcome(index, verdict.symptom)
    return Outcome(None, None)


def replayed(curve: Curve, outcome: Outcome) -> int:
    """Return how many reports of `curve` were judged until its outcome."""
    return len(curve.values) if outcome.stopped_at is None else outcome.stopped_at + 1


def judge_by(rule: Rule, curve: Curve) -> Outcome:
    """Replay one curve through one of the others' rules."""
    for index in range(len(curve.values)):
        if rule(curve.values[: index + 1], curve.mode == "max"):
            return Outcome(index, "stopped")
    return Outcome(None, None)


def score(curves: list[Curve], outcomes: dict[str, Outcome]) -> Score:
    """Hold outcomes against labels."""
    latencies, early, healthy, stopped, diverged = [], 0, 0, 0, 0
    others: dict[str, tuple[int, int]] = {}
    repos: dict[str, list[int]] = {}
    spent = {"diverged": [0, 0], "healthy": [0, 0]}
    for curve in curves:
        if curve.ambiguous:
            continue
        at = outcomes[curve.id].stopped_at
        rest = 0 if at is None else len(curve.values) - at - 1
        repo = repos.setdefault(curve.repo, [0, 0, 0, 0])
        if curve.label in DIVERGED:
            diverged += 1
            onset = curve.onset or 0
            found = at is not None and at >= onset - 1
            if at is not None and found:
                latencies.append(at - onset)
            elif at is not None:
                early += 1
            _add(spent["diverged"], len(curve.values), rest if found else 0)
            _add(repo, 1, int(found))
        elif curve.label == "healthy":
            healthy += 1
            stopped += at is not None
            _add(spent["healthy"], len(curve.values), rest)
            _add(repo, 0, 0, 1, int(at is not None))
        else:
            number, ended = others.get(curve.label, (0, 0))
            others[curve.label] = (number + 1, ended + (at is not None))
    return Score(
        diverged,
        len(latencies),
        early,
        healthy,
        stopped,
        tuple(latencies),
        others,
        spent["diverged"][1] / max(1, spent["diverged"][0]),
        spent["healthy"][1] / max(1, spent["healthy"][0]),
        {name: (row[0], row[1], row[2], row[3]) for name, row in repos.items()},
    )


def _add(row: list[int], *more: int) -> None:
    for index, value in enumerate(more):
        row[index] += value


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share; (0, 1) where there is nothing to count."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = share + z * z / (2 * whole)
    spread = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def table(scores: dict[str, Score]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| rule | detection | mean of repositories | too early | false stops "
        "| mean of repositories | median latency | saved | thrown away | other labels stopped |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in scores.items():
        others = ", ".join(
            f"{label} {ended}/{number}" for label, (number, ended) in sorted(figures.others.items())
        )
        latency = "-" if figures.latency is None else f"{figures.latency:g} reports"
        lines.append(
            f"| {name} | {_share(figures.detected, figures.diverged)} "
            f"| {_mean(figures.repo_mean(0))} | {figures.early} "
            f"| {_share(figures.stopped, figures.healthy)} | {_mean(figures.repo_mean(2))} "
            f"| {latency} | {figures.saved:.0%} | {figures.thrown_away:.0%} | {others or '-'} |"
        )
    return "\n".join(lines)


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{part / whole:.1%} ({part}/{whole}; {low:.1%} to {high:.1%})"


GRID: dict[str, tuple[float, ...]] = {
    "EXPLOSION_FACTOR": (1.5, 2.0, 3.0),
    "HALF_LOST": (0.35, 0.5, 0.65),
    "SUSTAINED_LOST": (0.15, 0.2, 0.3),
    "NOISE_ABOVE_BEST": (4.0, 6.0, 8.0),
}
"""Thresholds of `orchestrator.divergence.levels` that cross-validation chooses among."""


def cross_validate(curves: list[Curve]) -> tuple[dict[str, Outcome], dict[str, int]]:
    """Return each curve's outcome under thresholds chosen without its repository.

    The choice is the greatest number of detections less five times the false stops; of equals the
    one nearest to the defaults. Also returned: how often each choice was made.
    """
    defaults = tuple(getattr(levels, name) for name in GRID)
    trials = sorted(
        itertools.product(*GRID.values()),
        key=lambda trial: sum(abs(math.log(a / b)) for a, b in zip(trial, defaults, strict=True)),
    )
    outcomes: dict[tuple[float, ...], dict[str, Outcome]] = {}
    for trial in trials:
        with _thresholds(trial):
            outcomes[trial] = {curve.id: judge(curve) for curve in curves}
    found: dict[str, Outcome] = {}
    chosen: dict[str, int] = {}
    for repo in sorted({curve.repo for curve in curves}):
        rest = [curve for curve in curves if curve.repo != repo]
        worth = {trial: _worth(score(rest, outcomes[trial])) for trial in trials}
        best = max(trials, key=lambda trial: worth[trial])
        label = ", ".join(f"{n} {v:g}" for n, v in zip(GRID, best, strict=True))
        chosen[label] = chosen.get(label, 0) + 1
        for curve in curves:
            if curve.repo == repo:
                found[curve.id] = outcomes[best][curve.id]
    return found, chosen


def _worth(figures: Score) -> float:
    return figures.detected - 5 * figures.stopped


@contextmanager
def _thresholds(values: tuple[float, ...]) -> Iterator[None]:
    before = {name: getattr(levels, name) for name in GRID}
    try:
        for name, value in zip(GRID, values, strict=True):
            setattr(levels, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(levels, name, value)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="labelled curves, JSON lines, .gz or not")
    parser.add_argument(
        "--json", action="store_true", help="print {id: {stopped_at, symptom}} instead"
    )
    parser.add_argument(
        "--cross-validate",
        action="store_true",
        help="also choose the thresholds without each repository (about a minute)",
    )
    options = parser.parse_args(arguments)
    if not options.file.is_file():
        parser.error(f"{options.file}: must be a file of labelled curves, but there is none.")
    curves = list(read_curves(options.file))
    started = time.process_time()
    ours = {curve.id: judge(curve) for curve in curves}
    taken = time.process_time() - started
    if options.json:
        print(json.dumps({key: vars(outcome) for key, outcome in ours.items()}))
        return 0
    reports = sum(replayed(curve, ours[curve.id]) for curve in curves)
    scores = {"divergence rule": score(curves, ours)}
    if options.cross_validate:
        found, chosen = cross_validate(curves)
        scores["divergence rule, tuned without the repository"] = score(curves, found)
    for name, rule in RULES.items():
        scores[name] = score(curves, {curve.id: judge_by(rule, curve) for curve in curves})
    print(table(scores))
    print(f"\n{notes_table(curves)}")
    if options.cross_validate:
        print("\nChosen thresholds (number of repositories left out):")
        for label, times in sorted(chosen.items(), key=lambda item: -item[1]):
            print(f"- {label}: {times}")
    repos = len({curve.repo for curve in curves})
    print(
        f"\n{len(curves)} curves of {repos} repositories, {reports} reports, "
        f"{reports / taken:,.0f} reports a second of one core"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
