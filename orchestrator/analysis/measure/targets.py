"""Targets, tiers of targets and milestones of a sweep, compared with the metrics of one run.

A name is a metric, with or without ``test_`` before it, or a ratio of two
(``test_mse/train_mse``); a milestone also has a step (``train_mse@5``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.files.series_names import root_of
from orchestrator.sweepfile.conditions import Bound, ConditionError, bound

At = Callable[[str, int], float | None]
"""Returns a metric at a step of the run; None if it was not reported there."""


@dataclass(frozen=True)
class Target:
    """A bound of a sweep file (``"<= 0.02"``) compared with one run; None without a value."""

    bound: str
    value: float | None
    met: bool | None

    @property
    def distance(self) -> float | None:
        """The value minus the limit (of a range, its nearer end); None if either is not known."""
        limit = parse_bound(self.bound)
        if limit is None or self.value is None or not math.isfinite(self.value):
            return None
        ends = [limit.limit] if limit.low is None else [limit.low, limit.limit]
        return min((self.value - end for end in ends), key=abs)


@dataclass(frozen=True)
class Tally:
    """How many runs meet one target.

    Attributes:
        bounds: as they are in the sweep files; one, unless sweeps differ.
        judged: how many have the metric; the others neither meet nor miss it.
    """

    bounds: tuple[str, ...]
    met: int
    judged: int


def parse_bound(text: str) -> Bound | None:
    """Return the bound that ``"<= 0.02"`` or ``"0.01..0.02"`` means; None if it is none."""
    try:
        return bound(text)
    except ConditionError:
        return None


def measured(name: str, values: Mapping[str, float], at: At | None = None) -> float | None:
    """Return what a run reached of the metric, ratio or milestone `name`; None for nothing.

    Without `at`, milestones have no value.
    """
    for key in (name, name.removeprefix("test_")):
        if key in values:
            return values[key]
    root = root_of(name)
    for key in (root, root.removeprefix("test_")):
        if key in values:
            return values[key] * values[key]
    metric, mark, step = name.rpartition("@")
    if mark and step.isdecimal() and at is not None:
        value = at(metric, int(step))  # before a ratio, as a metric's own name may have a slash
        if value is not None:
            return value
    numerator, slash, denominator = name.rpartition("/")
    if slash:
        above = measured(numerator.strip(), values, at)
        below = measured(denominator.strip(), values, at)
        if above is None or below is None:
            return None
        return above / below if below else math.nan
    return None


def judge(
    targets: Mapping[str, str], values: Mapping[str, float], at: At | None = None
) -> dict[str, Target]:
    """Compare `values` with `targets` (name to bound); NaN misses every bound."""
    judged = {}
    for name, text in targets.items():
        limit, value = parse_bound(text), measured(name, values, at)
        met = None if limit is None or value is None else limit.holds(value)
        judged[name] = Target(text, value, met)
    return judged


def tier_of(tiers: Mapping[str, Mapping[str, str]], values: Mapping[str, float]) -> str | None:
    """Return the highest of `tiers` (least demanding first) of which all are met; None for none."""
    reached = None
    for tier, targets in tiers.items():
        if not all(target.met for target in judge(targets, values).values()):
            break
        reached = tier
    return reached


def tally(judged: Iterable[Mapping[str, Target]]) -> dict[str, Tally]:
    """Count for each target how many runs meet it."""
    by_name: dict[str, list[Target]] = {}
    for targets in judged:
        for name, target in targets.items():
            by_name.setdefault(name, []).append(target)
    return {
        name: Tally(
            bounds=tuple(dict.fromkeys(target.bound for target in targets)),
            met=sum(target.met is True for target in targets),
            judged=sum(target.met is not None for target in targets),
        )
        for name, targets in by_name.items()
    }
