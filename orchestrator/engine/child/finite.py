"""What the process of a trial sees of its own reports, before anybody else has judged them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from orchestrator.divergence import series_names, wording


class Finite:
    """Looks at the training loss of each report: whether it is finite, and the best so far.

    The driver judges the same reports, some tenths of a second later and by all rules; here a
    loop that reports its steps ends at the step. The training loss is the series that
    `orchestrator.divergence.rule` would choose.

    Attributes:
        fatal: why the run is lost, in words; None while it is not.
        is_best: True where the last report is the best, or tells nothing of it.
    """

    def __init__(self) -> None:
        self.fatal: str | None = None
        self.is_best = True
        self._best = math.inf
        self._chosen: tuple[series_names.Rank, str] | None = None

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Take in one report."""
        found = series_names.best_training_name(values)
        if found is not None and (self._chosen is None or found[0] < self._chosen[0]):
            self._chosen, self._best = found, math.inf
        if self._chosen is None or self._chosen[1] not in values:
            return
        name = self._chosen[1]
        value = values[name]
        self.is_best = value <= self._best
        if self.is_best:
            self._best = value
        if self.fatal is None and not math.isfinite(value):
            self.fatal = wording.fatal_value(name, value, step)
