"""Diagnose runs, also those of other tools, and advise what to change."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import click

from orchestrator.analysis import examine
from orchestrator.cli import options
from orchestrator.cli.render.bundle import write_bundle
from orchestrator.cli.render.curves import write_picture
from orchestrator.cli.render.diagnosis import diagnosis_markdown, diagnosis_text
from orchestrator.cli.render.text import plural
from orchestrator.cli.render.text_table import terminal_width
from orchestrator.divergence.schedule import from_words
from orchestrator.errors import NotFoundError
from orchestrator.files import plain
from orchestrator.runs import find_sweep, results_folder

_NARROWEST = 40
_WIDEST = 100


@click.command("doctor")
@click.argument("what", metavar="[TRIAL | SWEEP | FILE]", required=False)
@options.sweep
@options.results
@click.option("--metric", metavar="NAME", help="Metric to rank by. [default: the sweep's]")
@click.option("--goal", type=click.Choice(["minimize", "maximize"]), help="Goal of the metric.")
@click.option("--target", metavar="VALUE", type=float, help="Value the metric should reach.")
@click.option(
    "--schedule", metavar="TEXT", help="Learning rate: cosine,lr=0.001,total=50,per=epoch."
)
@click.option("--pattern", metavar="REGEX", help="Pattern of the numbers in a text log.")
@click.option("--png", **options.FILE, help="Also draw the curves (needs matplotlib).")
@click.option("--bundle", **options.FILE, help="Also pack diagnosis, logs and configs as ZIP.")
@options.as_json
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def command(
    *,
    what: str | None,
    sweep: str | None,
    results: Path | None,
    metric: str | None,
    goal: str | None,
    target: float | None,
    schedule: str | None,
    pattern: str | None,
    png: Path | None,
    bundle: Path | None,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Show what is wrong with runs, since when, and what to change.

    Takes a trial (number or name), a sweep, or a log of any tool: CSV (Lightning, Keras, YOLO),
    JSON lines, Hugging Face's trainer_state.json, TensorBoard event files, text. The default is
    the newest sweep.
    """
    options.exclusive(json=as_json, md=as_markdown)
    found = examine(
        _find(what, sweep, results_folder(results)),
        metric=metric,
        goal=goal,
        target=target,
        schedule=from_words(schedule) if schedule else None,
        pattern=pattern,
    )
    if as_json:
        click.echo(json.dumps(plain(found.to_dict()), indent=2))
    elif as_markdown:
        click.echo(diagnosis_markdown(found))
    else:
        click.echo(diagnosis_text(found, max(_NARROWEST, min(terminal_width(), _WIDEST))))
    if png is not None:
        drawn = write_picture(png, found)
        click.echo(f"{png}: {drawn} of {plural(len(found.runs), 'run')}", err=True)
    if bundle is not None:
        count = write_bundle(bundle, found, diagnosis_markdown(found))
        click.echo(f"{bundle}: {count} files", err=True)


def _find(what: str | None, sweep: str | None, results: Path) -> Path:
    """Return the path that the arguments name: a file or directory, else a sweep, else a trial."""
    if what is not None and sweep is None and Path(what).exists():
        return Path(what)
    if what is None:
        return find_sweep(results, sweep).path
    if sweep is None and "/" in what:
        raise NotFoundError(f"{what}: no such file or directory. Name a log, a run or a sweep.")
    if sweep is None:
        with suppress(NotFoundError):
            return find_sweep(results, what).path
    found = find_sweep(results, sweep)
    record = options.find_trial(found, what)
    return found.run_dir(record.number, record.name).path
