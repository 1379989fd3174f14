"""List which runs are complete and what the others lack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli import options
from orchestrator.cli.output import print_json
from orchestrator.cli.render.text import Column, clean, draw, filled, short_path


@click.command("audit")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--missing", is_flag=True, help="Only incomplete runs.")
@options.as_json
def command(*, paths: tuple[Path, ...], missing: bool, as_json: bool) -> None:
    """List which runs under PATH (default: results/) are complete, and what the others lack.

    A run is complete if `sweep compare` can rank it. Nothing is imported, unpickled or written.
    """
    from orchestrator.analysis.table import audit
    from orchestrator.runs.read import find_runs, unstarted

    folders = options.run_folders(paths)
    found = audit(folders)
    total = len(found) + unstarted(find_runs(folders), folders)
    complete = sum(run.complete for run in found)
    shown = [run for run in found if not (missing and run.complete)]
    if as_json:
        rows = [asdict(run) for run in shown]
        print_json({"complete": complete, "total": total, "runs": rows})
        return
    click.echo(f"{complete}/{total} complete")
    if shown:
        columns = [
            Column("run", [clean(short_path(run.path), 60) for run in shown]),
            Column("by", [clean(run.tool or "-") for run in shown]),
            *filled(Column("state", [run.state or "-" for run in shown])),
        ]
        for part in ("config", "arrays", "metrics", "checkpoint"):
            columns.append(Column(part, ["✓" if part in run.has else "-" for run in shown]))
        columns.append(
            Column("lacks", [clean("; ".join(run.lacks), 70) or "nothing" for run in shown])
        )
        click.echo(f"\n{draw(columns)}")
    for run in shown:
        for sentence in run.recoverable:
            click.echo(clean(f"{short_path(run.path)}: {sentence}."))
