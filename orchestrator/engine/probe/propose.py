"""What a sweep file for a program should contain, after one run of it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.divergence import is_validation
from orchestrator.engine.probe.observe import RUN_DIR, Observed, guess_files, observe
from orchestrator.engine.probe.pattern_guess import propose_patterns
from orchestrator.engine.script.command_line import REPORTED_FILE, command, reporting_variables
from orchestrator.engine.script.output_text import lines_that_matter
from orchestrator.engine.script.reports.log_files import NO_METRICS, LogFiles
from orchestrator.engine.script.reports.sources import WANDB_LOGS
from orchestrator.files import jsonl
from orchestrator.runs.curves import cells
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import Argument, read_arguments, read_help
from orchestrator.sweepfile.schema import Probed

HELP_LIMIT_S = 30.0
_MOST_SOURCE = 5_000_000  # bytes
# A script that imports none of these does not know --help, and would begin to train.
_PARSERS = re.compile(
    r"\b(argparse|click|typer|fire|absl|hydra|jsonargparse|simple_parsing|tyro)\b"
)
_HIGHER = re.compile(r"(?:^|[_/.])(acc|accuracy|auc|auroc|f1|r2|psnr|ssim|snr|map|iou|dice|bleu)")
_NOT_RANKED = ("lr", "learning_rate", "time", "step", "epoch", "per_second")
_OPTION = re.compile(r"-(?![\d.])")  # -1 and -.5 are values
_KEY_VALUE = re.compile(r"(?P<hyphens>--)?(?P<name>[A-Za-z_][\w.-]*)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Probe:
    """What one run of a program has shown.

    Attributes:
        code: its exit code, or minus a signal.
        arguments: the program's options.
        sources: where metrics were found, for people.
        why: the last lines of a run that failed.
    """

    code: int
    arguments: list[Argument]
    probed: Probed
    sources: list[str]
    why: list[str]


def probe(program: Program, typed: Sequence[str], limit_s: float) -> Probe:
    """Run `program` once with the arguments `typed`, and return what a sweep could use.

    Raises:
        TrialError: it cannot be started.
    """
    start = command(program, {})
    arguments = _arguments(Path(program.workdir) / program.path, start)
    words, given, style = _sorted_words(typed, arguments)
    with tempfile.TemporaryDirectory(prefix="sweep-probe-") as name:
        folder = Path(name)
        variables = reporting_variables({}, folder)
        variables.pop("WANDB_SWEEP_PARAM_PATH")
        seen = observe(program, [*start, *typed], limit_s, variables)
        own, sources = _reported(folder)
    named: Path | None = None  # the folder that the run made and an argument named
    for name, value in given.items():
        path = Path(os.path.normpath(value)) if isinstance(value, str) and value else None
        if path in seen.new_folders:
            option = next((item.option for item in arguments if item.name == name), name)
            words.append(f"{'' if style == 'k=v' else '--'}{option}={RUN_DIR}{path.name}")
            del given[name]
            named = path
            break
    files = guess_files(Path(program.workdir), seen, named)
    patterns = propose_patterns(seen.lines)
    shown = [name for item in patterns for name in item.names]
    metrics: dict[str, Any] = {}
    notes: list[str] = []
    if own:
        notes.append(f"the script reports by itself: {', '.join(own[:8])}")
    if files.files:
        metrics["files"] = _one_or_list(files.files)
        if files.needs_step:
            metrics["step"] = "step"
        notes.append(f"in the files: {', '.join(files.names[:8])}")
    if patterns and not (own or files.names):
        metrics["pattern"] = _one_or_list([item.pattern for item in patterns])
        notes.append(f"in the output: {', '.join(shown[:8])}")
    elif patterns:
        notes.append(f"the output shows {', '.join(shown[:8])}: pattern: {patterns[0].pattern!r}")
    best = min([*own, *files.names] or shown, key=_rank, default=None)
    probed = Probed(
        words=tuple(words),
        given=given,
        style=style,
        outputs=files.outputs,
        metrics=metrics | files.arrays,
        metric=best,
        goal="maximize" if best is not None and _HIGHER.search(best.lower()) else "minimize",
        notes=tuple(notes),
        copies=files.is_fixed,
    )
    sources += [f"the file {path}" for path in files.files]
    sources += ["the output"] if patterns else []
    sources += ["the arrays that it saves"] if files.arrays else []
    failed = seen.code != 0 and not seen.was_ended
    return Probe(
        seen.code, arguments, probed, sources, lines_that_matter(seen.lines) if failed else []
    )


def _one_or_list(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _rank(name: str) -> tuple[bool, bool, bool]:
    """Return the place of a metric: preferably one of validation, and not a loss."""
    plain = name.lower()
    return (plain.endswith(_NOT_RANKED), not is_validation(plain), "loss" in plain)


def _arguments(file: Path, start: Sequence[str]) -> list[Argument]:
    """Return the options of a program: those that its source declares, then those of its help."""
    declared: list[Argument] = []
    if file.suffix == ".ipynb":
        return []
    if file.suffix == ".py":
        try:
            with file.open("rb") as stream:
                source = stream.read(_MOST_SOURCE).decode("utf-8-sig", "replace")
        except OSError:
            return []
        with suppress(SyntaxError):
            declared = read_arguments(source)
        if _PARSERS.search(source) is None:
            return declared
    try:
        done = subprocess.run(
            [*start, "--help"],
            cwd=file.parent if file.is_file() else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=HELP_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return declared
    in_help = read_help((done.stdout or done.stderr).decode("utf-8", "replace"))
    names = {item.name for item in declared}
    return [*declared, *(item for item in in_help if item.name not in names)]


def _sorted_words(
    typed: Sequence[str], arguments: Sequence[Argument]
) -> tuple[list[str], dict[str, Any], str | None]:
    """Return the arguments that every trial needs, the parameters among them, and the style."""
    known = {item.name: item for item in arguments}
    rest: list[str] = []
    given: dict[str, Any] = {}
    style: str | None = None
    queue = list(typed)
    while queue:
        word = queue.pop(0)
        pair = _KEY_VALUE.fullmatch(word)
        name = (pair["name"] if pair is not None else word.lstrip("-")).replace("-", "_")
        option = known.get(name) if word.startswith("--") else None
        if pair is not None and pair["hyphens"] is None:
            given[pair["name"]] = _value(pair["value"])
            style = "k=v"
        elif pair is not None and option is not None:
            given[name] = _value(pair["value"])
        elif option is not None and option.is_switch:
            given[name] = True
        elif option is not None and option.takes_several:
            values = []
            while queue and not _OPTION.match(queue[0]):
                values.append(_value(queue.pop(0)))
            given[name] = values
        elif option is not None and queue:
            given[name] = _value(queue.pop(0))
        else:
            rest.append(word)
    return rest, given, style


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _reported(folder: Path) -> tuple[list[str], list[str]]:
    """Return what the program reported by itself, and how, for people."""
    names: list[str] = []
    ways = []
    for record in jsonl.read(folder / REPORTED_FILE):
        names += [name for name in cells.flat(record) if name.lower() not in NO_METRICS]
    if names:
        ways.append("what it reports itself")
    reports = Observed()
    for path in sorted(folder.glob(WANDB_LOGS)):
        LogFiles(reports).open_wandb(path).look(0.0, last=True)
    if reports.names:
        ways.append("wandb.log")
    return list(dict.fromkeys([*names, *reports.names])), ways
