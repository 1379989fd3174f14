"""The trials of a live view as a table that fits: a bar for running ones, the rest by rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.analysis.status import SweepStatus, TrialStatus
from orchestrator.cli.render.names import distinct
from orchestrator.cli.render.status_text import clock, progress
from orchestrator.cli.render.text import clean, number, plural
from orchestrator.cli.terminal.sparkline import Series, sparkline
from orchestrator.files import format_duration
from orchestrator.runs import TrialState

_BAR = 12
_NARROW_BAR = 6
_SPARK = 12
_NOTE = 24
_NAME = 24
_TITLE = 12
_TEXT = ("stage", "node")  # these columns start at the left, and are left out if all trials agree
_GAP = 2


@dataclass(frozen=True)
class Mark:
    """How a state is shown: a symbol, one for terminals that have ASCII alone, a color, a word."""

    symbol: str
    ascii_symbol: str
    style: str
    word: str

    def sign(self, ascii_only: bool) -> str:
        """Return the symbol."""
        return self.ascii_symbol if ascii_only else self.symbol


MARKS = {
    TrialState.RUNNING: Mark("▶", ">", "bold cyan", "running"),
    TrialState.COMPLETE: Mark("✓", "+", "green", "complete"),
    TrialState.PRUNED: Mark("■", "o", "yellow", "pruned"),
    TrialState.FAIL: Mark("✗", "x", "bold red", "failed"),
    TrialState.WAITING: Mark("·", ".", "dim", "waiting"),
}
"""By state, in the order of the table."""


@dataclass(frozen=True)
class _Column:
    """One column; `weight` 0 always stays, of the others the greatest goes first."""

    title: str
    cells: Sequence[RenderableType]
    width: int
    weight: int = 0
    is_right: bool = False


def trial_table(
    status: SweepStatus, series: Mapping[int, Series], width: int, height: int, *, ascii_only: bool
) -> list[RenderableType]:
    """Return the table, with a line that counts what it has no room for; [] without trials."""
    if not status.trials:
        return []
    rows = height - 2  # below an empty line and the titles
    shown = _chosen(status, rows - (len(status.trials) > rows))
    trials = [trial for _, trial in shown]
    columns = _columns(status, shown, series)
    notes = [_note(trial, series.get(trial.number), ascii_only) for trial in trials]
    names = [trial.name for trial in trials]
    longest = max(len("trial"), *(len(clean(name)) for name in names))
    longest_note = max(map(len, notes))
    draws_bars = any(one.state == TrialState.RUNNING and one.total_steps for one in trials)
    if draws_bars:  # the sparkline will need this room
        longest_note = max(longest_note, _SPARK)
    note = min(longest_note, _NOTE)
    wanted = 1 + _GAP + min(longest, _NAME) + (_GAP + note if note else 0)
    while (used := sum(one.width + _GAP for one in columns)) + wanted > width:
        heaviest = max(columns, key=lambda one: one.weight)
        if not heaviest.weight:
            break
        columns.remove(heaviest)
    room = width - used - 1 - _GAP
    bar = 0
    if draws_bars:
        wide = room - _BAR - _GAP >= min(longest, _NAME) + note + _GAP
        bar = _BAR if wide else _NARROW_BAR
        room -= bar + _GAP
    name = max(8, min(longest, room - (note + _GAP if note else 0)))
    note = max(0, min(longest_note, room - name - _GAP))
    if 0 < note < _SPARK:  # fewer bars instead of some that are cut off
        notes = [_note(trial, series.get(trial.number), ascii_only, note) for trial in trials]
    signs = [Text(_mark(trial).sign(ascii_only), _mark(trial).style) for trial in trials]
    short = [
        Text(text, _mark(trial).style)
        for text, trial in zip(distinct(names, name), trials, strict=True)
    ]
    bars = [_Column("", [_bar(trial, bar) for trial in trials], bar)] if bar else []
    first = [one for one in columns if one.title in ("rank", "#")]
    columns = [
        _Column("", signs, 1),
        *first,
        _Column("trial", short, name),
        *bars,
        *(one for one in columns if one not in first),
    ]
    if note:
        columns.append(_Column("", [Text(text, "dim") for text in notes], note))
    table = Table.grid(padding=(0, _GAP, 0, 0), collapse_padding=True)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.is_right else "left"
        table.add_column(width=column.width, justify=justify, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(column.title, "dim") for column in columns))
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    rest = len(status.trials) - len(shown)
    more = [Text(f"… and {plural(rest, 'more trial')}", "dim")] if rest else []
    return [Text(""), table, *more]


def ranked(status: SweepStatus) -> list[tuple[int | None, TrialStatus]]:
    """Return the trials in the order of `MARKS` and of their metric, each with its rank.

    Only complete trials have a rank.
    """
    sign = 1 if status.goal == "minimize" else -1
    order = list(MARKS)

    def value(trial: TrialStatus) -> float:
        found = trial.metrics.get(status.metric, math.nan)
        return sign * found if math.isfinite(found) else math.inf

    found = sorted(
        status.trials,
        key=lambda trial: (order.index(TrialState(trial.state)), value(trial), trial.number),
    )
    complete = [trial.number for trial in found if trial.state == TrialState.COMPLETE]
    places = {number: place for place, number in enumerate(complete, 1)} if status.metric else {}
    return [(places.get(trial.number), trial) for trial in found]


def _chosen(status: SweepStatus, rows: int) -> list[tuple[int | None, TrialStatus]]:
    """Return the trials that are shown: of running ones as many as leave half for the others."""
    found = ranked(status)
    rows = max(1, rows)
    running = [one for one in found if one[1].state == TrialState.RUNNING]
    others = found[len(running) :]
    running = running[: max(rows - len(others), (rows + 1) // 2)]
    return [*running, *others[: rows - len(running)]]


def _columns(
    status: SweepStatus,
    shown: Sequence[tuple[int | None, TrialStatus]],
    series: Mapping[int, Series],
) -> list[_Column]:
    """Return the columns of text that have a cell."""
    trials = [trial for _, trial in shown]
    metric = status.metric
    best = {number: one.best for number, one in series.items()}
    found: list[tuple[str, Sequence[str], int]] = [
        ("rank", ["" if rank is None else str(rank) for rank, _ in shown], 2),
        ("#", [str(trial.number) for trial in trials], 0),
        ("stage", [clean(trial.stage or "", _TITLE) for trial in trials], 3),
        ("epoch", [progress(trial) for trial in trials], 0),
        ("left", [format_duration(trial.time_left_s) for trial in trials], 1),
        ("ends", [clock(trial.ends_at) for trial in trials], 4),
        ("node", [clean(trial.node, _TITLE) for trial in trials], 3),
        (clean(metric, _TITLE), [number(trial.metrics.get(metric)) for trial in trials], 0),
        ("best", [number(best.get(trial.number)) for trial in trials], 0),
    ]
    columns = []
    for title, texts, weight in found:
        cells = ["" if text == "-" else text for text in texts]
        is_same = title in _TEXT and len({one for one in cells if one}) == 1
        if any(cells) and not is_same:
            width = max(map(len, (title, *cells)))
            columns.append(
                _Column(title, [Text(one) for one in cells], width, weight, title not in _TEXT)
            )
    return columns


def _mark(trial: TrialStatus) -> Mark:
    return MARKS[TrialState(trial.state)]


def _bar(trial: TrialStatus, width: int) -> RenderableType:
    if trial.state != TrialState.RUNNING or not trial.total_steps:
        return Text("")
    done = min(trial.step or 0, trial.total_steps)
    return ProgressBar(total=trial.total_steps, completed=done, width=width)


def _note(trial: TrialStatus, series: Series | None, ascii_only: bool, width: int = _SPARK) -> str:
    """Return the course of a trial that reports, else why it is in its state."""
    attempt = f"attempt {trial.attempt}" if trial.attempt > 1 else ""
    bars = "" if series is None else sparkline(series.values, width, ascii_only=ascii_only)
    runs = trial.state == TrialState.RUNNING
    shown = (bars, trial.progress, attempt) if runs else (trial.reason, attempt)
    return clean("; ".join(text for text in shown if text))
