"""What one attempt of a trial's program comes to: its commands, and what they go on from.

What an attempt of a script leaves for the next one: ``script.json`` in the run directory.

How long a command may take, and how long it may be silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.engine.script.checkpoints import find_checkpoint, keep_checkpoint
from orchestrator.engine.script.command_line import command, macros_of, variables
from orchestrator.engine.script.launch import ScriptRun, cap_variables
from orchestrator.engine.script.workdir import settle
from orchestrator.errors import TrialError
from orchestrator.files import atomic, format_duration
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program, Step
from orchestrator.sweepfile.program import names_in, params_text


@dataclass(frozen=True)
class Piece:
    """One command of an attempt.

    Attributes:
        name: of the step; "" where there is one command only.
        words: the argument list.
        variables: of its environment, beside the usual.
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
        log: the step's own log; None where there is one command only.
    """

    name: str
    words: list[str]
    variables: dict[str, str]
    timeout_s: float | None = None
    stall_timeout_s: float | None = None
    log: Path | None = None


@dataclass(frozen=True)
class Job:
    """One attempt, ready to run.

    Attributes:
        program: as it runs in this trial.
        pieces: the commands, in their order; a step that is done is not among them.
        notes: for the next attempt.
        outputs: the folder that an earlier attempt made and this one goes on in.
        find: returns the newest checkpoint.
    """

    program: Program
    pieces: list[Piece]
    notes: Notes
    outputs: Path | None
    find: Callable[[], Path | None]

    def keep_checkpoint(self, directory: Path) -> None:
        """Put the newest checkpoint where trials that follow look for it."""
        keep_checkpoint(self.find(), directory)


def prepare(program: Program, config: Mapping[str, Any], run: ScriptRun) -> Job:
    """Make everything that one attempt needs, its files included.

    Raises:
        TrialError: the program cannot be started with this config.
    """
    notes = Notes(run.directory)
    goes_on = run.goes_on and (program.resume is not None or bool(notes.done))
    if not goes_on:
        notes.forget()
    settled, sent = settle(program, config, run.directory, goes_on=goes_on, warn=run.warn)
    macros = replace(macros_of(settled, sent, run.directory), device=run.device)
    if settled.params_file is not None:
        base = Path(settled.workdir) if settled.copies else run.directory.absolute()
        target = base / settled.params_file.write
        macros = replace(macros, params_file=str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(base.resolve()):
            raise TrialError(
                f"params_file {settled.params_file.write}: must be written inside the copy, but a "
                "link leads out of it. Write it elsewhere, or do not link that folder."
            )
        text = params_text(settled.params_file, macros)
        target.unlink(missing_ok=True)  # in a copy it may be a link
        atomic.write_text(target, text)

    def find() -> Path | None:
        if settled.resume is None:
            return None
        own = [notes.outputs] if notes.outputs is not None else []
        return find_checkpoint(settled, run.directory, own, macros)

    if goes_on:
        macros = replace(macros, checkpoint=_go_on_from(settled, find(), run))
    done = notes.done if goes_on else []
    if macros.checkpoint is not None or done:
        run.continues()
    cap = cap_variables(settled, run.cap)
    steps: list[Step | None] = [step for step in settled.steps if step.name not in done]
    pieces = []
    for step in steps if settled.steps else [None]:
        words = command(settled, sent, run.directory, macros=macros, step=step)
        found = variables(settled, sent, run.directory, macros=macros, step=step)
        pieces.append(_piece(settled, step, words, {**cap, **found}, run.directory))
    outputs = notes.outputs if macros.checkpoint is not None or done else None
    return Job(settled, pieces, notes, outputs, find)


def _go_on_from(program: Program, found: Path | None, run: ScriptRun) -> str | None:
    """Return what ``${checkpoint}`` stands for; None where the program starts anew."""
    if program.resume is None:
        return None
    if "checkpoint" not in names_in(program.resume.words):
        return ""  # the program finds it itself
    if found is None:
        wanted = program.resume.checkpoint or "*.ckpt, *.pt, *.pth"
        run.warn(f"starts from scratch: no checkpoint was found ({wanted})")
        return None
    return str(found.absolute())


def _piece(
    program: Program, step: Step | None, words: list[str], found: dict[str, str], directory: Path
) -> Piece:
    if step is None:
        return Piece("", words, found, program.timeout_s, program.stall_timeout_s)
    return Piece(
        step.name,
        words,
        found,
        step.timeout_s or program.timeout_s,
        step.stall_timeout_s or program.stall_timeout_s,
        directory / f"log-{step.name}.txt",
    )


class Notes:
    """Reads and writes the notes of one trial; each change is on the disk at once.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        self._file = RunDir(directory).script_file
        self._known: dict[str, Any] = atomic.read_json(self._file) or {}

    @property
    def outputs(self) -> Path | None:
        """The folder that the script made for itself; None where it made none."""
        found = self._known.get("outputs")
        return Path(found) if isinstance(found, str) else None

    @property
    def done(self) -> list[str]:
        """The steps that have ended well."""
        found = self._known.get("done")
        return [str(name) for name in found] if isinstance(found, list) else []

    def note(self, **facts: Any) -> None:
        """Keep `facts` for the next attempt."""
        if any(self._known.get(name) != value for name, value in facts.items()):
            self._known |= facts
            atomic.write_json(self._file, self._known)

    def forget(self) -> None:
        """Start anew."""
        self._known = {}
        self._file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Limits:
    """The limits of one command.

    Attributes:
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
    """

    timeout_s: float | None = None
    stall_timeout_s: float | None = None

    def broken(self, took_s: float, silent_s: float) -> str | None:
        """Return which limit is broken, for a message, or None.

        Args:
            took_s: how long the command has run.
            silent_s: how long it has printed nothing.
        """
        if self.timeout_s is not None and took_s >= self.timeout_s:
            return f"must end within {format_duration(self.timeout_s)} (timeout), but still ran"
        if self.stall_timeout_s is not None and silent_s >= self.stall_timeout_s:
            limit = format_duration(self.stall_timeout_s)
            return f"must print something every {limit} (stall_timeout), but was silent for longer"
        return None
