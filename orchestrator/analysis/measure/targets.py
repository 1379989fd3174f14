"""What a sweep aims at: targets, tiers of targets and milestones, compared with one run.

A name is a metric, ``test_`` before it or not, or one divided by another
(``test_mse/train_mse``); a milestone has a step behind it (``train_mse@5``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.sweepfile.checks import root_of
from orchestrator.sweepfile.conditions import Bound, ConditionError, bound

At = Callable[[str, int], float | None]
"""Returns a metric at a step of the run; None if it was not reported there."""


@dataclass(frozen=True)
class Target:
    """One target of a sweep compared with one run.

    Attributes:
        bound: as it is in the sweep file, ``"<= 0.02"``.
        value: the run's metric of that name; None if it has none.
        met: whether `value` keeps the bound; None if there is no value to judge.
    """

    bound: str
    value: float | None
    met: bool | None


@dataclass(frozen=True)
class Tally:
    """How many runs keep the bound of one target.

    Attributes:
        bounds: as they are in the sweep files; one, unless sweeps differ.
        met: how many runs keep theirs.
        judged: how many have the metric; the others are neither met nor missed.
    """

    bounds: tuple[str, ...]
    met: int
    judged: int


def parse_bound(text: str) -> Bound | None:
    """Return the bound that ``"<= 0.02"`` or ``"0.01..0.02"`` means, or None if there is none."""
    try:
        return bound(text)
    except ConditionError:
        return None


def measured(name: str, values: Mapping[str, float], at: At | None = None) -> float | None:
    """Return what a run reached of the metric, ratio or milestone `name`; None for nothing.

    Args:
        name: as a target is called.
        values: the run's metrics.
        at: for milestones; without it they have no value.
    """
    if name in values:
        return values[name]
    bare = name.removeprefix("test_")
    if bare in values:
        return values[bare]
    root = root_of(name)
    if root in values or root.removeprefix("test_") in values:
        return square(values.get(root, values.get(root.removeprefix("test_"), math.nan)))
    above, slash, below = name.rpartition("/")
    if slash:
        parts = [measured(part.strip(), values, at) for part in (above, below)]
        return None if None in parts else _ratio(parts[0] or 0.0, parts[1] or 0.0)
    metric, mark, step = name.rpartition("@")
    if mark and step.isdecimal() and at is not None:
        return at(metric, int(step))
    return None


def square(value: float) -> float:
    """Return a square; infinite where it is too large for a float."""
    try:
        return value**2
    except OverflowError:
        return math.inf


def _ratio(above: float, below: float) -> float:
    try:
        return above / below
    except (ZeroDivisionError, OverflowError):
        return math.nan


def judge(
    targets: Mapping[str, str], values: Mapping[str, float], at: At | None = None
) -> dict[str, Target]:
    """Compare `values` with `targets` (name to bound); NaN misses every bound."""
    judged = {}
    for name, text in targets.items():
        asked = parse_bound(text)
        value = measured(name, values, at)
        met = None if asked is None or value is None else asked.holds(value)
        judged[name] = Target(text, value, met)
    return judged


def tier_of(tiers: Mapping[str, Mapping[str, str]], values: Mapping[str, float]) -> str | None:
    """Return the highest tier whose targets are all met; None if not even the first is.

    Args:
        tiers: tier to its targets, the least demanding first. A tier counts only where those
            before it are met too.
        values: the run's metrics.
    """
    reached = None
    for tier, targets in tiers.items():
        if not all(target.met for target in judge(targets, values).values()):
            break
        reached = tier
    return reached


def tally(judged: Iterable[Mapping[str, Target]]) -> dict[str, Tally]:
    """Count for each target how many runs keep it."""
    held: dict[str, list[Target]] = {}
    for targets in judged:
        for name, target in targets.items():
            held.setdefault(name, []).append(target)
    return {
        name: Tally(
            bounds=tuple(dict.fromkeys(target.bound for target in targets)),
            met=sum(target.met is True for target in targets),
            judged=sum(target.met is not None for target in targets),
        )
        for name, targets in held.items()
    }
