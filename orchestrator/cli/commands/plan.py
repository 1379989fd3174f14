"""Show the trials and where they would run, without starting anything."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from orchestrator.analysis.chance import seed_noise
from orchestrator.analysis.status import complete_durations
from orchestrator.cli import options
from orchestrator.cli.output import print_json
from orchestrator.cli.render.plan_text import plan_lines, resolved, search_space_lines
from orchestrator.cli.render.text import plural, short_path
from orchestrator.engine.script import command as command_line
from orchestrator.engine.slots import known_need
from orchestrator.errors import TrialError, UsageError
from orchestrator.files import atomic, plain
from orchestrator.placement import Plan, cluster_plan, decide, model, policy_of
from orchestrator.placement.hardware import HostReader, hypothetical
from orchestrator.runs import SweepDir, load_trials, results_folder
from orchestrator.sweepfile import differences, load_spec
from orchestrator.sweepfile.expand import at_first, exclusion, iter_configs
from orchestrator.sweepfile.model import Program, Spec, TrialConfig
from orchestrator.sweepfile.program import Macros, arguments


@click.command("plan")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--gpu",
    "cards",
    multiple=True,
    metavar="[HOST:]SIZE[:NAME]",
    help='Plan for an empty GPU of this size, e.g. 16GB, 24GB:"RTX 3090", or a:24GB on a host of '
    "that name. Repeatable.",
)
@options.selection
@options.resources
@click.option(
    "--trial-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Duration of one trial. [default: mean of this sweep's complete trials]",
)
@options.results
@options.address
@options.as_json
@click.option("--configs", is_flag=True, help="Print only the configs, one JSON object per line.")
@click.option("--argv", is_flag=True, help="Print only the argument lists, one JSON list per line.")
@click.option(
    "--limit", type=click.IntRange(min=0), help="Maximum number of trials shown. [default: 20; all]"
)
def command(
    *,
    spec: Path,
    cards: tuple[str, ...],
    max_parallel: int | None,
    gpus: str | None,
    placement: model.Placement,
    share: model.Share,
    trial_minutes: float | None,
    results: Path | None,
    address: str | None,
    as_json: bool,
    configs: bool,
    argv: bool,
    limit: int | None,
    **selection: Any,
) -> None:
    """Show the trials of the sweep file SPEC and where they would run; start nothing.

    If stages promote trials, the first stage is shown. How many trials run at once is decided from
    the memory that is free now on this machine's GPUs, or from the GPUs given with --gpu. The
    duration is known if trials of this sweep are complete, or --trial-minutes is given. Trials that
    have ended in the results folder are counted as such.
    """
    options.exclusive(json=as_json, configs=configs, argv=argv)
    loaded = load_spec(spec, **selection)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if configs or argv:
        _print_trials(loaded, argv, limit)
        return
    folder = results_folder(results)
    policy, devices = policy_of(loaded, max_parallel, placement, share), hypothetical(cards)
    known = partial(known_need, loaded, results=folder)
    address = None if cards else address
    if address is not None or any(device.node for device in devices):
        options.exclusive(gpu=cards or address, gpus=gpus)
        nodes = cluster_plan.views_of(devices, HostReader().read())
        if address is not None:
            nodes = options.cluster_views(address, loaded)
        plans = cluster_plan.decide_nodes(loaded, nodes, policy, known=known)
        plan = cluster_plan.join_plans(plans, policy)
        unused = [node.name for node in nodes if node.name not in plans]
        if unused:
            option = "--gpu" if cards else "--address"
            click.echo(f"Warning: {option}: no trial fits on {', '.join(unused)}.", err=True)
    else:
        plan = decide(loaded, policy, devices=devices or None, gpus=gpus, known=known)
    sweep = SweepDir.called(folder, loaded.name)
    ended = _ended(loaded, sweep)
    expected = _forecast(loaded, plan, trial_minutes, sweep, ended)
    noise = seed_noise(folder, loaded)
    if not as_json:
        click.echo("\n".join(plan_lines(loaded, plan, expected, limit, noise, ended=ended)))
        return
    excluded = exclusion(loaded)
    examples = [
        {"config": item.config, "reason": str(item.constraint), "trial": item.trial}
        for item in excluded.examples
    ]
    more = {
        "ended": ended,
        "duration": None if expected is None else expected.to_dict(),
        "resolution": None if noise is None else resolved(loaded, noise),
        "excluded": {"count": excluded.count, "examples": examples},
    }
    print_json(plan.to_dict() | more)


def _ended(spec: Spec, sweep: SweepDir) -> int | None:
    """Return how many trials of the first stage have ended in a folder, and will not run again.

    None if the folder is new or, with a warning, if it is of another spec, which no run continues.
    """
    before = atomic.read_json(sweep.spec_file)
    records = [] if before is None else load_trials(sweep)
    if before is None or not records:
        return None
    changes = differences(before, plain(spec.to_dict()))
    if changes:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        click.echo(
            f"Warning: {short_path(sweep.path)}: a sweep with another spec ran there "
            f"({changes[0]}{more}). `sweep run` needs --new, or undo the change.",
            err=True,
        )
        return None
    stage = at_first(spec).stage
    return sum(record.state.is_finished and record.stage == stage for record in records)


def _forecast(
    spec: Spec, plan: Plan, trial_minutes: float | None, sweep: SweepDir, ended: int | None
) -> model.Forecast | None:
    """Return how long what is left would take; None if nothing is known about its trials."""
    if plan.n_trials is not None:
        plan = replace(plan, n_trials=max(plan.n_trials - (ended or 0), 0))
    if trial_minutes is not None:
        if not math.isfinite(trial_minutes):
            raise UsageError(f"--trial-minutes: {trial_minutes} is not a finite number.")
        return plan.forecast(trial_minutes, "--trial-minutes")
    if ended is None:
        return None  # another sweep ran there
    took = complete_durations(sweep, at_first(spec).stage, on_cpu=plan.on_cpu)
    if not took:
        return None
    source = f"mean of {plural(len(took), 'complete trial')} in {short_path(sweep.path)}"
    return plan.forecast(sum(took) / len(took) / 60, source)


def _print_trials(spec: Spec, argv: bool, limit: int | None) -> None:
    """Print each trial's config, or the command that starts its program, as JSON."""
    program = spec.program if argv else None
    if argv and program is None:
        raise UsageError("--argv: this sweep has no program.")
    if spec.method == "bayes":
        click.echo("\n".join(search_space_lines(spec)))
        return
    # Not click.echo, which flushes each line: there may be millions.
    for trial in islice(iter_configs(spec), limit):
        shown = plain(trial.config) if program is None else _argv(program, trial)
        sys.stdout.write(json.dumps(shown) + "\n")


def _argv(program: Program, trial: TrialConfig) -> list[str]:
    """Return the argument list that would start a trial; several commands are joined by ``&&``.

    A missing program is included; the plan has warned about it.
    """
    joined: list[str] = []
    try:
        for step in program.steps or (None,):
            joined += ["&&"] if joined else []
            config = Macros.of(program, trial.config, None).expanded()
            joined += command_line(program, config, step=step)
        return joined
    except TrialError:
        is_python = program.path.endswith(".py")
        start = [program.python or sys.executable] if is_python else []
        given = arguments(
            trial.config,
            style=program.style,
            booleans=program.booleans,
            spelling=program.spelling,
        )
        return [*start, program.path, *given]
