"""One frame of the live view: a sweep's state on a terminal of a given size.

Nothing is lost if the room is short: trials that do not fit are counted, the line with the counts
is never cut, and names keep the part that distinguishes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.text import Text

from orchestrator.analysis.status import SweepStatus
from orchestrator.cli.render.names import cut
from orchestrator.cli.render.status_text import clock, placement_lines, state_text
from orchestrator.cli.render.text import clean, plural
from orchestrator.cli.terminal.sparkline import Series
from orchestrator.cli.terminal.trial_table import MARKS, trial_table
from orchestrator.files import format_duration, format_size

EVENTS = 3
_WARNINGS = 3
_GAUGES = 4
_ROWS = 6  # lines of the table that events and gauges leave to it
_CELLS = 10
_NAME = 24
_NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Gauge:
    """Memory and load of a device; `load` in percent, None if unknown."""

    name: str
    used_bytes: int
    total_bytes: int
    load: float | None = None


@dataclass(frozen=True)
class Frame:
    """What one frame shows.

    Attributes:
        status: the sweep; None before it has a folder.
        doing: what the driver does now, such as "starting Ray"; "" while trials run.
        series: the metric of running trials, by number.
        events: the last ones, the newest last.
    """

    status: SweepStatus | None = None
    doing: str = ""
    series: Mapping[int, Series] = field(default_factory=dict)
    gauges: Sequence[Gauge] = ()
    events: Sequence[str] = ()


def draw(frame: Frame, console: Console, height: int) -> RenderableType:
    """Return a frame of at most `height` lines and the width of `console`."""
    status, width = frame.status, console.width
    ascii_only = not console.encoding.lower().startswith("utf")
    top = [Text(clean(frame.doing), "bold")] if frame.doing else []
    if status is None:
        return Group(*_lines(top, console)[:height])
    top += [_title(status), _counts(status, ascii_only)]
    waits = [Text(clean(text), "cyan") for text in placement_lines(status.placement)]
    above, below = _lines(top, console), [*_lines(waits, console), *_warnings(status, width)]
    gauges = _gauges(frame.gauges, width, ascii_only)
    events = [Text(clean(text, width), "dim") for text in frame.events[-EVENTS:]]
    events = [Text(""), *events] if events else []
    rows = min(len(status.trials) + 2, _ROWS)
    room = height - len(above) - len(below) - rows
    # What is least missed goes first if the terminal is low.
    gauges = gauges if len(gauges) <= room else []
    events = events if len(events) + len(gauges) <= room else []
    below = below[: max(0, height - len(above) - min(rows, 3))]
    rows = height - len(above) - len(below) - len(gauges) - len(events)
    table = trial_table(status, frame.series, width, rows, ascii_only=ascii_only)
    parts = [*above, *gauges, *table, *below, *events]
    return Group(*parts)


def _lines(texts: Sequence[Text], console: Console) -> list[Text]:
    lines = [line for text in texts for line in text.wrap(console, console.width)]
    for line in lines:
        line.plain = line.plain.replace(_NO_BREAK, " ")
    return lines


def _title(status: SweepStatus) -> Text:
    text = Text(clean(status.sweep, 40), "bold")
    text.append(f"  {state_text(status)}", "cyan")
    text.append(f"  {format_duration(status.elapsed_s)}", "not bold")
    if status.time_left_s is not None:
        left = format_duration(status.time_left_s)
        text.append(f", about {left} left, ends {clock(status.ends_at)}", "not bold")
    return text


def _counts(status: SweepStatus, ascii_only: bool) -> Text:
    """Return the line that counts the trials; it is also the legend of the symbols."""
    total = sum(status.counts.values()) if status.n_trials is None else status.n_trials
    text = Text(f"{plural(total, 'trial')}:" if total else "no trials yet")
    for state, mark in MARKS.items():
        count = status.counts.get(state, 0)
        if count:  # no line breaks between a symbol and its count
            counted = f"{mark.sign(ascii_only)} {count:,} {mark.word}".replace(" ", _NO_BREAK)
            text.append("  ").append(counted, mark.style)
    return text


def _gauges(gauges: Sequence[Gauge], width: int, ascii_only: bool) -> list[Text]:
    on, off = ("#", "-") if ascii_only else ("█", "░")
    lines = []
    for gauge in gauges[:_GAUGES]:
        share = gauge.used_bytes / gauge.total_bytes if gauge.total_bytes else 0.0
        full = min(_CELLS, round(share * _CELLS))
        text = Text(f"{clean(gauge.name, _NAME)}  ")
        text.append(on * full + off * (_CELLS - full), "red" if share > 0.95 else "green")
        text.append(f"  {format_size(gauge.used_bytes)} of {format_size(gauge.total_bytes)}")
        if gauge.load is not None:
            text.append(f"  load {gauge.load:.0f} %")
        text.truncate(width, overflow="ellipsis")
        lines.append(text)
    more = len(gauges) - _GAUGES
    if more > 0:
        lines.append(Text(f"… and {plural(more, 'more device')}: `sweep gpu`", "dim"))
    return lines


def _warnings(status: SweepStatus, width: int) -> list[Text]:
    """Return the newest warnings, each once with the trials that have it."""
    whose: dict[str, list[str]] = {}
    for trial in status.trials:
        for text in trial.warnings:
            whose.setdefault(clean(text), []).append(
                f"{trial.number} {cut(clean(trial.name), _NAME)}"
            )
    lines = []
    for text, trials in list(whose.items())[-_WARNINGS:]:
        who = trials[0] if len(trials) == 1 else f"{trials[0]} and {len(trials) - 1} more"
        lines.append(Text(clean(f"! {who}: {text}", width), "yellow"))
    more = len(whose) - len(lines)
    if more:
        shown = f"! {plural(more, 'more warning')}: `sweep status {status.sweep}`"
        lines.append(Text(clean(shown, width), "yellow"))
    return lines
