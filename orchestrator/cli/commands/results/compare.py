"""Rank runs by metrics recomputed from their predictions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import writing
from orchestrator.cli.render.text import plural
from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.metrics import asked_for

_FORMATS = ("csv", "md", "json")


@click.command("compare")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sort-by", metavar="METRIC", help="Names to order by, with commas.")
@click.option("--goal", type=click.Choice(("minimize", "maximize")), help="Goal of that metric.")
@click.option("--at", metavar="WHEN", default="best", help="Of logged values: best, last, step:N.")
@click.option("--where", metavar="CONDITION", help="Only such runs: 'lr < 1e-3 and val_acc > 0.9'.")
@click.option("--columns", metavar="NAMES", help="Show these columns, with commas.")
@click.option("--top", **options.NUMBER, help="Show only the best N.")
@click.option(
    "--select",
    type=click.Choice(("one-se",)),
    help="Name the cheapest of those that cannot be distinguished from the best.",
)
@click.option(
    "--power",
    metavar="AMOUNT",
    type=click.FloatRange(min=0, min_open=True),
    help="How many seeds or samples find a difference of AMOUNT.",
)
@options.arrays
@click.option("--export", type=click.Choice(_FORMATS), help="Output format.")
@click.option("-o", "--output", **options.FILE, help="Output file.")
@options.as_json
@click.option("--runs", "single", is_flag=True, help="One row per run, seeds not merged.")
@click.option(
    "--all", "everything", is_flag=True, help="All columns and incomplete runs, also in files."
)
def command(
    *,
    paths: tuple[Path, ...],
    metrics: str | None,
    rate: float | None,
    export: str | None,
    output: Path | None,
    as_json: bool,
    everything: bool,
    columns: str | None,
    **ranking: Any,
) -> None:
    """Rank the runs under PATH (default: results/) by their predictions.

    A run is any directory with predictions.npy and targets.npy, whichever tool wrote it. Metrics
    are recomputed: mae, rmse and r2, for decay curves also edt, t20 and c50 with _mae, _rmse and
    _r2. The prefix val_ means the validation arrays; runs are ranked by them if they have them.
    """
    if export != "json":
        options.exclusive(json=as_json, export=export)
    form = "json" if as_json else export
    if output is not None and form is None:
        form = output.suffix.removeprefix(".").lower()
        if form not in _FORMATS:
            raise UsageError(
                f"--output: cannot derive a format from {output}. "
                "Use the ending .csv, .md or .json, or --export."
            )
    kind, data = asked_for(metrics, rate)

    from orchestrator.analysis.table import compare, to_json
    from orchestrator.cli.render.comparison import heading, render_comparison
    from orchestrator.cli.render.exported import render_csv, render_markdown

    searched = options.run_folders(paths)
    comparison = compare(searched, kind=kind, data=data, on_progress=progress(), **ranking)
    if form is None and not comparison.n_total:
        click.echo(
            f"{', '.join(map(str, searched))}: no runs found. A run is a folder with "
            "predictions.npy and targets.npy, or with a log; `sweep run FILE` creates some."
        )
        return
    if form is None:
        click.echo(render_comparison(comparison, everything=everything, only=columns))
        return
    if form == "json":
        text = to_json(comparison)
    else:
        render = render_csv if form == "csv" else render_markdown
        text = render(comparison, everything=everything, only=columns)
    if output is None:
        click.echo(text, nl=False)
    else:
        with writing(output, "--output"):
            atomic.write_text(output, text)
        click.echo(f"wrote {output}", err=True)
    if form == "csv":
        # A CSV file has no place for these, and they must not be lost.
        for note in (heading(comparison), *comparison.notes):
            click.echo(note, err=True)
        if comparison.incomplete:
            omitted = plural(len(comparison.incomplete), "incomplete run")
            click.echo(f"Not in the CSV: {omitted}; --json and --export md list them.", err=True)


def progress() -> Callable[[int, int], Any] | None:
    """Return a function that shows on a terminal how many runs have been read."""
    if not sys.stderr.isatty():
        return None
    started = shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        # Nothing is shown if the result comes at once; the line is wiped before the table.
        if done == total:
            if shown > started:
                click.echo("\r\x1b[K", nl=False, err=True)
        elif now - started > 1 and now - shown > 0.2:
            shown = now
            click.echo(f"\rreading runs: {done}/{total}", nl=False, err=True)

    return show
