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
    failed: dict[str, list[str]] = {}
    for item in comparison.incomplete:
        problem = item.problem or f"missing {', '.join(item.missing)}"
        failed.setdefault(clean(problem), []).append(clean(item.path.name))
    for problem, paths in failed.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"! {paths[0]}{more}: {problem}"
    if saved:
        yield f"Saved: {saved}"
    warned: dict[str, list[str]] = {}
    for row in comparison.rows:
        for text in row.warnings:
            warned.setdefault(clean(text), []).append(clean(row.trial))
    for text, trials in warned.items():
        more = f" and {len(trials) - 1} more" if len(trials) > 1 else ""
        yield f"! {trials[0]}{more}: {text}"
    for note in comparison.notes:
        yield f"Note: {note}"
    if comparison.n_unstarted:
        yield f"Note: {plural(comparison.n_unstarted, 'trial')} not started yet."
