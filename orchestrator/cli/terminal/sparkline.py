"""The metric of running trials as it grows: the best so far, and its course as a row of bars."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from orchestrator.analysis.status import numeric
from orchestrator.files import jsonl, regular
from orchestrator.runs import SweepDir

_KEPT = 256
_BLOCK = 1 << 20
_BARS = "▁▂▃▄▅▆▇█"
_BARS_ASCII = "_.-~=+*#"


@dataclass
class Series:
    """The reports of one trial's metric.

    Attributes:
        best: the best finite value so far; None before there is one.
        values: finite values in order, thinned out evenly if there are many.
    """

    best: float | None = None
    values: list[float] = field(default_factory=list)
    _offset: int = 0
    _every: int = 1
    _count: int = 0

    def add(self, value: float, *, minimize: bool) -> None:
        """Take in the next value."""
        if not math.isfinite(value):
            return
        if self.best is None or (value < self.best if minimize else value > self.best):
            self.best = value
        if self._count % self._every == 0:
            self.values.append(value)
        self._count += 1
        if len(self.values) > _KEPT:
            self.values = self.values[::2]
            self._every *= 2


class SeriesReader:
    """Reads what was added to the logs of trials since the last call, and nothing twice."""

    def __init__(self, sweep: SweepDir, metric: str, goal: str) -> None:
        self._sweep = sweep
        self._metric = metric
        self._minimize = goal == "minimize"
        self._known: dict[tuple[int, str], Series] = {}

    def read(self, number: int, name: str) -> Series:
        """Return the series of a trial as it is now."""
        known = self._known.setdefault((number, name), Series())
        run = self._sweep.run_dir(number, name)
        try:
            with regular.open_file(run.metrics_file, run.path) as stream:
                stream.seek(known._offset)
                added = stream.read(_BLOCK)
        except OSError:
            return known
        whole = added[: added.rfind(b"\n") + 1]
        known._offset += len(whole)
        for report in jsonl.parse(whole):
            value = numeric(report.get("metrics")).get(self._metric)
            if value is not None:
                known.add(value, minimize=self._minimize)
        return known


def sparkline(values: list[float], width: int, *, ascii_only: bool = False) -> str:
    """Return values as bars of different height, at most `width`; "" for fewer than two."""
    if len(values) < 2:
        return ""
    count = min(width, len(values))
    # Each bar is the last value of its part, so that the last bar is where the trial is now.
    parts = [values[(place + 1) * len(values) // count - 1] for place in range(count)]
    bars = _BARS_ASCII if ascii_only else _BARS
    low, high = min(parts), max(parts)
    spread = high / 2 - low / 2  # halves, since the difference of two numbers may be infinite
    scale = (len(bars) - 1) / 2 / spread if spread > 0 else 0.0
    return "".join(bars[round((value / 2 - low / 2) * scale * 2)] for value in parts)
