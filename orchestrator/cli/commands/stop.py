"""Stop a sweep or one of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from orchestrator.cli import options
from orchestrator.errors import SweepError, UsageError
from orchestrator.runs import SweepDir, SweepRecord, find_sweep, results_folder

TIMEOUT_S = 60.0  # a trial has ten seconds to save its state; Ray takes a few to shut down


@click.command("stop")
@click.argument("sweep", required=False)
@click.argument("trial", required=False)
@options.results
def command(sweep: str | None, trial: str | None, results: Path | None) -> int:
    """Stop SWEEP (default: the newest), or only its TRIAL (number or name).

    Running trials save their state first. `sweep run` with the same file continues a stopped
    sweep; a single stopped trial counts as pruned.
    """
    folder = find_sweep(results_folder(results), sweep)
    record = SweepRecord.load(folder)
    if record is None or not folder.driver_lives():
        state = record.state_now(folder) if record else "unreadable"
        raise UsageError(f"{folder.path}: the sweep is not running ({state}).")
    if trial is None:
        folder.request_stop(None)
        _wait(folder, lambda: False)
        again = record.command or f"sweep run {record.spec_path}"
        click.echo(f"{folder.name} is stopped. To continue: {again}")
        return 0
    found = options.find_trial(folder, trial)
    number = str(found.number)
    if found.state.is_finished:
        raise UsageError(f"{folder.name}: trial {trial} has already ended ({found.state.value}).")
    folder.request_stop(found.number)
    _wait(folder, lambda: options.find_trial(folder, number).state.is_finished)
    found = options.find_trial(folder, number)
    reason = f": {found.reason}" if found.reason else ""
    click.echo(f"{folder.name}: trial {trial} is {found.state.value}{reason}.")
    return 0


def _wait(folder: SweepDir, is_done: Callable[[], bool]) -> None:
    """Wait until it is done or the sweep's driver has ended."""
    deadline = time.monotonic() + TIMEOUT_S
    while folder.driver_lives() and not is_done():
        if time.monotonic() > deadline:
            raise SweepError(
                f"{folder.path}: did not stop within {TIMEOUT_S:.0f} s. "
                f"See {folder.driver_log} and the trials' logs."
            )
        time.sleep(0.2)
