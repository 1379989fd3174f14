"""The status of a sweep as text: a line per trial, totals, decisions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.analysis.status import SweepStatus, TrialStatus, parse_time
from orchestrator.cli.render.text import (
    Column,
    clean,
    draw,
    filled,
    fit,
    number,
    numbers,
    plural,
    terminal_width,
    wrapped,
)
from orchestrator.files import MIB, format_duration, format_size
from orchestrator.placement import CPU
from orchestrator.runs import SweepState, TrialState

_MOST_ROWS = 60
_LEAST_REASON = 24
# If there are more trials than rows: the active ones are shown first, the waiting ones last.
_INTEREST = {"RUNNING": 0, "FAIL": 1, "PRUNED": 2, "COMPLETE": 3, "WAITING": 4}


def render_status(
    status: SweepStatus, *, width: int | None = None, most_rows: int = _MOST_ROWS
) -> str:
    """Return the status as text: the sweep, a line per trial, totals.

    Args:
        width: characters per line; None for the terminal's.
        most_rows: how many trials are listed; running ones come before finished ones.
    """
    room = terminal_width() if width is None else width
    lines = [f"{clean(status.sweep)}: {state_text(status)}"]
    shown = sorted(status.trials, key=lambda trial: (_INTEREST[trial.state], trial.number))
    shown = sorted(shown[:most_rows], key=lambda trial: trial.number)
    if shown:
        lines += ["", draw(_columns(shown, status.metric, room))]
    if len(shown) < len(status.trials):
        lines.append(f"… and {len(status.trials) - len(shown)} more trials: --json lists all.")
    if any(trial.state == "COMPLETE" and status.metric in trial.metrics for trial in shown):
        text = (
            f"{clean(status.metric)} of ended trials: recomputed from saved predictions, else "
            "the best reported; other numbers: last report."
        )
        lines.append(wrapped(text, max(room, 40)))
    for trial in shown:
        for text in trial.warnings:
            lines.append(clean(f"! {trial.number} {trial.name}: {text}", max(room, 40)))
    decided = [*_course(status.course), *placement_lines(status.placement)]
    return "\n".join([*lines, "", *_totals(status, room), *map(clean, decided)])


def _columns(trials: Sequence[TrialStatus], metric: str, width: int) -> list[Column]:
    # What people look at first keeps its place the longest when the terminal is narrow.
    weights = {"train_loss": 2, "val_loss": 3, metric: 1, "lr": 5}
    titles = {"train_loss": "train loss", "val_loss": "val loss"}
    metrics = [
        numbers(titles.get(name, name), [number(t.metrics.get(name)) for t in trials], weight)
        for name, weight in weights.items()
    ]
    columns = [
        numbers("#", [str(trial.number) for trial in trials]),
        Column("trial", [clean(trial.name, 32) for trial in trials]),
        Column("state", [trial.state for trial in trials]),
        numbers("epoch", [progress(trial) for trial in trials]),
        *filled(
            *metrics,
            numbers("left", [format_duration(trial.time_left_s) for trial in trials], 1),
            Column("ends", [clock(trial.ends_at) for trial in trials], 4),
            Column("memory", [_need(trial) for trial in trials], 3),
        ),
    ]
    stages = [clean(trial.stage or "-") for trial in trials]
    if len(set(stages)) > 1:
        columns.insert(2, Column("stage", stages, 1))
    if len({trial.node for trial in trials if trial.node}) > 1:
        columns.append(Column("node", [clean(trial.node or "-", 32) for trial in trials], 2))
    reasons = [_reason(trial) for trial in trials]
    longest = max(map(len, reasons))
    if not longest:
        return fit(columns, width)[0]
    wanted = min(_LEAST_REASON, longest)
    kept, _ = fit(columns, width - wanted - 2)
    room = max(wanted, width - sum(column.width + 2 for column in kept))
    return [*kept, Column("reason", [clean(text, room) for text in reasons])]


def state_text(status: SweepStatus) -> str:
    """Return the state of a sweep with its reason; one that left trials waiting is not FINISHED."""
    ended_early = status.state == SweepState.FINISHED and status.counts.get(TrialState.WAITING)
    reason = f" ({clean(status.reason)})" if status.reason else ""
    return f"{'ENDED EARLY' if ended_early else status.state}{reason}"


def progress(trial: TrialStatus) -> str:
    """Return the step of a trial and how many it will report."""
    if trial.step is None:
        return "-" if trial.total_steps is None else f"0/{trial.total_steps}"
    step, total = trial.step, trial.total_steps
    if trial.state == TrialState.COMPLETE and total is not None and step == total - 1:
        step = total  # its steps count from 0
    return f"{step}/{'?' if total is None else total}"


def _reason(trial: TrialStatus) -> str:
    attempt = f"attempt {trial.attempt}" if trial.attempt > 1 else ""
    return "; ".join(text for text in (trial.reason, trial.progress, attempt) if text)


def _need(trial: TrialStatus) -> str:
    """Return the memory need of a trial with the source of the number."""
    if not trial.need:
        return "-"
    memory, source = trial.need.get("memory_mib"), trial.need.get("source", "unknown")
    return f"{format_size(memory * MIB)} {source}" if isinstance(memory, int) else "unknown"


def clock(moment: str | None) -> str:
    """Return the local time of day, with the date if it is not today."""
    seconds = parse_time(moment)
    if seconds is None:
        return "-"
    local = datetime.fromtimestamp(seconds)
    is_today = local.date() == datetime.now().date()
    return local.strftime("%H:%M" if is_today else "%a %d %b %H:%M")


def _totals(status: SweepStatus, width: int) -> list[str]:
    total = sum(status.counts.values()) if status.n_trials is None else status.n_trials
    counted = ", ".join(f"{count} {state}" for state, count in status.counts.items() if count)
    first = f"{plural(total, 'trial')}{f': {counted}' if counted else ''}"
    times = f"elapsed {format_duration(status.elapsed_s)}"
    if status.time_left_s is not None:
        left = format_duration(status.time_left_s)
        times += f"; about {left} left; ends {clock(status.ends_at)}"
    line = f"{first}; {times}"
    lines = [line] if len(line) <= width else [first, times]
    if status.state == "INTERRUPTED":
        lines.append(f"To continue: {status.command or 'the same `sweep run` again'}")
    return lines


def _course(course: Mapping[str, Any]) -> list[str]:
    """Return what was decided about promotions, gates, kept changes and success."""
    decisions: list[Any] = []
    for kind in ("stages", "gates", "kept"):
        decided = course.get(kind)
        decisions += decided.values() if isinstance(decided, Mapping) else ()
    decisions.append(course.get("success"))
    texts = [str(found.get("words", "")) for found in decisions if isinstance(found, Mapping)]
    return [text for text in texts if text]


def placement_lines(placement: Mapping[str, Any]) -> list[str]:
    """Return what the sweep waits for, the measured concurrency and any fallback."""
    lines = []
    waiting = placement.get("waiting")
    if isinstance(waiting, Mapping):
        since = float(waiting.get("since", 0))
        waited = format_duration(max(0.0, time.time() - since))
        clock = f"{datetime.fromtimestamp(since):%H:%M}"
        lines.append(f"{waiting.get('reason')}, since {clock} ({waited})")
    growth = placement.get("growth")
    for device, text in growth.items() if isinstance(growth, Mapping) else ():
        lines.append(text if device == CPU else f"GPU {device}: {text}")
    if placement.get("fallback"):
        lines.append(str(placement["fallback"]))
    return lines
