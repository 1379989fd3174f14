"""`sweep doctor --png`: the curves of a diagnosis as a picture."""

from __future__ import annotations

import math
from pathlib import Path

from orchestrator.analysis.examine import Examination, Examined, shown_series
from orchestrator.errors import UsageError

MOST_RUNS = 12
"""Runs in one picture; those with findings come first."""

_LOG_DECADES = 1.5
_COLOURS = ("tab:blue", "tab:orange")


def write_picture(target: Path, found: Examination) -> int:
    """Draw the curves of runs with the onset of what is wrong, and return how many are drawn.

    Args:
        target: the file to write, PNG whatever its name.
        found: what was examined.

    Raises:
        UsageError: matplotlib is not installed, no run can be drawn, or the file not be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "--png: needs the package matplotlib, which is not installed. "
            'Next step: pip install "sweep-orchestrator[plot]"'
        ) from None
    runs = [one for one in found.runs if _is_drawable(one)]
    runs.sort(key=lambda one: not one.diagnosis.findings)
    drawn = runs[:MOST_RUNS]
    if not drawn:
        raise UsageError("--png: needs a run with two reports of one series, but there is none.")
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(5.0 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, one in enumerate(drawn, 1):
        axes = figure.add_subplot(rows, columns, place)
        finite: list[float] = []
        for (name, points), colour in zip(shown_series(one), _COLOURS, strict=False):
            kept = [(step, value) for step, value in points if math.isfinite(value)]
            finite += [value for _, value in kept]
            axes.plot(*zip(*kept, strict=True), label=_plain(name), color=colour, linewidth=1.2)
            for step, value in points:
                if not math.isfinite(value):
                    axes.axvline(step, color=colour, linewidth=0.5, linestyle=":")
        if min(finite) > 0 and math.log10(max(finite) / min(finite)) > _LOG_DECADES:
            axes.set_yscale("log")
        findings = [item for item in one.diagnosis.findings if item.since is not None]
        if findings:
            axes.axvline(float(findings[0].since or 0), color="tab:red", linewidth=1.0)
        words = findings[0].symptom if findings else one.diagnosis.outcome
        axes.set_title(_plain(f"{one.run.name}: {words}"), fontsize=9)
        axes.set_xlabel(one.run.unit)
        axes.legend(fontsize=7)
    try:
        figure.savefig(target, format="png", dpi=120)
    except OSError as error:
        raise UsageError(
            f"--png: {target} must be writable, but: {error.strerror}. Choose another file."
        ) from None
    return len(drawn)


def _is_drawable(one: Examined) -> bool:
    series = shown_series(one)
    return bool(series) and sum(math.isfinite(value) for _, value in series[0][1]) >= 2


def _plain(text: str) -> str:
    """Return text that is drawn as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")[:60]
