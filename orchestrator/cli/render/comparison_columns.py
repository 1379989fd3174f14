"""The columns of a comparison: values, judgments, lineage, parameters and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.cli.render.text import (
    LONGEST_CELL,
    Column,
    clean,
    config_columns,
    differing,
    filled,
    number,
    numbers,
    short_names,
)
from orchestrator.files.series_names import is_state, words
from orchestrator.metrics import goal, known_metrics
from orchestrator.sweepfile.conditions import names, parse

_COUNTERS = frozenset(
    ("num", "counters", "timers", "perf", "workers", "sampled", "trained", "util")
)

if TYPE_CHECKING:
    from orchestrator.analysis import Target
    from orchestrator.analysis.table import Comparison, Row

_OUTPUTS = ("out", "save", "log", "run", "exp", "work", "default_root", "checkpoint")
PLACE = 10  # weight of parameters that only repeat where a run is
JUDGED = 1  # weight of metrics that targets, milestones and ``success`` judge
VARIED = 3  # varied parameters that are shown before any metric but the one that ranks


def all_columns(comparison: Comparison) -> list[Column]:
    """Return every column, those that are shown first with the lowest weight."""
    own = comparison.rows
    # References come below the trials, in the same columns.
    rows = (*own, *comparison.references)
    several = len({row.sweep for row in own}) > 1
    names = [f"{row.sweep}/{row.trial}" if several and row.sweep else row.trial for row in rows]
    marks = [" !" if row.warnings else "" for row in rows]
    trials = [clean(name, LONGEST_CELL) + mark for name, mark in zip(names, marks, strict=True)]
    columns = [
        Column("rank", [_rank(row) for row in rows]),
        Column("trial", trials),
    ]
    if any(row.state not in (None, "COMPLETE") for row in own):
        columns.append(Column("state", [row.state or "-" for row in rows], 1))
    if comparison.second:
        cells = ["✓" if row.on_front else "-" for row in rows]
        columns.append(Column("front", cells, key="on_front"))
    shown = _metrics(comparison)
    for name, weight in shown.items():
        if weight > JUDGED:
            continue
        columns.append(numbers(name, [_metric(row, name) for row in rows], weight, name))
        if name == comparison.sort_by:
            columns += filled(numbers("95 %", [_interval(row) for row in rows], 1, "interval"))
        columns += _difference_columns(rows, name, weight)
    columns += _judged_columns(rows)
    columns += _lineage_columns(rows, comparison.sort_by)
    weights = _parameters(own)
    short = short_names(_union(row.config for row in rows))
    parameters, places = list[Column](), list[Column]()
    for name, column in zip(
        weights, config_columns([r.config for r in rows], weights), strict=True
    ):
        title = name if short[name] in shown else short[name]
        group = places if weights[name] == PLACE else parameters
        group.append(replace(column, title=clean(title), key=f"config.{name}"))
    columns += parameters
    for name, weight in shown.items():
        if weight > JUDGED:
            columns.append(numbers(name, [_metric(row, name) for row in rows], weight, name))
            columns += _difference_columns(rows, name, weight)
    columns += [
        numbers(name, [number(row.facts.get(name)) for row in rows], 7, f"facts.{name}")
        for name in _union(row.facts for row in own)
    ]
    columns += [
        numbers(f"{name} lr", [number(row.rates.get(name)) for row in rows], 7, f"lr.{name}")
        for name in _union(row.rates for row in own)
    ]
    return columns + places


def _judged_columns(rows: Sequence[Row]) -> list[Column]:
    """Return a column for each milestone and for each tier of targets, met or not."""
    columns = []
    for name in _union(row.expected for row in rows):
        cells = [_judged(row.expected[name]) if name in row.expected else "-" for row in rows]
        columns.append(numbers(f"expected {name}", cells, JUDGED, f"expected.{name}"))
    for tier in _union(row.info.tiers for row in rows):
        cells = [_tier(row, tier) if tier in row.info.tiers else "-" for row in rows]
        columns.append(numbers(tier, cells, JUDGED, "tier"))
    return columns


def _tier(row: Row, tier: str) -> str:
    """Return ✓, or ✗ with the first bound of a tier that is missed and by how much."""
    for name, target in row.judged_by_tier(tier).items():
        if not target.met:
            off = "" if target.distance is None else f" {target.distance:+.2g}"
            return f"✗ {name}{off}"
    return "✓"


def _judged(target: Target) -> str:
    """Return a value with whether it meets its bound and its distance from it."""
    shown = number(target.value, padded=True)
    if target.met is None:
        return shown
    off = "" if target.distance is None else f" {target.distance:+.2g}"
    return f"{shown} {'✓' if target.met else '✗'}{off}"


def _lineage_columns(rows: Sequence[Row], metric: str) -> list[Column]:
    """Return the columns on how trials relate: stages, change, seeds, tier of targets."""

    def cells(text: Callable[[Row], str | None]) -> list[str]:
        return [clean(text(row) or "-", LONGEST_CELL) for row in rows]

    columns = [
        Column("what changed", cells(lambda row: row.lineage.words), 1, key="changed"),
        numbers("seeds", cells(_seeds), 2, "seeds"),
    ]
    for earlier in _union(row.earlier for row in rows):
        values = [number(row.earlier.get(earlier), padded=True) for row in rows]
        columns.append(numbers(f"{earlier} {metric}", values, 2, f"earlier.{earlier}"))
    columns.append(Column("tier", cells(lambda row: row.tier), 2, key="tier"))
    columns = filled(*columns)
    if len({row.lineage.stage for row in rows if row.rank}) > 1:
        columns.insert(0, Column("stage", cells(lambda row: row.lineage.stage), 1, key="stage"))
    if len({row.node for row in rows if row.node}) > 1:
        columns.append(Column("node", cells(lambda row: row.node), 4, key="node"))
    return columns


def _rank(row: Row) -> str:
    """Return the rank, with ``≈`` if chance alone may separate the row from the best."""
    return f"{row.rank or '-':>4}{' ≈' if row.tied else ''}"


def _interval(row: Row) -> str:
    if row.interval is None:
        return "-"
    return f"{number(row.interval.low)} to {number(row.interval.high)}"


def _seeds(row: Row) -> str:
    lost = f" of {len(row.members) + row.lost}" if row.lost else ""
    return f"{len(row.members)}{lost}" if row.members else ""


def _parameters(rows: Sequence[Row]) -> dict[str, int]:
    """Return the weights of the varied parameters, in the order of their columns.

    The table is read for them, but if there are many, only for the first few; and not for those
    that repeat the column ``stage`` or ``what changed``.
    """
    changed = any(row.lineage.words for row in rows)
    repeated = by_stage(rows)
    names = differing([row.config for row in rows])
    places = {name for name in names if _is_place(name, rows)}
    names.sort(key=lambda name: name in repeated | places)
    return {
        name: 2 if place < VARIED and not changed and name not in repeated | places else 5
        for place, name in enumerate(names)
    } | dict.fromkeys(sorted(places), PLACE)


def _is_place(name: str, rows: Sequence[Row]) -> bool:
    """Return whether a parameter only repeats where a run is: ``save_dir``, a folder's name."""
    last = name.rpartition(".")[2].lower()
    if last.endswith(("_dir", "logdir", "_path", "_folder")) and last.startswith(_OUTPUTS):
        return True
    named = last in ("name", "exp_name", "run_name", "experiment_name")
    return named and all(row.config.get(name) in (None, row.trial, *row.path.parts) for row in rows)


def by_stage(rows: Sequence[Row]) -> set[str]:
    """Return the parameters that are the same within each stage, so repeat what ``stage`` shows."""
    stages: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        stages.setdefault(row.lineage.stage, []).append(row.config)
    if len(stages) < 2:
        return set()
    differ = {name for configs in stages.values() for name in differing(configs)}
    return set(_union(row.config for row in rows)) - differ


def _metrics(comparison: Comparison) -> dict[str, int]:
    """Return the weights of the metrics, in the order of their columns."""
    metrics = _union(row.metrics for row in (*comparison.rows, *comparison.references))
    known = _union(row.metrics for row in comparison.references)
    compared = [name for name in metrics if name in known or f"test_{name}" in known]
    targets = _union(row.targets for row in comparison.rows)
    conditions = dict.fromkeys(text for row in comparison.rows for text in row.info.success)
    asked = [item.name for text in conditions for item in sorted(names(parse(text)), key=str)]
    judged = [*targets, *(name for name in asked if name in metrics)]
    unclear = [name for name in metrics if goal(name) is None]
    usual = [name for name in known_metrics() if name in metrics]
    # Of the rest, mean errors come first, as their unit is familiar, and twins of test last.
    twins = ("val_", "train_")
    rest = sorted(metrics, key=lambda name: (name.startswith(twins), not name.endswith("_mae")))
    weights = {comparison.sort_by: 0} if comparison.sort_by in metrics else {}
    weights |= {comparison.second: 0} if comparison.second else {}
    own = comparison.rows
    aside = [name for name in rest if len(own) > 1 and _says_nothing(name, own)]
    groups = ((judged, JUDGED), (compared, 2), (aside, 9), (unclear, 8), (usual, 4), (rest, 6))
    for chosen, weight in groups:
        for name in chosen:
            weights.setdefault(name, weight)
    return dict(sorted(weights.items(), key=lambda item: item[1]))


def _says_nothing(name: str, rows: Sequence[Row]) -> bool:
    """Return whether a metric is a time or a counter of a tool, or the same for all rows."""
    is_counter = is_state(name) or not _COUNTERS.isdisjoint(words(name))
    return is_counter or len({row.metrics.get(name) for row in rows}) == 1


def _metric(row: Row, name: str) -> str:
    target = row.targets.get(name)
    value = row.metrics.get(name)
    if value is None and target is not None:
        value = target.value
    shown = number(value, padded=True)
    spread = row.spread.get(name)
    if spread is not None and spread.n > 1:
        shown += f" ± {number(spread.deviation, 2)}"
    if target is None or target.met is None:
        return shown
    return shown + _judged(target).removeprefix(number(target.value, padded=True))


def _difference_columns(rows: Sequence[Row], metric: str, weight: int) -> list[Column]:
    """Return a column for each baseline and reference that `metric` is compared with.

    Args:
        weight: that of the metric's own column; 0 for the metric that ranks, whose name the title
            does not repeat.
    """
    columns = []
    for other in _union(row.differences for row in rows):
        title = f"{metric} vs {other}" if weight else f"vs {other}"
        cells = [_difference(row, other, metric) for row in rows]
        key = f"difference.{other}.{metric}"
        columns.append(numbers(title, cells, min(weight, 2) or 1, key))
    return filled(*columns)


def _difference(row: Row, other: str, metric: str) -> str:
    for name, found in row.differences.get(other, {}).items():
        if name in (metric, f"test_{metric}"):
            # Three digits: a difference is less certain than the values.
            unit = f" {found.unit}" if found.unit else ""
            return f"{found.value:+.3g}{unit}{' ~' if found.is_noise else ''}"
    return "-"


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
