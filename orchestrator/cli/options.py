"""Options that several commands share, and the trial that an argument names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from orchestrator.errors import NotFoundError, UsageError, nearest
from orchestrator.files import parse_duration
from orchestrator.placement import model
from orchestrator.runs import SweepDir, TrialRecord, find_sweep, load_trials, results_folder
from orchestrator.sweepfile.model import Spec

if TYPE_CHECKING:
    from orchestrator.placement import cluster_plan

Command = TypeVar("Command", bound=Callable[..., Any])

FILE: dict[str, Any] = {"metavar": "FILE", "type": click.Path(path_type=Path)}
NUMBER: dict[str, Any] = {"metavar": "N", "type": click.IntRange(min=1)}
SETTING: dict[str, Any] = {"multiple": True, "metavar": "KEY=VALUE"}

results = click.option(
    "--results",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Results directory. [default: $SWEEP_RESULTS or results]",
)
sweep = click.option("--sweep", metavar="NAME", help="Sweep of the trial. [default: the newest]")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
address = click.option(
    "--address",
    metavar="HOST:PORT",
    envvar="RAY_ADDRESS",
    callback=lambda ctx, parameter, value: None if value in ("", "local") else value,
    help="Use all nodes of the running Ray cluster there; auto for the one that this machine "
    "belongs to. [default: $RAY_ADDRESS, else this machine alone]",
)
detach = click.option("--detach", is_flag=True, help="Run in the background; survives logout.")


def _group(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


selection = _group(
    click.option("--set", "overrides", **SETTING, help="Override a value. Repeatable."),
    click.option(
        "--stage",
        metavar="NAME",
        help="Stage to run. [default: all if any promotes, else the last]",
    ),
    click.option("--quick", is_flag=True, help="Run the first stage."),
    click.option("--count", **NUMBER, help="Maximum number of trials."),
)
"""Options named as arguments of `load_spec`."""

arrays = _group(
    click.option(
        "--metrics",
        metavar="WHAT",
        help="Kind of other tools' arrays (edc), or a function to rank by, my_module:my_metric.",
    ),
    click.option("--rate", metavar="HZ", type=float, help="Samples per second of those arrays."),
)
"""What arrays are, as arguments of `asked_for`."""

resources = _group(
    click.option("--max-parallel", **NUMBER, help="Maximum trials at once."),
    click.option("--gpus", metavar="LIST", help="GPUs to use, e.g. 0,2."),
    click.option(
        "--placement",
        type=click.Choice(get_args(model.Placement)),
        default="auto",
        help="Trials at once: measured to be fastest (auto), all that fit, one, or measured from "
        "one up, also on CPUs and if all fit (grow). [default: auto]",
    ),
    click.option(
        "--share",
        type=click.Choice(get_args(model.Share)),
        default="full",
        help="polite: at most one trial on a GPU that another user computes on. [default: full]",
    ),
)


def cluster_views(address: str, spec: Spec | None = None) -> list[cluster_plan.NodeView]:
    """Return the nodes of a Ray cluster as they are now, and print what is wrong with any."""
    from orchestrator.engine.runners.cluster import joined

    with joined(address, spec, None) as cluster:
        for text in cluster.warnings:
            click.echo(f"Warning: {text}", err=True)
        return cluster.views()


def run_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the folders that arguments name: folders, else sweeps; without any, the results."""
    results = results_folder()
    found = []
    for path in paths:
        named = path
        if not path.exists() and len(path.parts) == 1:
            with suppress(NotFoundError):
                named = find_sweep(results, str(path)).path
        found.append(named)
    return found or [results]


def exclusive(**given: Any) -> None:
    """Raise UsageError if several options are given; keywords are flags without dashes."""
    names = [f"--{name}" for name, value in given.items() if value]
    if len(names) > 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise UsageError(f"{listed} are mutually exclusive.")


def duration(text: str, option: str) -> float:
    """Return the seconds that `text`, the value of `option`, means."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def find_trial(sweep: SweepDir, text: str) -> TrialRecord:
    """Return the trial of `sweep` with this number, else name or folder name.

    Raises:
        NotFoundError: there is none; the message lists trials and suggests the nearest name.
    """
    records = load_trials(sweep, damaged=True)
    numbered = [r for r in records if text.isdecimal() and r.number == int(text)]
    named = [r for r in records if text in (r.name, sweep.run_dir(r.number, r.name).path.name)]
    for record in numbered or named:
        return record
    listed = ", ".join(f"{record.number} ({record.name})" for record in records[:8])
    found = f"{listed or 'none yet'}{', …' if len(records) > 8 else ''}"
    hint = nearest(text, [record.name for record in records])
    raise NotFoundError(f"No trial '{text}' in sweep '{sweep.name}' (found: {found}).{hint}")
