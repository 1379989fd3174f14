"""The `sweep` command: parse, call, print. Each command's module loads when it is called."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli.output import allow_all_letters, mute
from orchestrator.errors import SweepError, nearest

COMMANDS = {
    "run": "Run a sweep file; run it again to continue.",
    "status": "Show how the trials of a sweep stand.",
    "compare": "Rank runs by metrics recomputed from their predictions.",
    "audit": "Say which runs are complete, and what the others lack.",
    "plan": "Show the trials and where they would run; start nothing.",
    "gpu": "Show the GPUs, and whether trials fit into what is free.",
    "check": "Check sweep files without running anything.",
    "resume": "Go on from a trial's checkpoint with other values.",
    "doctor": "Say what is wrong with runs, ours or another tool's, and what to change.",
    "logs": "Show the log of a sweep or of one trial.",
    "stop": "End a sweep, or one of its trials.",
    "probe": "Run a script once, and write a sweep file from what it shows.",
    "init": "Write a first sweep file for a script or a trainer.",
    "trainers": "List the trainers, or what may be set of one.",
    "schema": "Print the JSON Schema of the sweep file.",
}

# Commands whose modules are in the folder `authoring`.
_AUTHORING = {"init", "probe", "trainers", "schema"}


def module_of(command: str) -> str:
    """Return the name of the module that implements a command."""
    folder = "commands.authoring" if command in _AUTHORING else "commands"
    return f"orchestrator.cli.{folder}.{command}"


_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Lazy(click.Group):
    """A group whose commands stand in modules of their own, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(module_of(cmd_name))
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = nearest(args[0], COMMANDS)
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read it (head, less) has what it wanted. Caught here because click would
            # make it a failure.
            mute()
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sweep")
def app() -> None:
    """Run hyperparameter sweeps on the GPU memory that is really free."""


def main(args: list[str] | None = None) -> Any:
    """Run the command line; the console script `sweep`.

    Errors that a user can act on are printed as one message; the exit code is theirs.
    """
    allow_all_letters()
    try:
        code = app.main(args=args, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130
    except SweepError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        mute()
        code = 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        place = error.filename or "output"
        click.echo(f"Error: {place}: must be written, but got: {error.strerror}.", err=True)
        mute()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
