"""From a spec to the configs of its trials, lazily and in the order of starting.

A grid goes as in W&B: parameters sorted by name, the last fastest, values in the order of the
file. Named trials come in the order of the file and are outermost. A named trial that sets a
parameter itself is not repeated for that parameter's other values. A random draw depends on the
seed, the number of the draw and the parameter's name alone, so a longer sweep starts with the
trials of a shorter one; with named trials, each draw is tried by all of them in turn. Configs that
break a constraint are left out, and the numbers of the others go on without a gap.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from orchestrator.spec.axes import Grid, grid_of, grid_values, groups, in_order, is_pinned, rows_of
from orchestrator.spec.model import Constraint, Domain, NamedTrial, Spec, TrialConfig
from orchestrator.spec.names import trial_name
from orchestrator.spec.quantiles import quantile
from orchestrator.spec.rules import Rules

__all__ = [
    "Excluded",
    "Exclusion",
    "count_trials",
    "draw",
    "exclusion",
    "grid_values",
    "iter_all",
    "iter_configs",
    "make_config",
    "varied_of",
]

MOST_JUDGED = 200_000
"""Combinations of the parameters that constraints and conditions name which may be gone through."""
_DRAWS_IN_VAIN = 10_000


@dataclass(frozen=True)
class Excluded:
    """A config that is not run.

    Attributes:
        config: its values.
        constraint: what it breaks.
        trial: key of the named trial in the spec, or None.
    """

    config: dict[str, Any]
    constraint: Constraint
    trial: str | None = None


@dataclass(frozen=True)
class Exclusion:
    """What the constraints of a spec leave out.

    Attributes:
        count: how many configs; of a random sweep, among the draws that its trials take.
        examples: the first of them.
    """

    count: int = 0
    examples: list[Excluded] = field(default_factory=list)


def count_trials(spec: Spec) -> int | None:
    """Return how many trials the spec asks for; None where nothing bounds them."""
    if spec.method != "grid":
        return spec.run_cap
    rules = Rules(spec)
    size = sum(_counts(spec, grid, key, rules)[0] for key, grid in _grids(spec))
    return size if spec.run_cap is None else min(size, spec.run_cap)


def exclusion(spec: Spec, limit: int = 20) -> Exclusion:
    """Return how many configs the constraints leave out, and the first `limit` of them."""
    rules = Rules(spec)
    if not spec.constraints or spec.method == "bayes":
        return Exclusion()
    examples: list[Excluded] = []
    number = 0
    for index, item in enumerate(iter_all(spec)):
        if isinstance(item, Excluded):
            number += 1
            examples += [item] if len(examples) < limit else []
        # A random sweep is gone through to its end; of a grid the number is known otherwise.
        if (spec.method == "grid" and len(examples) >= limit) or index >= MOST_JUDGED:
            break
    if spec.method == "grid":
        number = sum(_counts(spec, grid, key, rules)[1] for key, grid in _grids(spec))
    return Exclusion(number, examples)


def iter_configs(spec: Spec) -> Iterator[TrialConfig]:
    """Yield the configs of a grid or a random sweep in the order of starting.

    Each takes the memory of one config, and a random sweep without a ``run_cap`` never ends.

    Raises:
        ValueError: the method is bayes, whose sampler decides only while it runs.
    """
    return (item for item in iter_all(spec) if isinstance(item, TrialConfig))


def iter_all(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    """Yield what `iter_configs` yields and, in their places, the configs that are left out.

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
        name: varied[name]
        for name in in_order(spec)
        if name in varied and not is_pinned(name, spec, pinned)
    }
    made, _ = _Maker(spec).make(number, key, chosen)
    assert isinstance(made, TrialConfig), "constraints go with grid and random only"
    return made


def varied_of(spec: Spec, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a trial's config that `parameters` chose, by the names of the spec.

    The way back from `TrialConfig.config`, in which parameters inside others stand in mappings.
    """
    found: dict[str, Any] = {}
    for name in in_order(spec):
        value: Any = config
        for part in spec.nested.get(name, (name,)):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is not _MISSING:
            found[name] = value
    return found


_MISSING = object()


def draw(domain: Domain, uniform: float) -> Any:
    """Return the value of a domain at a share of its probability.

    Args:
        domain: the values that may be drawn.
        uniform: share of the probability below the value, in [0, 1).
    """
    return quantile(domain, uniform)


def _grids(spec: Spec) -> list[tuple[str | None, Grid]]:
    """Return the grid of each named trial, or the one of all where none is named."""
    return [(key, grid_of(spec, _pinned(spec, key))) for key in spec.trials or (None,)]


def _counts(spec: Spec, grid: Grid, key: str | None, rules: Rules) -> tuple[int, int]:
    """Return how many configs of a grid run, and how many are left out.

    Only the axes that the rules concern are gone through; the others multiply what is found.

    Raises:
        ValueError: those axes have more than `MOST_JUDGED` combinations.
    """
    if not rules:
        return grid.size, 0
    judged = grid.of(rules.concerned())
    if judged.size > MOST_JUDGED:
        raise ValueError(f"{judged.size:,} combinations")
    others = grid.size // judged.size
    maker = _Maker(spec, rules)
    first = grid.chosen([0] * len(grid.axes))
    kept = left_out = 0
    for index in range(judged.size):
        places = judged.places(index)
        made, absent = maker.make(0, key, {**first, **judged.chosen(places)})
        if _repeats(judged, places, absent):
            continue
        kept += isinstance(made, TrialConfig)
        left_out += isinstance(made, Excluded)
    return kept * others, left_out * others


def _repeats(grid: Grid, places: list[int], absent: Set[str]) -> bool:
    """Tell whether a config came already, with another value of a parameter that is absent."""
    return bool(absent) and any(
        place > 0 and absent >= set(axis.names)
        for axis, place in zip(grid.axes, places, strict=True)
    )


def _iter_grid(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    maker = _Maker(spec)
    number = 0
    for key, grid in _grids(spec):
        for index in _counted(grid.size):
            if spec.run_cap is not None and number >= spec.run_cap:
                return
            places = grid.places(index)
            made, absent = maker.make(number, key, grid.chosen(places))
            if _repeats(grid, places, absent):
                continue
            yield made
            number += isinstance(made, TrialConfig)


def _counted(size: int) -> Iterator[int]:
    index = 0
    while index < size:
        yield index
        index += 1


def _iter_random(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    from random import Random

    maker = _Maker(spec)
    keys: list[str | None] = [*spec.trials] or [None]
    free = {key: groups(spec, _pinned(spec, key)) for key in keys}
    rows = {group: rows_of(spec, group) for key in keys for group in free[key] if len(group) > 1}
    number = in_vain = 0
    for attempt in count():
        if (spec.run_cap is not None and number >= spec.run_cap) or in_vain >= _DRAWS_IN_VAIN:
            return
        turn, place = divmod(attempt, len(keys))
        chosen: dict[str, Any] = {}
        for group in free[keys[place]]:
            uniform = Random(f"{spec.seed}:{turn}:{'+'.join(group)}").random()
            if len(group) == 1:
                chosen[group[0]] = quantile(spec.parameters[group[0]], uniform)
            else:
                row = rows[group][int(uniform * len(rows[group]))]
                chosen |= dict(zip(group, row, strict=True))
        made, _ = maker.make(number, keys[place], chosen)
        yield made
        kept = isinstance(made, TrialConfig)
        number, in_vain = number + kept, 0 if kept else in_vain + 1


def _pinned(spec: Spec, key: str | None) -> Mapping[str, Any]:
    """Return what leaves nothing to choose: what a named trial sets itself, and ``--set``."""
    return {**(spec.trials[key].set if key is not None else {}), **spec.overrides}


class _Maker:
    """Makes configs of one spec, with all that they share made once."""

    def __init__(self, spec: Spec, rules: Rules | None = None) -> None:
        constants = {
            name: domain.values[0] for name, domain in spec.parameters.items() if domain.is_constant
        }
        self.spec = spec
        self.rules = Rules(spec) if rules is None else rules
        self.shared = {**spec.fixed, **spec.stage_set, **constants}
        self.single = {
            name
            for name, domain in spec.parameters.items()
            if domain.distribution in ("constant", "categorical") and len(domain.values) == 1
        }
        self.nothing = NamedTrial()

    def make(
        self, number: int, key: str | None, chosen: dict[str, Any]
    ) -> tuple[TrialConfig | Excluded, Set[str]]:
        """Return the config of `chosen`, or that it is left out, and the absent parameters."""
        spec = self.spec
        named = spec.trials[key] if key is not None else self.nothing
        config = {**self.shared, **chosen, **named.set, **spec.overrides}
        absent: Set[str] = frozenset()
        if self.rules:
            verdict = self.rules.judge(config, {**named.set, **spec.overrides})
            absent = verdict.absent
            config = {name: value for name, value in config.items() if name not in absent}
            chosen = {name: value for name, value in chosen.items() if name not in absent}
            if verdict.broken is not None:
                return Excluded(_nest(config, spec.nested), verdict.broken, key), absent
        telling = {name: value for name, value in chosen.items() if name not in self.single}
        trial = TrialConfig(
            number=number,
            name=trial_name(number, key, telling, drawn=spec.method != "grid"),
            config=_nest(config, spec.nested) if spec.nested else config,
            varied=chosen,
            trial=key,
        )
        return trial, absent


def _nest(config: dict[str, Any], paths: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a config in which parameters inside others stand in mappings."""
    tops = {path[0] for path in paths.values()}
    nested = {
        # What is added to must not be what other configs share.
        name: copy.deepcopy(value) if name in tops else value
        for name, value in config.items()
        if name not in paths
    }
    for name in (name for name in config if name in paths):
        inside = nested
        for part in paths[name][:-1]:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[paths[name][-1]] = config[name]
    return nested
