"""Write a first sweep file for a script or a trainer."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.sweepfile import trainer_names, trainer_schema
from orchestrator.sweepfile.program import ScriptParser, read_parser
from orchestrator.sweepfile.schema import SCHEMA_FILE, for_program, for_trainer, json_schema


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--output`` and ``--force`` to a command that writes a sweep file."""
    force = click.option("--force", is_flag=True, help="Replace existing files.")
    output = click.option(
        "-o",
        "--output",
        default=Path("sweep.yaml"),
        show_default=True,
        type=click.Path(path_type=Path),
        help="The file to write; - prints it.",
    )
    return output(force(function))


def folder_of_output(output: Path, force: bool) -> Path:
    """Return the folder of the sweep file; UsageError if the file may not be replaced."""
    if str(output) == "-":
        return Path()
    if output.exists() and not force:
        raise UsageError(f"{output}: already exists. Use --force to replace it, or -o FILE.")
    return output.parent


def write_output(output: Path, text: str, force: bool) -> None:
    """Write a sweep file, and its schema for editors next to it; print it for ``-``."""
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    schema = output.parent / SCHEMA_FILE
    try:
        atomic.write_text(output, text)
        if not schema.exists() or force:
            atomic.write_text(schema, json.dumps(json_schema(), indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"{output}: cannot write: {error.strerror}.") from None


@click.command("init")
@click.argument("program", required=False, type=click.Path(path_type=Path))
@click.option("--trainer", metavar="NAME", help="Use this trainer instead of a script.")
@output_options
def command(*, program: Path | None, trainer: str | None, output: Path, force: bool) -> None:
    """Write a commented sweep file for the script PROGRAM, or for a trainer.

    The options of a Python script are read from its text and that of the modules next to it;
    argparse, click, typer, tyro, fire, absl, Hydra, dataclass parsers and nanoGPT's configurator
    are known. The script is not run, except with --help if it uses another parser that answers it.
    The JSON Schema for editors is written next to the file.
    """
    folder = folder_of_output(output, force)
    if program is not None and trainer is None:
        parser = _parser_of(program)
        style = _style_of(program, parser)
        shown = Path(os.path.relpath(program, folder)).as_posix()
        text = for_program(shown, parser.parameters, args=style, params_file=parser.params_file)
        if parser.subcommands:
            text = _with_subcommand(text, parser.subcommands, program)
    elif trainer is not None and program is None:
        text = for_trainer(trainer_schema(trainer, folder))
    else:
        known = ", ".join(trainer_names())
        raise UsageError(
            f"sweep init needs either a script or --trainer NAME, not both (trainers: {known})."
        )
    write_output(output, text, force)
    if str(output) != "-":
        schema = output.parent / SCHEMA_FILE
        click.echo(f"{output} and {schema} written. Next: sweep check {output}")


def _with_subcommand(text: str, names: Sequence[str], program: Path) -> str:
    usual = [name for name in names if re.match("train|fit|run", name)]
    name = (*usual, *names)[0]
    click.echo(
        f"{program}: has sub-commands ({', '.join(names)}); the file runs {name}, and has the "
        f"options of all. `sweep probe {program} {name}` finds those of one.",
        err=True,
    )
    command = f"command: [python, '${{program}}', {json.dumps(name)}, '${{args}}']"
    return text.replace("\nmethod:", f"\n{command}\nmethod:", 1)


def _parser_of(program: Path) -> ScriptParser:
    """Return how a script takes its parameters; an empty parser if that cannot be read."""
    try:
        if program.suffix not in ScriptParser.SUFFIXES:
            program.open("rb").close()
            return ScriptParser()
        return read_parser(program, [sys.executable, os.path.abspath(program)])
    except OSError as error:
        raise UsageError(f"{program}: cannot read: {error.strerror or error}.") from None
    except SyntaxError:
        click.echo(f"{program}: no options found: it is not valid Python.", err=True)
        return ScriptParser()


def _style_of(program: Path, parser: ScriptParser) -> str | None:
    """Return the style of arguments, and print what was not found."""
    if parser.kind == "environment":
        return "env"
    if parser.kind == "hydra":
        text = "" if parser.arguments else " No values were found in its config."
        click.echo(f"{program}: reads its parameters with Hydra.{text}", err=True)
        return "hydra"
    if not parser.parameters and program.suffix == ".py":
        text = f"no options were found in it. Try `sweep probe {program}` with arguments that work."
        if parser.reads_nothing:
            text = "it reads no arguments, so that parameters would change nothing."
        click.echo(f"{program}: {text}", err=True)
    if not parser.parameters and program.suffix not in (".py", ".ipynb"):
        text = f"its options were not read. Try `sweep probe {program}` with arguments that work."
        click.echo(f"{program}: {text}", err=True)
    return "auto" if program.suffix in (".py", ".ipynb") else None
