"""Stop a sweep or one of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from orchestrator.cli.commands.logs import find_trial
from orchestrator.engine.driver import control
from orchestrator.errors import SweepError, UsageError
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    TrialRecord,
    find_sweep,
    load_trials,
    results_folder,
)

# A trial has ten seconds to save what it has; Ray takes a few to end.
TIMEOUT_S = 60.0


@click.command("stop")
@click.argument("sweep", required=False)
@click.argument("trial", required=False)
@click.option("--results", type=click.Path(path_type=Path), help="Folder for what sweeps write.")
def command(sweep: str | None, trial: str | None, results: Path | None) -> int:
    """End SWEEP (by default the newest), or only its TRIAL, by number or name.

    Running trials save what they have first. A sweep that was ended goes on when `sweep run` is
    given its file again; a single trial that was ended counts as pruned.
    """
    folder = find_sweep(results_folder(results), sweep)
    record = SweepRecord.load(folder)
    if record is None or not folder.driver_lives():
        state = record.state_now(folder) if record else "unreadable"
        raise UsageError(f"{folder.path}: must be running to be stopped, but it is {state}.")
    if trial is None:
        control.ask_to_stop(folder, None)
        _wait(lambda: not folder.driver_lives(), folder)
        again = record.command or f"sweep run {record.spec_path}"
        click.echo(f"{folder.name} is stopped. To continue: {again}")
        return 0
    number = find_trial(folder, trial).number
    before = _trial(folder, number)
    if before.state.is_finished:
        raise UsageError(
            f"{folder.name}: trial {trial} must not have ended yet to be stopped, but it is "
            f"{before.state.value}."
        )
    control.ask_to_stop(folder, number)
    _wait(lambda: _trial(folder, number).state.is_finished or not folder.driver_lives(), folder)
    after = _trial(folder, number)
    reason = f": {after.reason}" if after.reason else ""
    click.echo(f"{folder.name}: trial {trial} is {after.state.value}{reason}.")
    return 0


def _trial(folder: SweepDir, number: int) -> TrialRecord:
    return next(record for record in load_trials(folder) if record.number == number)


def _wait(is_done: Callable[[], bool], folder: SweepDir) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_done():
        if time.monotonic() > deadline:
            raise SweepError(
                f"{folder.path}: must have stopped within {TIMEOUT_S:.0f} s, but has not. "
                f"See {folder.driver_log} and the trials' logs."
            )
        time.sleep(0.2)
