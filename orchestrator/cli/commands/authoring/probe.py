"""Run a script once and write a sweep file from its output."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from orchestrator.errors import SpecError, UsageError
from orchestrator.files import atomic, parse_duration
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import locate
from orchestrator.sweepfile.schema import SCHEMA_FILE, for_program, json_schema


@click.command("probe", context_settings={"allow_interspersed_args": False})
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--time-limit",
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="End the run after so long; what it showed until then counts. Ctrl+C does the same.",
)
@click.option("--python", metavar="PATH", help="The interpreter of a .py program.")
@click.option(
    "-o",
    "--output",
    default=Path("sweep.yaml"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The file to write; - prints it.",
)
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
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

    Its options are read from its text and its --help, its metrics looked for in its output and in
    the files that it writes. Options of probe stand before PROGRAM. Give the arguments that make
    it short, such as --epochs 2.
    """
    from orchestrator.engine.probe import probe

    to_stdout = str(output) == "-"
    if not to_stdout and output.exists() and not force:
        raise UsageError(f"{output}: must not be there yet. Use --force to replace it, or -o FILE.")
    try:
        limit_s = parse_duration(time_limit)
    except ValueError as error:
        raise UsageError(f"--time-limit: {error}") from None
    folder = Path(os.path.abspath(Path() if to_stdout else output.parent))
    here = Path.cwd()
    found = locate(program, here)
    if found is None:
        raise UsageError(f"{program}: must be a script or a command on PATH, but is neither.")
    shown = os.path.relpath(found, folder) if os.path.isabs(found) else found
    interpreter = None if python is None else locate(python, here)
    if python is not None and interpreter is None:
        raise UsageError(f"--python {python}: must be an interpreter, but there is none.")
    click.echo(f"Running {program} for at most {limit_s:g} s …", err=True)
    seen = probe(Program(path=found, workdir=str(folder), python=interpreter), arguments, limit_s)
    text = for_program(Path(shown).as_posix(), seen.arguments, seen.probed)
    if python is not None and interpreter is not None:
        line = f"python: {json.dumps(os.path.relpath(interpreter, folder))}\n"
        text = text.replace("\nargs:", f"\n{line}args:", 1)
    for line in seen.why:
        click.echo(f"  {line}", err=True)
    if seen.why:
        click.echo(
            f"It ended with exit code {seen.code}; what it showed until then counts.", err=True
        )
    click.echo(f"Metrics in: {', '.join(seen.sources) or 'nothing that was found'}.", err=True)
    if to_stdout:
        click.echo(text, nl=False)
        return
    try:
        atomic.write_text(output, text)
        schema = output.parent / SCHEMA_FILE
        if not schema.exists() or force:
            atomic.write_text(schema, json.dumps(json_schema(), indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{output}: must be writable, but got: {error.strerror}.") from None
    try:
        load_spec(output)
    except SpecError as error:
        click.echo(f"{error}\nMend it before you run it.", err=True)
    click.echo(f"{output} written. Next: edit it, then sweep check {output}")
