"""Write a first sweep file for a script or a trainer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.sweepfile import trainer_names, trainer_schema
from orchestrator.sweepfile.program import Argument, read_arguments
from orchestrator.sweepfile.schema import SCHEMA_FILE, for_program, for_trainer, json_schema

_MOST = 5_000_000  # bytes of a script that are read


@click.command("init")
@click.argument("program", required=False, type=click.Path(path_type=Path))
@click.option("--trainer", metavar="NAME", help="Write it for this trainer instead of a script.")
@click.option(
    "-o",
    "--output",
    default=Path("sweep.yaml"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="The file to write; - prints it.",
)
@click.option("--force", is_flag=True, help="Replace the file where there is one.")
def command(*, program: Path | None, trainer: str | None, output: Path, force: bool) -> None:
    """Write a commented sweep file for the script PROGRAM, or for a trainer.

    The options of a Python script are read from its text, where it declares them by argparse or
    click; the script is not run. Beside the file stands its schema, for editors.
    """
    if (program is None) == (trainer is None):
        known = ", ".join(trainer_names())
        raise UsageError(
            f"sweep init: must have a script or --trainer NAME, not both. Trainers: {known}."
        )
    to_stdout = str(output) == "-"
    if not to_stdout and output.exists() and not force:
        raise UsageError(f"{output}: must not be there yet. Use --force to replace it, or -o FILE.")
    if program is not None:
        text = for_program(*_read(program, Path() if to_stdout else output.parent))
    else:
        assert trainer is not None
        folder = Path() if to_stdout else output.parent
        text = for_trainer(trainer_schema(trainer, folder))
    if to_stdout:
        click.echo(text, nl=False)
        return
    schema = output.parent / SCHEMA_FILE
    try:
        atomic.write_text(output, text)
        if not schema.exists() or force:
            atomic.write_text(schema, json.dumps(json_schema(), indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{output}: must be writable, but got: {error.strerror}.") from None
    click.echo(f"{output} and {schema} written. Next: sweep check {output}")


def _read(program: Path, folder: Path) -> tuple[str, list[Argument]]:
    """Return the script's path from `folder`, and its options."""
    try:
        with program.open("rb") as stream:
            raw = stream.read(_MOST)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{program}: must be a script, but got: {reason}.") from None
    relative = Path(os.path.relpath(str(program), str(folder))).as_posix()
    try:
        return relative, read_arguments(raw.decode("utf-8-sig"))
    except (SyntaxError, UnicodeDecodeError):
        if program.suffix == ".py":
            click.echo(f"{program}: its options cannot be read, since it is no Python.", err=True)
        return relative, []
