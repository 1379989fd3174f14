"""A diagnosis as text for the terminal, as Markdown, and as a picture of its curves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from orchestrator.analysis import Examination, Examined, shown_series
from orchestrator.cli.output import writing
from orchestrator.cli.render.text import (
    Column,
    clean,
    draw,
    markdown,
    number,
    numbers,
    plural,
    short_path,
    wrapped,
)
from orchestrator.divergence.diagnosis import Finding
from orchestrator.errors import UsageError

_TOGETHER = "The runs together"
_AVOID = "do not"
_MOST_NAMES = 12  # of series that a run which cannot be judged has
_HEIGHT = 9  # lines
_MOST_FINDINGS = 3
_MOST_CHANGES = 2
_MOST_RUNS = 12  # in one picture; those with findings come first
_MARKS = "•o+x"
_COLOURS = ("tab:blue", "tab:orange")
_DECADES = 1.5  # positive values that span more powers of ten get a logarithmic axis


def diagnosis_text(found: Examination, width: int, *, verbose: bool = False) -> str:
    """Return the examination for a terminal of `width` characters.

    Args:
        verbose: with all findings, each with its cause and all advice, and all curves.
    """
    is_single = len(found.runs) == 1
    blocks = [] if is_single else [_table(found)]
    for one in found.runs:
        if verbose:
            blocks.append(_run_text(one, width))
        elif is_single or _symptoms(one):
            blocks.append(_short_text(one, width, is_drawn=is_single))
    if found.together:
        lines = [wrapped(text, width, "  ") for text in found.together]
        blocks.append("\n".join([_TOGETHER, *lines]))
    return "\n\n".join(blocks)


def diagnosis_markdown(found: Examination) -> str:
    """Return the examination as Markdown, with all runs."""
    blocks = ["# Diagnosis"]
    for one in found.runs:
        blocks.append(f"## {_escape(_title(one))}: {_escape(_verdict(one))}")
        blocks.append("\n".join(f"- {_escape(fact)}" for fact in _facts(one)))
        for finding in one.diagnosis.findings:
            lines = [f"### {_heading(finding, one)}", ""]
            for label, text in _advice(finding):
                separator = " " if label == _AVOID else ": "
                lines.append(f"- {label}{separator}{_escape(text)}")
            blocks.append("\n".join(lines))
    if found.together:
        blocks.append(f"## {_TOGETHER}")
        blocks.append("\n".join(f"- {_escape(text)}" for text in found.together))
    return "\n\n".join(blocks)


def _title(one: Examined) -> str:
    name = clean(one.run.name)
    return name if one.run.number is None else f"trial {one.run.number} ({name})"


def _verdict(one: Examined) -> str:
    """Return the outcome of a run in a few words."""
    found = one.diagnosis
    if found.judged is None and not one.run.failure:
        return "not judged: the log has no training loss, metric or validation loss"
    if found.is_lost:
        first = found.findings[0]
        since = "" if first.since is None else f" since {one.run.unit} {first.since}"
        return f"diverged, {first.symptom}{since}"
    if one.run.failure:
        return f"failed: {one.run.failure.partition(chr(10))[0]}"
    seen = [finding.symptom for finding in _symptoms(one)]
    if not seen:
        return found.outcome
    if found.outcome == "target reached":
        return f"target reached; also {', '.join(seen)}"
    return f"{found.outcome}: {', '.join(dict.fromkeys(seen))}"


def _symptoms(one: Examined) -> list[Finding]:
    """Return what is wrong with a run; reaching the target is not."""
    return [f for f in one.diagnosis.findings if f.symptom != "target reached"]


def _facts(one: Examined) -> list[str]:
    """Return the lines on a run that come before its findings."""
    run, found = one.run, one.diagnosis
    facts = [f"{short_path(run.path)} ({run.form}, {len(run.reports)} reports)"]
    facts += run.failure.splitlines()[1:]
    facts += [f"note: {note}" for note in run.notes]
    if found.judged is not None:
        facts.append(
            f"{found.judged}: first {number(found.first)}, best {number(found.best)} "
            f"at {run.unit} {number(found.best_step)}, last {number(found.last)}"
        )
    elif run.names:
        names = ", ".join(run.names[:_MOST_NAMES]) + (", …" if len(run.names) > _MOST_NAMES else "")
        facts.append(f"found: {names}. Name one to judge: --metric {run.names[0]}")
    if found.rates:
        rates = ", ".join(f"{name} {number(rate)}" for name, rate in found.rates.items())
        facts.append(f"lr: {rates}")
    if found.hint:
        facts.append(f"hint: {found.hint}")
    if found.targets:
        facts.append(_targets(one))
    if found.saved:
        facts.append(f"{found.saved} of {len(run.reports)} reports came after the run was lost")
    return [clean(fact) for fact in facts]


def _targets(one: Examined) -> str:
    """Return which targets were met, and how near the others came."""
    targets = one.diagnosis.targets
    met = [name for name, (_, _, step) in targets.items() if step is not None]
    texts = [f"{len(met)} of {plural(len(targets), 'target')} met"]
    for name, (target, best, step) in targets.items():
        if step is not None:
            texts.append(f"{name} meets {number(target)} from {one.run.unit} {step}")
        elif best is None:
            texts.append(f"{name} is not reported during training")
        else:
            texts.append(f"{name}, at best {number(best)}, misses {number(target)}")
    return "; ".join(texts)


def _heading(finding: Finding, one: Examined) -> str:
    since = "" if finding.since is None else f", since {one.run.unit} {finding.since}"
    return f"{finding.symptom} ({finding.confidence}){since}"


def _advice(finding: Finding) -> list[tuple[str, str]]:
    """Return label and text of each line on a finding."""
    advice = finding.advice
    return [
        ("seen", finding.reason),
        ("cause", advice.cause),
        *(("change", text) for text in advice.change),
        *((_AVOID, text.removeprefix("do not ")) for text in advice.avoid),
    ]


def _table(found: Examination) -> str:
    runs = found.runs
    diagnoses = [one.diagnosis for one in runs]
    return draw(
        [
            Column("run", [clean(_title(one), 40) for one in runs]),
            numbers("reports", [str(len(one.run.reports)) for one in runs]),
            Column("judged", [clean(diagnosis.judged or "-", 24) for diagnosis in diagnoses]),
            numbers("first", [number(diagnosis.first) for diagnosis in diagnoses]),
            numbers("best", [number(diagnosis.best) for diagnosis in diagnoses]),
            numbers("last", [number(diagnosis.last) for diagnosis in diagnoses]),
            Column("diagnosis", [clean(_verdict(one), 60) for one in runs]),
        ]
    )


def _short_text(one: Examined, width: int, *, is_drawn: bool) -> str:
    """Return the most important findings of a run: what was seen, and what to do about it."""
    lines = [f"{_title(one)}: {_verdict(one)}"]
    if is_drawn:
        lines += [*(wrapped(fact, width, "  ") for fact in _facts(one)), *_drawn(one, width)]
    shown = one.diagnosis.findings[:_MOST_FINDINGS]
    for finding in shown:
        advice = finding.advice
        do = "; ".join(advice.change[:_MOST_CHANGES])
        avoid = f". {advice.avoid[0][:1].upper()}{advice.avoid[0][1:]}" if advice.avoid else ""
        seen = clean(f"{_heading(finding, one)}: {finding.reason}")
        lines.append(wrapped(seen, width, "  "))
        lines.append(wrapped(clean(f"{do}{avoid}."), width, "    → "))
    more = len(one.diagnosis.findings) - len(shown)
    if more:
        lines.append(f"  {plural(more, 'more finding')}: `sweep doctor --verbose`.")
    return "\n".join(lines)


def _drawn(one: Examined, width: int) -> list[str]:
    seen = _symptoms(one)
    series = [(clean(name, 24), points) for name, points in shown_series(one)]
    drawn = plot(series, width=min(64, width - 20), onset=seen[0].since if seen else None)
    return ["", textwrap.indent(drawn, "  "), ""] if drawn else []


def _run_text(one: Examined, width: int) -> str:
    facts = [wrapped(fact, width, "  ") for fact in _facts(one)]
    lines = [f"{_title(one)}: {_verdict(one)}", *facts, *_drawn(one, width)]
    for finding in one.diagnosis.findings:
        lines += ["", f"  {_heading(finding, one)}"]
        previous = ""
        for label, text in _advice(finding):
            head = f"    {'' if label == previous else label:<8}"
            lines.append(wrapped(clean(text), width, head))
            previous = label
    return "\n".join(lines)


def _escape(text: str) -> str:
    return markdown(text).replace("_", "\\_").replace("*", "\\*")


def plot(
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    *,
    width: int = 64,
    onset: float | None = None,
) -> str:
    """Return a drawing of series over their steps; empty if no value is finite.

    Values that are not finite are drawn as ``!`` on the bottom line, the onset as ``^`` below it.

    Args:
        series: names and (step, value) points.
        width: characters, without the axis.
        onset: the step to mark.
    """
    points = [point for _, some in series for point in some]
    steps = [step for step, _ in points]
    finite = [value for _, value in points if math.isfinite(value)]
    if not finite or len(set(steps)) < 2:
        return ""
    low, high = min(finite), max(finite)
    is_log = _is_log(low, high)
    scale = math.log10 if is_log else float
    bottom, top = scale(low), scale(high)
    left, right = min(steps), max(steps)

    def column(step: float) -> int:
        return round((step - left) / (right - left) * (width - 1))

    def row(value: float) -> int:
        # Halved: the difference of two large finite values may overflow.
        span = top / 2 - bottom / 2
        share = (scale(value) / 2 - bottom / 2) / span if span else 0.5
        return _HEIGHT - 1 - round(share * (_HEIGHT - 1))

    grid = [[" "] * width for _ in range(_HEIGHT)]
    marked = [(name, points, _MARKS[i % len(_MARKS)]) for i, (name, points) in enumerate(series)]
    for _, some, mark in reversed(marked):  # the first series is on top
        for step, value in some:
            if math.isfinite(value):
                grid[row(value)][column(step)] = mark
    for step, value in points:
        if not math.isfinite(value):
            grid[-1][column(step)] = "!"
    legend = [f"{mark} {name}" for name, _, mark in marked]
    legend += ["(logarithmic)"] if is_log else []
    legend += ["! not finite"] if len(finite) < len(points) else []
    axis = ["─"] * width
    if onset is not None and left <= onset <= right:
        axis[column(onset)] = "^"
        legend.append("^ onset")
    labels = [f"{high:.4g}", *[""] * (_HEIGHT - 2), f"{low:.4g}"]
    margin = max(map(len, labels))
    indent = " " * margin
    lines = [
        f"{label:>{margin}} │{''.join(cells).rstrip()}"
        for label, cells in zip(labels, grid, strict=True)
    ]
    first, last = f"{left:g}", f"{right:g}"
    lines += [
        f"{indent} └{''.join(axis)}",
        f"{indent}  {first}{last:>{max(1, width - len(first))}}",
        f"{indent}  {'  '.join(legend)}",
    ]
    return "\n".join(lines)


def _is_log(low: float, high: float) -> bool:
    return low > 0 and math.log10(high) - math.log10(low) > _DECADES


def write_picture(target: Path, found: Examination) -> int:
    """Draw the curves of runs as PNG, with the onset of what is wrong; return how many are drawn.

    Raises:
        UsageError: matplotlib is missing, no run can be drawn, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            '--png needs matplotlib. Install it: pip install "sweep-orchestrator[plot]"'
        ) from None
    runs = [one for one in found.runs if _is_drawable(one)]
    runs.sort(key=lambda one: not one.diagnosis.findings)
    drawn = runs[:_MOST_RUNS]
    if not drawn:
        raise UsageError("--png: no run has two reports of one series.")
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(5.0 * columns, 3.2 * rows), layout="constrained")
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
        if _is_log(min(finite), max(finite)):
            axes.set_yscale("log")
        outcome = one.outcome
        for finding in one.diagnosis.findings:
            if finding.since is not None:
                axes.axvline(float(finding.since), color="tab:red", linewidth=1.0)
                outcome = finding.symptom
                break
        axes.set_title(_plain(f"{one.run.name}: {outcome}"), fontsize=9)
        axes.set_xlabel(one.run.unit)
        axes.legend(fontsize=7)
    with writing(target, "--png"):
        figure.savefig(target, format="png", dpi=120)
    return len(drawn)


def _is_drawable(one: Examined) -> bool:
    series = shown_series(one)
    return bool(series) and sum(math.isfinite(value) for _, value in series[0][1]) >= 2


def _plain(text: str) -> str:
    """Return text that matplotlib draws unchanged: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")[:60]
