"""Show the log of a sweep or of one trial."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from orchestrator.cli.render.events import in_words
from orchestrator.errors import NotFoundError, nearest
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    SweepState,
    TrialRecord,
    find_sweep,
    load_trials,
    results_folder,
)

_PAUSE_S = 0.3
# A detached driver may speak before it writes down that it has started.
_SLACK_S = 60.0
_BLOCK = 65_536


@click.command("logs")
@click.argument("what", metavar="[TRIAL | SWEEP]", required=False)
@click.option("--sweep", metavar="NAME", help="The sweep of TRIAL. [default: the newest]")
@click.option(
    "--results", metavar="DIR", type=click.Path(path_type=Path), help="Where sweeps are kept."
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the trial or the sweep has ended.")
@click.option(
    "-n",
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    default=40,
    show_default=True,
    help="How many lines of the end to show first.",
)
def command(
    *, what: str | None, sweep: str | None, results: Path | None, follow: bool, lines: int
) -> None:
    """Show the log of TRIAL (a number or a name), or what happened in the SWEEP.

    The newest sweep is meant; a name that is none of its trials may be that of another sweep.
    Leaving -f with Ctrl+C leaves the training alone.
    """
    found, trial = _meant(what, sweep, results_folder(results))
    try:
        if trial is None:
            _show_sweep(found, follow, lines)
        else:
            _show_trial(found, trial, follow, lines)
    except KeyboardInterrupt:
        # Only the looking ends; the driver is another process.
        click.echo("")


def _meant(
    what: str | None, sweep: str | None, results: Path
) -> tuple[SweepDir, TrialRecord | None]:
    """Return the sweep and the trial that a person means; None for the sweep itself."""
    found = find_sweep(results, sweep)
    if what is None:
        return found, None
    try:
        return found, find_trial(found, what)
    except NotFoundError:
        if sweep is not None:
            raise
        try:
            return find_sweep(results, what), None
        except NotFoundError:
            pass
        raise


def find_trial(sweep: SweepDir, text: str) -> TrialRecord:
    """Return the trial of `sweep` that a person means by its number, name or folder.

    Raises:
        NotFoundError: there is none; the message names the nearest or lists what there is.
    """
    records = load_trials(sweep)
    for record in records:
        if text.isdecimal() and record.number == int(text):
            return record
    for record in records:
        if text in (record.name, sweep.run_dir(record.number, record.name).path.name):
            return record
    names = [record.name for record in records]
    listed = ", ".join(f"{record.number} ({record.name})" for record in records[:8])
    has = f"has {listed}{', …' if len(records) > 8 else ''}" if records else "has no trials yet"
    raise NotFoundError(
        f"{sweep.name}: must have the trial '{text}', but {has}.{nearest(text, names)}"
    )


def _show_trial(sweep: SweepDir, record: TrialRecord, follow: bool, lines: int) -> None:
    run = sweep.run_dir(record.number, record.name)
    if not follow:
        text = _last_lines(run.log_file, lines)[0] if run.log_file.exists() else ""
        click.echo(text, nl=False)
        if not text:
            click.echo(f"{_called(record)} and has logged nothing yet.", err=True)
        return

    def is_over() -> bool:
        now = TrialRecord.load(run)
        return now is None or now.state.is_finished or not _lives(sweep)

    if not run.log_file.exists() and not is_over():
        click.echo(f"{_called(record)}: waiting for its log.", err=True)
    _follow(run.log_file, lines, is_over, _as_it_is())
    click.echo(f"{_called(TrialRecord.load(run) or record)}.", err=True)


def _show_sweep(sweep: SweepDir, follow: bool, lines: int) -> None:
    path, words = _sweep_log(sweep)
    if not follow:
        text = _last_lines(path, lines)[0]
        click.echo(words(text.encode()), nl=False)
        if not path.exists():
            click.echo(f"{sweep.name}: nothing has been logged yet.", err=True)
        return
    _follow(path, lines, lambda: not _lives(sweep), words)
    record = SweepRecord.load(sweep)
    if record is not None:
        click.echo(f"{sweep.name}: {record.state_now(sweep).value}.", err=True)


def _sweep_log(sweep: SweepDir) -> tuple[Path, Callable[[bytes], str]]:
    """Return what tells most of the sweep: the output of its detached driver, else its events.

    A driver in the foreground leaves no output behind, only that of a detached one before it.
    """
    record = SweepRecord.load(sweep)
    words = in_words(record.metric if record is not None else "")
    try:
        written = sweep.driver_log.stat()
        started = datetime.fromisoformat(record.started_at) if record is not None else None
    except (OSError, ValueError, TypeError):
        return sweep.events_file, words
    is_stale = started is not None and written.st_mtime < started.timestamp() - _SLACK_S
    if written.st_size == 0 or is_stale:
        return sweep.events_file, words
    return sweep.driver_log, _as_it_is()


def _called(record: TrialRecord) -> str:
    reason = f", {record.reason}" if record.reason else ""
    return f"trial {record.number} ({record.name}) is {record.state.value}{reason}"


def _lives(sweep: SweepDir) -> bool:
    record = SweepRecord.load(sweep)
    return record is not None and record.state_now(sweep) is SweepState.RUNNING


def _follow(
    path: Path, lines: int, is_over: Callable[[], bool], words: Callable[[bytes], str]
) -> None:
    """Print the end of `path` and then what is added, until `is_over`.

    The file may appear later, may be cut short or replaced by a new attempt: it is read from its
    beginning then.
    """
    identity = _identity(path)
    text, position = _last_lines(path, lines)
    click.echo(words(text.encode()), nl=False)
    while True:
        # Asked before reading: what was written until then is still read.
        over = is_over()
        now = _identity(path)
        if now is not None and (now != identity or path.stat().st_size < position):
            position = 0
            identity = now
        while added := _read_from(path, position):
            position += len(added)
            click.echo(words(added), nl=False)
        if over:
            return
        time.sleep(_PAUSE_S)


def _last_lines(path: Path, count: int) -> tuple[str, int]:
    """Return the last `count` lines of `path`, and where it ended; a missing file is empty."""
    block = _BLOCK
    try:
        with path.open("rb") as stream:
            end = start = stream.seek(0, os.SEEK_END)
            content = b""
            # One line break more than lines: the one before the first of them.
            while start > 0 and content.rstrip(b"\n").count(b"\n") < count:
                start = max(0, start - block)
                block *= 2
                stream.seek(start)
                content = stream.read(end - start)
    except OSError:
        return "", 0
    kept = content.splitlines(keepends=True)[-count:] if count else []
    return b"".join(kept).decode("utf-8", "replace"), end


def _read_from(path: Path, position: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(position)
            return stream.read(_BLOCK)
    except OSError:
        return b""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _as_it_is() -> Callable[[bytes], str]:
    # A character may be torn between two reads; the decoder keeps its first half.
    return codecs.getincrementaldecoder("utf-8")("replace").decode
