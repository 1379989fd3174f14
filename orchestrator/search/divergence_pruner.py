"""The divergence rule as an Optuna pruner, for any study, with or without `sweep`.

::

    study = optuna.create_study(pruner=DivergencePruner(wrapped=HyperbandPruner()))

    report(trial, epoch, val, train=loss)     # in the objective: both series
    if trial.should_prune():
        raise optuna.TrialPruned

`trial.report` takes one value per step. So `report` here keeps the training loss in a system
attribute of the trial, in the study's storage, where another process can judge it as well. Values
that were reported with `trial.report` alone are judged as the objective.

A study with two objectives refuses `trial.report` and `trial.should_prune`. There, `report` still
keeps the training loss (with None as the objective), and ``pruner.should_prune(trial)`` applies the
rule.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial

from orchestrator.divergence import FALLEN, Policy, Watch

SERIES = ("train", "value", "both")
REASON = "divergence_reason"
"""The user attribute of a trial that contains the reason why it was pruned."""

_KEPT = "divergence:train:"
_OBJECTIVE = "objective"
_MOST_WATCHES = 256


def report(trial: Trial, step: int, value: float | None, *, train: float | None = None) -> None:
    """Report the objective and the training loss, which may be NaN or infinite, of a step from 0.

    The objective is None if there is none at this step, or if the study has several.
    """
    if train is not None:
        # As text: not every storage can write NaN and infinities as JSON.
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
    """Prune trials that are lost; then the wrapped pruner decides about the others.

    Args:
        series: what is judged: ``"train"``, the training loss given to `report` (the objective if
            there is none); ``"value"``, the objective; ``"both"``, each by itself.
        wrapped: the pruner for trials that are not lost.
        policy: what each symptom leads to; by default only a lost trial is pruned.

    Raises:
        ValueError: `series` is unknown.
    """

    def __init__(
        self,
        series: str = "train",
        wrapped: BasePruner | None = None,
        policy: Policy | None = None,
    ) -> None:
        if series not in SERIES:
            raise ValueError(f"series: expected one of {', '.join(SERIES)} (found {series!r}).")
        self._series = series
        self._wrapped = wrapped
        self._policy = policy or Policy()
        self._judged: OrderedDict[tuple[int, str], _Judged] = OrderedDict()

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether to prune `trial`, and keep the reason of a divergence in `REASON`.

        `Trial.should_prune` calls this.
        """
        reason = self.judge(study, trial)
        if reason is not None:
            study._storage.set_trial_user_attr(trial._trial_id, REASON, reason)
            return True
        if self._wrapped is None or len(study.directions) > 1 or trial.last_step is None:
            return False
        return self._wrapped.prune(study, trial)

    def should_prune(self, trial: Trial) -> bool:
        """Return whether to prune a trial, in a study with several objectives too.

        Optuna's own `Trial.should_prune` raises NotImplementedError there.
        """
        return self.prune(trial.study, trial.study._storage.get_trial(trial._trial_id))

    def judge(self, study: Study, trial: FrozenTrial) -> str | None:
        """Return why `trial` is lost; None if it is not.

        No report is judged twice, so each one costs the same.
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
        """Judge the new reports of one series."""
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
        for name, text in trial.system_attrs.items()
        if name.startswith(_KEPT)
    }
    return dict(sorted(found.items()))


def _another_fell(study: Study, trial: FrozenTrial) -> bool:
    """Return whether another trial's training loss came down by a fifth of its first value."""
    for other in study.get_trials(deepcopy=False):
        if other.number == trial.number:
            continue
        finite = [value for value in train_losses(other).values() if math.isfinite(value)]
        if len(finite) > 2 and finite[0] - min(finite) >= FALLEN * abs(finite[0]) > 0:
            return True
    return False
