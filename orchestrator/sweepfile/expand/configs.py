"""From a spec to the configs of its trials, lazily and in the order of starting.

A grid goes as in W&B: parameters sorted by name, the last fastest, values in the order of the
file. Named trials come in the order of the file and are outermost. A named trial that sets a
parameter itself is not repeated for that parameter's other values. A random draw depends on the
seed, the number of the draw and the parameter's name alone, so a longer sweep starts with the
trials of a shorter one; with named trials, each draw is tried by all of them in turn. Configs that
break a constraint are left out, and the numbers of the others go on without a gap. An ablation is
its baseline, then each change.

With seeds, all configs come with the first seed, then all with the second; the numbers of the
replicates of one config run on all the same, so that they stay what they are when a random sweep
gets longer. Two things change that order. Where nothing bounds a random sweep, each config takes
all its seeds before the next. And an ablation's baseline takes all its seeds before any change
where a gate waits for it, as does each change where improvements are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Any

from orchestrator.sweepfile.conditions.constraints import Rules
from orchestrator.sweepfile.expand.build import Excluded, Maker, pinned_by, with_replicate
from orchestrator.sweepfile.expand.stages import at_first
from orchestrator.sweepfile.model.spec import Domain, Spec, TrialConfig
from orchestrator.sweepfile.space.grid import (
    Grid,
    grid_of,
    grid_values,
    groups,
    in_order,
    is_pinned,
    rows_of,
)
from orchestrator.sweepfile.space.quantiles import quantile

__all__ = [
    "Excluded",
    "Exclusion",
    "count_trials",
    "draw",
    "exclusion",
    "grid_values",
    "iter_all",
    "iter_configs",
    "make_change",
    "make_config",
    "numbers_end",
    "varied_of",
]

MOST_JUDGED = 200_000
"""Combinations of the parameters that constraints and conditions name which may be gone through."""
_DRAWS_IN_VAIN = 10_000


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
    """Return how many trials the spec asks for, replicates counted; None where nothing bounds them.

    Of a sweep whose stages all run, it is the number of those at the first.
    """
    if spec.method != "grid":
        return spec.run_cap
    spec = at_first(spec)
    if spec.ablate is not None:
        size = sum(isinstance(item, TrialConfig) for item in _iter_changes(spec))
    else:
        rules = Rules(spec)
        size = sum(_counts(spec, grid, key, rules)[0] for key, grid in _grids(spec))
    size *= max(len(spec.seeds), 1)
    return size if spec.run_cap is None else min(size, spec.run_cap)


def numbers_end(spec: Spec) -> int:
    """Return the number from which on no config of the spec has one, whatever ``run_cap`` says.

    A cap of a grid may be raised when the sweep goes on, so all of it counts. 0 where nothing
    bounds the sweep, and for bayes, whose trials take the numbers as they come.
    """
    if spec.method == "grid":
        return count_trials(replace(spec, run_cap=None)) or 0
    if spec.method == "bayes" or spec.run_cap is None:
        return 0
    many = max(len(spec.seeds), 1)
    return -(-spec.run_cap // many) * many


def exclusion(spec: Spec, limit: int = 20) -> Exclusion:
    """Return how many configs the constraints leave out, and the first `limit` of them."""
    spec = at_first(spec)
    rules = Rules(spec)
    if not spec.constraints or spec.method == "bayes":
        return Exclusion()
    examples: list[Excluded] = []
    number = 0
    for index, item in enumerate(_iter_once(_of_configs(spec))):
        if isinstance(item, Excluded):
            number += 1
            examples += [item] if len(examples) < limit else []
        # A random sweep is gone through to its end; of a grid the number is known otherwise.
        is_grid = spec.method == "grid" and spec.ablate is None
        if (is_grid and len(examples) >= limit) or index >= MOST_JUDGED:
            break
    if spec.method == "grid" and spec.ablate is None:
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
    spec = at_first(spec)
    if not spec.seeds:
        return _iter_once(spec)
    return _capped(_interleaved(spec), spec.run_cap)


def _iter_once(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    """Yield each config once; its number is its place."""
    if spec.ablate is not None:
        return _capped(_iter_changes(spec), spec.run_cap)
    return _iter_grid(spec) if spec.method == "grid" else _iter_random(spec)


def _of_configs(spec: Spec) -> Spec:
    """Return the spec whose ``run_cap`` counts configs and not their replicates."""
    if spec.run_cap is None or spec.method == "grid" or not spec.seeds:
        return spec
    return replace(spec, run_cap=-(-spec.run_cap // len(spec.seeds)))


def _interleaved(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    """Yield the replicates of all configs."""
    once, turns = _of_configs(spec), range(len(spec.seeds))
    ablate = spec.ablate
    if ablate is not None and ablate.gate is not None and not ablate.keep_improvements:
        yield from _each(spec, islice(_iter_once(once), 1), turns)
        for turn in turns:
            items = islice(_iter_once(once), 1, None)
            yield from _each(spec, items, (turn,), with_excluded=turn == 0)
    elif (ablate is not None and ablate.keep_improvements) or (
        spec.method == "random" and spec.run_cap is None
    ):
        yield from _each(spec, _iter_once(once), turns)
    else:
        for turn in turns:
            yield from _each(spec, _iter_once(once), (turn,), with_excluded=turn == 0)


def _each(
    spec: Spec,
    items: Iterable[TrialConfig | Excluded],
    turns: Iterable[int],
    *,
    with_excluded: bool = True,
) -> Iterator[TrialConfig | Excluded]:
    for item in items:
        if isinstance(item, TrialConfig):
            yield from (with_replicate(spec, item, turn) for turn in turns)
        elif with_excluded:
            yield item


def _capped(
    items: Iterator[TrialConfig | Excluded], cap: int | None
) -> Iterator[TrialConfig | Excluded]:
    """Yield `items` up to a number of configs."""
    if cap is None:
        yield from items
        return
    number = 0
    while number < cap:
        item = next(items, None)
        if item is None:
            return
        yield item
        number += isinstance(item, TrialConfig)


def _iter_changes(spec: Spec) -> Iterator[TrialConfig | Excluded]:
    """Yield the baseline of an ablation, then each change."""
    assert spec.ablate is not None
    maker = Maker(spec)
    number = 0
    for name in (None, *spec.ablate.changes):
        item = maker.change(number, name)
        yield item
        number += isinstance(item, TrialConfig)


def make_config(spec: Spec, number: int, varied: Mapping[str, Any]) -> TrialConfig:
    """Return the config of trial `number`, for which `varied` was chosen.

    Args:
        spec: the spec.
        number: the trial's number, from 0; named trials, or the baseline and the changes of an
            ablation, take turns by it. With seeds, the replicates of one config have numbers
            running.
        varied: a value for each parameter that is no constant; others are ignored.
    """
    spec = at_first(spec)
    index, replicate = divmod(number, max(len(spec.seeds), 1))
    if spec.ablate is not None:
        changes = [None, *spec.ablate.changes]
        tried = Maker(replace(spec, constraints=())).change(index, changes[index % len(changes)])
        assert isinstance(tried, TrialConfig), "without constraints none is left out"
        return with_replicate(spec, tried, replicate)
    keys = list(spec.trials)
    key = keys[index % len(keys)] if keys else None
    pinned = pinned_by(spec, key)
    chosen = {
        name: varied[name]
        for name in in_order(spec)
        if name in varied and not is_pinned(name, spec, pinned)
    }
    made, _ = Maker(spec).make(index, key, chosen)
    assert isinstance(made, TrialConfig), "constraints go with grid and random only"
    return with_replicate(spec, made, replicate)


def make_change(
    spec: Spec, number: int, change: str | None, kept: Sequence[str] = ()
) -> TrialConfig | Excluded:
    """Return the config that tries one change of an ablation on top of those that are kept.

    Args:
        spec: with an ablation.
        number: the trial's number, from 0. With seeds, the replicates of one config have numbers
            running, so its remainder by their number says which replicate it is.
        change: the change's name; None for the baseline.
        kept: the changes that stay, in the order in which they were kept.

    Returns:
        The config, or that a constraint leaves it out.
    """
    spec = at_first(spec)
    index, replicate = divmod(number, max(len(spec.seeds), 1))
    made = Maker(spec).change(index, change, kept)
    return made if isinstance(made, Excluded) else with_replicate(spec, made, replicate)


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
    return [(key, grid_of(spec, pinned_by(spec, key))) for key in spec.trials or (None,)]


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
    maker = Maker(spec, rules)
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
    maker = Maker(spec)
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

    maker = Maker(spec)
    keys: list[str | None] = [*spec.trials] or [None]
    free = {key: groups(spec, pinned_by(spec, key)) for key in keys}
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
