"""What a row of a log means: which of its cells is the step, and which are metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.engine.script.reports.merge import Merger
from orchestrator.runs.curves import cells, number

MANY_ROWS = 200
"""Rows of one epoch with their own steps, from which on the user is warned."""

NO_METRICS = frozenset((*cells.EPOCHS, *cells.STEPS, *cells.PLANNED, *cells.BESIDE))
"""Columns that give a position in the training, not its quality."""


class Columns:
    """Finds step and metrics in the rows of one source, the same way for all of them.

    The step is the given column; else ``epoch`` if that holds whole numbers (trials with different
    batch sizes are then compared at the same epoch); else ``step`` and its synonyms; else rows are
    counted.

    Args:
        step: the column of the step; None finds it.
        names: our name of a metric to its name in the log.
        prefers_steps: a column ``step`` goes before ``epoch``.
        epochs: how many epochs there will be, if the config says so.
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
        self._ours = {theirs: ours for ours, theirs in (names or {}).items()}
        self._order = (cells.STEPS, cells.EPOCHS) if prefers_steps else (cells.EPOCHS, cells.STEPS)
        self._column: str | None = None
        self._is_epoch = False
        self._count = 0
        self._first_epoch: float | None = None
        self._epoch: float | None = None
        self._steps_of_epoch: set[float] = set()

    def read(self, row: Mapping[str, Any]) -> tuple[float | None, dict[str, float]]:
        """Return step and metrics of a row; no metrics if it has none."""
        values = {
            self._ours.get(name.strip(), name.strip()): value
            for name, cell in row.items()
            if name != self._given
            and (name.strip() in self._ours or name.strip().lower() not in NO_METRICS)
            and (value := number(cell)) is not None
        }
        if not values:
            return None, {}
        plain = {name.strip().lower(): name for name in reversed(list(row))}
        self._count += 1
        if self._column is None:
            self._column = self._find(row, plain)
        step = number(row.get(self._column)) if self._column else float(self._count)
        if step is not None and self._is_epoch:
            self._watch_epoch(step, plain, row)
        return step, values

    def planned(self, row: Mapping[str, Any]) -> float | None:
        """Return how many steps there will be; None if the row does not say."""
        plain = {name.strip().lower(): name for name in row}
        name = next((plain[key] for key in cells.PLANNED if key in plain), None)
        if name is None and self._is_epoch and self._epochs is not None:
            # Lightning and Keras count from 0, so that the last of 50 is 49.
            return self._epochs - 1 if self._first_epoch == 0 else self._epochs
        return None if name is None else number(row[name])

    def warn(self, where: str, merger: Merger) -> None:
        """Warn if rows are taken for parts of one epoch and are a whole training."""
        if len(self._steps_of_epoch) >= MANY_ROWS:
            text = f"{where}: {MANY_ROWS} rows are all of epoch {self._epoch:g}, so that only their"
            merger.warn_once("epoch", f"{text} last values count. Write step: step to count steps")

    def _find(self, row: Mapping[str, Any], plain: Mapping[str, str]) -> str:
        """Return the column of the step; "" if rows are counted."""
        if self._given is not None:
            return self._given
        for kind in self._order:
            for key in kind:
                value = number(row.get(plain[key])) if key in plain else None
                if value is not None and math.isfinite(value) and value == int(value):
                    self._is_epoch = key in cells.EPOCHS
                    return plain[key]
        return ""

    def _watch_epoch(self, epoch: float, plain: Mapping[str, str], row: Mapping[str, Any]) -> None:
        if self._first_epoch is None:
            self._first_epoch = epoch
        if epoch != self._epoch:
            self._epoch, self._steps_of_epoch = epoch, set()
        inner = next((number(row[plain[key]]) for key in cells.STEPS if key in plain), None)
        if inner is not None and len(self._steps_of_epoch) < MANY_ROWS:
            self._steps_of_epoch.add(inner)
