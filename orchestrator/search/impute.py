"""What a failed trial counts as for the sampler: ``metric.impute``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from orchestrator.sweepfile.model.spec import MetricGoal


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
