"""A comparison as people read it: heading, table, targets, notes, incomplete runs.

Columns that say where trials stand among each other: stage, change, seeds, differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli.render.text_table import (
    LONGEST_CELL,
    Column,
    clean,
    differing,
    draw,
    draw_markdown,
    fit,
    number,
    short_path,
    terminal_width,
)
from orchestrator.metrics import known_metrics

if TYPE_CHECKING:
    from orchestrator.analysis import Tally
    from orchestrator.analysis.relate import Difference
    from orchestrator.analysis.table import Comparison, Incomplete, Row

LISTED = 40
VARIED = 3  # varied parameters that are shown before any metric but the one that ranks


def render_comparison(
    comparison: Comparison, *, width: int | None = None, everything: bool = False
) -> str:
    """Return a comparison as people read it: heading, table, targets, warnings, incomplete runs.

    Args:
        comparison: the ranked runs.
        width: characters in a line; the terminal's by default.
        everything: show all columns and all incomplete runs, however many.
    """
    lines = [heading(comparison)]
    if comparison.rows:
        columns = _columns(comparison)
        hidden = 0
        if not everything:
            columns, hidden = fit(columns, terminal_width() if width is None else width)
        lines += ["", draw(columns)]
        if len(comparison.rows) < comparison.n_rows:
            lines.append(f"The best {len(comparison.rows)} of {comparison.n_rows}.")
        if hidden:
            more = "1 more column" if hidden == 1 else f"{hidden} more columns"
            lines.append(f"{more}: `sweep compare --all`, or --export csv.")
        lines += _targets(comparison.tallies)
        lines += _milestones(comparison.rows)
        lines += _warnings(comparison.rows)
    lines += [f"Note: {note}" for note in comparison.notes]
    lines += _incomplete(comparison.incomplete, None if everything else LISTED)
    return "\n".join(lines)


def render_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown, with all columns and all incomplete runs."""
    from orchestrator.analysis.table import cell, flat_rows

    names, rows = flat_rows(comparison)
    names.remove("warnings")  # they are sentences, and stand below the table
    columns = [
        Column(_escape(name), [_escape(number(cell(row.get(name)), 6)) for row in rows])
        for name in names
    ]
    lines = [heading(comparison), ""]
    if rows:
        lines += [draw_markdown(columns), ""]
    lines += [f"- {_escape(note)}" for note in comparison.notes]
    lines += [
        f"- {_escape(f'{row.trial}: {text}')}" for row in comparison.rows for text in row.warnings
    ]
    if comparison.incomplete:
        lines += ["", f"Incomplete ({len(comparison.incomplete)}):", ""]
        lines += [f"- {_escape(_incomplete_line(item))}" for item in comparison.incomplete]
    return "\n".join(lines).rstrip() + "\n"


def heading(comparison: Comparison) -> str:
    """Return the line that says how many are complete, what ranks them and on which split."""
    n_well = comparison.n_complete - comparison.n_early
    counted = f"{n_well}/{comparison.n_total} complete"
    if not comparison.n_complete:
        return counted
    first = "highest first" if comparison.goal == "maximize" else "lowest first"
    return f"{counted}, ranked by {clean(comparison.sort_by)}, {first} ({comparison.basis})"


def _columns(comparison: Comparison) -> list[Column]:
    # References stand below the trials, in the same columns.
    rows = (*comparison.rows, *comparison.references)
    own = comparison.rows
    several = len({row.sweep for row in own}) > 1
    columns = [
        Column("rank", [str(row.rank) if row.rank else "-" for row in rows], is_number=True),
        Column("trial", [_trial(row, several) for row in rows]),
    ]
    if any(row.state not in (None, "COMPLETE") for row in own):
        columns.append(Column("state", [row.state or "-" for row in rows], 1))
    columns += lineage_columns(rows, comparison.sort_by)
    changed = any(row.lineage.words for row in own)
    told = by_stage(own)
    names = differing([row.config for row in own])
    for place, name in enumerate(sorted(names, key=lambda name: name in told)):
        cells = [
            clean(number(row.config[name], 6), LONGEST_CELL) if name in row.config else "-"
            for row in rows
        ]
        # What was varied is what the table is read for; of many, the first few. Where a column
        # says what changed, or the stage, they say it again.
        weight = 2 if place < VARIED and not changed and name not in told else 5
        columns.append(Column(clean(name), cells, weight, is_number=True))

    first = comparison.sort_by
    targets = _union(row.targets for row in own)
    metrics = _union(row.metrics for row in rows)
    usual = [name for name in known_metrics() if name in metrics]
    # Of the rest, mean errors say most in the unit that people know; twins of test say least.
    twins = ("val_", "train_")
    rest = sorted(metrics, key=lambda name: (name.startswith(twins), not name.endswith("_mae")))
    shown: dict[str, int] = {first: 0}
    known = _union(row.metrics for row in comparison.references)
    held = [name for name in metrics if {name, f"test_{name}"} & {*known}]
    for chosen, weight in ((held, 2), (targets, 3), (usual, 4), (rest, 6)):
        for name in chosen:
            shown.setdefault(name, weight)
    for name, weight in shown.items():
        columns.append(
            Column(clean(name), [_metric(row, name) for row in rows], weight, is_number=True)
        )
        columns += difference_columns(rows, name, weight)
    for name in _union(row.rates for row in own):
        cells = [number(row.rates.get(name)) for row in rows]
        columns.append(Column(f"{name} lr", cells, 6, is_number=True))
    return columns


def _trial(row: Row, with_sweep: bool) -> str:
    name = f"{row.sweep}/{row.trial}" if with_sweep and row.sweep else row.trial
    mark = " !" if row.warnings else ""
    return clean(name, LONGEST_CELL) + mark


def _metric(row: Row, name: str) -> str:
    target = row.targets.get(name)
    value = row.metrics.get(name)
    if value is None and target is not None:
        value = target.value
    shown = number(value, padded=True)
    spread = row.spread.get(name)
    if spread is not None and spread.n > 1:
        shown += f" ± {number(spread.deviation, 2)}"
    if target is None or target.met is None:
        return shown
    return f"{shown} {'✓' if target.met else '✗'}"


def _targets(tallies: Mapping[str, Tally]) -> list[str]:
    lines = []
    for name, found in tallies.items():
        met = (
            f"met by {found.met} of {found.judged}" if found.judged else "no run shows that metric"
        )
        lines.append(f"Target {name} {', '.join(found.bounds)}: {met}.")
    return [clean(line) for line in lines]


def _milestones(rows: Sequence[Row]) -> list[str]:
    """Return a line for each milestone that was missed; those that were kept are no news."""
    return [
        clean(f"Expected {name} {target.bound}: {row.trial} had {number(target.value)}.")
        for row in rows
        for name, target in row.expected.items()
        if target.met is False
    ]


def _warnings(rows: Sequence[Row]) -> list[str]:
    return [clean(f"! {row.trial}: {text}") for row in rows for text in row.warnings]


def _incomplete(items: Sequence[Incomplete], most: int | None) -> list[str]:
    if not items:
        return []
    shown = items if most is None else items[:most]
    lines = ["", f"Incomplete ({len(items)}):"]
    lines += [f"  {_incomplete_line(item)}" for item in shown]
    if len(shown) < len(items):
        lines.append(f"  … and {len(items) - len(shown)} more: --all, or --json.")
    return lines


def _incomplete_line(item: Incomplete) -> str:
    told = [item.problem] if item.problem else []
    told += [f"missing {', '.join(item.missing)}"] if item.missing else []
    return clean(f"{short_path(item.path)}: {'; '.join(told)}")


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    seen: dict[str, None] = {}
    for mapping in mappings:
        seen.update(dict.fromkeys(mapping))
    return list(seen)


def _escape(text: str) -> str:
    return clean(text).replace("|", "\\|")


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
