"""Printing to an output that may close, and writing files that the user names."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from orchestrator.errors import UsageError
from orchestrator.files import plain


def print_json(value: Any) -> None:
    """Print indented JSON; numbers that are not finite become text."""
    click.echo(json.dumps(plain(value), indent=2))


def say(text: str) -> None:
    """Print a line; print nothing once the reader has gone."""
    try:
        click.echo(text)
    except OSError:
        # The reader (head, a terminal) has gone, which must not end the training.
        mute()


def is_terminal() -> bool:
    """Return whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def mute() -> None:
    """Discard all further output, so that flushing the rest at exit does not fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


@contextmanager
def writing(target: Path, option: str) -> Iterator[None]:
    """Raise UsageError if `target`, given by `option`, cannot be written."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{option}: cannot write {target}: {error.strerror}.") from None
