"""What the study records of a trial: some of its reports, and its value if it ended badly.

Optuna keeps every report of every trial in memory and iterates over them at each decision. The
reports kept here grow with the logarithm of the steps: all steps below 512, then one in two, one in
four and so on, 256 in each doubling. Which ones are kept depends on the steps alone, so that trials
with the same rhythm keep the same steps and can be compared.

A diverged trial is PRUNED in its folder. A sampler must learn more: to stay away. Some samplers
learn nothing from pruned trials, and the others take the last report, which may be a good one, as
the value of the config. So if a sampler proposes, a diverged trial is recorded as complete with the
worst value that the study has, its own included. `python -m benchmarks.samplers` measures the
difference. A failed trial is recorded with the value of ``metric.impute``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from orchestrator.divergence import LONGEST_TRANSIENT
from orchestrator.sweepfile.model import MetricGoal

FULL_STEPS = 512
"""All steps below this are kept."""

LOST = "LOST"
"""State of a trial that diverged, in addition to Optuna's states."""

STATES = ("COMPLETE", "PRUNED", "FAIL", LOST)


def stride(step: int) -> int:
    """Return the distance of kept steps around `step`: 1, then growing powers of two."""
    return 1 << max(0, step.bit_length() - FULL_STEPS.bit_length() + 1)


class Reports:
    """The reports of one trial, on their way to the study.

    Attributes:
        last: the last finite report, (step, value); None before there is one.
        last_is_kept: True if the study has `last`.
        non_finite: number of consecutive reports, up to the last, that were not finite.
        non_finite_since: the step of the first of them.
        latest_word: ``"nan"``, ``"inf"`` or ``"-inf"`` for the last of them.
    """

    def __init__(self) -> None:
        self.last: tuple[int, float] | None = None
        self.last_is_kept = True
        self.non_finite = 0
        self.non_finite_since = 0
        self.latest_word = ""
        self._newest = -1
        self._newest_kept: int | None = None

    def take(self, step: int, value: float) -> bool:
        """Record one report and return whether the study should keep it.

        Steps that repeat or go back, as in a resumed run, were reported before: the first value
        counts. A value that is not finite is never kept: NaN compares as neither better nor worse,
        and one infinity would be the best value of all.
        """
        if step <= self._newest:
            return False
        self._newest = step
        if not math.isfinite(value):
            if not self.non_finite:
                self.non_finite_since = step
            self.non_finite += 1
            self.latest_word = f"{value:g}"
            return False
        self.non_finite = 0
        self.last = (step, value)
        every = stride(step)
        kept = self._newest_kept
        self.last_is_kept = kept is None or step // every > kept // every
        if self.last_is_kept:
            self._newest_kept = step
        return self.last_is_kept

    @property
    def is_lost(self) -> bool:
        """True if values stayed non-finite for longer than in runs that ended well."""
        return self.non_finite > LONGEST_TRANSIENT


def state_and_values(
    study: Study,
    state: str,
    values: Sequence[float | None],
    own: Sequence[float],
    *,
    proposes: bool,
) -> tuple[TrialState, list[float] | None]:
    """Return the state to record, and the values if there is a finite one for each goal.

    `study` contains the other trials, and `state` is one of `STATES`.

    Args:
        values: the metrics at the end.
        own: reports of the trial, of which the last finite one counts for a lost one.
        proposes: False if no sampler decides what is tried; then no value is made up.
    """
    if state not in STATES:
        raise ValueError(f"state: expected one of {', '.join(STATES)} (found {state!r}).")
    if state == LOST:
        state, values = _recorded_for_lost(study, own) if proposes else ("PRUNED", ())
    ended = TrialState[state]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    is_whole = len(finite) == len(values) == len(study.directions)
    if ended is TrialState.COMPLETE and not is_whole:
        ended = TrialState.FAIL
    return ended, finite if is_whole else None


def _recorded_for_lost(study: Study, own: Sequence[float]) -> tuple[str, Sequence[float]]:
    """Return the state and the values of a diverged trial."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    known = [trial.values for trial in complete]
    if not known:
        return "PRUNED", ()
    last = [value for value in own if math.isfinite(value)][-1:]
    rows = [*known, *([last] if last and len(study.directions) == 1 else [])]
    worst = [
        (max if goal == StudyDirection.MINIMIZE else min)(row[place] for row in rows)
        for place, goal in enumerate(study.directions)
    ]
    return "COMPLETE", worst


def imputed(metric: MetricGoal, own: Sequence[float], others: Iterable[float]) -> float | None:
    """Return the value to record for a failed trial; None without ``impute`` or any value.

    As in W&B ``latest`` and ``best`` refer to the values that the trial itself reported, in order,
    ``worst`` to those of all trials. W&B uses 0 if there is no value; here the trial then fails,
    since 0 would be the best of all errors.
    """
    mine = [value for value in own if math.isfinite(value)]
    worse, better = (max, min) if metric.goal == "minimize" else (min, max)
    if metric.impute == "latest":
        return mine[-1] if mine else None
    if metric.impute == "best":
        return better(mine, default=None)
    if metric.impute == "worst":
        return worse([*mine, *(value for value in others if math.isfinite(value))], default=None)
    return None
