"""Examine runs: read their logs, diagnose each, and compare them."""

from __future__ import annotations

import difflib
import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.logged import configured_schedule
from orchestrator.analysis.measure.targets import parse_bound
from orchestrator.divergence import Policy, number
from orchestrator.divergence.diagnosis import (
    Diagnosis,
    Replay,
    RunSummary,
    compare_runs,
    diagnose,
    replay,
)
from orchestrator.divergence.schedule import Declared
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.errors import UsageError, nearest
from orchestrator.files.series_names import best_validation_name, words
from orchestrator.metrics import goal as named_goal
from orchestrator.runs import SweepDir, SweepRecord
from orchestrator.runs.curves import LoggedRun, read_runs
from orchestrator.runs.read import SweepInfo

# Losses with different weights differ by factors, not by thousands.
_THOUSANDS = 1000.0
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Examined:
    """One run with its diagnosis, and what a policy would have done to it, if requested."""

    run: LoggedRun
    diagnosis: Diagnosis
    schedule: Declared | None = None  # that its rate was compared with
    replay: Replay | None = None

    @property
    def outcome(self) -> str:
        """One word or two: that of the curve, unless the trial failed otherwise."""
        failed = self.run.failure and not self.diagnosis.is_lost
        return "failed" if failed else self.diagnosis.outcome

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        run, found = self.run, self.diagnosis
        return {
            "name": run.name,
            "number": run.number,
            "path": str(run.path),
            "form": run.form,
            "state": run.state,
            "unit": run.unit,
            "reports": len(run.reports),
            "outcome": self.outcome,
            "failure": run.failure or None,
            "judged": found.judged,
            "first": found.first,
            "best": found.best,
            "best_step": found.best_step,
            "last": found.last,
            "lr": dict(found.rates),
            "hint": found.hint,
            "targets": {
                name: {"target": target, "best": best, "met_at": step}
                for name, (target, best, step) in found.targets.items()
            },
            "reports_after_the_end": found.saved,
            "findings": [finding.to_dict() for finding in found.findings],
            "notes": list(run.notes),
            **({} if self.replay is None else {"replay": self.replay.to_dict()}),
        }


@dataclass(frozen=True)
class Examination:
    """All requested runs, and what they and their siblings show together, in sentences."""

    runs: tuple[Examined, ...]
    together: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"runs": [one.to_dict() for one in self.runs], "together": list(self.together)}


def examine(
    path: Path,
    *,
    metric: str | None = None,
    goal: str | None = None,
    target: float | None = None,
    schedule: Declared | None = None,
    pattern: str | None = None,
    replayed: bool = False,
    policy: Policy | None = None,
    known: Mapping[Path, Examined] | None = None,
    skipped: Collection[Path] = (),
) -> Examination:
    """Diagnose the runs at `path`: a log of any tool, a run folder, a sweep, or a folder of runs.

    One trial of a sweep is compared with its siblings, which are not shown otherwise.

    Metric, goal, target and schedule are by default those of the sweep.

    Args:
        target: value of the metric to reach.
        schedule: the configured learning rate.
        pattern: of the numbers in text logs.
        replayed: True to add what a policy would have done.
        policy: by default that of the sweep.
        known: trials of the sweep at `path` that have not changed, by folder; they are not read.
        skipped: folders of trials that are neither read nor returned. What runs show together is
            left out if there are any.

    Raises:
        NotFoundError: there is no run.
        UsageError: the log cannot be read, no run reports the metric, or there is a target without
            one.
    """
    known = known or {}
    runs = read_runs(path, pattern, known={*known, *skipped})
    if metric is not None:
        metric = _reported(metric, list(dict.fromkeys(name for run in runs for name in run.names)))
    groups: dict[SweepDir | None, list[LoggedRun]] = {}
    for run in runs:
        groups.setdefault(_sweep_of(run.path), []).append(run)
    if known:
        groups.setdefault(_sweep_of(path), [])
    by_run: dict[tuple[Path, str], Examined] = {}
    together: list[str] = []
    for sweep, group in groups.items():
        is_alone = sweep is not None and len(runs) == 1 and not known and not skipped
        siblings = read_runs(sweep.path) if sweep is not None and is_alone else group
        spec = SweepRecord.load_spec(sweep) if sweep is not None else {}
        aims = _aims(spec, metric, goal, target)
        info = SweepInfo.load(sweep) if sweep is not None else None
        settings = [_settings(run, aims, info, schedule) for run in siblings]
        chosen = policy or Policy.of(spec.get("divergence") or {}) if replayed else None
        examined = _diagnose_all(siblings, settings, chosen)
        if known:
            examined = sorted([*known.values(), *examined], key=lambda one: one.run.number or 0)
        by_run |= {_key(one.run): one for one in examined}
        summaries = [
            RunSummary(_label(one.run), one.run.config, one.diagnosis.is_lost) for one in examined
        ]
        sentences = compare_runs(summaries) if len(summaries) > 1 else []
        sentences += [*_lost_before(examined), *_remedies(examined)]
        head = f"{sweep.name}: " if sweep is not None and len(groups) > 1 else ""
        together += [f"{head}{text}" for text in sentences]
    shown = (replace(by_run[_key(run)], run=run) for run in runs)
    return Examination((*known.values(), *shown), () if skipped else tuple(together))


def _reported(metric: str, names: Sequence[str]) -> str:
    """Return the name under which a metric is reported: as it is, else one of the same words."""
    if metric in names:
        return metric
    same = [name for name in names if words(name) == words(metric)]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(metric, names, n=len(names), cutoff=0.0)
    shown = ", ".join(near[:_MOST_SHOWN]) + (", …" if len(near) > _MOST_SHOWN else "")
    raise UsageError(
        f"--metric: no run reports '{metric}'.{nearest(metric, names)} Found: {shown or 'none'}."
    )


def _key(run: LoggedRun) -> tuple[Path, str]:
    return run.path.resolve(), run.name


def _label(run: LoggedRun) -> str:
    return f"trial {run.number} ({run.name})" if run.number is not None else run.name


def _sweep_of(path: Path) -> SweepDir | None:
    for folder in (path, *path.resolve().parents[:2]):
        if SweepDir(folder).trials_dir.is_dir() and SweepDir(folder).state_file.is_file():
            return SweepDir(folder)
    return None


def _aims(
    spec: Mapping[str, Any], metric: str | None, goal: str | None, target: float | None
) -> dict[str, Any]:
    """Return the aims for `diagnose`: as requested, else from the `spec` of the sweep."""
    ranks: Mapping[str, Any] = spec.get("metric") or {}
    targets: Mapping[str, Any] = spec.get("targets") or {}
    metric = metric or ranks.get("name")
    goal = goal or (ranks.get("goal") if metric == ranks.get("name") else None)
    goal = goal or (metric and named_goal(metric)) or "minimize"
    if target is None and metric is not None:
        bound = parse_bound(str(targets.get(metric, targets.get(metric.removeprefix("val_")))))
        target = bound.limit if bound is not None and bound.low is None else None
    if target is not None and metric is None:
        raise UsageError("--target: no metric is known. Add --metric.")
    further: dict[str, tuple[float, str]] = {}
    for name, text in targets.items():
        bound = parse_bound(str(text))
        if bound is None or bound.low is not None:
            continue  # no end of a range is a value to reach
        way = "minimize" if bound.op.startswith("<") else "maximize"
        further[name] = bound.limit, way
    return {"metric": metric, "goal": goal, "target": target, "targets": further}


def _settings(
    run: LoggedRun, aims: Mapping[str, Any], sweep: SweepInfo | None, schedule: Declared | None
) -> dict[str, Any]:
    """Return the arguments of `diagnose` for a run, without aims at what it does not report."""
    has_metric = aims["metric"] in run.names
    if schedule is None and run.stored is not None:
        schedule = configured_schedule(run.stored, sweep, run.total_steps)
    targets = {}
    for name, aim in aims["targets"].items():
        # Targets are bounds on metrics of the test data; what is reported has val_ names.
        known = (name, f"val_{name.removeprefix('test_')}")
        targets[next((each for each in known if each in run.names), name)] = aim
    return {
        "metric": aims["metric"] if has_metric else None,
        "goal": aims["goal"],
        "target": aims["target"] if has_metric else None,
        "targets": targets,
        "total_steps": run.total_steps,
        "schedule": schedule,
        "phases": sweep.phases if sweep is not None else (),
        "config": run.config,
        "unit": run.unit,
        "is_over": run.state != "RUNNING",
    }


def _diagnose_all(
    runs: Sequence[LoggedRun], settings: Sequence[dict[str, Any]], policy: Policy | None
) -> list[Examined]:
    """Diagnose runs of one kind, where the loss of one may show that the others' can fall."""
    alone = [diagnose(run.reports, **own) for run, own in zip(runs, settings, strict=True)]
    fallen = sum(diagnosis.has_fallen for diagnosis in alone)
    found = []
    for run, own, first in zip(runs, settings, alone, strict=True):
        # Only what is found in a rising loss depends on siblings.
        diagnosis, can_fall = first, fallen > first.has_fallen
        if can_fall and any(finding.symptom == "rising" for finding in diagnosis.findings):
            diagnosis = diagnose(run.reports, **own, loss_can_fall=True)
        then = None
        if policy is not None:
            plain = {key: own[key] for key in own if key not in ("config", "unit", "is_over")}
            then = replay(run.reports, policy, **plain, loss_can_fall=can_fall)
        found.append(Examined(run, diagnosis, own["schedule"], then))
    return found


def _lost_before(examined: Sequence[Examined]) -> list[str]:
    """Name runs that never came near where the others begin, although their own curve falls."""
    sentences = []
    firsts: dict[str | None, list[float]] = {}
    for one in examined:
        if one.diagnosis.first is not None:
            firsts.setdefault(one.diagnosis.judged, []).append(one.diagnosis.first)
    greatest = {judged: heapq.nlargest(2, values) for judged, values in firsts.items()}
    for one in examined:
        own = one.diagnosis
        others = list(greatest.get(own.judged, ()))
        if own.first in others:
            others.remove(own.first)
        if not others or own.best is None or own.sign < 0 or own.is_lost:
            continue
        if own.best > _THOUSANDS * others[0] > 0:
            sentences.append(
                f"{_label(one.run)} never brought {own.judged} below {number(own.best)}, where the "
                f"others begin at {number(others[0])} at most: it exploded before its first "
                "report."
            )
    return sentences


def _remedies(examined: Sequence[Examined]) -> list[str]:
    """Report what each remedy of a sweep led to: an experiment in which one thing changed."""
    records = [one.run.stored.record if one.run.stored is not None else None for one in examined]
    by_number = {record.number: record for record in records if record is not None}
    sentences = []
    for one, record in zip(examined, records, strict=True):
        if record is None or record.link != "remedy" or not one.run.reports:
            continue
        origin = by_number.get(record.origin) if record.origin is not None else None
        change = record.change.get("set")
        if origin is None or not isinstance(change, dict):
            continue
        values = ", ".join(f"{name} {value}" for name, value in change.items())
        end = "diverged too" if one.diagnosis.is_lost else "did not diverge"
        # What became of a milestone, only the metric shows.
        seen = {finding.symptom for finding in one.diagnosis.findings}
        is_gone = origin.symptom in all_symptoms() and origin.symptom not in seen
        is_proof = len(change) == 1 and is_gone and not one.diagnosis.is_lost
        proof = ": the remedy answers it" if is_proof else ""
        sentences.append(
            f"{_label(one.run)} repeats trial {origin.number}, ended for {origin.symptom}, with "
            f"{values}, and {end}{proof}."
        )
    return sentences


def shown_series(one: Examined) -> list[tuple[str, Sequence[tuple[int, float]]]]:
    """Return the series to draw for a run: the one that was judged, and its validation."""
    run, judged = one.run, one.diagnosis.judged
    if judged is None:
        return []
    found: list[tuple[str, Sequence[tuple[int, float]]]] = [(judged, run.series(judged))]
    best = best_validation_name(run.names)
    if best is not None and best[1] != judged:
        partner = run.series(best[1])
        if any(math.isfinite(value) for _, value in partner):
            found.append((best[1], partner))
    return found
