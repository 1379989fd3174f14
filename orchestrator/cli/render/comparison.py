"""A comparison as text: heading, table, targets, notes, incomplete runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.render.comparison_columns import JUDGED, all_columns
from orchestrator.cli.render.text import (
    Column,
    clean,
    draw,
    fit,
    number,
    plural,
    short_path,
    without_distances,
)
from orchestrator.errors import UsageError, nearest

if TYPE_CHECKING:
    from orchestrator.analysis.table import Comparison, Incomplete

LISTED = 40


def render_comparison(
    comparison: Comparison,
    *,
    width: int | None = None,
    everything: bool = False,
    only: str | None = None,
) -> str:
    """Return a comparison as text.

    Args:
        width: characters per line; None for the terminal's.
        everything: show all columns and all incomplete runs, however many.
        only: titles of the columns to show, with commas; None for the usual ones.
    """
    lines = [heading(comparison)]
    rows = comparison.rows
    if rows:
        lines += table_lines(comparison, width=width, everything=everything, only=only)
        lines += [clean(f"! {row.trial}: {text}") for row in rows for text in row.warnings]
    lines += [f"Note: {note}" for note in comparison.notes]
    if comparison.n_unstarted:
        lines.append(f"Note: {plural(comparison.n_unstarted, 'trial')} not started yet.")
    incomplete = comparison.incomplete
    if incomplete:
        shown = incomplete if everything else incomplete[:LISTED]
        lines += ["", f"Incomplete ({len(incomplete)}):"]
        lines += [f"  {incomplete_text(item)}" for item in shown]
        if len(shown) < len(incomplete):
            lines.append(f"  … and {len(incomplete) - len(shown)} more: --all, or --json.")
    return "\n".join(lines)


def table_lines(
    comparison: Comparison,
    *,
    width: int | None = None,
    everything: bool = False,
    only: str | None = None,
) -> list[str]:
    """Return the table, what it leaves out, and how targets are met; see `render_comparison`."""
    columns, hidden = visible(comparison, width=width, everything=everything, only=only)
    lines = ["", draw(columns)]
    if len(comparison.rows) < comparison.n_rows:
        lines.append(f"The best {len(comparison.rows)} of {comparison.n_rows}.")
    if hidden:
        more = plural(hidden, "more column")
        lines.append(f"{more}: `sweep compare --all`, also with --export csv.")
    return lines + _targets(comparison)


def visible(
    comparison: Comparison, *, width: int | None, everything: bool, only: str | None
) -> tuple[list[Column], int]:
    """Return the columns that are shown, and how many are not; arguments as `render_comparison`."""
    columns = all_columns(comparison)
    if only is not None:
        return _chosen(columns, only), 0
    if everything:
        return columns, 0
    if fit([column for column in columns if column.weight <= JUDGED], width)[1]:
        columns = without_distances(columns)
    return fit(columns, width)


def heading(comparison: Comparison) -> str:
    """Return the line with the number of complete runs, the metric and the split it is from."""
    n_well = comparison.n_complete - comparison.n_early
    counted = f"{n_well}/{comparison.n_total} complete"
    if not comparison.n_complete:
        return counted
    first = "highest first" if comparison.goal == "maximize" else "lowest first"
    basis = comparison.basis
    if basis.startswith("as logged"):
        at = comparison.at
        basis += f" at step {at[5:]}" if at.startswith("step:") else f", {at} report"
    return f"{counted}, ranked by {clean(comparison.sort_by)}, {first} ({basis})"


def incomplete_text(item: Incomplete) -> str:
    """Return a line on a run that cannot be ranked."""
    problems = [item.problem] if item.problem else []
    problems += [f"missing {', '.join(item.missing)}"] if item.missing else []
    return clean(f"{short_path(item.path)}: {'; '.join(problems)}")


def _targets(comparison: Comparison) -> list[str]:
    """Return how many runs meet each target, and which missed a milestone."""
    lines = []
    for name, tally in comparison.tallies.items():
        met = f"met by {tally.met} of {tally.judged}" if tally.judged else "no run has this metric"
        lines.append(f"Target {name} {', '.join(tally.bounds)}: {met}.")
    for row in comparison.rows:
        for name, target in row.expected.items():
            if target.met is False:
                had = f"{row.trial} had {number(target.value)}"
                lines.append(f"Expected {name} {target.bound}: {had}.")
    return [clean(line) for line in lines]


def _chosen(columns: Sequence[Column], only: str) -> list[Column]:
    """Return the rank, the trial and the columns with the titles in `only`, in that order."""
    titles = {column.title.lower(): column for column in columns}
    found = list(columns[:2])
    for text in only.split(","):
        column = titles.get(text.strip().lower())
        if column is None:
            known = [item.title for item in columns]
            raise UsageError(
                f"--columns: no column {text.strip()!r}.{nearest(text.strip(), known)} "
                f"Choices: {', '.join(known)}."
            )
        if column not in found:
            found.append(column)
    return found
