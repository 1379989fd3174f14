"""A comparison as Markdown or CSV: the visible columns, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.render.comparison import heading, incomplete_text, visible
from orchestrator.cli.render.text import Column, draw, markdown, number, plural

if TYPE_CHECKING:
    from orchestrator.analysis.table import Comparison


def render_csv(comparison: Comparison, *, everything: bool = False, only: str | None = None) -> str:
    """Return the columns of the table as CSV, values unrounded; see `render_comparison`."""
    from orchestrator.analysis.table import to_csv

    if everything or not comparison.rows:
        return to_csv(comparison)
    columns, _ = visible(comparison, width=None, everything=False, only=only)
    return to_csv(comparison, [column.key for column in columns])


def render_markdown(
    comparison: Comparison, *, everything: bool = False, only: str | None = None
) -> str:
    """Return a comparison as Markdown with all incomplete runs; see `render_comparison`."""
    columns, hidden = _all_columns(comparison), 0
    if comparison.rows and not everything:
        columns, hidden = visible(comparison, width=None, everything=False, only=only)
        columns = [_escaped(column) for column in columns]
    lines = [heading(comparison), ""]
    if comparison.rows:
        lines += [draw(columns, markdown=True), ""]
    if hidden:
        lines += [f"{plural(hidden, 'more column')}: --all.", ""]
    warnings = [f"{row.trial}: {text}" for row in comparison.rows for text in row.warnings]
    lines += [f"- {markdown(note)}" for note in (*comparison.notes, *warnings)]
    if comparison.incomplete:
        lines += ["", f"Incomplete ({len(comparison.incomplete)}):", ""]
        lines += [f"- {markdown(incomplete_text(item))}" for item in comparison.incomplete]
    return "\n".join(lines).rstrip() + "\n"


def _all_columns(comparison: Comparison) -> list[Column]:
    from orchestrator.analysis.table import cell, flat_rows

    names, rows = flat_rows(comparison)
    names.remove("warnings")  # they are sentences, listed below the table
    return [
        Column(markdown(name), [markdown(number(cell(row.get(name)), 6)) for row in rows])
        for name in names
    ]


def _escaped(column: Column) -> Column:
    cells = [markdown(cell) for cell in column.cells]
    return Column(markdown(column.title), cells, is_number=column.is_number)
