"""`sweep stop`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from orchestrator.engine import requests
from orchestrator.errors import NotFoundError, SweepError, UsageError, nearest
from orchestrator.runs.layout import SweepDir, find_sweep
from orchestrator.runs.records import (
    SweepRecord,
    TrialState,
    driver_lives,
    load_trials,
    results_folder,
    state_now,
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
    if record is None or not driver_lives(folder):
        state = state_now(folder, record) if record else "unreadable"
        raise UsageError(f"{folder.path}: must be running to be stopped, but it is {state}.")
    if trial is None:
        requests.ask_to_stop(folder, None)
        _wait(lambda: not driver_lives(folder), folder)
        click.echo(f"{folder.name} is stopped. `sweep run {record.spec_path}` continues it.")
        return 0
    number = _number(folder, trial)
    requests.ask_to_stop(folder, number)
    _wait(lambda: _has_ended(folder, number) or not driver_lives(folder), folder)
    click.echo(f"{folder.name}: trial {trial} is stopped.")
    return 0


def _number(folder: SweepDir, trial: str) -> int:
    records = load_trials(folder)
    for record in records:
        if trial in (str(record.number), record.name, f"{record.number:04d}-{record.name}"):
            return record.number
    names = [record.name for record in records]
    raise NotFoundError(
        f"{folder.path}: must hold the trial '{trial}', but has {', '.join(names[:8])}."
        f"{nearest(trial, names)}"
    )


def _has_ended(folder: SweepDir, number: int) -> bool:
    found = [record for record in load_trials(folder) if record.number == number]
    return all(record.state is not TrialState.RUNNING for record in found)


def _wait(is_done: Callable[[], bool], folder: SweepDir) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_done():
        if time.monotonic() > deadline:
            raise SweepError(
                f"{folder.path}: must have stopped within {TIMEOUT_S:.0f} s, but has not. "
                f"See {folder.driver_log} and the trials' logs."
            )
        time.sleep(0.2)
