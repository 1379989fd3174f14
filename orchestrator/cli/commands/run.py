"""Run a sweep file, or continue its sweep."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.notifier import Notifier
from orchestrator.cli.output import is_terminal, say
from orchestrator.cli.render.events import Progress
from orchestrator.cli.render.text import folded, plural, terminal_width
from orchestrator.engine.slots import known_need
from orchestrator.placement import decide, model, policy_of
from orchestrator.runs import SweepDir, SweepState, TrialRecord, TrialState, results_folder
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.checks import refuse_unbounded
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec

if TYPE_CHECKING:
    from orchestrator.engine.driver import Outcome


@click.command("run")
@click.argument("spec", type=click.Path(path_type=Path))
@options.selection
@options.results
@options.resources
@click.option(
    "--wait-timeout",
    metavar="DURATION",
    help="Exit with code 3 after waiting this long (e.g. 30m) for memory that others use.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="TRIAL",
    help="Run only this trial (name or number). Repeatable.",
)
@click.option("--retry-failed", is_flag=True, help="Also rerun failed trials.")
@click.option("--new", is_flag=True, help="Start a new sweep if one of this name exists.")
@click.option(
    "--inline",
    is_flag=True,
    help="Run in this process without Ray, for a debugger: one trial at a time, on one GPU.",
)
@click.option("--dashboard", is_flag=True, help="Also show the sweep live in a browser.")
@click.option("--plain", is_flag=True, help="Print lines, also on a terminal.")
@options.address
@click.option(
    "--join",
    is_flag=False,
    flag_value="folder",
    metavar="[URL]",
    help="Run the sweep together with other drivers that were started so, on this machine or on "
    "others that share the results folder; with its study in the PostgreSQL database at URL.",
)
@options.detach
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    spec: Path,
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
    dashboard: bool,
    plain: bool,
    address: str | None,
    join: str | None,
    detach: bool,
    **selection: Any,
) -> int:
    """Run the sweep file SPEC and rank its trials.

    Run it again to continue: finished trials are kept, interrupted ones rerun, failed ones only
    with --retry-failed. Ctrl+C stops the sweep in order, a second Ctrl+C at once.
    """
    loaded = load_spec(spec, need_program=True, **selection)
    refuse_unbounded(loaded)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    folder = results_folder(results)
    timeout_s = None if wait_timeout is None else options.duration(wait_timeout, "--wait-timeout")
    policy = policy_of(loaded, 1 if inline else max_parallel, placement, share)
    known = partial(known_need, loaded, results=folder)
    for other in ("address", "new", "only", "retry_failed", "detach") if join else ():
        options.exclusive(**{"join": join, other.replace("_", "-"): ctx.params[other]})
    if address is not None:
        if ctx.get_parameter_source("address") is not click.core.ParameterSource.ENVIRONMENT:
            options.exclusive(address=address, inline=inline)
        options.exclusive(address=address, gpus=gpus)
        address = None if inline else address
    if address is None:
        plan = decide(loaded, policy, gpus=gpus, known=known, waits=True)
    if detach:
        from orchestrator.engine.driver import start_detached

        options.exclusive(detach=detach, inline=inline)
        options.exclusive(detach=detach, dashboard=dashboard)
        started, pid = start_detached(loaded, folder, _arguments(ctx, ctx.params), new=new)
        target = started.name if str(folder) == "results" else f"{started.name} --results {folder}"
        click.echo(f"{started.name} runs in the background as process {pid}.")
        click.echo(f"  sweep status {target} --watch")
        click.echo(f"  sweep logs --sweep {target} -f")
        click.echo(f"  sweep stop {target}")
        return 0
    again = _continuing(ctx, loaded.path)
    notifier = Notifier(loaded)

    def listen(event: str, record: TrialRecord | None, details: Mapping[str, Any]) -> None:
        progress(event, record, details)
        if not details.get("elsewhere"):  # its driver notifies
            notifier(event, record)

    def opened(found: SweepDir, records: Mapping[int, TrialRecord]) -> None:
        progress.opened(found, records)
        notifier.opened(found)

    with closing(notifier), ExitStack() as stack:
        cluster = None
        if address is not None:
            from orchestrator.engine.runners.cluster import joined

            cluster = stack.enter_context(joined(address, loaded, folder))
            plan = cluster.decide(loaded, policy, known)
            for text in cluster.warnings:
                click.echo(f"Warning: {text}", err=True)
        _announce(loaded, plan, inline=inline)
        with (
            _dashboard(loaded, folder, new=new) if dashboard else nullcontext(),
            _progress(loaded, plain=plain, inline=inline) as progress,
        ):
            # The engine loads Optuna and Ray, so only after the file is known to be good.
            from orchestrator.engine.driver import run_sweep
            from orchestrator.engine.slots import SlotOptions

            outcome = run_sweep(
                loaded,
                plan,
                results=folder,
                listener=listen,
                on_open=opened,
                on_stop=progress.stopping,
                new=new,
                only=only,
                inline=inline,
                retry_failed=retry_failed,
                terms=SlotOptions(policy, gpus, timeout_s),
                command=again,
                cluster=cluster,
                join=join,
            )
        notifier.ended()
        _conclude(outcome, again)
    return outcome.exit_code


@contextmanager
def _dashboard(spec: Spec, results: Path, *, new: bool) -> Iterator[None]:
    """Print the link to the live page of a sweep, and serve it."""
    from orchestrator.engine.driver import folder_for
    from orchestrator.reporting.dashboard import beside_run

    with beside_run(folder_for(spec, results, new=new)) as link:
        say(f"dashboard: {link}")
        yield


def _announce(spec: Spec, plan: model.Plan, *, inline: bool) -> None:
    """Print what will run, and where."""
    total, metric = count_trials(spec), spec.metric
    counted = "? trials" if total is None else plural(total, "trial")
    first = f" at stage {spec.stages[0].name}" if spec.stage is None and spec.stages else ""
    ranked = f", ranked by {metric.name} ({metric.goal})" if metric else ""
    mode: str = plan.mode
    reason = plan.reason
    if inline:  # nobody gave that option
        mode = "inline, one at a time"
        reason = reason.removesuffix(" (limited by --max-parallel 1)")
    width = terminal_width()
    say(folded(f"sweep:     {spec.name}, {counted}{first}{ranked}", width, indent=11))
    say(folded(f"placement: {mode}; {reason}", width, indent=11))


def _progress(spec: Spec, *, plain: bool, inline: bool) -> Progress:
    """Return what shows the sweep while it runs: lines, or the live view on a terminal."""
    metric = spec.metric.name if spec.metric else None
    n_trials = count_trials(spec)
    if plain or os.environ.get("NO_COLOR") or not is_terminal():
        return Progress(metric, n_trials, prints_output=inline)
    from orchestrator.cli.terminal.live_progress import LiveProgress

    return LiveProgress(metric, n_trials, prints_output=inline)


def _conclude(outcome: Outcome, again: str) -> None:
    from orchestrator.analysis.status import by_hand, read_status, savings
    from orchestrator.analysis.table import compare
    from orchestrator.cli.render.ending import ROWS, render_ending

    folder = outcome.folder
    trials = read_status(folder).trials
    saved = savings(folder, trials).sentence()
    if saved:
        saved = f"{saved} {by_hand(folder, trials)}".rstrip()
    verdict = [] if outcome.ending is None else [f"Ended: {outcome.ending.reason}"]
    verdict += [] if outcome.success is None else [outcome.success.words]
    say("")
    say(render_ending(compare([folder.path], top=ROWS), folder.name, verdict, saved))
    failed = sum(record.state is TrialState.FAIL for record in outcome.records.values())
    if failed and "--retry-failed" not in " ".join(verdict):
        say(f"{plural(failed, 'trial')} failed. To run failed trials again: {again} --retry-failed")
    if outcome.state is SweepState.INTERRUPTED:
        with suppress(OSError):  # the terminal may be closed
            click.echo(f"Interrupted. To continue: {again}", err=True)


def _continuing(ctx: click.Context, spec: Path) -> str:
    """Return the command line that continues this sweep from any directory."""
    changed = {"spec": spec, "new": False, "retry_failed": False}
    if ctx.params["results"] is not None:
        changed["results"] = ctx.params["results"].absolute()
    return shlex.join(["sweep", "run", *_arguments(ctx, ctx.params | changed)])


def _arguments(ctx: click.Context, values: Mapping[str, Any]) -> list[str]:
    """Return the command line arguments for `values`, without ``--detach``."""
    found: list[str] = []
    for parameter in ctx.command.params:
        value, flag = values.get(parameter.name or ""), parameter.opts[0]
        if isinstance(parameter, click.Argument):
            found.append(str(value))
        elif isinstance(value, bool):
            found += [flag] if value and flag != "--detach" else []
        elif isinstance(value, tuple):
            for item in value:
                found += [flag, str(item)]
        elif value is not None and value != parameter.default:
            found += [flag, str(value)]
    return found
