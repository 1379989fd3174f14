"""What the study is told of a trial that diverged.

For people it is pruned. A sampler must learn more: to stay away. Some samplers learn nothing from
pruned trials, and those that do take the last report, which may be a good one, for what the config
is worth. So where a sampler proposes, a diverged trial is told complete with the worst value that
the study knows, its own among them. `python -m benchmarks.samplers` measures the difference.

What a failed trial counts as for the sampler: ``metric.impute``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from orchestrator.sweepfile.model import MetricGoal

LOST = "LOST"
"""The word for it, beside Optuna's."""


def told_for_lost(
    study: Study, own: Sequence[float], *, proposes: bool
) -> tuple[str, tuple[float, ...]]:
    """Return state and values that a diverged trial is told with.

    Args:
        study: what is known of the other trials.
        own: reports of the trial, the last of which counts where it is finite.
        proposes: False where no sampler decides what is tried; then nothing is made up.
    """
    known = [
        trial.values for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ]
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
    """Return the value that a failed trial is told with; None where there is none to take.

    As in W&B ``latest`` and ``best`` are of the values that the trial itself reported, ``worst``
    is of all trials'. W&B takes 0 where there is no value; here the trial is told as failed then,
    since 0 would be the best of all errors.

    Args:
        metric: the metric; one without ``impute`` leaves failures what they are.
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
