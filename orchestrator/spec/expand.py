"""From a spec to the configs of its trials, lazily and in the order of starting.

A grid goes as in W&B: parameters sorted by name, the last fastest, values in the order of the
file. Named trials come in the order of the file and are outermost. A named trial that sets a
parameter itself is not repeated for that parameter's other values. A random draw depends on the
seed, the number of the draw and the parameter's name alone, so a longer sweep starts with the
trials of a shorter one; with named trials, each draw is tried by all of them in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from orchestrator.spec.domains import distinct
from orchestrator.spec.model import Domain, NamedTrial, Spec, TrialConfig
from orchestrator.spec.names import trial_name


def count_trials(spec: Spec) -> int | None:
    """Return how many trials the spec asks for; None where nothing bounds them."""
    if spec.method != "grid":
        return spec.run_cap
    size = sum(grid.size for grid in _grids(spec))
    return size if spec.run_cap is None else min(size, spec.run_cap)


def iter_configs(spec: Spec) -> Iterator[TrialConfig]:
    """Yield the configs of a grid or a random sweep in the order of starting.

    Each takes the memory of one config, and a random sweep without a ``run_cap`` never ends.

    Raises:
        ValueError: the method is bayes, whose sampler decides only while it runs.
    """
    if spec.method == "bayes":
        raise ValueError("bayes has no configs before its sampler has seen results")
    return _iter_grid(spec) if spec.method == "grid" else _iter_random(spec)


def make_config(spec: Spec, number: int, varied: Mapping[str, Any]) -> TrialConfig:
    """Return the config of trial `number`, for which `varied` was chosen.

    Args:
        spec: the spec.
        number: the trial's number, from 0; named trials take turns by it.
        varied: a value for each parameter that is no constant; others are ignored.
    """
    keys = list(spec.trials)
    key = keys[number % len(keys)] if keys else None
    pinned = _pinned(spec, key)
    chosen = {
        name: varied[name] for name in _searched(spec) if name in varied and name not in pinned
    }
    return _maker(spec)(number, key, chosen)


def draw(domain: Domain, uniform: float) -> Any:
    """Return the value of a domain at a share of its probability.

    Args:
        domain: the values that may be drawn.
        uniform: share of the probability below the value, in [0, 1).
    """
    if domain.distribution in ("constant", "categorical"):
        return domain.values[int(uniform * len(domain.values))]
    assert domain.low is not None
    assert domain.high is not None
    low, high = domain.low, domain.high
    if domain.distribution == "int_uniform":
        return min(int(low) + int(uniform * (int(high) - int(low) + 1)), int(high))
    if domain.distribution == "log_uniform_values":
        drawn = math.exp(math.log(low) + uniform * (math.log(high) - math.log(low)))
        return min(max(drawn, float(low)), float(high))
    # Both halves are weighed, since high - low may be beyond all floats.
    drawn = (1.0 - uniform) * low + uniform * high
    if domain.distribution == "q_uniform":
        assert domain.q is not None
        return round(drawn / domain.q) * domain.q
    return min(max(drawn, float(low)), float(high))


def grid_values(domain: Domain) -> Sequence[Any]:
    """Return what a grid takes from a domain, in its order; ranges are not written out.

    A quantised range counts from its lower bound and leaves its upper bound out, as in W&B.

    Raises:
        ValueError: the domain has no steps that a grid could take.
    """
    if domain.distribution in ("constant", "categorical"):
        return distinct(domain.values)
    if domain.low is not None and domain.high is not None:
        if domain.distribution == "int_uniform":
            return range(int(domain.low), int(domain.high) + 1)
        if domain.distribution == "q_uniform" and domain.q is not None:
            return _Steps(domain.low, domain.high, domain.q)
    raise ValueError(f"a grid cannot take steps in {domain.distribution}")


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


@dataclass(frozen=True)
class _Grid:
    """The grid of one named trial, or of all where none is named."""

    trial: str | None
    axes: tuple[tuple[str, Sequence[Any], int], ...]  # name, values, how many there are
    size: int

    def chosen(self, index: int) -> dict[str, Any]:
        """Return the values at a place of the grid; the last axis goes fastest."""
        places = []
        for _, _, length in reversed(self.axes):
            index, place = divmod(index, length)
            places.append(place)
        return {
            name: values[place]
            for (name, values, _), place in zip(self.axes, reversed(places), strict=True)
        }


def _length(values: Sequence[Any]) -> int:
    """Return the length, also of ranges that are too long for `len`."""
    if isinstance(values, range):
        return values.stop - values.start
    return values.length if isinstance(values, _Steps) else len(values)


def _grids(spec: Spec) -> list[_Grid]:
    searched = [(name, grid_values(spec.parameters[name])) for name in _searched(spec)]
    axes = [(name, values, _length(values)) for name, values in searched]
    grids = []
    for key in spec.trials or (None,):
        pinned = _pinned(spec, key)
        free = tuple(axis for axis in axes if axis[0] not in pinned)
        grids.append(_Grid(key, free, math.prod(length for _, _, length in free)))
    return grids


def _iter_grid(spec: Spec) -> Iterator[TrialConfig]:
    make = _maker(spec)
    number = 0
    for grid in _grids(spec):
        for index in _counted(grid.size):
            if spec.run_cap is not None and number >= spec.run_cap:
                return
            yield make(number, grid.trial, grid.chosen(index))
            number += 1


def _counted(size: int) -> Iterator[int]:
    index = 0
    while index < size:
        yield index
        index += 1


def _iter_random(spec: Spec) -> Iterator[TrialConfig]:
    from random import Random

    make = _maker(spec)
    keys: list[str | None] = [*spec.trials] or [None]
    searched = {name: spec.parameters[name] for name in _searched(spec)}
    for number in count() if spec.run_cap is None else _counted(spec.run_cap):
        turn, place = divmod(number, len(keys))
        pinned = _pinned(spec, keys[place])
        chosen = {
            name: draw(domain, Random(f"{spec.seed}:{turn}:{name}").random())
            for name, domain in searched.items()
            if name not in pinned
        }
        yield make(number, keys[place], chosen)


def _searched(spec: Spec) -> list[str]:
    """Return the parameters that have something to choose, in the order of a grid."""
    return sorted(name for name, domain in spec.parameters.items() if not domain.is_constant)


def _pinned(spec: Spec, key: str | None) -> Mapping[str, Any]:
    """Return what leaves nothing to choose: what a named trial sets itself, and ``--set``."""
    return {**(spec.trials[key].set if key is not None else {}), **spec.overrides}


def _maker(spec: Spec) -> Callable[[int, str | None, dict[str, Any]], TrialConfig]:
    """Return a function that makes configs of `spec`, with all that they share made once."""
    constants = {
        name: domain.values[0] for name, domain in spec.parameters.items() if domain.is_constant
    }
    shared = {**spec.fixed, **spec.stage_set, **constants}
    single = {
        name
        for name, domain in spec.parameters.items()
        if domain.distribution in ("constant", "categorical") and len(domain.values) == 1
    }
    nothing = NamedTrial()

    def make(number: int, key: str | None, chosen: dict[str, Any]) -> TrialConfig:
        named = spec.trials[key] if key is not None else nothing
        config = {**shared, **chosen, **named.set, **spec.overrides}
        telling = {name: value for name, value in chosen.items() if name not in single}
        return TrialConfig(
            number=number,
            name=trial_name(number, key, telling, drawn=spec.method != "grid"),
            config=config,
            varied=chosen,
            trial=key,
        )

    return make
