"""Run a sweep file, or continue its sweep."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import where_trials_run
from orchestrator.cli.render.events import Progress, say
from orchestrator.cli.render.text_table import clean
from orchestrator.engine.slots import known_need
from orchestrator.errors import UsageError
from orchestrator.files import parse_duration
from orchestrator.placement import decide, model, policy_of
from orchestrator.runs import SweepDir, SweepState, results_folder
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.checks import refuse_unbounded
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec


@click.command("run")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value.")
@click.option(
    "--stage", help="Run this stage; without it all where one promotes, otherwise the last."
)
@click.option("--quick", is_flag=True, help="Run the first stage.")
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Run at most so many trials in all."
)
@click.option("--results", type=click.Path(path_type=Path), help="Folder for what sweeps write.")
@where_trials_run
@click.option(
    "--wait-timeout",
    metavar="DURATION",
    help="End with exit code 3 after waiting so long (30m, 2h) for memory that others hold.",
)
@click.option(
    "--only", multiple=True, metavar="TRIAL", help="Run only this trial (name or number)."
)
@click.option("--retry-failed", is_flag=True, help="Run trials that failed again, too.")
@click.option("--new", is_flag=True, help="Start another sweep beside one of the same name.")
@click.option(
    "--inline",
    is_flag=True,
    help="Run in this process, without Ray (for a debugger): one trial after another, on one GPU.",
)
@click.option("--detach", is_flag=True, help="Run in the background; it survives logout.")
@click.pass_context
def command(
    ctx: click.Context,
    spec: Path,
    overrides: tuple[str, ...],
    stage: str | None,
    quick: bool,
    count: int | None,
    results: Path | None,
    max_parallel: int | None,
    gpus: str | None,
    placement: model.Placement,
    share: model.Share,
    wait_timeout: str | None,
    only: tuple[str, ...],
    retry_failed: bool,
    new: bool,
    inline: bool,
    detach: bool,
) -> int:
    """Run the sweep file SPEC and rank its trials.

    Run it again to continue: finished trials are kept, interrupted ones run again, and failed ones
    with --retry-failed. Ctrl+C ends it in order, a second Ctrl+C at once.
    """
    asked = load_spec(
        spec, overrides=overrides, stage=stage, quick=quick, count=count, need_program=True
    )
    refuse_unbounded(asked)
    for warning in asked.warnings:
        click.echo(f"Warning: {warning}", err=True)
    folder = results_folder(results)
    timeout_s = _timeout(wait_timeout)
    policy = policy_of(asked, max_parallel, placement, share)
    plan = decide(
        asked,
        policy,
        gpus=gpus,
        known=partial(known_need, asked, results=folder),
        waits=True,
    )
    if detach:
        if inline:
            raise UsageError("--detach, --inline: must not come together. Choose one.")
        return _detach(asked, folder, _arguments(ctx, ctx.params), new=new)
    # The engine loads Ray and Optuna; by now the file is known to be good.
    from orchestrator.engine.driver import run_sweep
    from orchestrator.engine.slots import SlotOptions

    terms = SlotOptions(policy, gpus, timeout_s)
    metric = asked.metric.name if asked.metric else None
    total = count_trials(asked)
    first = f" at stage {asked.stages[0].name}" if asked.stage is None and asked.stages else ""
    say(f"sweep:     {asked.name}, {_trials(total)}{first}{_ranked(asked)}")
    say(f"placement: {plan.mode}; {plan.reason}")
    progress = Progress(metric, total)
    again = _continuing(ctx, asked)
    outcome = run_sweep(
        asked,
        plan,
        results=folder,
        listener=progress,
        on_open=progress.opened,
        on_stop=_say_stopping,
        new=new,
        only=only,
        inline=inline,
        retry_failed=retry_failed,
        terms=terms,
        command=again,
    )
    say("")
    _conclude(outcome.folder)
    if outcome.ending is not None:
        say(f"Ended: {clean(outcome.ending.reason)}")
    if outcome.success is not None:
        say(clean(outcome.success.words))
    if outcome.state is SweepState.INTERRUPTED:
        with suppress(OSError):  # the terminal may be what went away
            click.echo(f"Interrupted. To continue: {again}", err=True)
    return outcome.exit_code


def _timeout(text: str | None) -> float | None:
    """Return the seconds of ``--wait-timeout``."""
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--wait-timeout: {error}") from None


def _trials(count: int | None) -> str:
    return "1 trial" if count == 1 else f"{'?' if count is None else count} trials"


def _ranked(spec: Spec) -> str:
    return f", ranked by {spec.metric.name} ({spec.metric.goal})" if spec.metric else ""


def _continuing(ctx: click.Context, spec: Spec) -> str:
    """Return the command line that goes on with the sweep of this call, from any folder."""
    changed = {"spec": spec.path, "new": False, "retry_failed": False}
    if ctx.params["results"] is not None:
        changed["results"] = Path(ctx.params["results"]).absolute()
    return shlex.join(["sweep", "run", *_arguments(ctx, {**ctx.params, **changed})])


def _say_stopping() -> None:
    # Called in a signal handler, where a stream may be in the midst of something.
    with suppress(OSError):
        os.write(2, b"\nEnding: running trials save what they have. Ctrl+C again ends at once.\n")


def _conclude(folder: SweepDir) -> None:
    from orchestrator.analysis.status import by_hand, read_status, savings
    from orchestrator.analysis.table import compare
    from orchestrator.cli.render.comparison import render_comparison

    say(render_comparison(compare([folder.path])))
    trials = read_status(folder).trials
    saved = savings(folder, trials).words()
    if saved:
        say(f"\nSaved: {saved} {by_hand(folder, trials)}".rstrip())


def _detach(spec: Spec, results: Path, arguments: list[str], *, new: bool) -> int:
    from orchestrator.engine.driver import start_detached

    folder, pid = start_detached(spec, results, arguments, new=new)
    where = "" if str(results) == "results" else f" --results {results}"
    click.echo(f"{folder.name} runs in the background as process {pid}.")
    click.echo(f"  sweep status {folder.name}{where} --watch")
    click.echo(f"  sweep logs --sweep {folder.name}{where} -f")
    click.echo(f"  sweep stop {folder.name}{where}")
    return 0


def _arguments(ctx: click.Context, values: Mapping[str, Any]) -> list[str]:
    """Return the arguments that give the options of this command `values`, without ``--detach``."""
    found: list[str] = []
    for parameter in ctx.command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            found.append(str(value))
        elif isinstance(value, bool):
            found += [parameter.opts[0]] if value and parameter.name != "detach" else []
        elif isinstance(value, tuple):
            for item in value:
                found += [parameter.opts[0], str(item)]
        elif value is not None and value != parameter.default:
            found += [parameter.opts[0], str(value)]
    return found
