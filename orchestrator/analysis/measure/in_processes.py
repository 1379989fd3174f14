"""Read many runs in several processes: one is bound by its core, and waits for the disk."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.logged import Rule
from orchestrator.analysis.measure.measuring import Reading, read
from orchestrator.analysis.measure.row import Incomplete
from orchestrator.runs.read import StoredRun

FEWEST = 100
"""Runs for each process: to start one takes as long as reading some ten."""

_MOST_PROCESSES = 8  # more would wait for the same disk

_Settings = tuple[str | None, Mapping[str, Any] | None, Rule]
_work: tuple[Sequence[StoredRun], _Settings] = ((), (None, None, Rule()))


def read_all(
    runs: Sequence[StoredRun], settings: _Settings, on_read: Callable[[int], object]
) -> dict[Path, Reading | Incomplete]:
    """Return what `read` returns of each run, by its path; {} if one process is as good.

    Args:
        settings: the other arguments of `read`.
        on_read: called with the number of runs that were read.
    """
    # A process that has threads must not be forked, and all else would load everything again.
    if sys.platform != "linux" or threading.active_count() > 1:
        return {}
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, len(runs) // FEWEST)
    if processes < 2:
        return {}
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        processes, get_context("fork"), initializer=_begin, initargs=(runs, settings)
    )
    found = {}
    try:
        for place, one in enumerate(pool.map(_read, range(len(runs)), chunksize=16)):
            found[runs[place].path] = one
            on_read(place + 1)
    except BrokenProcessPool:
        return found  # one was killed, as for want of memory; the rest is read here
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _begin(*work: Any) -> None:
    global _work  # noqa: PLW0603  (a process of its own, which has inherited all)
    _work = work


def _read(place: int) -> Reading | Incomplete:
    runs, settings = _work
    return read(runs[place], *settings)
