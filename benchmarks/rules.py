"""The rules that others use, replayed report by report beside ours. Each sees the past alone.

Each takes a curve's values and yields nothing but whether the run would be stopped at the newest
of them. Values are read as losses; those of a maximized metric are compared the other way round.
Where a rule needs an absolute bound, it is a multiple of the first value, as a person sets it who
has seen one run begin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.curves import Curve

Rule = Callable[[Sequence[float], bool], bool]
"""Takes the values up to now and whether they are maximized; True stops the run."""


LEAST_COHORT = 6


def worse_by(value: float, reference: float, factor: float, maximized: bool) -> bool:
    """Return whether `value` is worse than `reference` by more than a factor above 1."""
    if maximized:
        return value < reference / factor if reference > 0 else value < reference * factor
    return value > reference * factor if reference > 0 else value > reference / factor


def first_non_finite(values: Sequence[float], maximized: bool) -> bool:
    """Stop at the first value that is not finite: Keras' TerminateOnNaN."""
    return not math.isfinite(values[-1])


def optuna_threshold(values: Sequence[float], maximized: bool) -> bool:
    """Stop at NaN or beyond ten times the first value: Optuna's ThresholdPruner."""
    return math.isnan(values[-1]) or worse_by(values[-1], values[0], 10.0, maximized)


def lightning(values: Sequence[float], maximized: bool) -> bool:
    """Stop at what is not finite or beyond twice the first: EarlyStopping(divergence_threshold)."""
    return not math.isfinite(values[-1]) or worse_by(values[-1], values[0], 2.0, maximized)


def rising_half(values: Sequence[float], maximized: bool) -> bool:
    """Stop at what is not finite, or where the second half of the values rises: as BTTackler.

    From ten reports on: the mean of the last quarter is worse by a tenth than that of the quarter
    before it, and than the mean of the first half.
    """
    if not math.isfinite(values[-1]):
        return True
    count = len(values)
    if count < 10:
        return False
    mean = _mean(values[: count // 2])
    third = _mean(values[count // 2 : 3 * count // 4])
    fourth = _mean(values[3 * count // 4 :])
    return worse_by(fourth, third, 1.1, maximized) and worse_by(fourth, mean, 1.1, maximized)


def three_times_best(values: Sequence[float], maximized: bool) -> bool:
    """Stop at what is three times worse than the best."""
    if not math.isfinite(values[-1]):
        return True
    return worse_by(values[-1], max(values) if maximized else min(values), 3.0, maximized)


def over_best(values: Sequence[float], maximized: bool) -> bool:
    """Stop at what is 61 % worse than the best."""
    if not math.isfinite(values[-1]):
        return True
    best = max(values) if maximized else min(values)
    return worse_by(values[-1], best, 1.61, maximized)


def by_hand(values: Sequence[float], maximized: bool) -> bool:
    """Stop at a jump of 20 %, at an oscillation of ± 30 %, or 61 % over the best."""
    if over_best(values, maximized):
        return True
    if len(values) > 1 and worse_by(values[-1], values[-2], 1.2, maximized):
        return True
    last = values[-5:]
    if len(last) < 5:
        return False
    signs = [after - before for before, after in pairwise(last)]
    turns = sum(a * b < 0 for a, b in pairwise(signs))
    level = abs(_mean(last))
    return turns >= 3 and level > 0 and max(last) - min(last) > 0.3 * level


def _mean(values: Sequence[float]) -> float:
    # Divided first: the sum of large finite values may overflow.
    return sum(value / len(values) for value in values)


RULES: dict[str, Rule] = {
    "first non-finite": first_non_finite,
    "Optuna Threshold, 10 × first": optuna_threshold,
    "Lightning-like, 2 × first": lightning,
    "BTTackler-like, NaN and rising half": rising_half,
    "3 × the best": three_times_best,
    "by hand: 61 % over best": over_best,
    "by hand: all three": by_hand,
}


def above_first_late(curve: Curve) -> int | None:
    """Return where a curve is not finite, or above its first value after half of its reports.

    Unlike the other rules it knows how long the run will be.
    """
    for index, value in enumerate(curve.values):
        is_late = curve.place(index) >= curve.reports / 2
        is_worse = worse_by(value, curve.values[0], 1.0, curve.mode == "max")
        if not math.isfinite(value) or (is_late and is_worse):
            return curve.place(index)
    return None


def pruned(curves: Sequence[Curve], pruner: Any) -> dict[str, int | None]:
    """Return where one of Optuna's pruners that compare trials stops each curve.

    The other curves of its cohort count as complete: the pruner knows as much as it ever will.
    Curves whose cohort has less than six, which it would not judge, are left out.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cohorts: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        if curve.cohort and curve.values:
            cohorts.setdefault((curve.cohort, curve.mode), []).append(curve)
    found: dict[str, int | None] = {}
    for (_, mode), cohort in cohorts.items():
        if len(cohort) < LEAST_COHORT:
            continue
        done = {
            curve.id: optuna.trial.create_trial(
                value=next((v for v in reversed(curve.values) if math.isfinite(v)), 0.0),
                intermediate_values=dict(enumerate(curve.values)),
            )
            for curve in cohort
        }
        for curve in cohort:
            study = optuna.create_study(direction=f"{mode}imize")
            study.add_trials([done[other.id] for other in cohort if other is not curve])
            trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
            found[curve.id] = None
            for index, value in enumerate(curve.values):
                trial.intermediate_values[index] = value
                if pruner.prune(study, trial):
                    found[curve.id] = curve.place(index)
                    break
    return found


def pruners() -> dict[str, Any]:
    """Return Optuna's pruners that compare trials, by name."""
    from optuna.pruners import MedianPruner, PercentilePruner

    return {
        "Optuna MedianPruner": MedianPruner(),
        "Optuna PercentilePruner, 25 %": PercentilePruner(25.0),
    }
