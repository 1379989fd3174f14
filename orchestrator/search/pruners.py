"""Who stops trials that cannot win: Optuna's pruners with our defaults, and their reasons in words.

========== ==================================================================================
name       what it does
========== ==================================================================================
none       stops nothing
median     stops a trial whose best value so far is worse than the median, at the same step, of
           the trials that are complete; from the fifth complete trial on
hyperband  successive halving in brackets: at steps 1, 3, 9, … of its bracket a trial must be
           among the best third; once a first trial is complete, whose last step is taken for
           the length of all
========== ==================================================================================

Both judge the metric of the sweep. They are blind to divergence, which has a rule of its own.
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import UsageError, nearest

MEDIAN_STARTUP_TRIALS = 5
HYPERBAND_MIN_STEP = 1
HYPERBAND_REDUCTION = 3


class NamedPruner(ABC):
    """One pruner that a spec can name.

    Attributes:
        name: as in the spec.
    """

    name: str

    @abstractmethod
    def make(self) -> BasePruner:
        """Return the Optuna pruner."""

    @abstractmethod
    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word why `trial`, which the pruner has just refused, is stopped."""


class NonePruner(NamedPruner):
    """Stops nothing."""

    name = "none"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return NopPruner()

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word a refusal, which never comes."""
        raise AssertionError("the pruner 'none' refuses no trial")


class MedianNamedPruner(NamedPruner):
    """Stops what is worse than the median of the complete trials at the same step."""

    name = "median"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return MedianPruner(n_startup_trials=MEDIAN_STARTUP_TRIALS)

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word the median, and of how many trials it is."""
        step = trial.last_step
        values = list(trial.intermediate_values.values())
        best = min(values) if study.direction == StudyDirection.MINIMIZE else max(values)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        others = [
            other.intermediate_values[step]
            for other in complete
            if step is not None and step in other.intermediate_values
        ]
        of = f"{len(others)} trials" if len(others) != 1 else "1 trial"
        return (
            f"median pruner: {metric} {best:.4g}, the best up to step {step}, "
            f"is worse than the median {statistics.median(others):.4g} of {of} at that step"
        )


class HyperbandNamedPruner(NamedPruner):
    """Stops, at growing steps, all but the best third of each bracket."""

    name = "hyperband"

    def make(self) -> BasePruner:
        """Return the Optuna pruner."""
        return HyperbandPruner(
            min_resource=HYPERBAND_MIN_STEP, reduction_factor=HYPERBAND_REDUCTION
        )

    def reason(self, study: Study, trial: FrozenTrial, metric: str) -> str:
        """Word the step and the part that goes on."""
        step = trial.last_step
        value = math.nan if step is None else trial.intermediate_values[step]
        return (
            f"hyperband pruner: {metric} {value:.4g} at step {step} is not among the best "
            f"1/{HYPERBAND_REDUCTION} of the trials of its bracket that came this far"
        )


_BY_NAME: dict[str, type[NamedPruner]] = {
    pruner.name: pruner for pruner in (NonePruner, MedianNamedPruner, HyperbandNamedPruner)
}
PRUNERS = tuple(_BY_NAME)
_WORDS = (*(f"{name} pruner" for name in PRUNERS), "early_terminate")


def named_pruner(name: str) -> NamedPruner:
    """Return the pruner that a spec calls `name`.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _BY_NAME:
        raise UsageError(
            f"pruner: must be one of {', '.join(PRUNERS)}, but got {name!r}."
            f"{nearest(name, PRUNERS)}"
        )
    return _BY_NAME[name]()


def is_pruners(reason: str) -> bool:
    """Tell whether a reason is a pruner's: what it stopped could not win, but was not lost."""
    return reason.startswith(tuple(f"{word}:" for word in _WORDS))
