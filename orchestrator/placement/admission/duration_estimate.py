"""Estimate how long trials take from those that have ended, and from the pace of others. Pure.

::

    durations = Durations()
    durations.learn({"epochs": 100, "lr": 0.1}, 340.0)
    durations.expect({"epochs": 200, "lr": 0.1})     # seconds, or None before anything is known

What sets trials apart often sets their durations apart too: epochs, batch size, width. The model is
the simplest that can see it: the logarithm of a duration is a mean and one term for each parameter.
A parameter whose values come back has a term for each value; a number that never comes back has a
slope; anything else has none. All terms are shrunk towards zero, because at first there are more of
them than trials that are known. They only order trials (`ordering`): a wrong one costs time,
nothing else.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

MOST = 200
"""How many of the last trials are learned from."""

_ROUNDS = 8
_SHRINK = 1.0
_STEP = math.log(1.25)

Term = Callable[[Any], float]


class Durations:
    """Predicts durations; trials of which it expects about the same get the very same number."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[dict[str, Any], float]] = {}
        self._mean = 0.0
        self._terms: dict[str, Term] = {}
        self._unfitted = 0

    @property
    def mean_s(self) -> float | None:
        """The typical duration of those that are known, in seconds; None while none is."""
        if not self._known:
            return None
        return math.exp(statistics.median(took for _, took in self._seen))

    def learn(
        self, config: Mapping[str, Any], took_s: float, attempt: Hashable | None = None
    ) -> None:
        """Take in how long a trial took or will take from start to end; 0 s or less shows nothing.

        What was known of the same `attempt` is replaced.
        """
        if not 0 < took_s < math.inf:
            return
        key = object() if attempt is None else attempt
        self._known.pop(key, None)
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = dict(config), math.log(took_s)
        self._unfitted += 1

    @property
    def _seen(self) -> list[tuple[dict[str, Any], float]]:
        return list(self._known.values())

    def expect(self, config: Mapping[str, Any]) -> float | None:
        """Return how long a trial is expected to take, in steps of a quarter; None for no idea.

        The steps keep trials that differ by little in the order of their queue.
        """
        if not self._known:
            return None
        # One more of many changes little, and a sweep may have thousands of short trials.
        if self._unfitted and self._unfitted * 10 >= len(self._known):
            self._fit()
        log = self._mean + sum(self._terms[name](config.get(name)) for name in self._terms)
        return math.exp(_STEP * round(log / _STEP))

    def _fit(self) -> None:
        """Fit one term after the other to what the others leave over, a few times."""
        self._unfitted = 0
        seen = self._seen
        took = [seconds for _, seconds in seen]
        self._mean, self._terms = statistics.fmean(took), {}
        columns = {
            name: [config.get(name) for config, _ in seen]
            for name in dict.fromkeys(name for config, _ in seen for name in config)
        }
        fits = {name: fit for name, values in columns.items() if (fit := _fit_of(values))}
        parts = {name: [0.0] * len(took) for name in fits}
        for _ in range(_ROUNDS):
            for name, fit in fits.items():
                left = [
                    seconds - self._mean - sum(parts[other][i] for other in fits if other != name)
                    for i, seconds in enumerate(took)
                ]
                self._terms[name] = term = fit(left)
                parts[name] = [term(value) for value in columns[name]]


def _fit_of(values: Sequence[Any]) -> Callable[[Sequence[float]], Term] | None:
    """Return how a parameter with such values is fitted; None if it shows nothing."""
    different = set(map(repr, values))
    if len(different) < 2:
        return None
    if 2 * len(different) <= len(values):
        return lambda left: _by_value(values, left)
    if all(_is_size(value) for value in values):
        return lambda left: _by_slope(values, left)
    return None


def _by_value(values: Sequence[Any], left: Sequence[float]) -> Term:
    """Return a term with a height for each value; of numbers between, the nearest one's."""
    groups: dict[str, list[float]] = {}
    for value, rest in zip(values, left, strict=True):
        groups.setdefault(repr(value), []).append(rest)
    heights = {key: sum(rests) / (len(rests) + _SHRINK) for key, rests in groups.items()}
    sizes = {math.log(value): heights[repr(value)] for value in values if _is_size(value)}

    def term(value: Any) -> float:
        known = heights.get(repr(value))
        if known is None and sizes and _is_size(value):
            known = sizes[min(sizes, key=lambda size: abs(size - math.log(value)))]
        return known or 0.0

    return term


def _by_slope(values: Sequence[Any], left: Sequence[float]) -> Term:
    """Return a term that rises with the logarithm of a number."""
    sizes = [math.log(value) for value in values]
    middle = statistics.fmean(sizes)
    spread = sum((size - middle) ** 2 for size in sizes)
    rise = sum((size - middle) * rest for size, rest in zip(sizes, left, strict=True))
    slope = rise / (spread + _SHRINK * spread / len(sizes))
    low, high = min(sizes), max(sizes)

    def term(value: Any) -> float:
        # Beyond what was seen nobody knows how it continues.
        return slope * (min(max(math.log(value), low), high) - middle) if _is_size(value) else 0.0

    return term


def _is_size(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf
