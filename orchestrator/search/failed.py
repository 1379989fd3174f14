"""What the study is told of a trial that diverged.

For people it is pruned. A sampler must learn more: to stay away. Some samplers learn nothing from
pruned trials, and those that do take the last report, which may be a good one, for what the config
is worth. So where a sampler proposes, a diverged trial is told complete with the worst value that
the study knows, its own among them. `python -m benchmarks.samplers` measures the difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

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
