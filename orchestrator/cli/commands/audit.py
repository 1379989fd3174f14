"""List which runs are complete and what the others lack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import options
from orchestrator.cli.render.text import clean, short_path
from orchestrator.cli.render.text_table import Column, draw, filled
from orchestrator.files import plain
from orchestrator.runs import results_folder

if TYPE_CHECKING:
    from orchestrator.analysis.table import Audited


@click.command("audit")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--missing", is_flag=True, help="Only incomplete runs.")
@options.as_json
def command(*, paths: tuple[Path, ...], missing: bool, as_json: bool) -> None:
    """List which runs under PATH (default: results/) are complete, and what the others lack.

    A run is complete if `sweep compare` can rank it. Nothing is imported, unpickled or written.
    """
    from orchestrator.analysis.table import audit

    found = audit(list(paths) or [results_folder()])
    complete = sum(run.is_complete for run in found)
    shown = [run for run in found if not (missing and run.is_complete)]
    if as_json:
        rows = [run.to_dict() for run in shown]
        content = {"complete": complete, "total": len(found), "runs": rows}
        click.echo(json.dumps(plain(content), indent=2))
        return
    click.echo(f"{complete}/{len(found)} complete")
    if shown:
        click.echo(f"\n{draw(_columns(shown))}")
    for run in shown:
        for sentence in run.recoverable:
            click.echo(clean(f"{short_path(run.path)}: {sentence}."))


def _columns(runs: list[Audited]) -> list[Column]:
    return [
        Column("run", [clean(short_path(run.path), 60) for run in runs]),
        Column("by", [clean(run.tool or "-") for run in runs]),
        *filled(Column("state", [run.state or "-" for run in runs])),
        *(
            Column(part, ["✓" if part in run.has else "-" for run in runs])
            for part in ("config", "arrays", "metrics", "checkpoint")
        ),
        Column("lacks", [clean("; ".join(run.lacks), 70) or "nothing" for run in runs]),
    ]
