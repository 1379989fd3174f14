"""Handing a trial the checkpoint of the trial that it follows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchestrator.runs import RunDir


def copy_file(source: Path, target: Path) -> None:
    """Let `target` hold what `source` does now; linked, where the file system has links.

    Raises:
        OSError: `target` cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # a file system without links
        shutil.copyfile(source, part)
    os.replace(part, target)
    part.unlink(missing_ok=True)  # two links to one file are left as they are


def inherit_checkpoint(source: RunDir, run: RunDir, *, best: bool = False) -> bool:
    """Put the checkpoint of `source` into `run`, where it has none, and tell whether it has one.

    It is linked where that is possible: a checkpoint is only ever replaced by another file, so
    neither trial sees what the other saves later.

    Args:
        source: the run directory of the trial that is followed.
        run: that of the follower.
        best: the state after its best report rather than its last one, where that was kept.

    Raises:
        OSError: `run` cannot be written.
    """
    if run.checkpoint_file.exists():
        return True
    saved = source.checkpoint_file
    if best and source.best_checkpoint_file.exists():
        saved = source.best_checkpoint_file
    if not saved.exists():
        return False
    run.path.mkdir(parents=True, exist_ok=True)
    copy_file(saved, run.checkpoint_file)
    return True
