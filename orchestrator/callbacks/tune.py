"""End trials of Ray Tune that diverged, without `sweep`.

::

    from orchestrator.callbacks.tune import StopDiverged
    Tuner(trainable, run_config=RunConfig(stop=StopDiverged("val_mae")))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.divergence import DivergenceRule


class StopDiverged:
    """A function for Tune's ``stop``: true once a trial is lost.

    Args:
        metric: the reported name that is judged if no training loss is reported.
        goal: ``"minimize"`` or ``"maximize"`` it.

    Attributes:
        reasons: trial → why it was ended.
    """

    def __init__(self, metric: str | None = None, goal: str = "minimize") -> None:
        self.reasons: dict[str, str] = {}
        self._judged_by = metric, goal
        self._rules: dict[str, DivergenceRule] = {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Judge one result of a trial."""
        rule = self._rules.setdefault(trial_id, DivergenceRule(*self._judged_by))
        verdict = rule.update(int(result.get("training_iteration", 0)), result)
        if verdict.stops:
            self.reasons[trial_id] = verdict.reason
        return verdict.stops
