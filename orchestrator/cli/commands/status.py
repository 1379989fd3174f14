"""Show the trials of a sweep and their progress."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import click

from orchestrator.analysis.status import read_status
from orchestrator.cli import options
from orchestrator.cli.output import is_terminal
from orchestrator.cli.render.status_text import render_status
from orchestrator.runs import SweepDir, find_sweep, results_folder


@click.command("status")
@click.argument("sweep", required=False)
@options.results
@click.option("--watch", is_flag=True, help="Refresh until the sweep has ended, or Ctrl+C.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Time between refreshes.",
)
@options.as_json
def command(
    *, sweep: str | None, results: Path | None, watch: bool, interval: float, as_json: bool
) -> None:
    """Show the trials of SWEEP (default: the newest) and their progress.

    Ctrl+C ends --watch, not the training. With --watch, --json prints one object per line.
    """
    found = find_sweep(results_folder(results), sweep)
    try:
        if watch and not as_json and is_terminal():
            _watch(found, interval)
            watch = False
        while True:
            status = read_status(found)
            if as_json:
                click.echo(json.dumps(status.to_dict(), indent=None if watch else 2))
            else:
                click.echo(render_status(status) + ("\n" if watch else ""))
            if status.is_over or not watch:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        if not watch:
            raise
        # Only the display ends; the driver is another process.
        click.echo("")


def _watch(sweep: SweepDir, interval: float) -> None:
    """Show the live view until the sweep has ended, or Ctrl+C."""
    from orchestrator.cli.terminal.frames import Frames
    from orchestrator.cli.terminal.screen import Screen

    read_status(sweep)  # or the error, before anything is drawn
    frames = Frames(sweep, every_s=interval)
    try:
        with Screen(frames.draw, captures=False), suppress(KeyboardInterrupt):
            while frames.status is None or not frames.status.is_over:
                time.sleep(min(interval, 0.5))
    finally:
        frames.close()
