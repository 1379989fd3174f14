"""What the study records of a trial that diverged or failed.

A diverged trial is PRUNED in its folder. A sampler must learn more: to stay away. Some samplers
learn nothing from pruned trials, and the others take the last report, which may be a good one, as
the value of the config. So if a sampler proposes, a diverged trial is recorded as complete with the
worst value that the study has, its own included. `python -m benchmarks.samplers` measures the
difference.

A failed trial is recorded with the value of ``metric.impute``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from orchestrator.sweepfile.model import MetricGoal

LOST = "LOST"
"""State of a trial that diverged, in addition to Optuna's states."""


def told_for_lost(
    study: Study, own: Sequence[float], *, proposes: bool
) -> tuple[str, tuple[float, ...]]:
    """Return the state and the values to record for a diverged trial.

    Args:
        study: contains the other trials.
        own: reports of the trial; the last finite one counts.
        proposes: False if no sampler decides what is tried; then no value is made up.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    known = [trial.values for trial in complete]
    if not proposes or not known:
        return "PRUNED", ()
    last = [value for value in own if math.isfinite(value)][-1:]
    rows = [*known, *([last] if last and len(study.directions) == 1 else [])]
    worst = tuple(
        (max if goal == StudyDirection.MINIMIZE else min)(row[place] for row in rows)
        for place, goal in enumerate(study.directions)
    )
    return "COMPLETE", worst


def imputed(metric: MetricGoal, own: Sequence[float], others: Iterable[float]) -> float | None:
    """Return the value to record for a failed trial; None if there is none.

    As in W&B ``latest`` and ``best`` refer to the values that the trial itself reported, ``worst``
    to those of all trials. W&B uses 0 if there is no value; here the trial then fails, since 0
    would be the best of all errors.

    Args:
        metric: the metric; without ``impute`` there is no value.
        own: values that the failed trial reported, in order.
        others: values that other trials reported.
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
