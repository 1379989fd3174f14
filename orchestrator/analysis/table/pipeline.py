"""From paths to a comparison: find, read, measure, rank, relate, each once.

::

    comparison = compare([Path("results")], sort_by="val_mae", top=10)
    comparison.rows[0].trial, comparison.incomplete
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.measure import read_run
from orchestrator.analysis.measure.row import (
    Comparison,
    Incomplete,
    Row,
)
from orchestrator.analysis.rank.ranking import rank, reference_rows
from orchestrator.analysis.rank.seeds import join
from orchestrator.analysis.relate.relations import relate
from orchestrator.runs.find import find_runs


def compare(
    paths: Sequence[Path],
    *,
    sort_by: str | None = None,
    top: int | None = None,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    single: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Find all runs at and below `paths`, recompute their metrics and rank them.

    Runs of one config with several seeds make one row with their means. Trials of a later stage
    stand before those of earlier ones, whose metrics are of less training. Rows of an ablation
    and of a sweep with references show what they gained.

    Args:
        paths: folders of any shape.
        sort_by: the metric that ranks; by default a validation metric, see `default_metric`.
        top: how many rows to keep.
        kind: what arrays are whose run does not say, as ``"decay_curve"``.
        data: what else is known about those, as ``{"rate_hz": 48000}``.
        single: give every run a row of its own, whatever its seed.
        on_progress: called with the runs done and the runs found after each run.

    Raises:
        NotFoundError: one of `paths` is no folder.
        UsageError: no run has the metric `sort_by`.
    """
    rows, incomplete = gather(paths, kind=kind, data=data, on_progress=on_progress)
    if not single:
        rows, incomplete = join(rows, incomplete)
    ranked = rank(rows, incomplete, sort_by=sort_by)
    references, problems = reference_rows(rows)
    related, notes = relate(ranked.rows, references, ranked.sort_by, ranked.goal, top=top)
    return replace(
        ranked, rows=related, references=references, notes=(*ranked.notes, *notes, *problems)
    )


def gather(
    paths: Sequence[Path],
    *,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Row], list[Incomplete]]:
    """Return the runs below `paths` that can be ranked, unranked, and those that cannot.

    See `compare` for the arguments and errors.
    """
    rows: list[Row] = []
    incomplete: list[Incomplete] = []
    runs = find_runs(paths)
    for done, run in enumerate(runs, 1):
        outcome = read_run(run, kind, data)
        if isinstance(outcome, Row):
            rows.append(outcome)
        else:
            incomplete.append(outcome)
        if on_progress is not None:
            on_progress(done, len(runs))
    return rows, incomplete
