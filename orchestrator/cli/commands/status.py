"""Show the trials of a sweep and their progress."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from orchestrator.analysis.status import SweepStatus, TrialStatus, parse_time, read_status
from orchestrator.cli.render.text_table import Column, clean, draw, fit, number, terminal_width
from orchestrator.files import MIB, format_duration, format_size
from orchestrator.placement import CPU
from orchestrator.runs import find_sweep, results_folder

_MOST_ROWS = 60
_LEAST_REASON = 24
# Which trials are shown when there are more than fit: what moves first, what waits last.
_INTEREST = {"RUNNING": 0, "FAIL": 1, "PRUNED": 2, "COMPLETE": 3, "WAITING": 4}


@click.command("status")
@click.argument("sweep", required=False)
@click.option(
    "--results", metavar="DIR", type=click.Path(path_type=Path), help="Where sweeps are kept."
)
@click.option("--watch", is_flag=True, help="Refresh until the sweep is over, or until Ctrl+C.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Time between two refreshes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch one object a line.")
def command(
    *, sweep: str | None, results: Path | None, watch: bool, interval: float, as_json: bool
) -> None:
    """Show how the trials of SWEEP (by default the newest) stand.

    Leaving --watch with Ctrl+C leaves the training alone.
    """
    found = find_sweep(results_folder(results), sweep)
    if not watch:
        status = read_status(found)
        if as_json:
            click.echo(json.dumps(status.to_dict(), indent=2))
        else:
            click.echo(render_status(status))
        return
    in_place = sys.stdout.isatty() and not as_json
    try:
        while True:
            status = read_status(found)
            if as_json:
                click.echo(json.dumps(status.to_dict()))
            elif in_place:
                rows = shutil.get_terminal_size().lines - 10
                _draw_over(render_status(status, most_rows=max(3, rows)))
            else:
                click.echo(render_status(status) + "\n")
            if status.is_over:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        # Only the watching ends; the driver is another process.
        click.echo("")


def render_status(
    status: SweepStatus, *, width: int | None = None, most_rows: int = _MOST_ROWS
) -> str:
    """Return the status as people read it: the sweep, a line for each trial, totals.

    Args:
        status: how the sweep stands.
        width: characters in a line; the terminal's by default.
        most_rows: how many trials are listed; running ones come before finished ones.
    """
    room = terminal_width() if width is None else width
    head = f"{clean(status.sweep)}: {status.state}"
    if status.reason:
        head += f" ({clean(status.reason)})"
    lines = [head]
    shown = _most_interesting(status.trials, most_rows)
    if shown:
        lines += ["", draw(_columns(shown, status.metric, room))]
    if len(shown) < len(status.trials):
        lines.append(f"… and {len(status.trials) - len(shown)} more trials: --json lists all.")
    lines += _about_the_metric(shown, status.metric, room)
    lines += [
        clean(f"! {trial.number} {trial.name}: {text}", max(room, 40))
        for trial in shown
        for text in trial.warnings
    ]
    lines += ["", *_totals(status, room), *_course(status.course), *_placement(status.placement)]
    return "\n".join(lines)


def _course(course: Mapping[str, Any]) -> list[str]:
    """Return what was decided about the course of the sweep, a line each."""
    lines = []
    for kind in ("stages", "gates", "kept"):
        decided = course.get(kind)
        for found in decided.values() if isinstance(decided, Mapping) else ():
            lines.append(str(found.get("words", "")) if isinstance(found, Mapping) else "")
    success = course.get("success")
    lines.append(str(success.get("words", "")) if isinstance(success, Mapping) else "")
    return [clean(line) for line in lines if line]


def _placement(said: Mapping[str, Any]) -> list[str]:
    """Return what it waits for, what growth found, and whether it fell back, a line each."""
    lines = []
    waiting = said.get("waiting")
    if isinstance(waiting, Mapping):
        since = datetime.fromtimestamp(float(waiting.get("since", 0)))
        waited = format_duration(max(0.0, time.time() - since.timestamp()))
        lines.append(f"{waiting.get('reason')}, since {since:%H:%M} ({waited})")
    growth = said.get("growth")
    for device, words in growth.items() if isinstance(growth, Mapping) else ():
        lines.append(words if device == CPU else f"GPU {device}: {words}")
    if said.get("fallback"):
        lines.append(str(said["fallback"]))
    return [clean(line) for line in lines]


def _need(trial: TrialStatus) -> str:
    """Return the memory of a trial with the source of the number."""
    memory, source = trial.need.get("memory_mib"), trial.need.get("source", "unknown")
    return f"{format_size(memory * MIB)} {source}" if isinstance(memory, int) else "unknown"


def _about_the_metric(trials: Sequence[TrialStatus], metric: str, width: int) -> list[str]:
    """Say where the metric of complete trials comes from: not from the report beside it."""
    if not any(trial.state == "COMPLETE" and metric in trial.metrics for trial in trials):
        return []
    text = (
        f"{clean(metric)} of ended trials: recomputed from saved predictions, else the best "
        "reported; the rest: last report."
    )
    return textwrap.wrap(text, max(width, 40), break_long_words=False, break_on_hyphens=False)


def _totals(status: SweepStatus, width: int) -> list[str]:
    total = sum(status.counts.values()) if status.n_trials is None else status.n_trials
    counted = [f"{count} {word}" for word, count in status.counts.items() if count]
    noun = "trial" if total == 1 else "trials"
    first = f"{total} {noun}: {', '.join(counted)}" if counted else f"{total} {noun}"
    parts = [first, f"elapsed {format_duration(status.elapsed_s)}"]
    if status.time_left_s is not None:
        parts.append(f"about {format_duration(status.time_left_s)} left")
        parts.append(f"ends {_clock(status.ends_at)}")
    line = "; ".join(parts)
    lines = [line] if len(line) <= width else [first, "; ".join(parts[1:])]
    if status.state == "INTERRUPTED":
        lines.append(f"To continue: {status.command or 'the same `sweep run` again'}")
    return lines


def _most_interesting(trials: Sequence[TrialStatus], most: int) -> list[TrialStatus]:
    if len(trials) <= most:
        return list(trials)
    chosen = sorted(trials, key=lambda trial: (_INTEREST[trial.state], trial.number))[:most]
    return sorted(chosen, key=lambda trial: trial.number)


def _columns(trials: Sequence[TrialStatus], metric: str, width: int) -> list[Column]:
    columns = [
        Column("#", [str(trial.number) for trial in trials], is_number=True),
        Column("trial", [clean(trial.name, 32) for trial in trials]),
        *_stages(trials),
        Column("state", [trial.state for trial in trials]),
        Column("epoch", [_progress(trial) for trial in trials], is_number=True),
    ]
    # What a person looks at first keeps its place the longest when the terminal is narrow.
    metrics = {"train_loss": 2, "val_loss": 3, "lr": 5, metric: 1}
    for name in ("train_loss", "val_loss", metric, "lr"):
        title = {"train_loss": "train loss", "val_loss": "val loss"}.get(name, clean(name))
        used = any(name in trial.metrics for trial in trials)
        if used and title not in [column.title for column in columns]:
            cells = [number(trial.metrics.get(name)) for trial in trials]
            columns.append(Column(title, cells, metrics[name], is_number=True))
    if any(trial.time_left_s is not None for trial in trials):
        lefts = [format_duration(trial.time_left_s) for trial in trials]
        columns.append(Column("left", lefts, 1, is_number=True))
        columns.append(Column("ends", [_clock(trial.ends_at) for trial in trials], 4))
    if any(trial.need for trial in trials):
        needs = [_need(trial) if trial.need else "-" for trial in trials]
        columns.append(Column("memory", needs, 3))
    told = [_told(trial) for trial in trials]
    if not any(told):
        return fit(columns, width)[0]
    wanted = min(_LEAST_REASON, max(len(text) for text in told))
    kept, _ = fit(columns, width - wanted - 2)
    room = max(wanted, width - sum(column.width + 2 for column in kept))
    return [*kept, Column("reason", [clean(text, room) for text in told])]


def _stages(trials: Sequence[TrialStatus]) -> list[Column]:
    """Return the column of the stages, where trials are at several."""
    stages = [trial.stage or "-" for trial in trials]
    return [Column("stage", [clean(stage) for stage in stages], 1)] if len(set(stages)) > 1 else []


def _progress(trial: TrialStatus) -> str:
    if trial.step is None:
        return "-" if trial.total_steps is None else f"0/{trial.total_steps}"
    return f"{trial.step}/{'?' if trial.total_steps is None else trial.total_steps}"


def _told(trial: TrialStatus) -> str:
    told = [trial.reason or "", trial.progress or ""]
    if trial.attempt > 1:
        told.append(f"attempt {trial.attempt}")
    return "; ".join(text for text in told if text)


def _clock(moment: str | None) -> str:
    """Return the local time of day, with the date where it is not today."""
    seconds = parse_time(moment)
    if seconds is None:
        return "-"
    local = datetime.fromtimestamp(seconds)
    today = datetime.now().date()
    return local.strftime("%H:%M" if local.date() == today else "%a %d %b %H:%M")


def _draw_over(text: str) -> None:
    # A line that does not fit would push the others up, and the next frame would miss its place.
    height = max(4, shutil.get_terminal_size().lines)
    lines = text.split("\n")
    if len(lines) >= height:
        lines = [*lines[: height - 2], lines[-1]]
    # Home, then each line wiped to its end, then everything below: no flicker of a whole clear.
    frame = "".join(f"{line}\x1b[K\n" for line in lines)
    click.echo(f"\x1b[H{frame}\x1b[J", nl=False)
