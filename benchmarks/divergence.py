"""Replay labeled learning curves through the divergence rule: ``python -m benchmarks.divergence``.

Each curve is fed report by report through a fresh rule with its defaults; `values` counts as the
training loss if `mode` is min, as the metric if it is max. Figures for ours and common rules:

- detection: the share of the runs labeled diverged that is stopped at or after onset − 1;
- false stops: the share of the runs labeled healthy that is stopped;
- latency: reports between onset and stop, the median over the detected runs;
- saved: the share of the reports of diverged runs that would not have been made;
- thrown away: the same for the healthy runs.

Intervals are Wilson's, 95 %. Curves of one repository are alike, so the means of detection and
false stops over the repositories are given too. Ambiguous curves are left out. A curve that is
stopped earlier than onset − 1 counts as not detected.

A second table counts in how many curves of each label the watch finds which symptom.

With ``--leave-out repository`` the thresholds of our rule are chosen for each repository from the
curves of all others and judged on its own: what they are worth on curves that they were not tuned
on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.curves import Curve, read_curves
from benchmarks.rules import RULES, Rule, above_first_late, pruned, pruners
from benchmarks.scoring import Outcome, Score, score, table, wilson
from benchmarks.thresholds import GRID, cross_validate
from orchestrator.divergence import DivergenceRule, Policy, Watch
from orchestrator.divergence.schedule.declared import declared
from orchestrator.divergence.schedule.kinds import Schedule
from orchestrator.divergence.symptoms import all_symptoms

__all__ = [
    "GRID",
    "Curve",
    "Outcome",
    "Score",
    "cross_validate",
    "judge",
    "judge_by",
    "main",
    "read_curves",
    "score",
    "wilson",
]


def notes_on(curve: Curve) -> set[str]:
    """Return all symptoms that the watch finds in one curve; none of them ends it."""
    maximized = curve.mode == "max"
    policy = Policy.of(dict.fromkeys(all_symptoms(), "warn"))
    watch = Watch(
        "metric" if maximized else None, "maximize" if maximized else "minimize", policy=policy
    )
    found: set[str] = set()
    for index in range(len(curve.values)):
        seen = watch.update(curve.place(index), curve.report(index))
        found |= {str(verdict.symptom) for verdict in seen}
    return found


def notes_table(curves: list[Curve]) -> str:
    """Return in how many curves of each label each symptom is found, as a Markdown table."""
    kept = [curve for curve in curves if not curve.ambiguous]
    labels = sorted({curve.label for curve in kept})
    seen = {curve.id: notes_on(curve) for curve in kept}
    heads = [f"{label} ({sum(curve.label == label for curve in kept)})" for label in labels]
    lines = [f"| seen | {' | '.join(heads)} |", "|---" * (len(labels) + 1) + "|"]
    for symptom in all_symptoms():
        counts = [
            sum(symptom in seen[curve.id] for curve in kept if curve.label == label)
            for label in labels
        ]
        if any(counts):
            lines.append(f"| {symptom} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def judge(curve: Curve) -> Outcome:
    """Replay one curve through our rule."""
    maximized = curve.mode == "max"
    rule = DivergenceRule("metric" if maximized else None, "maximize" if maximized else "minimize")
    for index in range(len(curve.values)):
        verdict = rule.update(curve.place(index), curve.report(index))
        if verdict.action == "stop":
            return Outcome(curve.place(index), verdict.symptom)
    return Outcome(None, None)


def replayed(curve: Curve, outcome: Outcome) -> int:
    """Return how many reports of `curve` were judged until its outcome."""
    return curve.reports if outcome.stopped_at is None else outcome.stopped_at + 1


def judge_by(rule: Rule, curve: Curve) -> Outcome:
    """Replay one curve through one of the common rules."""
    for index in range(len(curve.values)):
        if rule(curve.values[: index + 1], curve.mode == "max"):
            return Outcome(curve.place(index), "stopped")
    return Outcome(None, None)


def watched(curve: Curve, schedule: Schedule) -> Iterator[dict[str, float]]:
    """Yield the reports of a curve as a trainer makes them: five series, made up if absent."""
    for index, value in enumerate(curve.values):
        place = curve.place(index)
        val = curve.val_loss[place] if place < len(curve.val_loss) else None
        yield {
            "train_loss": value,
            "val_loss": value if val is None else val,
            "val_mae": abs(value),
            "lr": schedule.at(index),
            "grad_norm": 1.0 + abs(value),
        }


def watch_speed(curves: list[Curve]) -> float:
    """Return how many reports of five series the whole watch judges in a second of one core."""
    configured = declared({"cosine": {"lr": 1e-3, "total": 500}, "per": "epoch"})
    ready = [list(watched(curve, configured.schedule)) for curve in curves]
    judged, began = 0, time.process_time()
    for reports in ready:
        watch = Watch("val_mae", target=0.0, total_steps=500, schedule=configured)
        for step, metrics in enumerate(reports):
            judged += 1
            if any(verdict.stops for verdict in watch.update(step, metrics)):
                break
    return judged / (time.process_time() - began)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        help="labeled curves as JSON lines, .gz or not, or AlgoPerf's folder",
    )
    parser.add_argument(
        "--json", action="store_true", help="print {id: {stopped_at, symptom}} instead"
    )
    parser.add_argument(
        "--leave-out",
        choices=["repository"],
        help="also choose the thresholds without each repository (some minutes)",
    )
    options = parser.parse_args(arguments)
    for file in options.files:
        if not file.exists():
            parser.error(f"{file}: no such file. Give a file of labeled curves.")
    for file in options.files:
        try:
            curves = list(read_curves(file))
        except (ValueError, OSError) as error:
            parser.error(str(error))
        if options.json:
            print(json.dumps({curve.id: vars(judge(curve)) for curve in curves}))
            continue
        print(f"# {file.name}\n\n{figures(curves, leaves_out=options.leave_out is not None)}\n")
    return 0


def _outcomes(ends: Mapping[str, int | None]) -> dict[str, Outcome]:
    return {key: Outcome(end, None if end is None else "stopped") for key, end in ends.items()}


def figures(curves: list[Curve], *, leaves_out: bool) -> str:
    """Return all tables on a file of curves.

    Args:
        leaves_out: True to add our rule with thresholds that were chosen without each repository.
    """
    started = time.process_time()
    ours = {curve.id: judge(curve) for curve in curves}
    taken = time.process_time() - started
    reports = sum(replayed(curve, ours[curve.id]) for curve in curves)
    scores = {"divergence rule": score(curves, ours)}
    chosen: dict[str, int] = {}
    if leaves_out:
        found, chosen = cross_validate(curves, judge)
        scores["divergence rule, tuned without the repository"] = score(curves, found)
    for name, rule in RULES.items():
        scores[name] = score(curves, {curve.id: judge_by(rule, curve) for curve in curves})
    ends = {curve.id: above_first_late(curve) for curve in curves}
    scores["above the first after half the run"] = score(curves, _outcomes(ends))
    for name, pruner in pruners().items():
        ends = pruned(curves, pruner)
        known = [curve for curve in curves if curve.id in ends]
        if known:
            scores[f"{name} ({len(known)} curves with a cohort)"] = score(known, _outcomes(ends))
    parts = [table(scores), notes_table(curves)]
    if chosen:
        lines = [
            f"- {label}: {times}" for label, times in sorted(chosen.items(), key=lambda c: -c[1])
        ]
        parts.append("\n".join(["Chosen thresholds (number of repositories left out):", *lines]))
    repos = len({curve.repo for curve in curves})
    parts.append(
        f"{len(curves)} curves of {repos} repositories, {reports} reports, "
        f"{reports / max(taken, 1e-9):,.0f} reports a second of one core by the rule, "
        f"{watch_speed(curves):,.0f} of five series by the watch"
    )
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
