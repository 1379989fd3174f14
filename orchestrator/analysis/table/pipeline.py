"""From paths to a comparison: find, read, measure, rank, relate, each once.

::

    comparison = compare([Path("results")], sort_by="val_mae", top=10)
    comparison.rows[0].trial, comparison.incomplete
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.logged import Rule
from orchestrator.analysis.measure.measuring import measure
from orchestrator.analysis.measure.remembered import Remembered
from orchestrator.analysis.measure.row import Comparison, Incomplete, Lineage, Row
from orchestrator.analysis.rank.matching import matching
from orchestrator.analysis.rank.ranked import rank
from orchestrator.analysis.rank.seeds import join_seeds
from orchestrator.analysis.relate.relations import relate
from orchestrator.metrics import OWN
from orchestrator.runs.read import find_runs, unstarted

__all__ = ["Comparison", "Incomplete", "Lineage", "Row", "compare"]


def compare(
    paths: Sequence[Path],
    *,
    sort_by: str | None = None,
    goal: str | None = None,
    at: str = "best",
    where: str | None = None,
    top: int | None = None,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
    single: bool = False,
    select: str | None = None,
    power: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    measure_run: Callable[..., Row | Incomplete] | None = None,
) -> Comparison:
    """Find all runs at and below `paths`, recompute their metrics and rank them.

    Runs of one config with several seeds make one row with their means. Trials of a later stage
    come before those of earlier ones, which have trained less.

    Args:
        paths: folders of any shape.
        sort_by: the metric that ranks; by default a validation metric if there is one. More
            names (also parameters and facts such as ``duration``), with commas, order equal rows.
        goal: of that metric, if neither a sweep nor its name shows it.
        at: which of logged values counts: ``best``, ``last`` or ``step:N``.
        where: a condition on metrics, parameters, facts, ``state``, ``trial`` and ``sweep``, such
            as ``lr < 1e-3 and state == COMPLETE``; only runs that meet it are ranked and listed.
        top: how many rows to keep.
        kind: of arrays whose run does not state it, as ``"decay_curve"``.
        data: more about those arrays, as ``{"rate_hz": 48000}``.
        select: ``"one-se"`` for the cheapest of those that cannot be distinguished from the best.
        power: a difference; notes state how many seeds and samples find it.
        single: give every run its own row, whatever its seed.
        on_progress: called after each run with the numbers of runs done and found.
        measure_run: called as `measure`, for a caller that remembers runs; None for what the
            user's cache remembers.

    Raises:
        NotFoundError: one of `paths` is no folder.
        UsageError: no run has the metric `sort_by`.
    """
    runs = find_runs(paths)
    first = (sort_by or "").partition(",")[0].strip()
    rule = Rule(at, {first: goal} if goal and first else {})
    remembered = Remembered(paths)
    if measure_run is None:
        measure_run = partial(measure, reader=remembered.read)
        show = on_progress or (lambda done, found: None)
        remembered.prepare(
            runs, kind, data, rule, lambda done: show(min(done, len(runs) - 1), len(runs))
        )
    rows: list[Row] = []
    incomplete: list[Incomplete] = []
    for done, run in enumerate(runs, 1):
        measured = measure_run(run, kind, data, rule)
        if isinstance(measured, Row):
            rows.append(measured)
        else:
            incomplete.append(measured)
        if on_progress is not None:
            on_progress(done, len(runs))
    if not single:
        rows, incomplete = join_seeds(rows, incomplete)
    if where is not None:
        rows, incomplete = matching(where, rows, incomplete)
    sort_by = sort_by or _own_metric(rows, (data or {}).get(OWN, ()))
    ranked = rank(rows, incomplete, sort_by=sort_by, goal=goal, at=at)
    ranked = replace(ranked, n_unstarted=0 if where else unstarted(runs, paths))
    related = relate(ranked, top=top, select=select, power=power, judged=remembered.judged)
    remembered.save()
    return related


def _own_metric(rows: Sequence[Row], functions: Collection[str]) -> str | None:
    """Return the metric of the first function that the user named, if any run has it."""
    names = [text.partition(":")[2] for text in functions]
    wanted = [split + name for name in names[:1] for split in ("val_", "")]
    return next((name for name in wanted if any(name in row.metrics for row in rows)), None)
