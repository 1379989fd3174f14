"""Options that several commands share, each said once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from orchestrator.placement import model

Command = TypeVar("Command", bound=Callable[..., Any])

_WHERE_TRIALS_RUN = (
    click.option("--max-parallel", type=click.IntRange(min=1), help="Run at most so many at once."),
    click.option("--gpus", metavar="LIST", help="Use only these GPUs, as 0,2."),
    click.option(
        "--placement",
        type=click.Choice(get_args(model.Placement)),
        default="auto",
        help="How many run at once: what is measured to be best, all that fit, one, or (grow) one "
        "at first on CPUs too and where all fit. [default: auto]",
    ),
    click.option(
        "--share",
        type=click.Choice(get_args(model.Share)),
        default="full",
        help="polite: at most one trial on a card on which another user computes. [default: full]",
    ),
)


def where_trials_run(command: Command) -> Command:
    """Add ``--max-parallel``, ``--gpus``, ``--placement`` and ``--share`` to a command."""
    for option in reversed(_WHERE_TRIALS_RUN):
        command = option(command)
    return command
