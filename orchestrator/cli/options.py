"""Options that several commands share, and how a command finds the trial that an argument names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click

from orchestrator.errors import NotFoundError, UsageError, nearest
from orchestrator.placement import model
from orchestrator.runs import SweepDir, TrialRecord, load_trials

Command = TypeVar("Command", bound=Callable[..., Any])

results_option = click.option(
    "--results",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Results directory. [default: $SWEEP_RESULTS or results]",
)
sweep_option = click.option(
    "--sweep", metavar="NAME", help="Sweep of the trial. [default: the newest]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
detach_option = click.option(
    "--detach", is_flag=True, help="Run in the background; survives logout."
)

_SPEC = (
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a value. Repeatable.",
    ),
    click.option(
        "--stage",
        metavar="NAME",
        help="Stage to run. [default: all if any promotes, else the last]",
    ),
    click.option("--quick", is_flag=True, help="Run the first stage."),
    click.option(
        "--count", type=click.IntRange(min=1), metavar="N", help="Maximum number of trials."
    ),
)
_RESOURCES = (
    click.option("--max-parallel", type=click.IntRange(min=1), help="Maximum trials at once."),
    click.option("--gpus", metavar="LIST", help="GPUs to use, e.g. 0,2."),
    click.option(
        "--placement",
        type=click.Choice(get_args(model.Placement)),
        default="auto",
        help="How many trials run at once: as many as measured to be fastest, as many as fit, one, "
        "or (grow) measured, but starting with one on CPUs and when all fit too. [default: auto]",
    ),
    click.option(
        "--share",
        type=click.Choice(get_args(model.Share)),
        default="full",
        help="polite: at most one trial on a GPU that another user computes on. [default: full]",
    ),
)


def spec_options(command: Command) -> Command:
    """Add ``--set``, ``--stage``, ``--quick`` and ``--count``.

    The command receives them as one mapping, ``selection``: keyword arguments of `load_spec`.
    """
    return _bundled(command, _SPEC, "selection", ("overrides", "stage", "quick", "count"))


def resource_options(command: Command) -> Command:
    """Add ``--max-parallel``, ``--gpus``, ``--placement`` and ``--share``.

    The command receives ``gpus``, and the others as one mapping, ``limits``: keyword arguments of
    `policy_of`.
    """
    return _bundled(command, _RESOURCES, "limits", ("max_parallel", "placement", "share"))


def _bundled(
    command: Command,
    options: tuple[Callable[[Any], Any], ...],
    bundle: str,
    names: tuple[str, ...],
) -> Command:
    """Add options to a command, which receives the values of `names` as one mapping."""

    @functools.wraps(command)
    def bundling(*args: Any, **values: Any) -> Any:
        values[bundle] = {name: values.pop(name) for name in names}
        return command(*args, **values)

    for option in reversed(options):
        option(bundling)
    return cast("Command", bundling)


def exclusive(**given: Any) -> None:
    """Refuse options that are given together, each named by its flag (``as_json`` is --json)."""
    names = [f"--{name}" for name, value in given.items() if value]
    if len(names) > 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise UsageError(f"{listed} are mutually exclusive.")


def find_trial(sweep: SweepDir, text: str) -> TrialRecord:
    """Return the trial of `sweep` with this number, name or folder name.

    Raises:
        NotFoundError: there is none; the message lists trials and suggests the nearest name.
    """
    records = load_trials(sweep)
    for record in records:
        if text.isdecimal() and record.number == int(text):
            return record
    for record in records:
        if text in (record.name, sweep.run_dir(record.number, record.name).path.name):
            return record
    listed = ", ".join(f"{record.number} ({record.name})" for record in records[:8])
    found = f"{listed or 'none yet'}{', …' if len(records) > 8 else ''}"
    hint = nearest(text, [record.name for record in records])
    raise NotFoundError(f"No trial '{text}' in sweep '{sweep.name}' (found: {found}).{hint}")
