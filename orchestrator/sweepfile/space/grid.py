"""The axes of a grid: what moves, in which order, and how many places there are."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.model.spec import Domain, Spec


def canonical(value: Any) -> Any:
    """Return something hashable that is equal for values that are the same choice.

    ``1`` and ``1.0`` are the same; ``True`` and ``1`` are not, nor are ``"1"`` and ``1``.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        if math.isnan(value):
            return ("nan",)
        return int(value) if math.isfinite(value) and value.is_integer() else value
    if isinstance(value, list | tuple):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, dict):
        return ("dict", frozenset((key, canonical(item)) for key, item in value.items()))
    return value


class _Steps(Sequence[float]):
    """The values low, low + q, ... below high, with the rounding of numpy's arange."""

    def __init__(self, low: float, high: float, q: float) -> None:
        self.low = low
        self.step = (low + q) - low or q
        self.length = max(math.ceil((high - low) / q), 1)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.low + index * self.step


def grid_values(domain: Domain) -> Sequence[Any]:
    """Return what a grid takes from a domain, in its order; ranges are not written out.

    A quantised range counts from its lower bound and leaves its upper bound out, as in W&B.

    Raises:
        ValueError: the domain has no steps that a grid could take.
    """
    if domain.distribution in ("constant", "categorical"):
        return _distinct(domain.values)
    if domain.low is not None and domain.high is not None:
        if domain.distribution == "int_uniform":
            return range(int(domain.low), int(domain.high) + 1)
        if domain.distribution == "q_uniform" and domain.q is not None:
            return _Steps(domain.low, domain.high, domain.q)
    raise ValueError(f"a grid cannot take steps in {domain.distribution}")


def rows_of(spec: Spec, group: tuple[str, ...]) -> Sequence[Any]:
    """Return the rows of a group, without repetitions; plain values for a single parameter."""
    if len(group) == 1:
        return grid_values(spec.parameters[group[0]])
    return _distinct(zip(*(spec.parameters[name].values for name in group), strict=True))


def _distinct(values: Iterable[Any]) -> list[Any]:
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


def grid_of(spec: Spec, pinned: Mapping[str, Any]) -> Grid:
    """Return the grid of what `pinned` leaves free."""
    return Grid(tuple(Axis(group, rows_of(spec, group)) for group in groups(spec, pinned)))
