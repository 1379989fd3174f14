"""What `sweep plan` says of a sweep's course: stages, ablation, seeds, what ends it.

What `sweep plan` says of the trials beside their table: argument lists, excluded configs.
"""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.cli.render.text_table import clean, number
from orchestrator.engine.script import command
from orchestrator.errors import TrialError
from orchestrator.sweepfile.expand import exclusion, varied_of
from orchestrator.sweepfile.model import Program, Spec, TrialConfig
from orchestrator.sweepfile.program import arguments


def course_lines(spec: Spec) -> list[str]:
    """Return the lines of a plan's head that are about more than single configs."""
    lines = [*_stages(spec)]
    if spec.ablate is not None:
        rule = "; a change that gains stays for those after it" if _keeps(spec) else ""
        lines.append(f"ablate     a baseline and {_many(len(spec.ablate.changes), 'change')}{rule}")
        if spec.ablate.gate is not None:
            lines.append(f"           they run only if the baseline has {clean(spec.ablate.gate)}")
    if len(spec.seeds) > 1:
        shown = ", ".join(map(str, spec.seeds[:8])) + (", …" if len(spec.seeds) > 8 else "")
        lines.append(f"seeds      {shown}: each config {len(spec.seeds)} times")
    ends = _ends(spec)
    if ends:
        lines.append(f"budget     ends after {' or '.join(ends)}")
    return lines


def _stages(spec: Spec) -> list[str]:
    if spec.stage is not None:
        return [f"stage      {clean(spec.stage)}"]
    lines = []
    for place, stage in enumerate(spec.stages):
        head = "stages     " if not place else "           "
        rule = ""
        if stage.promote is not None:
            following = clean(spec.stages[place + 1].name)
            rule = f"; to {following}: {clean(stage.promote.in_words())}"
        shown = ", ".join(f"{clean(key)}={number(value, 6)}" for key, value in stage.set.items())
        lines.append(f"{head}{clean(stage.name)}{f' ({shown})' if shown else ''}{rule}")
        if stage.promote is None:
            break
    return [*lines, "           below are the trials of the first"] if lines else []


def _keeps(spec: Spec) -> bool:
    return spec.ablate is not None and spec.ablate.keep_improvements


def _ends(spec: Spec) -> list[str]:
    budget = spec.budget
    ends = [_many(budget.trials, "finished trial")] if budget.trials is not None else []
    ends += [f"{number(budget.hours, 6)} h"] if budget.hours is not None else []
    ends += [f"{number(budget.gpu_hours, 6)} GPU hours"] if budget.gpu_hours is not None else []
    if budget.failures is not None:
        ends.append(f"{_many(budget.failures, 'failure')} in a row")
    return ends


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def notes(spec: Spec, changes: list[str]) -> list[str]:
    """Return what the writer of the file noted beside changes of an ablation."""
    known = {} if spec.ablate is None else spec.ablate.changes
    return [
        f"  {clean(name)}: {clean(known[name].note)}"
        for name in changes
        if name in known and known[name].note
    ]


EXAMPLES = 5


def words(program: Program, trial: TrialConfig) -> list[str]:
    """Return the argument list that would start the program of a trial.

    A program that is not there is named all the same; the plan has warned of it.
    """
    steps = program.steps or (None,)
    try:
        listed = [command(program, trial.config, step=step) for step in steps]
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
