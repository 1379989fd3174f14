"""What `sweep run` prints at its end: the table, the verdict, the most important findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.render.comparison import heading, table_lines
from orchestrator.cli.render.text import clean, folded, plural, terminal_width

if TYPE_CHECKING:
    from orchestrator.analysis.table import Comparison

ROWS = 20
_FINDINGS = 3


def render_ending(
    comparison: Comparison, sweep: str, verdict: Sequence[str] = (), saved: str = ""
) -> str:
    """Return the short form of a comparison of one sweep.

    Args:
        sweep: its name.
        verdict: why it ended and whether it is a success.
        saved: what the end of lost trials has saved.
    """
    width = terminal_width()

    def fold(texts: Iterable[str]) -> list[str]:
        return [folded(text, width, indent=2) for text in texts]

    lines = fold([heading(comparison)])
    if comparison.rows:
        lines += table_lines(comparison)
    lines += fold(clean(text) for text in verdict)
    findings = list(_findings(comparison, saved))
    if findings:
        lines += ["", *fold(findings[:_FINDINGS])]
    more = len(findings) - _FINDINGS
    others = f" ({plural(more, 'more finding')})" if more > 0 else ""
    lines += ["", *fold([f"More: `sweep compare {sweep}`{others}, `sweep report {sweep}`."])]
    return "\n".join(lines)


def _findings(comparison: Comparison, saved: str) -> Iterator[str]:
    """Yield what people should know, the most important first; equal ones once."""
    incomplete = _grouped(
        (item.problem or f"missing {', '.join(item.missing)}", item.path.name)
        for item in comparison.incomplete
    )
    # What was stopped early was stopped on purpose.
    stopped = [text for text in incomplete if "PRUNED" in text]
    yield from (text for text in incomplete if text not in stopped)
    yield from _grouped((text, row.trial) for row in comparison.rows for text in row.warnings)
    if saved:
        yield saved
    for note in comparison.notes:
        yield f"Note: {note}"
    if comparison.n_unstarted:
        yield f"Note: {plural(comparison.n_unstarted, 'trial')} not started yet."
    yield from stopped


def _grouped(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return each text once, with the first run that it is about and how many others."""
    whose: dict[str, list[str]] = {}
    for text, name in found:
        whose.setdefault(clean(text), []).append(clean(name))
    return [
        f"! {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}"
        for text, names in whose.items()
    ]
