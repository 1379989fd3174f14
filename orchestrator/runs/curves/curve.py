"""What a log becomes: runs, each a list of reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.runs.read.stored_run import StoredRun

Report = tuple[int, dict[str, float]]
"""A step and what was measured there."""


class LogProblem(Exception):  # noqa: N818  (it is what was found, not a fault)
    """A log that cannot be read as learning curves; the message says why."""


@dataclass(frozen=True)
class LoggedRun:
    """One run as its log has it.

    Attributes:
        name: the trial's name, or what sets the run apart in its file.
        path: the file or run folder.
        form: which tool's log it is, for people: ``"sweep trial"``, ``"CSV"``.
        reports: in the order of the log; steps may repeat or go back.
        unit: what the steps count: ``"epoch"`` or ``"step"``.
        config: the parameters that are known to have made it.
        number: the trial's number in its sweep; None for other tools.
        state: the trial's state; None for other tools.
        total_steps: the last step that was planned, if known.
        notes: what the reader of the diagnosis should know about the reading.
        stored: the run folder as it was read; None for a log of another tool.
    """

    name: str
    path: Path
    form: str
    reports: tuple[Report, ...]
    unit: str = "epoch"
    config: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None
    state: str | None = None
    total_steps: float | None = None
    notes: tuple[str, ...] = ()
    stored: StoredRun | None = field(default=None, repr=False, compare=False)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return step and value of one series, where it was reported."""
        return [(step, metrics[name]) for step, metrics in self.reports if name in metrics]

    @property
    def names(self) -> list[str]:
        """The names of all series, in the order of their first report."""
        seen: dict[str, None] = {}
        for _, metrics in self.reports:
            seen.update(dict.fromkeys(metrics))
        return list(seen)


_NON_FINITE = {
    "nan": math.nan,
    "-nan": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
    "infinity": math.inf,
    "-infinity": -math.inf,
}


def number(value: Any) -> float | None:
    """Return `value` as a float, None if it is no number. Words for NaN and infinities count."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.lower() in _NON_FINITE:
        return _NON_FINITE[text.lower()]
    try:
        return float(text)
    except ValueError:
        return None


def merged(rows: Sequence[tuple[float, Mapping[str, float]]]) -> tuple[Report, ...]:
    """Return rows as reports; consecutive rows of one step that do not clash become one.

    Tools that log training and validation apart write two rows for a step.
    """
    reports: list[Report] = []
    for place, metrics in rows:
        step = int(place)
        if reports and reports[-1][0] == step:
            last = reports[-1][1]
            clashes = [name for name in metrics if name in last and last[name] != metrics[name]]
            if not clashes:
                last.update(metrics)
                continue
        reports.append((step, dict(metrics)))
    return tuple(reports)
