"""The divergence rule as an Optuna pruner, for any study, with or without our engine.

::

    study = optuna.create_study(pruner=DivergencePruner(wrapped=HyperbandPruner()))

    def objective(trial):
        for epoch in range(50):
            loss, val = train_one_epoch(...)
            report(trial, epoch, val, train=loss)     # both series, then ask as always
            if trial.should_prune():
                raise optuna.TrialPruned
        return val

`trial.report` hands over one value a step. The training loss therefore travels beside it: `report`
here keeps it with the trial, in a system attribute of the study's storage, so that another process
judges it as well. What was reported with `trial.report` alone is judged as the objective.

A study with two objectives refuses `trial.report` and `trial.should_prune`. There, `report` keeps
the training loss all the same, and ``pruner.should_prune(trial)`` asks the rule::

    pruner = DivergencePruner()
    for epoch in range(50):
        report(trial, epoch, None, train=loss)
        if pruner.should_prune(trial):
            raise optuna.TrialPruned

The order of authority: divergence first, then the wrapped pruner.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial

from orchestrator.divergence import FALLEN, Policy, Watch

SERIES = ("train", "value", "both")
REASON = "divergence_reason"
"""The user attribute of a trial that says why it was pruned."""

_KEPT = "divergence:train:"
_OBJECTIVE = "objective"
_MOST_WATCHES = 256


def report(trial: Trial, step: int, value: float | None, *, train: float | None = None) -> None:
    """Report the objective and the training loss of one step.

    Args:
        trial: the trial that runs.
        step: of the report, 0 or more, rising.
        value: the objective, handed on to `trial.report`; None where there is none at this step,
            or where the study has several objectives and takes none.
        train: the training loss, NaN and infinities included.
    """
    if train is not None:
        # As text: not every storage holds NaN and infinities in JSON.
        text = repr(float(train))
        trial.storage.set_trial_system_attr(trial._trial_id, f"{_KEPT}{step}", text)
    if value is not None:
        trial.report(value, step)


@dataclass
class _Judged:
    """One series of one trial, judged up to a step."""

    watch: Watch
    step: int = -1
    reason: str | None = None


class DivergencePruner(BasePruner):
    """Prune trials that are lost; what is not lost is left to the wrapped pruner.

    Args:
        series: what is judged: ``"train"``, the training loss given to `report` (the objective
            where a trial gave none); ``"value"``, the objective; ``"both"``, each for itself.
        wrapped: the pruner that judges what is not lost; None for none.
        policy: what each symptom leads to; by default only what is lost prunes.

    Raises:
        ValueError: `series` is another word.
    """

    def __init__(
        self,
        series: str = "train",
        wrapped: BasePruner | None = None,
        policy: Policy | None = None,
    ) -> None:
        if series not in SERIES:
            raise ValueError(f"series must be one of {', '.join(SERIES)}, but got {series!r}.")
        self._series = series
        self._wrapped = wrapped
        self._policy = policy or Policy()
        self._judged: OrderedDict[tuple[int, str], _Judged] = OrderedDict()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether `trial` should be pruned; `Trial.should_prune` calls this.

        The reason of a divergence is kept in the trial's user attribute `REASON`.
        """
        reason = self.judge(study, trial)
        if reason is not None:
            study._storage.set_trial_user_attr(trial._trial_id, REASON, reason)
            return True
        if self._wrapped is None or len(study.directions) > 1 or trial.last_step is None:
            return False
        return self._wrapped.prune(study, trial)

    def should_prune(self, trial: Trial) -> bool:
        """Tell whether a trial should be pruned, in a study with several objectives too.

        Optuna's own `Trial.should_prune` raises NotImplementedError there.
        """
        return self.prune(trial.study, trial.study._storage.get_trial(trial._trial_id))

    def judge(self, study: Study, trial: FrozenTrial) -> str | None:
        """Return why `trial` is lost, or None where it is not.

        What was judged before is not judged again: each report costs the same.
        """
        train = train_losses(trial)
        goal = "minimize"
        if len(study.directions) == 1 and study.direction == StudyDirection.MAXIMIZE:
            goal = "maximize"
        reasons = []
        if train and self._series != "value":
            reasons.append(self._follow(study, trial, "train_loss", train, goal))
        if trial.intermediate_values and (self._series != "train" or not train):
            values = trial.intermediate_values
            reasons.append(self._follow(study, trial, _OBJECTIVE, values, goal))
        return next((reason for reason in reasons if reason is not None), None)

    def _follow(
        self, study: Study, trial: FrozenTrial, name: str, values: Mapping[int, float], goal: str
    ) -> str | None:
        """Judge the reports of one series that are new."""
        key = (trial._trial_id, name)
        known = self._judged.get(key)
        if known is None or known.step not in values:
            known = _Judged(Watch(_OBJECTIVE, goal, policy=self._policy))
        self._judged[key] = known
        self._judged.move_to_end(key)
        if len(self._judged) > _MOST_WATCHES:
            self._judged.popitem(last=False)
        for step in sorted(step for step in values if step > known.step):
            if known.reason is not None:
                break
            known.step = step
            rising = known.watch.is_rising
            fell = rising and _another_fell(study, trial)
            for verdict in known.watch.update(step, {name: values[step]}, loss_can_fall=fell):
                if verdict.stops and known.reason is None:
                    known.reason = f"diverged: {verdict.reason}"
        return known.reason


def train_losses(trial: FrozenTrial) -> dict[int, float]:
    """Return the training losses that `report` kept, by step."""
    found = {
        int(name.removeprefix(_KEPT)): float(text)
        for name, text in _attributes(trial).items()
        if name.startswith(_KEPT)
    }
    return dict(sorted(found.items()))


def _attributes(trial: FrozenTrial) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = trial.system_attrs
    return attributes


def _another_fell(study: Study, trial: FrozenTrial) -> bool:
    """Tell whether another trial's training loss came down by a fifth of its first value."""
    for other in study.get_trials(deepcopy=False):
        if other.number == trial.number:
            continue
        finite = [value for value in train_losses(other).values() if math.isfinite(value)]
        if len(finite) > 2 and finite[0] - min(finite) >= FALLEN * abs(finite[0]) > 0:
            return True
    return False
