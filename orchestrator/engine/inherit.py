"""Handing a trial the checkpoint of the trial that it follows."""

from __future__ import annotations

import os
import shutil

from orchestrator.files import atomic
from orchestrator.runs.layout import RunDir


def inherit_checkpoint(source: RunDir, run: RunDir) -> bool:
    """Put the checkpoint of `source` into `run`, where it has none, and tell whether it has one.

    It is linked where that is possible: a checkpoint is only ever replaced by another file, so
    neither trial sees what the other saves later.

    Raises:
        OSError: `run` cannot be written.
    """
    if run.checkpoint_file.exists():
        return True
    if not source.checkpoint_file.exists():
        return False
    run.path.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.checkpoint_file, run.checkpoint_file)
    except OSError:  # a file system without links
        with (
            source.checkpoint_file.open("rb") as stream,
            atomic.replacing(run.checkpoint_file) as copy,
        ):
            shutil.copyfileobj(stream, copy)
    return True
