"""Show two trials, run folders or sweep files side by side."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import print_json
from orchestrator.cli.render.side_by_side import render_files, render_runs
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.metrics import asked_for
from orchestrator.runs import SweepDir, SweepRecord, find_sweep, results_folder

if TYPE_CHECKING:
    from orchestrator.runs.read import StoredRun

_Side = tuple[str, "StoredRun | dict[str, Any]"]
"""What the user wrote, and the run, or the content of a sweep file."""


@click.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.sweep
@options.results
@click.option("--at", metavar="WHEN", default="best", help="Of logged values: best, last, step:N.")
@click.option("--goal", type=click.Choice(("minimize", "maximize")), help="If no name shows it.")
@options.arrays
@click.option("--all", "everything", is_flag=True, help="Show all metrics and curves.")
@options.as_json
def command(
    *,
    first: str,
    second: str,
    sweep: str | None,
    results: Path | None,
    at: str,
    goal: str | None,
    metrics: str | None,
    rate: float | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what differs between A and B: config, metrics, curves, effective values.

    A and B are trials (number or name, or SWEEP/TRIAL), run folders or logs of any tool; or sweep
    files or sweeps, whose keys are compared.
    """
    folder = results_folder(results)
    sides = [_find(text, sweep, folder) for text in (first, second)]
    runs = [found for _, found in sides if not isinstance(found, dict)]
    files = [found for _, found in sides if isinstance(found, dict)]
    if len(files) == 1:
        kinds = [f"{t} is a {'sweep' if isinstance(found, dict) else 'run'}" for t, found in sides]
        raise UsageError(f"{' and '.join(kinds)}. Name two runs, or two sweeps.")
    if files:
        from orchestrator.sweepfile import side_by_side

        rows = side_by_side(*files)
        if as_json:
            print_json([dict(zip(("key", "a", "b"), row, strict=True)) for row in rows])
        else:
            click.echo(render_files((first, second), rows))
        return
    from orchestrator.analysis.relate import diff_runs

    kind, data = asked_for(metrics, rate)
    found = diff_runs(*runs, at=at, goal=goal, kind=kind, data=data)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(render_runs(found, everything=everything))


def _find(text: str, sweep: str | None, results: Path) -> _Side:
    """Return what an argument names: a file or folder, else a sweep, else a trial."""
    path = Path(text)
    if path.is_file():
        return text, _of_file(path)
    if path.is_dir():
        return text, _of_folder(path)
    if sweep is None:
        with suppress(NotFoundError):
            return text, _of_folder(find_sweep(results, text).path)
    above, _, trial = text.rpartition("/")
    found = find_sweep(results, above or sweep)
    record = options.find_trial(found, trial)
    return text, _of_folder(found.run_dir(record.number, record.name).path)


def _of_file(path: Path) -> StoredRun | dict[str, Any]:
    if path.suffix.lower() in (".yaml", ".yml"):
        from orchestrator.sweepfile import load_spec

        return load_spec(path).to_dict()
    from orchestrator.runs.curves import read_runs
    from orchestrator.runs.read import StoredRun

    read_runs(path)  # which explains why it cannot be read
    return StoredRun(path)


def _of_folder(path: Path) -> StoredRun | dict[str, Any]:
    from orchestrator.runs.read import find_runs

    if SweepDir(path).spec_file.is_file() or SweepDir(path).state_file.is_file():
        spec = SweepRecord.load_spec(SweepDir(path))
        if spec:
            return spec
    runs = find_runs([path])
    if not runs:
        raise NotFoundError(f"{path}: no run here. Name a run folder, a log or a sweep file.")
    if len(runs) > 1:
        listed = ", ".join(run.name for run in runs[:8]) + (", …" if len(runs) > 8 else "")
        raise UsageError(f"{path}: holds {len(runs)} runs ({listed}). Name one of their folders.")
    return runs[0]
