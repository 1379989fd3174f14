"""References of trials: published numbers, other runs, and the default config."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.measuring import evaluate_run
from orchestrator.analysis.measure.row import Difference, Row
from orchestrator.analysis.measure.targets import measured
from orchestrator.metrics import ArrayProblem, unit as metric_unit
from orchestrator.runs.foreign import metadata


def to_references(
    row: Row, references: Sequence[Row]
) -> Iterator[tuple[str, dict[str, Difference]]]:
    """Yield the name of each reference of a row's sweep, and the differences to it by metric."""
    values = {**row.logged, **row.metrics}
    for reference in references:
        found = {}
        for name, known in reference.metrics.items():
            value = measured(name, values)
            if value is not None:
                found[name] = Difference(value - known, unit=metric_unit(name, row.kind))
        if found and reference.sweep == row.sweep:
            yield reference.trial, found


def reference_rows(rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the references of the sweeps of `rows`, and what could not be read.

    References of the same name and numbers in several sweeps are one.
    """
    found: dict[tuple[str, tuple[tuple[str, float], ...]], Row] = {}
    problems: dict[str, None] = {}
    sweeps = {row.info.path: row.info for row in rows}
    for path in sorted(sweeps, key=str):
        for name, reference in sweeps[path].references.items():
            metrics, problem = _reference_metrics(reference)
            if problem:
                problems[f"Reference {name}: {problem}."] = None
            if metrics:
                row = Row(trial=name, path=path, sweep=sweeps[path].name, metrics=metrics)
                found[name, tuple(metrics.items())] = row
    return tuple(found.values()), tuple(problems)


def _reference_metrics(reference: Any) -> tuple[dict[str, float], str]:
    """Return the metrics of a reference, those stated in the file first, and a problem or ""."""
    if not isinstance(reference, Mapping):
        return {}, "cannot be read"
    metrics: dict[str, float] = {}
    problem = ""
    path = reference.get("path")
    if path:
        try:
            metrics = evaluate_run(Path(path))
        except ArrayProblem as error:
            problem = f"{path}: {error}"
    stated = reference.get("metrics")
    metrics |= metadata.numbers(stated) if isinstance(stated, Mapping) else {}
    return metrics, problem


def default_row(rows: Sequence[Row], metric: str) -> tuple[Row, ...]:
    """Return the trial that ran with the trainer's defaults, as a reference; () if none did.

    A search is worth its time only as far as it is better than that. The baseline of an ablation is
    shown as one already.
    """
    for row in rows:
        varied = row.info.varied - {row.info.seed_parameter}
        if row.info.has_baseline or not row.info.trainer or not varied or row.rank == 1:
            continue
        if row.lineage.stage != rows[0].lineage.stage or row.info.path != rows[0].info.path:
            continue
        defaults = _defaults(row.info.trainer, row.config.get("preset"))
        if all(name in defaults and row.config.get(name) == defaults[name] for name in varied):
            names = (metric, metric.removeprefix("val_"))
            metrics = {name: row.metrics[name] for name in names if name in row.metrics}
            name = f"defaults ({row.trial})"
            return (Row(trial=name, path=row.path, sweep=row.sweep, metrics=metrics),)
    return ()


def _defaults(trainer: str, preset: Any) -> dict[str, Any]:
    """Return the values of a trainer that ships, with a preset; {} for others.

    The code of others is not run to show a table.
    """
    if not trainer.isidentifier():
        return {}
    try:
        config = importlib.import_module(f"trainers.{trainer}.config")
        base = importlib.import_module("trainers.base")
        given = {} if preset is None else {"preset": preset}
        return dict(vars(base.build(config.Config, config.PRESETS, given)))
    except (ImportError, AttributeError, TypeError, ValueError):
        return {}
