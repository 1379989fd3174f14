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

Rule = Callable[[Sequence[float], bool], bool]
"""Takes the values up to now and whether they are maximized; True stops the run."""


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
