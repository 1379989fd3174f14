"""What a sweep file for a program should contain, after one run of it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.engine.probe.file_guess import RUN_DIR, guess_files, holds_shared
from orchestrator.engine.probe.observe import Observation, Observed, observe
from orchestrator.engine.probe.pattern_guess import (
    Proposal,
    not_understood,
    propose_patterns,
    reported,
)
from orchestrator.engine.probe.typed_arguments import (
    Options,
    Typed,
    in_params_file,
    read_options,
    sort_words,
)
from orchestrator.engine.script.command_line import REPORTED_FILE, command, reporting_variables
from orchestrator.engine.script.output_text import lines_that_matter
from orchestrator.engine.script.reports.log_files import LogFiles
from orchestrator.engine.script.reports.sources import WANDB_LOGS
from orchestrator.files.series_names import is_progress_only, ranking_order
from orchestrator.metrics import goal
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import Argument
from orchestrator.sweepfile.schema import Probed


@dataclass(frozen=True)
class Found:
    """One metric that a run has shown, with its number of values and where they come from."""

    name: str
    count: int
    first: float
    last: float
    source: str


@dataclass(frozen=True)
class Probe:
    """What one run of a program has shown.

    Attributes:
        code: its exit code, or minus a signal.
        was_ended: True if the time limit ended it.
        arguments: the program's options.
        args: the style of arguments if its source shows all of them; None if not.
        params_file: the file from which it reads its parameters; "" if there is none.
        found: the metrics that a sweep by the proposed file would have got from this run.
        sources: where metrics were found, for people.
        unread: lines with numbers that were not understood.
        why: the last lines of a run that failed.
    """

    code: int
    was_ended: bool
    arguments: list[Argument]
    args: str | None
    params_file: str
    probed: Probed
    found: list[Found]
    sources: list[str]
    unread: list[str]
    why: list[str]


def probe(program: Program, typed: Sequence[str], limit_s: float) -> Probe:
    """Run `program` once with the arguments `typed`, and return what a sweep could use.

    Raises:
        TrialError: it cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="sweep-probe-") as name:
        folder = Path(name)
        is_notebook = program.path.endswith(".ipynb")  # papermill writes another one
        start = command(program, {}, folder if is_notebook else None)
        options = read_options(Path(program.workdir) / program.path, start, typed)
        options, words = _sorted(options, typed, Path(program.workdir))
        arguments = options.arguments
        variables = reporting_variables({}, folder)
        variables.pop("WANDB_SWEEP_PARAM_PATH")
        seen = observe(program, [*start, *typed], limit_s, variables)
        own, sources = _reported(folder)
    named = _into_run_dir(words, options, seen)
    files = guess_files(Path(program.workdir), seen, named)
    proposals = propose_patterns(seen.lines, [item.name for item in arguments])
    patterns = [item.pattern for item in proposals]
    printed = reported(patterns, seen.lines)
    found = _found(own, "reported by the script")
    for glob, log in files.logs.items():
        found += _found(log, glob)
    metrics: dict[str, Any] = {}
    notes: list[str] = []
    if own.names:
        notes.append(f"the script reports by itself: {', '.join(own.names[:8])}")
    if files.logs:
        metrics["files"] = _one_or_list(list(files.logs))
        if files.needs_step:
            metrics["step"] = "step"
        names = dict.fromkeys(name for log in files.logs.values() for name in log.names)
        notes.append(f"in the files: {', '.join([*names][:8])}")
    if proposals and not found:
        metrics["pattern"] = _one_or_list(patterns)
        notes.append(f"in the output: {', '.join(printed.names[:8])}")
        found = _printed(printed, proposals, seen.lines)
    elif proposals:
        notes.append(f"the output shows {', '.join(printed.names[:8])}: pattern: {patterns[0]!r}")
    best = _best(found, proposals)
    if best is not None and is_progress_only(best):
        notes.append(f"{best} is of training data, or of single batches: no other metric was found")
    if best is not None and goal(best) is None:
        notes.append(f"{best} does not show which way is better: minimize is a guess")
    if is_notebook and not arguments:
        notes.append("no cell is tagged parameters: tag the one that sets what should vary")
    if files.fixed:
        notes.append(f"each trial would write {', '.join(files.fixed[:3])} again")
    probed = Probed(
        words=tuple(words.words),
        given=words.given,
        style=words.style,
        outputs=files.outputs,
        metrics=metrics | files.arrays,
        metric=best,
        goal=(best and goal(best)) or "minimize",
        notes=tuple(notes),
        copies=bool(files.fixed),
        env=options.env,
    )
    sources += [f"the file {path}" for path in files.logs]
    sources += ["the output"] if proposals else []
    sources += ["the arrays that it saves"] if files.arrays else []
    failed = seen.code != 0 and not seen.was_ended
    return Probe(
        seen.code,
        seen.was_ended,
        arguments,
        options.args,
        options.params_file,
        probed,
        found,
        sources,
        not_understood(seen.lines, patterns) if "pattern" in metrics or not found else [],
        lines_that_matter(seen.lines) if failed else [],
    )


def _sorted(options: Options, typed: Sequence[str], folder: Path) -> tuple[Options, Typed]:
    """Return the options that can be parameters, and what the typed words are."""
    file, words, leaves = in_params_file(typed, folder)
    numbers = [item for item in options.arguments if item.type in (int, float)]
    if len(leaves) > len(numbers):
        return replace(options, arguments=leaves, args=None, params_file=file), Typed(words, {})
    sorted_words = sort_words(typed, options.arguments, options.leading)
    sorted_words.given.update(options.given)
    if sorted_words.style is not None and options.args is None:
        options = replace(options, arguments=[])  # `make LR=0.1`: its own are no parameters
    return options, sorted_words


def _into_run_dir(words: Typed, options: Options, seen: Observation) -> Path | None:
    """Let a folder that an option names and the run made be in the run directory of a trial.

    Returned is the folder; None if there is none.
    """
    named = {item.name: item.default for item in options.arguments if options.args == "auto"}
    for name, value in (named | words.given).items():
        path = Path(os.path.normpath(value)) if isinstance(value, str) and value else None
        if path not in seen.new_folders or (name not in words.given and holds_shared(path)):
            continue
        option = next((item.option for item in options.arguments if item.name == name), name)
        hyphens = "" if words.style == "k=v" else "--"
        words.words.append(f"{hyphens}{option}={RUN_DIR}{path.name}")
        words.given.pop(name, None)
        return path
    return None


def _one_or_list(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _found(seen: Observed, source: str) -> list[Found]:
    return [Found(name, len(v), v[0], v[-1], source) for name, v in seen.values.items()]


def _printed(seen: Observed, proposals: Sequence[Proposal], lines: Sequence[str]) -> list[Found]:
    """Return what patterns found, each with the first line that shows it."""
    sources: dict[str, str] = {}
    for item in proposals:
        line = next((line for line in lines if re.search(item.pattern, line)), "")
        sources |= dict.fromkeys(set(item.names) - sources.keys(), line.strip())
    return [replace(item, source=sources.get(item.name, "")) for item in _found(seen, "")]


def _best(found: Sequence[Found], proposals: Sequence[Proposal]) -> str | None:
    """Return the metric that ranks; None if there is none."""
    unusual = {name for item in proposals for name in item.names if name not in item.known}
    batches = {name for item in proposals if item.is_of_batches for name in item.names}

    def place(name: str) -> tuple[Any, ...]:
        order = ranking_order(name, has_goal=goal(name) is not None)
        return name in unusual, is_progress_only(name), name in batches, order

    return min((item.name for item in found), key=place, default=None)


def _reported(folder: Path) -> tuple[Observed, list[str]]:
    """Return what the program reported by itself, and how, for people."""
    seen = Observed()
    ways = []
    LogFiles(seen).open_reported(folder / REPORTED_FILE, None).look(0.0, last=True)
    if seen.names:
        ways.append("what it reports itself")
    count = seen.count
    for path in sorted(folder.glob(WANDB_LOGS)):
        LogFiles(seen).open_wandb(path).look(0.0, last=True)
    if seen.count > count:
        ways.append("wandb.log")
    return seen, ways
