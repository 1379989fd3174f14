"""What a sweep file holds its trials against: published numbers, and runs from before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.analysis.arrays import ArrayProblem
from orchestrator.analysis.evaluate import evaluate_folder
from orchestrator.analysis.table.rows import Row
from orchestrator.runs.foreign import metadata


def reference_rows(rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the references of the sweeps that `rows` are of, and what could not be read.

    The metrics of a run folder are recomputed; numbers that the file states beside it are
    stronger. References of the same name and numbers in several sweeps are one.
    """
    found: dict[tuple[str, tuple[tuple[str, float], ...]], Row] = {}
    problems: dict[str, None] = {}
    seen: set[Path] = set()
    for row in rows:
        if row.info is None or row.info.path in seen:
            continue
        seen.add(row.info.path)
        for name, reference in row.info.references.items():
            metrics, problem = _metrics(reference)
            if problem:
                problems[f"Reference {name}: {problem}."] = None
            if metrics:
                key = name, tuple(metrics.items())
                found[key] = Row(trial=name, path=row.info.path, sweep=row.sweep, metrics=metrics)
    return tuple(found.values()), tuple(problems)


def _metrics(reference: Any) -> tuple[dict[str, float], str]:
    if not isinstance(reference, Mapping):
        return {}, "cannot be read"
    metrics: dict[str, float] = {}
    problem = ""
    path = reference.get("path")
    if path:
        try:
            metrics = evaluate_folder(Path(path)).metrics
        except ArrayProblem as error:
            problem = f"{path}: {error}"
    stated = reference.get("metrics")
    for name, value in (stated if isinstance(stated, Mapping) else {}).items():
        number = metadata.as_number(value)
        if number is not None:
            metrics[str(name)] = number
    return metrics, problem
