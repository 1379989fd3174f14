"""Diagnose runs, also those of other tools, and advise what to change."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from orchestrator.analysis import Examination, examine
from orchestrator.cli import options
from orchestrator.cli.output import print_json, writing
from orchestrator.cli.render.diagnosis import diagnosis_markdown, diagnosis_text, write_picture
from orchestrator.cli.render.replayed import replay_text
from orchestrator.cli.render.text import plural, terminal_width
from orchestrator.divergence import Policy
from orchestrator.divergence.schedule import from_text
from orchestrator.errors import NotFoundError
from orchestrator.files import atomic, format_size, plain, regular
from orchestrator.runs import RunDir, SweepDir, find_sweep, results_folder
from orchestrator.sweepfile import load_spec

_NARROWEST = 40
_WIDEST = 100
_MOST_BYTES = 8 * 2**20  # of a packed log: of a larger one, only the end is packed
_LARGE = 32 * 2**20  # bytes of a log that takes a second or more to read
_PACKED_OF_A_RUN = ("metadata.json", "state.json", "metrics.jsonl", "log.txt", "config.json")


@click.command("doctor")
@click.argument("what", metavar="[TRIAL | SWEEP | FILE]", required=False)
@options.sweep
@options.results
@click.option("--metric", metavar="NAME", help="Metric to rank by. [default: the sweep's]")
@click.option("--goal", type=click.Choice(["minimize", "maximize"]), help="Goal of the metric.")
@click.option("--target", metavar="VALUE", type=float, help="Value the metric should reach.")
@click.option(
    "--schedule",
    metavar="TEXT",
    callback=lambda _ctx, _param, text: from_text(text) if text else None,
    help="Learning rate: cosine,lr=0.001,total=50,per=epoch.",
)
@click.option("--pattern", metavar="REGEX", help="Pattern of the numbers in a text log.")
@click.option("--png", **options.FILE, help="Also draw the curves (needs matplotlib).")
@click.option("--bundle", **options.FILE, help="Also pack diagnosis, logs and configs as ZIP.")
@click.option("--verbose", "-v", is_flag=True, help="All findings with their causes, all curves.")
@click.option("--replay", is_flag=True, help="Show what the divergence policy would have done.")
@click.option("--policy", **options.FILE, help="Replay with the policy of this sweep file.")
@options.as_json
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def command(
    *,
    what: str | None,
    sweep: str | None,
    results: Path | None,
    png: Path | None,
    bundle: Path | None,
    verbose: bool,
    replay: bool,
    policy: Path | None,
    as_json: bool,
    as_markdown: bool,
    **facts: Any,
) -> None:
    """Show what is wrong with runs, since when, and what to change.

    Takes a trial (number or name), a sweep, or a log of any tool: CSV (Lightning, Keras, YOLO),
    JSON lines, Hugging Face's trainer_state.json, TensorBoard event files, text. The default is
    the newest sweep.
    """
    options.exclusive(json=as_json, md=as_markdown)
    replay = replay or policy is not None
    if replay:
        options.exclusive(replay=replay, md=as_markdown)
        chosen = Policy.of(load_spec(policy).divergence) if policy is not None else None
        facts |= {"replayed": True, "policy": chosen}
    path = _find(what, sweep, results_folder(results))
    if path.is_file() and path.stat().st_size > _LARGE and sys.stderr.isatty():
        size = format_size(path.stat().st_size)
        click.echo(f"Reading {path.name} ({size}) …", err=True)
    found = examine(path, **facts)
    if as_json:
        print_json(found.to_dict())
    elif replay:
        click.echo(replay_text(found))
    elif as_markdown:
        click.echo(diagnosis_markdown(found))
    else:
        width = max(_NARROWEST, min(terminal_width(), _WIDEST))
        click.echo(diagnosis_text(found, width, verbose=verbose))
    if png is not None:
        drawn = write_picture(png, found)
        click.echo(f"{png}: {drawn} of {plural(len(found.runs), 'run')}", err=True)
    if bundle is not None:
        click.echo(f"{bundle}: {_write_bundle(bundle, found)} files", err=True)


def _find(what: str | None, sweep: str | None, results: Path) -> Path:
    """Return the path that the arguments name: a file or directory, else a sweep, else a trial."""
    if what is None:
        return find_sweep(results, sweep).path
    if sweep is None:
        if Path(what).exists():
            return Path(what)
        if "/" in what:
            raise NotFoundError(f"{what}: no such file or directory. Name a log, a run or a sweep.")
        with suppress(NotFoundError):
            return find_sweep(results, what).path
    found = find_sweep(results, sweep)
    record = options.find_trial(found, what)
    return found.run_dir(record.number, record.name).path


def _write_bundle(target: Path, found: Examination) -> int:
    """Pack the diagnosis, logs and configs, and return the number of files.

    Arrays and checkpoints are left out.
    """
    files: dict[str, Path] = {}
    for index, one in enumerate(found.runs):
        path = one.run.path
        if path.is_file():
            files.setdefault(f"logs/{path.name}", path.resolve())  # the user named it
            continue
        folder = f"runs/{index:04d}-{SweepDir.called(Path(), path.name).name}"
        for name in _PACKED_OF_A_RUN:
            if (path / name).is_file() and not regular.leads_out(path / name, path):
                files[f"{folder}/{name}"] = path / name
        spec = path.parent.parent / "spec.json"
        is_ours = RunDir(path).number is not None and spec.is_file()
        if is_ours and not regular.leads_out(spec, spec.parent):
            files.setdefault(f"{SweepDir.called(Path(), spec.parent.name).name}/spec.json", spec)
    with (
        writing(target, "--bundle"),
        atomic.replacing(target) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        packed.writestr("diagnosis.md", diagnosis_markdown(found) + "\n")
        text = json.dumps(plain(found.to_dict()), indent=2, ensure_ascii=False)
        packed.writestr("diagnosis.json", text)
        for name, path in files.items():
            with regular.open_file(path, path.parent) as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_BYTES))
                packed.writestr(name, log.read())
    return len(files) + 2
