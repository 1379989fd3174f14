"""Replay labelled learning curves through the divergence rule: ``python -m benchmarks.divergence``.

Each curve is fed report by report through a fresh rule with its defaults; `values` counts as the
training loss where `mode` is min, as the metric where it is max. Three figures come out:

- detection: of the runs labelled diverged, the part stopped at or after onset − 1;
- false stops: of the runs labelled healthy, the part stopped;
- latency: reports between onset and stop, the median over the detected runs.

Ambiguous curves are left out of the figures. A curve stopped earlier than onset − 1 counts as not
detected.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.divergence.rule import DivergenceRule

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
    """

    id: str
    repo: str
    mode: str
    values: tuple[float, ...]
    label: str
    onset: int | None
    ambiguous: bool


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
    """

    diverged: int
    detected: int
    early: int
    healthy: int
    stopped: int
    latencies: tuple[int, ...]
    others: dict[str, tuple[int, int]]

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
    )


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


def judge_finiteness(curve: Curve) -> Outcome:
    """Stop at the first non-finite value: what most tools offer at best."""
    for index, value in enumerate(curve.values):
        if not math.isfinite(value):
            return Outcome(index, "non-finite")
    return Outcome(None, None)


def score(curves: list[Curve], outcomes: dict[str, Outcome]) -> Score:
    """Hold outcomes against labels."""
    latencies, early, healthy, stopped, diverged = [], 0, 0, 0, 0
    others: dict[str, tuple[int, int]] = {}
    for curve in curves:
        if curve.ambiguous:
            continue
        at = outcomes[curve.id].stopped_at
        if curve.label in DIVERGED:
            diverged += 1
            onset = curve.onset or 0
            if at is not None and at >= onset - 1:
                latencies.append(at - onset)
            elif at is not None:
                early += 1
        elif curve.label == "healthy":
            healthy += 1
            stopped += at is not None
        else:
            number, ended = others.get(curve.label, (0, 0))
            others[curve.label] = (number + 1, ended + (at is not None))
    return Score(diverged, len(latencies), early, healthy, stopped, tuple(latencies), others)


def table(scores: dict[str, Score]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| rule | detection | too early | false stops | median latency | other labels stopped |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in scores.items():
        others = ", ".join(
            f"{label} {ended}/{number}" for label, (number, ended) in sorted(figures.others.items())
        )
        latency = "-" if figures.latency is None else f"{figures.latency:g} reports"
        lines.append(
            f"| {name} | {_share(figures.detected, figures.diverged)} | {figures.early} "
            f"| {_share(figures.stopped, figures.healthy)} | {latency} | {others or '-'} |"
        )
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part}/{whole})" if whole else "-"


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="labelled curves, JSON lines, .gz or not")
    parser.add_argument(
        "--json", action="store_true", help="print {id: {stopped_at, symptom}} instead"
    )
    options = parser.parse_args(arguments)
    if not options.file.is_file():
        parser.error(f"{options.file}: must be a file of labelled curves, but there is none.")
    curves = list(read_curves(options.file))
    started = time.perf_counter()
    ours = {curve.id: judge(curve) for curve in curves}
    taken = time.perf_counter() - started
    if options.json:
        print(json.dumps({key: vars(outcome) for key, outcome in ours.items()}))
        return 0
    reports = sum(replayed(curve, ours[curve.id]) for curve in curves)
    plain = {curve.id: judge_finiteness(curve) for curve in curves}
    print(table({"divergence rule": score(curves, ours), "first non-finite": score(curves, plain)}))
    print(f"\n{len(curves)} curves, {reports} reports, {reports / taken:,.0f} reports a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
