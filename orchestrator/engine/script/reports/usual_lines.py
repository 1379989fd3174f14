"""Metrics in the output of a program whose sweep file names none: lines as people print them."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from orchestrator.engine.script.output_text import Line
from orchestrator.engine.script.printed import read_line
from orchestrator.engine.script.reports.merge import Merger, Reports
from orchestrator.runs.curves import cells
from orchestrator.sweepfile.model import Program

_MOST_SOURCE = 5_000_000  # bytes
_REPORTS_ITSELF = re.compile(rb"SWEEP_METRICS|\bwandb\b|\borchestrator\b")
_STEPS = ("epoch", "step")


class UsualLines(Merger):
    """Takes what lines show under usual names of metrics, as ``epoch 3 val_loss: 0.5``.

    The step is the epoch, or the step of programs that print none; a counter of batches is neither.
    A line without one belongs to the step before it. If no line has a step, steps are counted.

    Args:
        options: the names of the trial's parameters, which programs print too.

    Attributes:
        matched: no pattern; see `Follower`.
        taken: the metrics that were found.
    """

    def __init__(self, reports: Reports, options: Collection[str]) -> None:
        super().__init__(reports, has_steps=False)
        self.matched: set[str] = set()
        self.taken: dict[str, None] = {}
        self._options = options
        self._kind = len(_STEPS)
        self._numbers = cells.Numbers()

    def line(self, line: Line, now: float) -> None:
        """Take one line at a monotonic time, s."""
        printed = read_line(line.text, self._options)
        for pair in printed.pairs:
            self._numbers.see(pair.value)
        values = {
            pair.name: number
            for pair in printed.pairs
            if pair.is_known and (number := self._numbers.read(pair.value)) is not None
        }
        raw = None
        for place in printed.places:
            kind = _STEPS.index(place.kind) if place.kind in _STEPS else len(_STEPS)
            if kind < len(_STEPS) and kind <= self._kind:
                self._kind, self._has_steps, raw = kind, True, place.value
                self.total(None if place.total is None else float(place.total))
        if values or raw is not None:
            self.taken |= dict.fromkeys(values)
            self.take(raw, values, now)

    def unfinished(self, line: Line, now: float) -> None:
        """Take nothing from a line that has begun: it may come again, longer."""


def reports_itself(program: Program) -> bool:
    """Return whether the text of a script shows that it reports its metrics in another way."""
    try:
        with Path(program.path).open("rb") as stream:
            return _REPORTS_ITSELF.search(stream.read(_MOST_SOURCE)) is not None
    except OSError:
        return False
