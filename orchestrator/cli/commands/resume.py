"""Continue from a trial's checkpoint with other values."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    TrialRecord,
    TrialState,
    find_sweep,
    read_reports,
    results_folder,
)
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.model import Spec

_LENGTHS = ("epochs", "max_epochs", "num_epochs", "steps", "max_steps", "iterations")
"""Parameters that trainers use for the length of a training."""


@click.command("resume")
@click.argument("trial", metavar="TRIAL")
@click.option(
    "--set",
    "changes",
    **options.SETTING,
    help='New value of a parameter; "*0.1" multiplies the trial\'s value. Repeatable.',
)
@click.option(
    "--new-schedule",
    is_flag=True,
    help="Restart the learning rate schedule over the remaining steps.",
)
@click.option(
    "--from",
    "start",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Checkpoint to continue from: the last one, or that of the best report.",
)
@options.sweep
@options.results
@options.detach
@click.pass_context
def command(
    ctx: click.Context,
    *,
    trial: str,
    changes: tuple[str, ...],
    new_schedule: bool,
    start: str,
    sweep: str | None,
    results: Path | None,
    detach: bool,
) -> Any:
    """Continue from the checkpoint of TRIAL (number or name) with other values.

    The trial is not changed: a new trial of the same sweep, linked to it, starts from its
    checkpoint and runs as with `sweep run --only`. After a divergence start from scratch instead,
    or from the best checkpoint if it was saved before.
    """
    from orchestrator.cli.commands.run import command as run_command
    from orchestrator.engine import add_resumed, values_of

    folder = find_sweep(results_folder(results), sweep)
    origin = options.find_trial(folder, trial)
    record = SweepRecord.load(folder)
    if record is None:
        raise NotFoundError(f"{folder.path}: not a sweep (no state.json).")
    try:
        typed = shlex.split(record.command)
    except ValueError:
        typed = []  # damaged
    typed = typed[2:] if typed[:2] == ["sweep", "run"] else [record.spec_path]
    run = run_command.make_context("run", typed, parent=ctx.parent)
    selection = {name: run.params[name] for name in ("stage", "quick", "count")}
    load = partial(load_spec, run.params["spec"], need_program=True, **selection)
    overrides = run.params["overrides"]
    spec = load(overrides=overrides)
    before = values_of(spec, folder, origin)
    change = _change(changes, before, lambda given: load(overrides=(*overrides, *given)))
    _require_steps_left(folder, origin, before, change)
    made = add_resumed(
        spec, folder, origin.number, change, new_schedule=new_schedule, best=start == "best"
    )
    click.echo(f"resumed:   trial {made.number}, {made.name}")
    run.params |= {
        "only": (str(made.number),),
        "results": folder.path.parent,
        "detach": detach,
        "new": False,
    }
    with run:
        return run_command.invoke(run)


def _change(
    texts: tuple[str, ...], before: Mapping[str, Any], load: Callable[[list[str]], Spec]
) -> dict[str, Any]:
    """Return the values of ``--set``, checked like those of the sweep file."""
    from orchestrator.engine import times_before

    names, given = [], []
    for text in texts:
        name, equals, value = text.partition("=")
        names.append(name.strip())
        product = times_before(value, before.get(name.strip())) if equals else None
        given.append(text if product is None else f"{name}={product!r}")
    checked = load(given)
    for name in names:
        if name not in checked.overrides:
            raise UsageError(
                f"--set {name}: a list or a key of the sweep file cannot be changed here. "
                "Give one value of a parameter of the trial."
            )
    return {name: checked.overrides[name] for name in names}


def _require_steps_left(
    folder: SweepDir, origin: TrialRecord, before: Mapping[str, Any], change: Mapping[str, Any]
) -> None:
    """Refuse to resume a trial that completed all of its steps and gets no more."""
    total = origin.total_steps
    lengths = [name for name in _LENGTHS if total and before.get(name) == total]
    if not lengths or not total or any(name in change for name in _LENGTHS):
        return
    steps = [step for step, _ in read_reports(folder.run_dir(origin.number, origin.name))]
    if origin.state is TrialState.COMPLETE and steps and steps[-1] >= total:
        raise UsageError(
            f"trial {origin.number} ({origin.name}): no steps left (completed all {total}). "
            f"Add `--set {lengths[0]}={2 * total}`, or start from scratch with "
            "`sweep run --new --set`."
        )
