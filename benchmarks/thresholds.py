"""Choose the thresholds of the divergence rule without each repository in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.curves import Curve
from benchmarks.scoring import Outcome, Score, score
from orchestrator.divergence import lost_levels

GRID: dict[str, tuple[float, ...]] = {
    "EXPLOSION_FACTOR": (1.5, 2.0, 3.0),
    "HALF_LOST": (0.35, 0.5, 0.65),
    "SUSTAINED_LOST": (0.15, 0.2, 0.3),
    "NOISE_ABOVE_BEST": (4.0, 6.0, 8.0),
    "RECOVERED": (0.2, 0.3, 0.5),
}
"""Thresholds of `orchestrator.divergence.lost_levels` that cross-validation chooses among."""


def cross_validate(
    curves: list[Curve], judge: Callable[[Curve], Outcome]
) -> tuple[dict[str, Outcome], dict[str, int]]:
    """Return each curve's outcome with thresholds that were chosen without its repository.

    The choice maximizes detections minus five times false stops; among equals it is the one nearest
    to the defaults. Also returned: how often each choice was made.
    """
    defaults = tuple(getattr(lost_levels, name) for name in GRID)
    trials = sorted(
        itertools.product(*GRID.values()),
        key=lambda trial: sum(abs(math.log(a / b)) for a, b in zip(trial, defaults, strict=True)),
    )
    outcomes: dict[tuple[float, ...], dict[str, Outcome]] = {}
    for trial in trials:
        with _thresholds(trial):
            outcomes[trial] = {curve.id: judge(curve) for curve in curves}
    found: dict[str, Outcome] = {}
    chosen: dict[str, int] = {}
    for repo in sorted({curve.repo for curve in curves}):
        rest = [curve for curve in curves if curve.repo != repo]
        worth = {trial: _worth(score(rest, outcomes[trial])) for trial in trials}
        best = max(trials, key=lambda trial: worth[trial])
        label = ", ".join(f"{n} {v:g}" for n, v in zip(GRID, best, strict=True))
        chosen[label] = chosen.get(label, 0) + 1
        for curve in curves:
            if curve.repo == repo:
                found[curve.id] = outcomes[best][curve.id]
    return found, chosen


def _worth(figures: Score) -> float:
    return figures.detected - 5 * figures.stopped


@contextmanager
def _thresholds(values: tuple[float, ...]) -> Iterator[None]:
    before = {name: getattr(lost_levels, name) for name in GRID}
    try:
        for name, value in zip(GRID, values, strict=True):
            setattr(lost_levels, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(lost_levels, name, value)
