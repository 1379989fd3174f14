"""Pass what changes in one sweep to every browser that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.files import plain
from orchestrator.reporting.content import Report, collect
from orchestrator.reporting.dashboard.follower import Changes, Follower
from orchestrator.reporting.dashboard.live_page import (
    Built,
    Message,
    build,
    difference,
    first_page,
    points,
    rebuild,
    with_changes,
)
from orchestrator.reporting.figures import MOST_RUNS
from orchestrator.reporting.remembered_runs import Memory
from orchestrator.runs import SweepDir, SweepState

LOOK_S = 0.5  # between two looks at the folder
LEAST_PAUSE_S = 1.0  # between two times that the whole report is computed
PAUSE_PER_COST = 8.0  # the same as a multiple of the time that it took
MOST_PAUSE_S = 60.0  # since the first time takes much longer than the others
_FEW = 50  # runs, whose curves appear with the table
_STAGES = (0, MOST_RUNS, None)  # how many runs' curves are read: none, those that are drawn, all
_NEXT = ("Reading learning curves …", "Looking for findings in the other curves …", "")
RETRY_S = 2.0  # until a computation that failed is tried again
ALIVE_S = 15.0  # until something is sent if nothing changes
_MOST_WAITING = 200  # messages that a browser may be behind


class SweepFeed:
    """One sweep, followed as long as a browser shows it.

    New points and states are sent at each look. The whole report, with its ranking and findings, is
    computed in a thread when something has changed, and less often the longer it takes. At first
    the table is shown without curves, then with those that are drawn: all may take minutes.
    """

    def __init__(self, sweep: SweepDir, arrays: Mapping[str, Any] | None = None) -> None:
        self.sweep = sweep
        self._arrays = arrays or {}
        self._follower = Follower(sweep)
        self._places: dict[Path, int] = {}  # of each run, for good: its color
        self._memory = Memory()
        self._lock = threading.Lock()  # of the places
        self._state = SweepState.INTERRUPTED.value
        self._built: Built | None = None
        # Since the last computation began, which may have read what was there before.
        self._recent: list[Any] = []  # points
        self._since: list[Changes] = []
        self._has_changed = True
        self._due = 0.0
        self._stage = 0
        self._browsers: set[asyncio.Queue[str]] = set()
        self._following: asyncio.Task[None] | None = None

    @property
    def report(self) -> Report | None:
        """The report that is shown now; None before the first."""
        return None if self._built is None else self._built.report

    async def messages(self) -> AsyncIterator[str]:
        """Yield the page as it is, then each change; "" if there is none for a while."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())
        if self._built is not None:
            yield _text({**difference(None, self._built), "points": self._recent})
        self._browsers.add(queue)
        try:
            while queue.qsize() < _MOST_WAITING:  # else it opens the page again
                try:
                    yield await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    yield ""
        finally:
            self._browsers.discard(queue)
            if not self._browsers and self._following is not None:
                self._following.cancel()

    async def _follow(self) -> None:
        computing: asyncio.Task[tuple[Built, float]] | None = None
        while True:
            with contextlib.suppress(OSError, SweepError):
                changes = await asyncio.to_thread(self._follower.look)
                self._send(self._apply(changes))
            if computing is not None and computing.done():
                self._send(self._take(computing))
                computing = None
            if computing is None and self._has_changed and time.monotonic() >= self._due:
                self._has_changed = False
                self._recent, self._since = [], []
                computing = asyncio.create_task(asyncio.to_thread(self._compute))
            await asyncio.sleep(LOOK_S)

    def _take(self, computing: asyncio.Task[tuple[Built, float]]) -> Message:
        """Show what was computed, or why it could not be, and return what to send."""
        try:
            built, cost_s = computing.result()
        except Exception as error:  # the page must go on, whatever a folder holds
            self._has_changed = True
            self._due = time.monotonic() + RETRY_S
            is_awaited = not self.sweep.state_file.exists()
            return {} if is_awaited else {"problem": f"The ranking cannot be computed: {error}"}
        pause_s = min(max(LEAST_PAUSE_S, PAUSE_PER_COST * cost_s), MOST_PAUSE_S)
        is_last = self._stage == len(_STAGES) - 1
        self._due = time.monotonic() + (pause_s if is_last else 0.0)
        message = {**self._replace(built), "problem": _NEXT[self._stage]}
        if not is_last:
            self._stage += 1
            self._has_changed = True
        return message

    def _send(self, message: Message) -> None:
        if message:
            text = _text(message)
            for queue in self._browsers:
                queue.put_nowait(text)

    def _apply(self, changes: Changes) -> Message:
        """Show what a look has found, and return what to send."""
        if not changes:
            return {}
        self._has_changed = True
        if changes.state is not None:
            self._state = changes.state.value
        self._place([run.path for run in changes.records])
        self._since.append(changes)
        built = self._built
        if built is None:
            self._stage = 0 if len(self._places) > _FEW else len(_STAGES) - 1
            self._built = first_page(self.sweep, changes, self._places, self._state)
            return difference(None, self._built)
        self._built = rebuild(built, with_changes(built.report, changes, self._places), self._state)
        new = points(changes, self._places)
        self._recent += new
        message = difference(built, self._built)
        return {**message, "points": new} if new else message

    def _replace(self, built: Built) -> Message:
        """Show the report that was computed, and return what to send."""
        before, self._built = self._built, built
        if self._since:
            report = built.report
            for changes in self._since:
                report = with_changes(report, changes, self._places)
            self._built = rebuild(built, report, self._state)
        message = difference(before, self._built)
        return {**message, "points": self._recent} if self._recent else message

    def _compute(self) -> tuple[Built, float]:
        """Return the whole page and the CPU seconds that it took; in a thread."""
        began = time.thread_time()
        is_over = self._state != SweepState.RUNNING
        most = _STAGES[self._stage]
        report = collect(
            [self.sweep.path],
            with_importance=is_over and most is None,
            memory=self._memory,
            most_curves=most,
            **self._arrays,
        )
        self._place(sorted(run.path for run in report.runs))
        by_place = {self._places[run.path]: run for run in report.runs}
        known = () if self._built is None else self._built.report.runs
        for place, run in enumerate(known[: max(by_place, default=-1) + 1]):
            by_place.setdefault(place, run)  # its folder is gone
        runs = tuple(by_place[place] for place in sorted(by_place))
        return build(replace(report, runs=runs), self._state), time.thread_time() - began

    def _place(self, paths: Iterable[Path]) -> None:
        with self._lock:
            for path in paths:
                self._places.setdefault(path, len(self._places))


def _text(message: Message) -> str:
    return json.dumps(plain(message), separators=(",", ":"))
