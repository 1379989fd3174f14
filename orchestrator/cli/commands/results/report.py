"""Write an HTML page with the ranking, the learning curves and the findings."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import options
from orchestrator.cli.commands.results.compare import progress
from orchestrator.cli.output import writing
from orchestrator.errors import NotFoundError
from orchestrator.files import atomic, format_size
from orchestrator.metrics import asked_for
from orchestrator.runs import results_folder


@click.command("report")
@click.argument("paths", metavar="[SWEEP|PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", **options.FILE, default=Path("report.html"), help="Output file.")
@click.option("--sort-by", metavar="METRIC", help="Metric to rank by. [default: validation]")
@options.arrays
def command(
    *,
    paths: tuple[Path, ...],
    output: Path,
    sort_by: str | None,
    metrics: str | None,
    rate: float | None,
) -> None:
    """Write one HTML file about the runs of a SWEEP or under PATH (default: results/).

    The file needs no network: open it from disk, or send it to someone. It shows what `compare`
    and `doctor` print, the learning curves, and the predictions of the best run.
    """
    from orchestrator.reporting import collect, render

    results = results_folder()
    known = [
        path if path.exists() or not (results / path).is_dir() else results / path for path in paths
    ]
    kind, data = asked_for(metrics, rate)
    report = collect(
        known or [results],
        sort_by=sort_by,
        kind=kind,
        data=data,
        on_progress=progress(),
    )
    if not report.runs:
        raise NotFoundError(f"{report.title}: no runs found. Name a folder with runs.")
    page = render(report)
    with writing(output, "--output"):
        atomic.write_text(output, page)
    size = format_size(output.stat().st_size)
    click.echo(f"wrote {output} ({len(report.runs)} runs, {size})", err=True)
