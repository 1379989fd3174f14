"""Examine runs: read their logs, diagnose each, and say what they tell together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.targets import parse_bound
from orchestrator.divergence import number
from orchestrator.divergence.diagnosis import Diagnosis, RunSummary, compare_runs, diagnose
from orchestrator.divergence.schedule import Declared, schedule_of_trial
from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.runs import SweepDir
from orchestrator.runs.curves import LoggedRun, read_runs

_THOUSANDS = 1000.0


@dataclass(frozen=True)
class Asked:
    """What the user says of the runs; None is found out where it can be.

    Attributes:
        metric: the name that ranks.
        goal: which way it is better.
        target: the value to reach.
        schedule: the learning rate that was configured.
        pattern: for text logs.
        targets: further reported names, with the value to reach and which way is better.
        spec: what the sweep was asked, as its folder keeps it; {} outside of sweeps.
    """

    metric: str | None = None
    goal: str | None = None
    target: float | None = None
    schedule: Declared | None = None
    pattern: str | None = None
    targets: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examined:
    """One run with its diagnosis."""

    run: LoggedRun
    diagnosis: Diagnosis

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
            "outcome": found.outcome,
            "judged": found.judged,
            "first": found.first,
            "best": found.best,
            "best_step": found.best_step,
            "last": found.last,
            "lr": dict(found.rates),
            "reports_after_the_end": found.saved,
            "findings": [finding.to_dict() for finding in found.findings],
            "notes": list(run.notes),
        }


@dataclass(frozen=True)
class Examination:
    """All runs that were asked for.

    Attributes:
        runs: each with its diagnosis.
        together: what they and their siblings say together.
    """

    runs: tuple[Examined, ...]
    together: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"runs": [one.to_dict() for one in self.runs], "together": list(self.together)}


def examine(path: Path, asked: Asked | None = None) -> Examination:
    """Diagnose the runs at `path`: a log of any tool, a run folder, a sweep, or a folder of runs.

    One trial of a sweep is compared with its siblings, of which nothing else is shown.

    Raises:
        NotFoundError: there is no run.
        UsageError: the log cannot be read, or what is asked does not fit.
    """
    asked = asked or Asked()
    runs = read_runs(path, asked.pattern)
    sweeps = {run.path: _sweep_of(run.path) for run in runs}
    groups: dict[Path | None, list[LoggedRun]] = {}
    for run in runs:
        sweep = sweeps[run.path]
        groups.setdefault(sweep.path if sweep else None, []).append(run)
    known: dict[tuple[Path, str], Diagnosis] = {}
    together: list[str] = []
    for folder, group in groups.items():
        sweep = SweepDir(folder) if folder is not None else None
        # One trial that was named is compared with all of its sweep.
        siblings = read_runs(folder) if folder is not None and len(runs) == 1 else group
        judged = _judged(siblings, _meant(asked, sweep))
        known |= judged
        seen = [RunSummary(_label(run), run.config, judged[_key(run)].is_lost) for run in siblings]
        told = compare_runs(seen) if len(seen) > 1 else []
        told += _lost_before(siblings, judged)
        told += _answers(siblings, judged)
        head = f"{sweep.name}: " if sweep is not None and len(groups) > 1 else ""
        together += [f"{head}{text}" for text in told]
    return Examination(tuple(Examined(run, known[_key(run)]) for run in runs), tuple(together))


def _judged(runs: Sequence[LoggedRun], meant: Asked) -> dict[tuple[Path, str], Diagnosis]:
    """Diagnose runs of one kind, of which some show what the others could do."""
    alone = [_diagnosed(run, meant) for run in runs]
    fallen = sum(diagnosis.has_fallen for diagnosis in alone)
    found = {}
    for run, diagnosis in zip(runs, alone, strict=True):
        others = fallen > diagnosis.has_fallen
        # Siblings matter to a rising loss alone; the rest stands as it is.
        again = others and any(finding.symptom == "rising" for finding in diagnosis.findings)
        found[_key(run)] = _diagnosed(run, meant, loss_can_fall=True) if again else diagnosis
    return found


def _lost_before(
    runs: Sequence[LoggedRun], judged: Mapping[tuple[Path, str], Diagnosis]
) -> list[str]:
    """Name runs that never came near where the others begin.

    Their own curve falls and shows nothing. Losses with different weights differ by factors, not by
    thousands.
    """
    told = []
    for run in runs:
        own = judged[_key(run)]
        firsts = [
            other.first
            for key, other in judged.items()
            if key != _key(run) and other.judged == own.judged and other.first is not None
        ]
        if not firsts or own.best is None or own.sign < 0 or own.is_lost:
            continue
        if own.best > _THOUSANDS * max(firsts) > 0:
            told.append(
                f"{_label(run)} never brought {own.judged} below {number(own.best)}, where the "
                f"others begin at {number(max(firsts))} at most: it exploded before its first "
                "report."
            )
    return told


def _answers(runs: Sequence[LoggedRun], judged: Mapping[tuple[Path, str], Diagnosis]) -> list[str]:
    """Say what each remedy of a sweep came to: an experiment in which one thing changed."""
    records = {run.path: run.stored.record if run.stored is not None else None for run in runs}
    by_number = {record.number: record for record in records.values() if record is not None}
    told = []
    for run in runs:
        record = records[run.path]
        origin = by_number.get(record.origin) if record and record.origin is not None else None
        if record is None or origin is None or record.link != "remedy" or not run.reports:
            continue
        change = record.change.get("set")
        if not isinstance(change, dict):
            continue
        values = ", ".join(f"{name} {value}" for name, value in change.items())
        came = "diverged too" if judged[_key(run)].is_lost else "is sound"
        is_proof = len(change) == 1 and not judged[_key(run)].is_lost
        proof = ": the remedy answers it" if is_proof else ""
        told.append(
            f"{_label(run)} repeats trial {origin.number}, ended for {origin.symptom}, with "
            f"{values}, and {came}{proof}."
        )
    return told


def _key(run: LoggedRun) -> tuple[Path, str]:
    return run.path.resolve(), run.name


def _label(run: LoggedRun) -> str:
    return f"trial {run.number} ({run.name})" if run.number is not None else run.name


def _sweep_of(path: Path) -> SweepDir | None:
    for folder in (path, *path.resolve().parents[:2]):
        if SweepDir(folder).trials_dir.is_dir() and SweepDir(folder).state_file.is_file():
            return SweepDir(folder)
    return None


def _meant(asked: Asked, sweep: SweepDir | None) -> Asked:
    """Complete what was asked by what the sweep's file says."""
    spec: Mapping[str, Any] = (atomic.read_json(sweep.spec_file) if sweep else None) or {}
    named = spec.get("metric")
    ranks: Mapping[str, Any] = named if isinstance(named, dict) else {}
    metric = asked.metric or ranks.get("name")
    goal = asked.goal or (ranks.get("goal") if metric == ranks.get("name") else None) or "minimize"
    target = asked.target
    targets = spec.get("targets")
    if target is None and metric is not None and isinstance(targets, dict):
        # Targets are bounds on test metrics; what is reported on the way carries val_.
        text = targets.get(metric, targets.get(metric.removeprefix("val_")))
        bound = parse_bound(str(text))
        target = bound.limit if bound is not None and bound.low is None else None
    if target is not None and metric is None:
        raise UsageError("--target: must come with --metric, but no metric is known. Add one.")
    aims: dict[str, tuple[float, str]] = {}
    for name, text in targets.items() if isinstance(targets, dict) else ():
        bound = parse_bound(str(text))
        if bound is None or bound.low is not None:
            continue  # what is to stay within a range may be early or late at either end
        way = "minimize" if bound.op.startswith("<") else "maximize"
        for reported in (name, f"val_{name.removeprefix('test_')}"):
            if reported != metric:
                aims[reported] = bound.limit, way
    return Asked(metric, goal, target, asked.schedule, asked.pattern, aims, spec)


def _diagnosed(run: LoggedRun, meant: Asked, *, loss_can_fall: bool = False) -> Diagnosis:
    metric = meant.metric if meant.metric in run.names else None
    return diagnose(
        run.reports,
        metric=metric,
        goal=meant.goal or "minimize",
        target=meant.target if metric is not None else None,
        targets={name: aim for name, aim in meant.targets.items() if name in run.names},
        total_steps=run.total_steps,
        schedule=meant.schedule or _schedule_of(run, meant.spec),
        config=run.config,
        unit=run.unit,
        loss_can_fall=loss_can_fall,
    )


def _schedule_of(run: LoggedRun, spec: Mapping[str, Any]) -> Declared | None:
    """Return the schedule of one of our trials, as the sweep itself held it against its rate."""
    record = run.stored.record if run.stored is not None and run.number is not None else None
    if run.stored is None or record is None:
        return None
    trials = spec.get("trials")
    varied = [trial.get("set") for trial in trials.values()] if isinstance(trials, dict) else []
    try:
        return schedule_of_trial(
            spec.get("lr_schedule"),
            config=run.config,
            metadata=run.stored.metadata,
            change=record.change,
            varied={
                *(spec.get("parameters") or {}),
                *(name for each in varied for name in each or ()),
            },
            last_step=run.total_steps,
        )
    except UsageError:
        return None  # the sweep has said so


def shown_series(one: Examined) -> list[tuple[str, Sequence[tuple[int, float]]]]:
    """Return the series that a picture of a run should show: what decided, and its validation."""
    run, judged = one.run, one.diagnosis.judged
    if judged is None:
        return []
    found: list[tuple[str, Sequence[tuple[int, float]]]] = [(judged, run.series(judged))]
    partner = judged.replace("training", "val").replace("train", "val")
    if partner == judged:
        partner = f"val_{judged}"
    if partner in run.names and any(math.isfinite(value) for _, value in run.series(partner)):
        found.append((partner, run.series(partner)))
    return found
