"""Columns that say where trials stand among each other: stage, change, seeds, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.render.text_table import LONGEST_CELL, Column, clean, number

if TYPE_CHECKING:
    from orchestrator.analysis.table.noise import Difference
    from orchestrator.analysis.table.rows import Row


def lineage_columns(rows: Sequence[Row], metric: str) -> list[Column]:
    """Return the columns that say where trials stand among each other, those that say something.

    The stage and what the metric was at the stages before, what changed, the number of seeds, the
    tier of targets that is met, milestones kept.
    """
    columns = []
    if len({row.lineage.stage for row in rows if row.rank}) > 1:
        columns.append(Column("stage", [clean(row.lineage.stage or "-") for row in rows], 1))
    if any(row.lineage.words for row in rows):
        cells = [clean(row.lineage.words, LONGEST_CELL) or "-" for row in rows]
        columns.append(Column("what changed", cells, 1))
    if any(row.members for row in rows):
        cells = [
            f"{len(row.members)}{f' of {len(row.members) + row.lost}' if row.lost else ''}"
            if row.members
            else "-"
            for row in rows
        ]
        columns.append(Column("seeds", cells, 2, is_number=True))
    stages = dict.fromkeys(stage for row in rows for stage in row.earlier)
    for stage in stages:
        cells = [number(row.earlier.get(stage), padded=True) for row in rows]
        columns.append(Column(clean(f"{stage} {metric}"), cells, 2, is_number=True))
    if any(row.tier is not None for row in rows):
        columns.append(Column("tier", [clean(row.tier or "-") for row in rows], 2))
    judged = [[target.met for target in row.expected.values()] for row in rows]
    if any(met is not None for found in judged for met in found):
        cells = [
            f"{sum(met is True for met in found)}/{len(found)}" if found else "-"
            for found in judged
        ]
        columns.append(Column("expected", cells, 2, is_number=True))
    return columns


def by_stage(rows: Sequence[Row]) -> set[str]:
    """Return the parameters that are the same within each stage: they say what ``stage`` says."""
    stages: dict[str | None, list[Row]] = {}
    for row in rows:
        stages.setdefault(row.lineage.stage, []).append(row)
    if len(stages) < 2:
        return set()
    names = {name for row in rows for name in row.config}
    return {
        name
        for name in names
        if all(
            all(one.config.get(name) == some[0].config.get(name) for one in some)
            for some in stages.values()
        )
    }


def difference_columns(rows: Sequence[Row], metric: str, weight: int) -> list[Column]:
    """Return a column for each baseline and reference that `metric` is held against.

    Args:
        rows: the trials.
        metric: the metric.
        weight: what the metric's own column is worth; 0 for the one that ranks, behind which it
            need not be named again.
    """
    names = {"test_" + metric, metric}
    columns = []
    for other in dict.fromkeys(name for row in rows for name in row.differences):
        found = [
            next(
                (one for name, one in row.differences.get(other, {}).items() if name in names), None
            )
            for row in rows
        ]
        if any(one is not None for one in found):
            title = clean(f"{metric} vs {other}" if weight else f"vs {other}")
            cells = [_signed(one) for one in found]
            columns.append(Column(title, cells, min(weight, 2) or 1, is_number=True))
    return columns


def _signed(found: Difference | None) -> str:
    if found is None:
        return "-"
    # Three digits: a difference is of less certainty than the values that it is of.
    unit = f" {found.unit}" if found.unit else ""
    return f"{found.value:+.3g}{unit}{' ~' if found.is_noise else ''}"
