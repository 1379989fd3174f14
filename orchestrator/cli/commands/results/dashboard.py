"""Show sweeps live in a browser on this machine."""

from __future__ import annotations

import contextlib
import secrets
import sys
from pathlib import Path

import click

from orchestrator.cli import options
from orchestrator.cli.output import say
from orchestrator.metrics import asked_for
from orchestrator.runs import find_sweep, results_folder


@click.command("dashboard")
@click.argument("sweep", required=False)
@options.results
@options.arrays
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port. [default: a free one]",
)
def command(
    *, sweep: str | None, results: Path | None, port: int, metrics: str | None, rate: float | None
) -> None:
    """Show SWEEP (default: a list of all) as a live page on 127.0.0.1.

    The page is that of `sweep report`; new trials and points appear as they come, and trials can be
    stopped from it. Ctrl+C ends the dashboard, not the sweep.
    """
    from orchestrator.reporting.dashboard import address, listen, serve

    kind, data = asked_for(metrics, rate)
    folder, name = results_folder(results), None
    if sweep is not None:
        found = find_sweep(folder, sweep)
        name, folder = found.name, found.path.absolute().parent
    with listen(port) as listener:
        secret = secrets.token_urlsafe(24)
        say(f"Dashboard: {address(listener, secret, name)}")
        say("Whoever has the link can see the sweeps and stop them. Ctrl+C ends the dashboard.")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            serve(listener, secret, folder, arrays={"kind": kind, "data": data})
