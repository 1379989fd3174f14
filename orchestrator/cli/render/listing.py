"""What `sweep plan` says of the trials beside their table: argument lists, excluded configs."""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.cli.render.text_table import clean, number
from orchestrator.engine.script import command_line
from orchestrator.errors import TrialError
from orchestrator.sweepfile.expand.configs import exclusion, varied_of
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Spec, TrialConfig
from orchestrator.sweepfile.program.styles import arguments

EXAMPLES = 5


def words(program: Program, trial: TrialConfig) -> list[str]:
    """Return the argument list that would start the program of a trial.

    A program that is not there is named all the same; the plan has warned of it.
    """
    steps = program.steps or (None,)
    try:
        listed = [command_line.command(program, trial.config, step=step) for step in steps]
    except TrialError:
        start = [program.path]
        if program.path.endswith(".py"):
            start = [program.python or sys.executable, program.path]
        given = arguments(trial.config, style=program.style, booleans=program.booleans)
        return start + given
    # Several commands stand behind one another, as a shell would run them.
    return [word for place, line in enumerate(listed) for word in (["&&"] * (place > 0) + line)]


def excluded_lines(spec: Spec) -> list[str]:
    """Return what the constraints leave out, for people."""
    found = exclusion(spec, EXAMPLES)
    if not found.count:
        return []
    lines = [f"excluded   {found.count:,} by constraints, not among the trials"]
    for item in found.examples:
        varied = varied_of(spec, item.config)
        values = ", ".join(f"{name}={number(value, 6)}" for name, value in varied.items())
        text = ": ".join(part for part in (item.trial, values, str(item.constraint)) if part)
        lines.append(f"           {clean(text)}")
    if found.count > len(found.examples):
        lines.append(f"           … and {found.count - len(found.examples):,} more")
    return lines


def excluded_json(spec: Spec) -> dict[str, Any]:
    """Return what the constraints leave out: how many, and the first of them."""
    found = exclusion(spec)
    return {
        "count": found.count,
        "examples": [
            {"config": item.config, "reason": str(item.constraint), "trial": item.trial}
            for item in found.examples
        ],
    }
