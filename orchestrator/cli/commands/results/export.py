"""Write runs as TensorBoard event files, an MLflow store or W&B offline runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.commands.results.compare import progress
from orchestrator.cli.output import writing
from orchestrator.cli.render.text import plural
from orchestrator.errors import NotFoundError
from orchestrator.files.discover import module_names

_PREFIX = "to_"


def _names() -> list[str]:
    """Return the names of the exporters without loading them."""
    names = module_names("orchestrator.reporting.exporters")
    return [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]


@click.command("export")
@click.argument("paths", metavar="[SWEEP|PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(_names()), required=True, help="Format.")
@click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="Folder.")
def command(*, paths: tuple[Path, ...], form: str, output: Path | None) -> Any:
    """Write the runs of a SWEEP or under PATH (default: results/) for another tool.

    Repeat it at any time, also while trials run: only runs that have changed are written again, in
    place of what was written of them. The default folder is exports/ with the name of the format.
    """
    from orchestrator.reporting import collect
    from orchestrator.reporting.exporters import all_exporters, runs_of

    exporter = all_exporters()[form]
    report = collect(options.run_folders(paths), on_progress=progress())
    runs = runs_of(report)
    if not runs:
        raise NotFoundError(f"{report.title}: no runs with metrics found. Name a folder with runs.")
    folder = output or Path("exports") / form
    with writing(folder, "--output"):
        written, kept = exporter.export(runs, folder)
    same = f", {kept} had not changed" if kept else ""
    click.echo(f"wrote {plural(written, 'run')} into {folder}{same}", err=True)
    click.echo(exporter.opens.format(folder=folder))
