"""What a row of a log means: which of its cells is the step, and which are metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.engine.script.reports.merge import Merger
from orchestrator.runs.curves import cells
from orchestrator.runs.curves.curve import number

MANY_ROWS = 200
"""Rows of one epoch with steps of their own, from which on the user is told."""


class Columns:
    """Tells step and metrics of the rows of one source, the same way for all of them.

    The step is the column that is named; else ``epoch`` where that holds whole numbers (trials
    with different batch sizes are then compared at the same epoch); else ``step`` and its like;
    else rows are counted.

    Args:
        step: the column of the step; None finds it.
        names: our name of a metric to that in the log.
        prefers_steps: a column ``step`` goes before ``epoch``.
        epochs: how many epochs there will be, where the config says so.
    """

    def __init__(
        self,
        step: str | None = None,
        names: Mapping[str, str] | None = None,
        *,
        prefers_steps: bool = False,
        epochs: int | None = None,
    ) -> None:
        self._given = step
        self._epochs = epochs
        self._first_epoch: float | None = None
        self._ours = {theirs: ours for ours, theirs in (names or {}).items()}
        self._order = (cells.STEPS, cells.EPOCHS) if prefers_steps else (cells.EPOCHS, cells.STEPS)
        self._column: str | None = None
        self._count = 0
        self._steps_of_epoch: set[float] = set()
        self._epoch: float | None = None
        self.is_epoch = False

    def read(self, row: Mapping[str, Any]) -> tuple[float | None, dict[str, float]]:
        """Return step and metrics of a row; no metrics where it has none."""
        plain = {name.strip().lower(): name for name in reversed(list(row))}
        values = {
            self._ours.get(name.strip(), name.strip()): value
            for name, cell in row.items()
            if name != self._given
            and (name.strip() in self._ours or name.strip().lower() not in NO_METRICS)
            and (value := number(cell)) is not None
        }
        if not values:
            return None, {}
        self._count += 1
        if self._column is None:
            self._column = self._find(row, plain)
        column = self._column
        step = number(row.get(column)) if column else float(self._count)
        if step is not None and self._given is None:
            self._watch(step, plain, row)
        return step, values

    def planned(self, row: Mapping[str, Any]) -> float | None:
        """Return how many steps there will be, where the row says so."""
        plain = {name.strip().lower(): name for name in row}
        name = next((plain[key] for key in cells.PLANNED if key in plain), None)
        if name is None and self.is_epoch and self._epochs is not None:
            # Lightning and Keras count from 0, so that the last of 50 is 49.
            return self._epochs - 1 if self._first_epoch == 0 else self._epochs
        return None if name is None else number(row[name])

    def warn(self, where: str, merger: Merger) -> None:
        """Say where rows are taken for parts of one epoch and are a whole training."""
        if len(self._steps_of_epoch) >= MANY_ROWS:
            text = f"{where}: {MANY_ROWS} rows are all of epoch {self._epoch:g}, so that only their"
            merger.warn_once("epoch", f"{text} last values count. Write step: step to count steps")

    def _find(self, row: Mapping[str, Any], plain: Mapping[str, str]) -> str:
        """Return the column of the step; "" where rows are counted."""
        if self._given is not None:
            return self._given
        for kind in self._order:
            for key in kind:
                value = number(row.get(plain[key])) if key in plain else None
                whole = value is not None and math.isfinite(value) and value == int(value)
                if whole:
                    self.is_epoch = key in cells.EPOCHS
                    return plain[key]
        return ""

    def _watch(self, step: float, plain: Mapping[str, str], row: Mapping[str, Any]) -> None:
        if not self.is_epoch:
            return
        if self._first_epoch is None:
            self._first_epoch = step
        if step != self._epoch:
            self._epoch, self._steps_of_epoch = step, set()
        inner = next((number(row[plain[key]]) for key in cells.STEPS if key in plain), None)
        if inner is not None and len(self._steps_of_epoch) < MANY_ROWS:
            self._steps_of_epoch.add(inner)


NO_METRICS = frozenset((*cells.EPOCHS, *cells.STEPS, *cells.PLANNED, *cells.BESIDE))
"""Columns that tell a place in the training, and not how well it does."""
