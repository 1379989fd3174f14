"""W&B's hyperband stopping as pure functions: the bands, and who is stopped at them.

A trial that has reached a band is held against all trials that have: it goes on if its value is
among the best one in eta of theirs. Steps are counted by finite reports of the metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.sweepfile.model.spec import EarlyTerminate, Goal

_UPWARD = 100  # bands that are counted up from min_iter


@dataclass(frozen=True)
class Stop:
    """Why a trial is stopped.

    Attributes:
        band: the band that it reached, in reports.
        value: what it showed there.
        threshold: what it should have shown at least.
    """

    band: int
    value: float
    threshold: float


def bands(rule: EarlyTerminate) -> list[int]:
    """Return the bands of a rule, rising; ``max_iter`` is stronger than ``min_iter``.

    Raises:
        ValueError: there is none.
    """
    if rule.max_iter is not None:
        counted: list[int] = []
        band: float = rule.max_iter
        for _ in range(rule.s or 0):
            band /= rule.eta
            if band < 1:
                break
            counted.append(int(band))
        if not counted:
            raise ValueError("no band")
        return sorted(counted)
    if rule.min_iter is None:
        raise ValueError("no band")
    found = []
    band = rule.min_iter
    for _ in range(_UPWARD):
        found.append(int(band))
        band *= rule.eta
        if band > 1e300:
            break
    return found


def threshold(values: Sequence[float], eta: float, goal: Goal) -> float:
    """Return the value that a trial at a band must not be worse than.

    Args:
        values: of all trials that have reached the band, at the band; one at least.
        eta: one in so many goes on.
        goal: which way is better.
    """
    ordered = sorted(values, reverse=goal == "maximize")
    return ordered[int(len(ordered) / eta)]


def should_stop(
    rule: EarlyTerminate, goal: Goal, mine: Sequence[float], others: Sequence[Sequence[float]]
) -> Stop | None:
    """Return why a running trial is stopped, or None where it goes on.

    Args:
        rule: the rule.
        goal: which way is better.
        mine: the finite reports of the trial.
        others: the finite reports of every other trial, whatever its state.
    """
    reached = [band for band in bands(rule) if band <= len(mine)]
    if not reached:
        return None
    band = reached[-1]
    values = [reports[band - 1] for reports in (mine, *others) if len(reports) >= band]
    limit = threshold(values, rule.eta, goal)
    better = max if goal == "maximize" else min
    value = mine[band - 1] if rule.strict else better(mine)
    is_worse = value < limit if goal == "maximize" else value > limit
    return Stop(band, value, limit) if is_worse else None
