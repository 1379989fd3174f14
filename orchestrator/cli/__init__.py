"""The `sweep` command line.

Each module in the folders below `commands` is a command: its ``command`` is a click command,
and the first line of its docstring is its summary in `sweep --help`.
"""

from __future__ import annotations

import ast
import errno
import importlib.util
import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli.output import mute
from orchestrator.cli.render.text import clean, safe
from orchestrator.errors import SweepError, UsageError, nearest
from orchestrator.files.discover import module_names

_FOLDERS = {
    "Commands": "orchestrator.cli.commands",
    "Results": "orchestrator.cli.commands.results",
    "Writing sweep files": "orchestrator.cli.commands.authoring",
}
"""Headings of `sweep --help`, each with the package of its commands."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)


def command_modules() -> dict[str, str]:
    """Return the module of every command by name, without importing them."""
    return {
        name: f"{folder}.{name}" for folder in _FOLDERS.values() for name in module_names(folder)
    }


def _summary(module: str) -> str:
    """Return the first line of a module's docstring, without importing the module."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    docstring = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0]


class _Lazy(click.Group):
    """A group that imports the module of a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(command_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = command_modules().get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = nearest(args[0], command_modules())
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader (head, less) stopped early; click would make this a failure.
            mute()
            return 0
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, folder in _FOLDERS.items():
            rows = [(name, _summary(f"{folder}.{name}")) for name in module_names(folder)]
            with formatter.section(heading):
                formatter.write_dl(rows)


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sweep")
def app() -> None:
    """Run hyperparameter sweeps in the GPU memory that is actually free."""


def main(args: list[str] | None = None) -> Any:
    """Run the command line and exit; errors that a user can act on are printed as one message."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is printed as "?".
        sys.stdout.reconfigure(errors="replace")
    try:
        code = app.main(args=args, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130
    except SweepError as error:
        _complain(safe(str(error)))
        code = error.exit_code
    except MemoryError:
        _complain("the system gives no more memory. See `ulimit -v` and what else runs.")
        code = 1
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # of what was typed
            _complain(f"{clean(str(error.filename), 60)}: no file can have so long a name.")
            sys.exit(UsageError.exit_code)
        if error.errno not in _DISK:
            raise
        _complain(f"cannot write {error.filename or 'output'}: {error.strerror}.")
        mute()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    with suppress(OSError):  # the errors may go to the disk that is full
        click.echo(f"Error: {message}", err=True)
