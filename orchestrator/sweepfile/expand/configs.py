"""The configs of a spec, lazily and in the order in which trials start.

A grid has W&B's order: parameters sorted by name, the last one fastest, values in the order of the
file. Named trials are outermost, in the order of the file; one that sets a parameter is not
repeated for that parameter's other values. A random draw depends only on the seed, the number of
the draw and the parameter's name, so a longer sweep begins with the trials of a shorter one; with
named trials, each draw is used by all of them in turn. A config that was drawn before is drawn
again only with ``repeats``. Configs that break a constraint are excluded, and the numbers of the
others have no gap. An ablation is its baseline, then each change.

With seeds, all configs run with the first seed, then all with the second. The replicates of one
config still have consecutive numbers, so that these stay the same when a random sweep gets longer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count, islice
from random import Random
from typing import Any

from orchestrator.sweepfile.expand.build import Excluded, Maker, at_first, pinned_by, with_replicate
from orchestrator.sweepfile.model.spec import Spec, TrialConfig
from orchestrator.sweepfile.space.distributions import quantile
from orchestrator.sweepfile.space.grid import (
    MOST_JUDGED,
    Grid,
    all_shuffled,
    canonical,
    drawn_from,
    grid_of,
    groups,
    rows_of,
)

_DRAWS_IN_VAIN = 50_000
"""How many random draws in a row may break the constraints before a sweep ends."""
_REPEATS_IN_VAIN = 500
"""After so many repetitions in a row the rest of a space is tried in a shuffled order."""

Items = Iterator[TrialConfig | Excluded]


@dataclass(frozen=True)
class Exclusion:
    """How many configs the constraints of a spec exclude, and the first of them.

    In a random sweep these are the exclusions among the draws for its trials.
    """

    count: int = 0
    examples: Sequence[Excluded] = ()


def count_trials(spec: Spec) -> int | None:
    """Return the number of trials (of the first stage) with their replicates; None for no limit."""
    spec = at_first(spec)
    if spec.method != "grid":
        return _count_drawn(spec)
    if spec.ablate is not None:
        size = sum(isinstance(item, TrialConfig) for item in _iter_changes(spec))
    else:
        size = _count_grids(spec)[0]
    size *= max(len(spec.seeds), 1)
    return size if spec.run_cap is None else min(size, spec.run_cap)


def _count_drawn(spec: Spec) -> int | None:
    """Return how many trials a sweep draws: fewer than ``run_cap`` if it runs out of configs."""
    cap, seeds = spec.run_cap, max(len(spec.seeds), 1)
    if (spec.repeats and not spec.constraints) or (spec.method == "bayes" and spec.trials):
        return cap
    spaces = [drawn_from(spec, pinned_by(spec, key), MOST_JUDGED) for key in spec.trials or (None,)]
    sizes = [space.size if isinstance(space, Grid) else space for space in spaces]
    total = None if None in sizes else seeds * sum(size or 0 for size in sizes)
    conditional = any(domain.when for domain in spec.parameters.values())
    if spec.constraints or (conditional and total is not None):
        if cap is None:
            return None
        return min(cap, _counted(repr(spec), spec) * seeds)
    return min((n for n in (cap, total) if n is not None), default=None)


_MOST_COUNTED = 5_000
_known_counts: dict[str, int] = {}


def _counted(text: str, spec: Spec) -> int:
    """Return how many configs can be drawn, up to ``run_cap``; each spec is drawn once.

    If very many can, it is taken for granted that all can.
    """
    if text not in _known_counts:
        once = (item for item in _iter_once(_of_configs(spec)) if isinstance(item, TrialConfig))
        found = sum(1 for _ in islice(once, _MOST_COUNTED))
        _known_counts[text] = found if found < _MOST_COUNTED else spec.run_cap or found
    return _known_counts[text]


def drawn_key(chosen: Mapping[str, Any], key: str | None = None) -> Hashable:
    """Return what is the same for two draws of the same values for the same named trial."""
    return key, frozenset((name, canonical(value)) for name, value in chosen.items())


def numbers_end(spec: Spec) -> int:
    """Return the first number that no config has, whatever ``run_cap`` is.

    The cap of a grid may be raised when the sweep is continued, so all of the grid counts. 0 if
    nothing limits the sweep. Proposals of bayes take numbers as they come, after ``start``.
    """
    if spec.method == "grid":
        return count_trials(replace(spec, run_cap=None)) or 0
    many = max(len(spec.seeds), 1)
    if spec.method == "bayes":
        return many * len(spec.start.configs) if spec.start is not None else 0
    if spec.run_cap is None:
        return 0
    return -(-spec.run_cap // many) * many


def exclusion(spec: Spec, limit: int = 20) -> Exclusion:
    """Return how many configs the constraints exclude, and the first `limit` of them."""
    spec = at_first(spec)
    if not spec.constraints or spec.method == "bayes":
        return Exclusion()
    # The number of a grid is computed; a random sweep is enumerated to its end.
    is_grid = spec.method == "grid" and spec.ablate is None
    items = islice(_iter_once(_of_configs(spec)), MOST_JUDGED + 1)
    excluded = (item for item in items if isinstance(item, Excluded))
    examples = list(islice(excluded, limit))
    number = _count_grids(spec)[1] if is_grid else len(examples) + sum(1 for _ in excluded)
    return Exclusion(number, examples)


def iter_configs(spec: Spec) -> Iterator[TrialConfig]:
    """Yield the configs of a grid or a random sweep, which may never end, in order of starting.

    Raises:
        ValueError: the method is bayes, whose sampler decides while it runs.
    """
    return (item for item in iter_all(spec) if isinstance(item, TrialConfig))


def iter_all(spec: Spec) -> Items:
    """Yield what `iter_configs` yields and, in their places, the excluded configs."""
    if spec.method == "bayes":
        raise ValueError("bayes has no configs before its sampler has seen results")
    spec = at_first(spec)
    return _capped(_interleaved(spec), spec.run_cap) if spec.seeds else _iter_once(spec)


def _iter_once(spec: Spec) -> Items:
    """Yield each config once; its number is its place."""
    if spec.ablate is not None:
        items = _iter_changes(spec)
    else:
        items = _iter_grid(spec) if spec.method == "grid" else _iter_random(spec)
    return _capped(items, spec.run_cap)


def _capped(items: Items, cap: int | None) -> Items:
    """Yield items up to the trial of number `cap`."""
    number = 0
    while cap is None or number < cap:
        item = next(items, None)
        if item is None:
            return
        yield item
        number += isinstance(item, TrialConfig)


def _of_configs(spec: Spec) -> Spec:
    """Return the spec with a ``run_cap`` that counts configs and not their replicates."""
    if spec.run_cap is None or spec.method == "grid" or not spec.seeds:
        return spec
    return replace(spec, run_cap=-(-spec.run_cap // len(spec.seeds)))


def _interleaved(spec: Spec) -> Items:
    """Yield the replicates of all configs.

    In a random sweep without a limit, each config has all its turns before the next. In an
    ablation, the baseline has all its turns before any change if a gate waits for it, as does each
    change if improvements are kept.
    """
    once, turns = _of_configs(spec), range(len(spec.seeds))
    ablate = spec.ablate
    keeps = ablate is not None and ablate.keep_improvements
    if keeps or (spec.method == "random" and spec.run_cap is None):
        yield from _replicates(spec, _iter_once(once), turns)
        return
    first = 0
    if ablate is not None and ablate.gate is not None:
        yield from _replicates(spec, islice(_iter_once(once), 1), turns)
        first = 1
    for turn in turns:
        for item in _replicates(spec, islice(_iter_once(once), first, None), (turn,)):
            if isinstance(item, TrialConfig) or turn == 0:
                yield item


def _replicates(spec: Spec, items: Items, turns: Iterable[int]) -> Items:
    for item in items:
        if isinstance(item, TrialConfig):
            yield from (with_replicate(spec, item, turn) for turn in turns)
        else:
            yield item


def _iter_changes(spec: Spec) -> Items:
    """Yield the baseline of an ablation, then each change."""
    assert spec.ablate is not None
    maker = Maker(spec)
    number = 0
    for name in (None, *spec.ablate.changes):
        item = maker.change(number, name)
        yield item
        number += isinstance(item, TrialConfig)


def _grids(spec: Spec) -> list[tuple[str | None, Grid]]:
    """Return the grid of each named trial, or the one of all if there are none."""
    return [(key, grid_of(spec, pinned_by(spec, key))) for key in spec.trials or (None,)]


def _count_grids(spec: Spec) -> tuple[int, int]:
    """Return how many configs of all grids run, and how many are excluded.

    Only the axes that the rules concern are enumerated; the others multiply the result.

    Raises:
        ValueError: those axes have more than `MOST_JUDGED` combinations.
    """
    maker = Maker(spec)
    kept = excluded = 0
    for key, grid in _grids(spec):
        if not maker.rules:
            kept += grid.size
            continue
        judged = grid.of(maker.rules.concerned())
        if judged.size > MOST_JUDGED:
            raise ValueError(f"{judged.size:,} combinations")
        others = grid.size // judged.size
        first = grid.chosen([0] * len(grid.axes))
        for index in range(judged.size):
            places = judged.places(index)
            made, absent = maker.make(0, key, {**first, **judged.chosen(places)})
            if not _repeats(judged, places, absent):
                kept += others * isinstance(made, TrialConfig)
                excluded += others * isinstance(made, Excluded)
    return kept, excluded


def _repeats(grid: Grid, places: list[int], absent: Set[str]) -> bool:
    """Return whether a config came before, with another value of a parameter that is absent."""
    return bool(absent) and any(
        place > 0 and absent >= set(axis.names)
        for axis, place in zip(grid.axes, places, strict=True)
    )


def _iter_grid(spec: Spec) -> Items:
    maker = Maker(spec)
    number = 0
    for key, grid in _grids(spec):
        size = grid.size
        for index in count():  # the size may be too large for `range`
            if index >= size:
                break
            places = grid.places(index)
            made, absent = maker.make(number, key, grid.chosen(places))
            if not _repeats(grid, places, absent):
                yield made
                number += isinstance(made, TrialConfig)


def _iter_random(spec: Spec) -> Items:
    maker = Maker(spec)
    keys: list[str | None] = [*spec.trials] or [None]
    free = {key: groups(spec, pinned_by(spec, key)) for key in keys}
    rows = {group: rows_of(spec, group) for key in keys for group in free[key] if len(group) > 1}
    number = in_vain = repeated = 0
    finite = {key: drawn_from(spec, pinned_by(spec, key), 0) is not None for key in keys}
    seen: set[Hashable] = set()
    for given in spec.start.configs if spec.start is not None else ():
        chosen = dict(given)
        made, absent = maker.make(number, None, chosen)
        seen.add(drawn_key({n: v for n, v in chosen.items() if n not in absent}))
        yield made
        number += isinstance(made, TrialConfig)
    for attempt in count():
        if in_vain >= _DRAWS_IN_VAIN:
            return
        if repeated >= _REPEATS_IN_VAIN * len(keys):
            yield from _rest(spec, maker, number, keys, seen)
            return
        turn, place = divmod(attempt, len(keys))
        key = keys[place]
        chosen = {}
        for group in free[key]:
            uniform = Random(f"{spec.seed}:{turn}:{'+'.join(group)}").random()
            if len(group) == 1:
                chosen[group[0]] = quantile(spec.parameters[group[0]], uniform)
            else:
                row = rows[group][int(uniform * len(rows[group]))]
                chosen |= dict(zip(group, row, strict=True))
        made, absent = maker.make(number, key, chosen)
        if finite[key] and not spec.repeats:
            drawn = drawn_key({n: v for n, v in chosen.items() if n not in absent}, key)
            repeated = repeated + 1 if drawn in seen else 0
            if drawn in seen:
                continue
            seen.add(drawn)
        yield made
        kept = isinstance(made, TrialConfig)
        number, in_vain = number + kept, 0 if kept else in_vain + 1


def _rest(
    spec: Spec, maker: Maker, number: int, keys: Sequence[str | None], seen: set[Hashable]
) -> Items:
    """Yield what is left of a space most of which was drawn."""
    for key in keys:
        for chosen in all_shuffled(spec, pinned_by(spec, key)):
            made, absent = maker.make(number, key, chosen)
            drawn = drawn_key({n: v for n, v in chosen.items() if n not in absent}, key)
            if drawn not in seen:
                seen.add(drawn)
                yield made
                number += isinstance(made, TrialConfig)
