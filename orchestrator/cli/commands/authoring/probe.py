"""Run a script once and write a sweep file from its output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import options
from orchestrator.cli.commands.authoring.init import folder_of_output, output_options, write_output
from orchestrator.cli.render.text import Column, clean, draw, number, numbers
from orchestrator.errors import SpecError, TrialError, UsageError
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import locate
from orchestrator.sweepfile.schema import for_program

if TYPE_CHECKING:
    from orchestrator.engine.probe import Probe

_MOST_SHOWN = 12


@click.command("probe", context_settings={"allow_interspersed_args": False})
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--time-limit",
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="End the run after this time; its output so far counts. Ctrl+C does the same.",
)
@click.option("--python", metavar="PATH", help="The interpreter of a .py program.")
@output_options
def command(
    *,
    program: str,
    arguments: tuple[str, ...],
    time_limit: str,
    python: str | None,
    output: Path,
    force: bool,
) -> None:
    """Run PROGRAM once with ARGUMENTS, and write a sweep file from what it shows.

    Its options are read from its text and its --help. Metrics are searched in its output and in
    the files that it writes; a table shows what trials would report. Give options of probe before
    PROGRAM, and arguments that make the run short, such as --epochs 2.
    """
    from orchestrator.engine.probe import launched, probe

    folder = Path(os.path.abspath(folder_of_output(output, force)))
    limit_s = options.duration(time_limit, "--time-limit")
    arguments = arguments[arguments[:1] == ("--",) :]  # as in `sweep probe train.py -- --lr 1`
    here = Path.cwd()
    found = locate(program, here)
    if found is None:
        raise UsageError(f"{program}: no such script or command on PATH.")
    shown = os.path.relpath(found, folder) if os.path.isabs(found) else found
    script = launched(program, arguments, here)
    launcher: tuple[str, ...] = ()
    is_module = False
    if script is not None:
        place, file = script
        is_module = place > 0 and arguments[place - 1] == "-m"
        launcher = ("python",) if found.endswith(".py") else ()
        launcher += (shown if os.path.isfile(here / program) else program,)
        launcher += arguments[: place + is_module]
        found = str(file)
        shown = os.path.relpath(found, folder)
        arguments = arguments[place + 1 :]
    interpreter = None if python is None else locate(python, here)
    if python is not None and interpreter is None:
        raise UsageError(f"--python {python}: no such interpreter.")
    click.echo(f"Running {program} for at most {limit_s:g} s …", err=True)
    start = [interpreter or sys.executable if word == "python" else word for word in launcher]
    words = (*start, *(() if is_module else (Path(shown).as_posix(),))) if launcher else ()
    ran = Program(path=found, workdir=str(folder), python=interpreter, command=words)
    seen = probe(ran, arguments, limit_s)
    text = for_program(
        Path(shown).as_posix(),
        seen.arguments,
        replace(seen.probed, launcher=launcher),
        args=seen.args,
        params_file=seen.params_file,
    )
    if interpreter is not None:
        line = f"python: {json.dumps(os.path.relpath(interpreter, folder))}\n"
        text = text.replace("\nargs:", f"\n{line}args:", 1)
    if seen.why:
        lines = "".join(f"\n  {line}" for line in seen.why)
        raise TrialError(
            f"{program}: ended with exit code {seen.code}; no file was written.{lines}"
        )
    if seen.was_ended:
        click.echo(f"Ended after {limit_s:g} s; what it showed until then counts.", err=True)
    click.echo(f"Metrics in: {', '.join(seen.sources) or 'none found'}.", err=True)
    for line in _metrics(seen):
        click.echo(line, err=True)
    write_output(output, text, force)
    if str(output) == "-":
        return
    _check(output, seen)
    click.echo(f"{output} written. Next: edit it, then sweep run {output}")


def _check(output: Path, seen: Probe) -> None:
    """Print what is wrong with the file that was written, and what to look at in it."""
    try:
        spec = load_spec(output)
    except SpecError as error:
        click.echo(f"{error}\nCorrect the file before you run it.", err=True)
        return
    warnings = [f"  warning: {text}" for text in spec.warnings]
    click.echo("\n".join([f"{output}: ok", *warnings, *_short_run(seen, spec.fixed)]))


def _short_run(seen: Probe, fixed: Mapping[str, Any]) -> list[str]:
    """Return a line for each value that all trials would have because this run had it."""
    return [
        f"  {item.name} is {fixed[item.name]}, as in this run; its default is {item.default}"
        for item in seen.arguments
        if item.name in fixed and item.default not in (None, fixed[item.name])
    ]


def _metrics(seen: Probe) -> list[str]:
    """Return the metrics that trials would report, and the lines that are not understood."""
    lines = []
    if seen.found:
        rows = seen.found[:_MOST_SHOWN]
        columns = [
            Column("metric", [clean(row.name, 40) for row in rows]),
            numbers("values", [str(row.count) for row in rows]),
            numbers("first", [number(row.first) for row in rows]),
            numbers("last", [number(row.last) for row in rows]),
            Column("from", [clean(row.source, 60) for row in rows]),
        ]
        lines.append(draw(columns))
    if seen.unread:
        lines.append("Lines with numbers that were not understood:")
        lines += [f"  {clean(line, 90)}" for line in seen.unread[:_MOST_SHOWN]]
    return lines
