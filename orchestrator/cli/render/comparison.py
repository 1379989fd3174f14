"""A comparison as text: heading, table, targets, notes, incomplete runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli.render.text import clean, number, plural, short_path
from orchestrator.cli.render.text_table import (
    LONGEST_CELL,
    Column,
    config_columns,
    differing,
    draw,
    filled,
    fit,
    numbers,
    terminal_width,
)
from orchestrator.metrics import known_metrics

if TYPE_CHECKING:
    from orchestrator.analysis import Tally
    from orchestrator.analysis.table import Comparison, Incomplete, Row

LISTED = 40
VARIED = 3  # varied parameters that are shown before any metric but the one that ranks


def render_comparison(
    comparison: Comparison, *, width: int | None = None, everything: bool = False
) -> str:
    """Return a comparison as text.

    Args:
        comparison: the ranked runs.
        width: characters per line; None for the terminal's.
        everything: show all columns and all incomplete runs, however many.
    """
    lines = [heading(comparison)]
    rows = comparison.rows
    if rows:
        columns = _columns(comparison)
        hidden = 0
        if not everything:
            columns, hidden = fit(columns, terminal_width() if width is None else width)
        lines += ["", draw(columns)]
        if len(rows) < comparison.n_rows:
            lines.append(f"The best {len(rows)} of {comparison.n_rows}.")
        if hidden:
            lines.append(
                f"{plural(hidden, 'more column')}: `sweep compare --all`, or --export csv."
            )
        lines += _targets(comparison.tallies)
        lines += _missed_milestones(rows)
        lines += [clean(f"! {row.trial}: {text}") for row in rows for text in row.warnings]
    lines += [f"Note: {note}" for note in comparison.notes]
    incomplete = comparison.incomplete
    if incomplete:
        shown = incomplete if everything else incomplete[:LISTED]
        lines += ["", f"Incomplete ({len(incomplete)}):"]
        lines += [f"  {_incomplete(item)}" for item in shown]
        if len(shown) < len(incomplete):
            lines.append(f"  … and {len(incomplete) - len(shown)} more: --all, or --json.")
    return "\n".join(lines)


def render_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown, with all columns and all incomplete runs."""
    from orchestrator.analysis.table import cell, flat_rows

    names, rows = flat_rows(comparison)
    names.remove("warnings")  # they are sentences, listed below the table
    columns = [
        Column(_escape(name), [_escape(number(cell(row.get(name)), 6)) for row in rows])
        for name in names
    ]
    lines = [heading(comparison), ""]
    if rows:
        lines += [draw(columns, markdown=True), ""]
    notes = list(comparison.notes)
    notes += [f"{row.trial}: {text}" for row in comparison.rows for text in row.warnings]
    lines += [f"- {_escape(note)}" for note in notes]
    if comparison.incomplete:
        lines += ["", f"Incomplete ({len(comparison.incomplete)}):", ""]
        lines += [f"- {_escape(_incomplete(item))}" for item in comparison.incomplete]
    return "\n".join(lines).rstrip() + "\n"


def heading(comparison: Comparison) -> str:
    """Return the line with the number of complete runs, the metric and the split it is from."""
    n_well = comparison.n_complete - comparison.n_early
    counted = f"{n_well}/{comparison.n_total} complete"
    if not comparison.n_complete:
        return counted
    first = "highest first" if comparison.goal == "maximize" else "lowest first"
    return f"{counted}, ranked by {clean(comparison.sort_by)}, {first} ({comparison.basis})"


def _columns(comparison: Comparison) -> list[Column]:
    # References come below the trials, in the same columns.
    rows = (*comparison.rows, *comparison.references)
    own = comparison.rows
    several = len({row.sweep for row in own}) > 1
    columns = [
        numbers("rank", [str(row.rank) if row.rank else "-" for row in rows]),
        Column("trial", [_trial(row, several) for row in rows]),
    ]
    if any(row.state not in (None, "COMPLETE") for row in own):
        columns.append(Column("state", [row.state or "-" for row in rows], 1))
    columns += _lineage_columns(rows, comparison.sort_by)
    columns += config_columns([row.config for row in rows], _parameters(own))
    for name, weight in _metrics(comparison).items():
        columns.append(numbers(name, [_metric(row, name) for row in rows], weight))
        columns += _difference_columns(rows, name, weight)
    columns += [
        numbers(f"{name} lr", [number(row.rates.get(name)) for row in rows], 6)
        for name in _union(row.rates for row in own)
    ]
    return columns


def _parameters(rows: Sequence[Row]) -> dict[str, int]:
    """Return the weights of the varied parameters, in the order of their columns.

    The table is read for them, but if there are many, only for the first few; and not for those
    that repeat the column ``stage`` or ``what changed``.
    """
    changed = any(row.lineage.words for row in rows)
    repeated = by_stage(rows)
    names = sorted(differing([row.config for row in rows]), key=lambda name: name in repeated)
    return {
        name: 2 if place < VARIED and not changed and name not in repeated else 5
        for place, name in enumerate(names)
    }


def _metrics(comparison: Comparison) -> dict[str, int]:
    """Return the weights of the metrics, in the order of their columns."""
    rows = (*comparison.rows, *comparison.references)
    metrics = _union(row.metrics for row in rows)
    known = _union(row.metrics for row in comparison.references)
    compared = [name for name in metrics if {name, f"test_{name}"} & {*known}]
    targets = _union(row.targets for row in comparison.rows)
    usual = [name for name in known_metrics() if name in metrics]
    # Of the rest, mean errors come first, as their unit is familiar, and twins of test last.
    twins = ("val_", "train_")
    rest = sorted(metrics, key=lambda name: (name.startswith(twins), not name.endswith("_mae")))
    weights = {comparison.sort_by: 0}
    for chosen, weight in ((compared, 2), (targets, 3), (usual, 4), (rest, 6)):
        for name in chosen:
            weights.setdefault(name, weight)
    return weights


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
    for name, tally in tallies.items():
        met = f"met by {tally.met} of {tally.judged}" if tally.judged else "no run has this metric"
        lines.append(clean(f"Target {name} {', '.join(tally.bounds)}: {met}."))
    return lines


def _missed_milestones(rows: Sequence[Row]) -> list[str]:
    return [
        clean(f"Expected {name} {target.bound}: {row.trial} had {number(target.value)}.")
        for row in rows
        for name, target in row.expected.items()
        if target.met is False
    ]


def _incomplete(item: Incomplete) -> str:
    problems = [item.problem] if item.problem else []
    problems += [f"missing {', '.join(item.missing)}"] if item.missing else []
    return clean(f"{short_path(item.path)}: {'; '.join(problems)}")


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _escape(text: str) -> str:
    return clean(text).replace("|", "\\|")


def _lineage_columns(rows: Sequence[Row], metric: str) -> list[Column]:
    """Return the columns on how trials relate: stage and the metric at earlier stages, change,
    seeds, tier of targets, milestones.
    """

    def cells(text: Callable[[Row], str | None]) -> list[str]:
        return [clean(text(row) or "-", LONGEST_CELL) for row in rows]

    stage = Column("stage", cells(lambda row: row.lineage.stage), 1)
    several = len({row.lineage.stage for row in rows if row.rank}) > 1
    return [
        *([stage] if several else []),
        *filled(
            Column("what changed", cells(lambda row: row.lineage.words), 1),
            numbers("seeds", cells(_seeds), 2),
            *(
                numbers(
                    f"{earlier} {metric}",
                    [number(row.earlier.get(earlier), padded=True) for row in rows],
                    2,
                )
                for earlier in _union(row.earlier for row in rows)
            ),
            Column("tier", cells(lambda row: row.tier), 2),
        ),
        *_expected(rows),
    ]


def _seeds(row: Row) -> str:
    lost = f" of {len(row.members) + row.lost}" if row.lost else ""
    return f"{len(row.members)}{lost}" if row.members else ""


def _expected(rows: Sequence[Row]) -> list[Column]:
    judged = [[target.met for target in row.expected.values()] for row in rows]
    if not any(met is not None for found in judged for met in found):
        return []
    cells = [f"{found.count(True)}/{len(found)}" if found else "-" for found in judged]
    return [numbers("expected", cells, 2)]


def by_stage(rows: Sequence[Row]) -> set[str]:
    """Return the parameters that are the same within each stage, so repeat what ``stage`` shows."""
    stages: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        stages.setdefault(row.lineage.stage, []).append(row.config)
    if len(stages) < 2:
        return set()
    differ = {name for configs in stages.values() for name in differing(configs)}
    return set(_union(row.config for row in rows)) - differ


def _difference_columns(rows: Sequence[Row], metric: str, weight: int) -> list[Column]:
    """Return a column for each baseline and reference that `metric` is compared with.

    Args:
        weight: that of the metric's own column; 0 for the metric that ranks, whose name the title
            does not repeat.
    """
    return filled(
        *(
            numbers(
                f"{metric} vs {other}" if weight else f"vs {other}",
                [_difference(row, other, metric) for row in rows],
                min(weight, 2) or 1,
            )
            for other in _union(row.differences for row in rows)
        )
    )


def _difference(row: Row, other: str, metric: str) -> str:
    names = {metric, f"test_{metric}"}
    found = [one for name, one in row.differences.get(other, {}).items() if name in names]
    if not found:
        return "-"
    # Three digits: a difference is less certain than the values.
    unit = f" {found[0].unit}" if found[0].unit else ""
    return f"{found[0].value:+.3g}{unit}{' ~' if found[0].is_noise else ''}"
