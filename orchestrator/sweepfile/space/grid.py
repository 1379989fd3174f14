"""The axes of a grid: what moves, in which order, and how many places there are."""

from __future__ import annotations

import math
import operator
from collections.abc import (
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.space.distributions import limits, multiple, quantile, whole_steps

MOST_JUDGED = 200_000
"""Most combinations of the parameters in constraints and conditions that are evaluated."""


def canonical(value: Any, *, whole_is_int: bool = False) -> Any:
    """Return something hashable that is equal for values that are the same choice.

    ``1``, ``1.0``, ``True`` and ``"1"`` are four; with `whole_is_int` the first two are one.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        if math.isnan(value):
            return ("nan",)
        return int(value) if whole_is_int and value.is_integer() else ("float", value)
    same = partial(canonical, whole_is_int=whole_is_int)
    if isinstance(value, list | tuple):
        return ("list", tuple(map(same, value)))
    if isinstance(value, dict):
        return ("dict", frozenset((key, same(item)) for key, item in value.items()))
    return value


class _Steps(Sequence[float]):
    """The values low, low + q, ... up to high, computed in decimal; see `Domain.as_wandb`."""

    def __init__(self, domain: Domain) -> None:
        self._low, high, self._q = (
            Decimal(repr(number)) for number in (domain.low, domain.high, domain.q)
        )
        self._is_whole = isinstance(domain.low, int) and isinstance(domain.q, int)
        self.length = int((high - self._low) / self._q) + 1
        if domain.as_wandb:  # as many as numpy's arange gives
            assert domain.low is not None
            assert domain.high is not None
            assert domain.q is not None
            self.length = max(math.ceil((domain.high - domain.low) / domain.q), 1)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self.length))]
        if not 0 <= index < self.length:
            raise IndexError(index)
        value = self._low + index * self._q
        return int(value) if self._is_whole else float(value)


def grid_values(domain: Domain) -> Sequence[Any]:
    """Return what a grid takes from a domain, in its order; ranges are not written out.

    A quantised range counts from its lower bound.

    Raises:
        ValueError: the domain has no steps that a grid could take.
    """
    if domain.distribution in ("constant", "categorical"):
        return distinct(domain.values)
    if domain.low is not None and domain.high is not None:
        if domain.distribution == "int_uniform":
            return range(int(domain.low), int(domain.high) + 1)
        if domain.distribution == "q_uniform" and domain.q is not None:
            return _Steps(domain)
    raise ValueError(f"a grid cannot take steps in {domain.distribution}")


def count_values(domain: Domain) -> int | None:
    """Return how many different values a domain has; None without end."""
    if domain.values:
        return len(values_of(domain))
    if domain.distribution == "int_uniform":
        assert domain.low is not None
        assert domain.high is not None
        return int(domain.high) - int(domain.low) + 1
    if operator.eq(*limits(domain)):  # a normal distribution without a deviation
        return 1
    steps = whole_steps(domain) if domain.q is not None else (0, math.inf)
    finite = all(map(math.isfinite, steps))
    return max(int(steps[1]) - int(steps[0]) + 1, 0) if finite else None


def values_of(domain: Domain) -> Sequence[Any]:
    """Return the different values that may be drawn from a domain that has an end."""
    if domain.values:
        weights = domain.probabilities or (1,) * len(domain.values)
        return distinct(v for v, weight in zip(domain.values, weights, strict=True) if weight > 0)
    if operator.eq(*limits(domain)):
        return [quantile(domain, 0.5)]
    if domain.q is None:
        return grid_values(domain)
    least, most = whole_steps(domain)
    return [multiple(count, domain.q) for count in range(int(least), int(most) + 1)]


def rows_of(spec: Spec, group: tuple[str, ...]) -> Sequence[Any]:
    """Return the rows of a group, without repetitions; plain values for a single parameter."""
    if len(group) == 1:
        return grid_values(spec.parameters[group[0]])
    return distinct(zip(*(spec.parameters[name].values for name in group), strict=True))


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return `values` without repetitions, in order; of two that are the same the later stays."""
    return list({canonical(value): value for value in values}.values())


@dataclass(frozen=True)
class Axis:
    """One or several parameters that move together.

    Attributes:
        names: the parameters.
        rows: for each place, a value for each of them; plain values for a single parameter.
    """

    names: tuple[str, ...]
    rows: Sequence[Any]

    @property
    def length(self) -> int:
        """How many places there are; ranges may be too long for `len`."""
        if isinstance(self.rows, range):
            return self.rows.stop - self.rows.start
        return self.rows.length if isinstance(self.rows, _Steps) else len(self.rows)


@dataclass(frozen=True)
class Grid:
    """Axes, of which the last one goes fastest."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(axis.length for axis in self.axes)

    def places(self, index: int) -> list[int]:
        """Return the place on each axis at a place of the grid."""
        places = []
        for axis in reversed(self.axes):
            index, place = divmod(index, axis.length)
            places.append(place)
        return places[::-1]

    def chosen(self, places: Sequence[int]) -> dict[str, Any]:
        """Return the values at places on the axes."""
        values: dict[str, Any] = {}
        for axis, place in zip(self.axes, places, strict=True):
            row = axis.rows[place] if len(axis.names) > 1 else (axis.rows[place],)
            values |= zip(axis.names, row, strict=True)
        return values

    def of(self, names: Collection[str]) -> Grid:
        """Return the grid of those axes alone that move one of `names`."""
        return Grid(tuple(axis for axis in self.axes if not set(names).isdisjoint(axis.names)))


def in_order(spec: Spec) -> list[str]:
    """Return the parameters that have something to choose, in the order of a grid.

    That is W&B's: by name, those inside another parameter by name at its place.
    """
    searched = [name for name, domain in spec.parameters.items() if not domain.is_constant]
    return sorted(searched, key=lambda name: spec.nested.get(name, (name,)))


def is_pinned(name: str, spec: Spec, pinned: Mapping[str, Any]) -> bool:
    """Return whether a parameter, or the one that it is inside, is set already."""
    return name in pinned or (name in spec.nested and spec.nested[name][0] in pinned)


def groups(spec: Spec, pinned: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the parameters that are not set yet, those that move together in one group.

    A group has the place that its first member would have alone.
    """
    free = [name for name in in_order(spec) if not is_pinned(name, spec, pinned)]
    found: dict[tuple[str, ...], None] = {}
    for name in free:
        together = next((group for group in spec.zips if name in group), (name,))
        found[tuple(member for member in free if member in together)] = None
    return list(found)


def drawn_from(spec: Spec, pinned: Mapping[str, Any], most: int) -> Grid | int | None:
    """Return the grid of all that a random draw may give; its size if that is above `most`.

    None if it has no end.
    """
    size, free = 1, groups(spec, pinned)
    for group in free:
        domain = spec.parameters[group[0]]
        values = len(rows_of(spec, group)) if len(group) > 1 else count_values(domain)
        if values is None:
            return None
        size *= values
    if size > most:
        return size
    alone = {group: values_of(spec.parameters[group[0]]) for group in free if len(group) == 1}
    return Grid(tuple(Axis(g, alone[g] if g in alone else rows_of(spec, g)) for g in free))


def grid_of(spec: Spec, pinned: Mapping[str, Any]) -> Grid:
    """Return the grid of what `pinned` leaves free."""
    return Grid(tuple(Axis(group, rows_of(spec, group)) for group in groups(spec, pinned)))


def all_shuffled(spec: Spec, pinned: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values of each config of a space, shuffled; nothing if it has no end."""
    grid = drawn_from(spec, pinned, MOST_JUDGED)
    if isinstance(grid, Grid):
        order = list(range(grid.size))
        Random(f"{spec.seed}:rest").shuffle(order)
        yield from (grid.chosen(grid.places(index)) for index in order)
