"""What one attempt of a trial runs: its commands, its checkpoint, and notes for the next one."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engine.child.saving import copy_file, copy_whole
from orchestrator.engine.script.command_line import cap_variables, command, variables
from orchestrator.engine.script.workdir import settle
from orchestrator.errors import TrialError
from orchestrator.files import atomic, checkpoints, format_duration
from orchestrator.runs import RunDir
from orchestrator.runs.curves import tail
from orchestrator.sweepfile.model import Program, Step
from orchestrator.sweepfile.program import Macros, has_macros, names_in, params_text

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun


@dataclass(frozen=True)
class Command:
    """One command of an attempt, which may be one step of the program.

    Attributes:
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
        step: "" if the program has no steps.
        log: the step's own log.
    """

    words: list[str]
    variables: dict[str, str]
    timeout_s: float | None
    stall_timeout_s: float | None
    step: str
    log: Path | None

    def broken_limit(self, took_s: float, silent_s: float) -> str | None:
        """Return which limit is broken after so long a run and so long a silence, or None."""
        if self.timeout_s is not None and took_s >= self.timeout_s:
            return f"exceeded its timeout of {format_duration(self.timeout_s)}"
        if self.stall_timeout_s is not None and silent_s >= self.stall_timeout_s:
            limit = format_duration(self.stall_timeout_s)
            return f"printed nothing for {limit} (stall_timeout)"
        return None


class Notes:
    """What an attempt leaves for the next one, in ``script.json`` of the run directory."""

    def __init__(self, directory: Path) -> None:
        self._file = RunDir(directory).script_file
        self._known: dict[str, Any] = atomic.read_json(self._file) or {}

    @property
    def outputs(self) -> Path | None:
        """The folder that the script made for itself; None if it made none."""
        found = self._known.get("outputs")
        return Path(found) if isinstance(found, str) else None

    @property
    def done(self) -> list[str]:
        """The steps that have ended well."""
        found = self._known.get("done")
        return [str(name) for name in found] if isinstance(found, list) else []

    def note(self, **facts: Any) -> None:
        """Write `facts` to the disk."""
        if any(self._known.get(name) != value for name, value in facts.items()):
            self._known |= facts
            atomic.write_json(self._file, self._known)

    def forget(self) -> None:
        """Remove everything."""
        self._known = {}
        self._file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Job:
    """One attempt, ready to run.

    Attributes:
        program: as it runs in this trial.
        commands: without the steps that an earlier attempt finished.
        outputs: the folder that an earlier attempt made and this one continues in.
        find_checkpoint: returns the newest checkpoint.
        copied: what `program` was given of its folder; "" if that was not copied now.
    """

    program: Program
    commands: list[Command]
    notes: Notes
    outputs: Path | None
    find_checkpoint: Callable[[], Path | None]
    copied: str = ""


def prepare(program: Program, config: Mapping[str, Any], run: TrialRun) -> Job:
    """Make everything that one attempt needs, its files included.

    Raises:
        TrialError: the program cannot be started with this config.
    """
    directory = run.directory
    notes = Notes(directory)
    resumes = run.goes_on and (program.resume is not None or bool(notes.done))
    if not resumes:
        notes.forget()
    copied: list[str] = []
    program, sent = settle(
        program, config, directory, resumes=resumes, warn=run.warn, note=copied.append
    )
    macros = replace(Macros.of(program, sent, directory), device=run.device)
    if program.params_file is not None:
        macros = _write_params_file(program, macros, directory)

    def find_checkpoint() -> Path | None:
        return _find_checkpoint(program, directory, notes.outputs, macros)

    if resumes:
        macros = replace(macros, checkpoint=_resume_from(program, find_checkpoint(), run))
    done = notes.done if resumes else []
    has_begun = macros.checkpoint is not None or bool(done)
    if has_begun:
        run.continues()
    cap = cap_variables(program, run.cap)

    def made(step: Step | None) -> Command:
        return Command(
            command(program, sent, directory, macros=macros, step=step),
            cap | variables(program, macros, step),
            (step.timeout_s if step else None) or program.timeout_s,
            (step.stall_timeout_s if step else None) or program.stall_timeout_s,
            step=step.name if step else "",
            log=directory / f"log-{step.name}.txt" if step else None,
        )

    left = [step for step in program.steps if step.name not in done]
    commands = [made(step) for step in left] if program.steps else [made(None)]
    return Job(
        program,
        commands,
        notes,
        notes.outputs if has_begun else None,
        find_checkpoint,
        "".join(copied),
    )


def _write_params_file(program: Program, macros: Macros, directory: Path) -> Macros:
    """Write the file with the parameters, and return the macros with its path."""
    assert program.params_file is not None
    base = Path(program.workdir) if program.copies else directory.absolute()
    target = base / program.params_file.write
    macros = replace(macros, params_file=str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(base.resolve()):
        raise TrialError(
            f"params_file {program.params_file.write}: a link leads out of the copy, so it would "
            "be written outside. Write it elsewhere, or do not link that folder."
        )
    text = params_text(program.params_file, macros)
    target.unlink(missing_ok=True)  # in a copy it may be a link
    atomic.write_text(target, text, private=True)
    return macros


def _resume_from(program: Program, found: Path | None, run: TrialRun) -> str | None:
    """Return the value of ``${checkpoint}``; None if the program starts from scratch."""
    if program.resume is None:
        return None
    if "checkpoint" not in names_in(program.resume.words):
        return ""  # the program finds it itself
    if found is None:
        wanted = program.resume.checkpoint or ", ".join(checkpoints.RESUMED)
        run.warn(f"starts from scratch: no checkpoint was found ({wanted})")
        return None
    return str(found.absolute())


def _find_checkpoint(
    program: Program, directory: Path, outputs: Path | None, macros: Macros
) -> Path | None:
    """Return the newest checkpoint among a trial's own files, or None.

    Other trials use the program's own folder too, so it counts only if it is a copy or the glob has
    a macro that names something of this trial, as ``ckpt/lr${params:lr}.pt``.
    """
    if program.resume is None:
        return None
    given = program.resume.checkpoint
    folders = [directory] if outputs is None else [directory, outputs]
    if program.copies or (given is not None and has_macros(given)):
        folders.append(Path(program.workdir))
    text = None if given is None else macros.put_in_glob(given)
    usual = [f"**/{pattern}" for pattern in checkpoints.RESUMED]
    patterns = usual if given is None else [text] if text else []
    inherited = RunDir(directory).checkpoint_file
    found = {
        Path(path)
        for folder in folders
        for pattern in patterns
        for path in glob.iglob(os.path.join(glob.escape(str(folder)), pattern), recursive=True)
    }
    own = [path for path in found if path != inherited and not path.name.startswith(".")]
    fallback = inherited if inherited.exists() else None
    return max(own, key=tail.modified_ns, default=fallback)


def keep_checkpoint(found: Path | None, directory: Path) -> None:
    """Put a checkpoint where trials that follow from this one look for it.

    One in the run directory is linked, since nothing else writes there; others are copied. One
    that is a folder stays where it is, for this trial alone.
    """
    target = RunDir(directory).checkpoint_file
    if found is None or found == target or not found.is_file():
        return
    if found.is_relative_to(directory):
        copy_file(found, target)
    else:
        copy_whole(found, target)
