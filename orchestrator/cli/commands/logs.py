"""Show the log of a sweep or of one trial."""

from __future__ import annotations

import codecs
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from orchestrator.cli import options
from orchestrator.cli.render.events import in_words
from orchestrator.cli.render.text import safe
from orchestrator.errors import NotFoundError
from orchestrator.files import regular
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    SweepState,
    TrialRecord,
    find_sweep,
    results_folder,
)

_PAUSE_S = 0.3
_SLACK_S = 60.0  # a detached driver may print before it records that it has started
_BLOCK = 65_536


@click.command("logs")
@click.argument("what", metavar="[TRIAL | SWEEP]", required=False)
@options.sweep
@options.results
@click.option("-f", "--follow", is_flag=True, help="Follow until the trial or sweep has ended.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="Number of last lines to show.",
)
def command(
    *, what: str | None, sweep: str | None, results: Path | None, follow: bool, lines: int
) -> None:
    """Show the log of TRIAL (number or name), or the events of SWEEP.

    The default is the newest sweep. A name that is none of its trials may be that of a sweep.
    Ctrl+C ends -f, not the training.
    """
    found, trial = _find(what, sweep, results_folder(results))
    try:
        if trial is None:
            _show_sweep(found, follow, lines)
        else:
            _show_trial(found, trial, follow, lines)
    except KeyboardInterrupt:
        # Only the display ends; the driver is another process.
        click.echo("")


def _find(
    what: str | None, sweep: str | None, results: Path
) -> tuple[SweepDir, TrialRecord | None]:
    """Return the sweep and the trial that the arguments name; None for the sweep itself."""
    found = find_sweep(results, sweep)
    if what is None:
        return found, None
    try:
        return found, options.find_trial(found, what)
    except NotFoundError:
        if sweep is None:
            with suppress(NotFoundError):
                return find_sweep(results, what), None
        raise


def _show_trial(sweep: SweepDir, record: TrialRecord, follow: bool, lines: int) -> None:
    run = sweep.run_dir(record.number, record.name)

    def is_over() -> bool:
        now = TrialRecord.load(run)
        return now is None or now.state.is_finished or not _is_running(sweep)

    if not follow:
        if not _print(run.log_file, lines, _decoder()):
            click.echo(f"{_state(record)} and has logged nothing yet.", err=True)
        return
    if not run.log_file.exists() and not is_over():
        click.echo(f"{_state(record)}: waiting for its log.", err=True)
    _print(run.log_file, lines, _decoder(), is_over)
    click.echo(f"{_state(TrialRecord.load(run) or record)}.", err=True)


def _show_sweep(sweep: SweepDir, follow: bool, lines: int) -> None:
    path, convert = _sweep_log(sweep)
    if not follow:
        _print(path, lines, convert)
        if not path.exists():
            click.echo(f"{sweep.name}: nothing has been logged yet.", err=True)
        return
    _print(path, lines, convert, lambda: not _is_running(sweep))
    record = SweepRecord.load(sweep)
    if record is not None:
        click.echo(f"{sweep.name}: {record.state_now(sweep).value}.", err=True)


def _sweep_log(sweep: SweepDir) -> tuple[Path, Callable[[bytes], str]]:
    """Return the most detailed log: the output of the detached driver, else the events.

    A driver in the foreground leaves no output; the file may be from a detached one before it.
    """
    record = SweepRecord.load(sweep)
    events = sweep.events_file, in_words(record.metric if record is not None else "")
    try:
        written = sweep.driver_log.stat()
        started = datetime.fromisoformat(record.started_at) if record is not None else None
    except (OSError, ValueError, TypeError):
        return events
    is_stale = started is not None and written.st_mtime < started.timestamp() - _SLACK_S
    return events if written.st_size == 0 or is_stale else (sweep.driver_log, _decoder())


def _state(record: TrialRecord) -> str:
    reason = f", {record.reason}" if record.reason else ""
    return f"trial {record.number} ({record.name}) is {record.state.value}{reason}"


def _is_running(sweep: SweepDir) -> bool:
    record = SweepRecord.load(sweep)
    return record is not None and record.state_now(sweep) is SweepState.RUNNING


def _decoder() -> Callable[[bytes], str]:
    # A character may be split between two reads; the decoder keeps its first half.
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    colors = sys.stdout.isatty()
    return lambda added: safe(decode(added), colors=colors)


def _print(
    path: Path,
    count: int,
    convert: Callable[[bytes], str],
    is_over: Callable[[], bool] = lambda: True,
) -> bool:
    """Print the last `count` lines of a log, then what is added until `is_over`.

    The file may appear later, or be truncated or replaced by a new attempt: it is then read from
    its beginning. Returns whether anything was printed.
    """
    position, identity = 0, None
    is_first, printed = True, False
    while True:
        # Checked before reading, so that what was written until then is still read.
        over = is_over()
        try:
            stream = regular.open_file(path, path.parent)
        except OSError:
            pass
        else:
            with stream:
                status = os.fstat(stream.fileno())
                now = status.st_dev, status.st_ino
                if is_first:
                    position = _start_of_last(stream, count)
                elif now != identity or status.st_size < position:
                    position = 0
                identity = now
                stream.seek(position)
                while added := stream.read(_BLOCK):
                    printed = True
                    position += len(added)
                    click.echo(convert(added), nl=False)
        if over:
            return printed
        is_first = False
        time.sleep(_PAUSE_S)


def _start_of_last(stream: BinaryIO, count: int) -> int:
    """Return the position at which the last `count` lines begin."""
    start = end = stream.seek(0, os.SEEK_END)
    content = b""
    # One line break more than lines: the one before the first of them.
    while start > 0 and content.rstrip(b"\n").count(b"\n") < count:
        start = max(0, start - max(_BLOCK, len(content)))
        stream.seek(start)
        content = stream.read(end - start)
    kept = content.splitlines(keepends=True)[-count:] if count else []
    return end - sum(map(len, kept))
