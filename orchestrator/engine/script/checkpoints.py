"""The checkpoint that a script saved: where it is, and handing it to whoever goes on from it."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from orchestrator.files import atomic
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import Macros, is_ours

USUAL = ("**/*.ckpt", "**/*.pt", "**/*.pth", "**/checkpoint-*/")
"""What is taken for a checkpoint where the file does not say: Lightning's, PyTorch's, HF's."""


def find_checkpoint(
    program: Program, directory: Path, own: Iterable[Path], macros: Macros
) -> Path | None:
    """Return the newest checkpoint among a trial's own files, or None.

    Looked through are the run directory, the trial's copy of the program's folder, and the folder
    that the script made. The program's own folder is another trial's too: it counts only where
    the glob names something of this trial by a macro, as ``ckpt/lr${params:lr}.pt``.

    Args:
        program: as it runs in this trial.
        directory: the run directory.
        own: other folders that are the trial's own.
        macros: for the glob.
    """
    assert program.resume is not None
    given = program.resume.checkpoint
    folders = [directory, *own]
    if program.copies or (given is not None and is_ours(given)):
        folders.append(Path(program.workdir))
    text = None if given is None else macros.put_in_glob(given)
    patterns = USUAL if given is None else (text,) if text else ()
    inherited = RunDir(directory).checkpoint_file
    found = {
        Path(path)
        for folder in folders
        for pattern in patterns
        for path in glob.iglob(os.path.join(glob.escape(str(folder)), pattern), recursive=True)
    }
    own_files = [path for path in found if path != inherited and not path.name.startswith(".")]
    newest = max(own_files, key=_modified, default=None)
    if newest is not None:
        return newest
    return inherited if inherited.exists() else None


def keep_checkpoint(found: Path | None, directory: Path) -> None:
    """Put a checkpoint where a trial that follows from this one looks for it.

    One in the run directory is linked, since nobody else writes there; others are copied. One
    that is a folder stays where it is, for this trial alone.

    Raises:
        OSError: the run directory cannot be written.
    """
    target = RunDir(directory).checkpoint_file
    if found is None or found == target or not found.is_file():
        return
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    if found.is_relative_to(directory):
        with suppress(OSError):
            os.link(found, part)
    if part.exists():
        os.replace(part, target)
        return
    with found.open("rb") as reading, atomic.replacing(target) as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
