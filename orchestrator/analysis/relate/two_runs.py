"""Two runs side by side: what their configs, metrics, curves and effective values differ in.

::

    found = diff_runs(first, second)
    found.config, found.metrics, found.curves
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from orchestrator.analysis.chance import Replicates
from orchestrator.analysis.measure.logged import Rule, is_metric, logged_by
from orchestrator.analysis.measure.measuring import measure, run_facts
from orchestrator.analysis.measure.row import Difference, Incomplete, Row
from orchestrator.analysis.relate.noise import paired
from orchestrator.analysis.relate.separation import Separation, separate
from orchestrator.files import plain
from orchestrator.files.series_names import SPLITS
from orchestrator.metrics import goal as named_goal, unit
from orchestrator.runs import TrialState
from orchestrator.runs.foreign import metadata
from orchestrator.runs.read import StoredRun, find_runs

_ABSENT = object()

Side = Literal["a", "b"]


@dataclass(frozen=True)
class Pair:
    """A value of both runs; the run `only_in` alone has one, None if both have."""

    name: str
    a: Any
    b: Any
    only_in: Side | None = None


@dataclass(frozen=True)
class MetricPair:
    """A metric of both runs; `difference` is b minus a, None if one of them lacks it."""

    name: str
    a: float | None
    b: float | None
    difference: Difference | None = None
    better: Side | None = None  # beyond the interval, if there is one

    def to_dict(self) -> dict[str, Any]:
        """Return the metric in JSON types."""
        found = None if self.difference is None else self.difference.to_dict()
        return {**asdict(self), "difference": found}


@dataclass(frozen=True)
class Effective:
    """What a parameter was set to, and what each run used; None for unknown."""

    name: str
    a_requested: Any
    a_effective: Any
    b_requested: Any
    b_effective: Any


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side.

    Attributes:
        n_same: how many parameters are the same in both.
        curves: of each metric that both logged at more than one step.
        effective: values that differ, or that are not as requested.
        facts: of `FACTS`, those that are known.
        seeds: means of the metrics over the seeds of both configs; empty unless both have two.
        n_seeds: how many each has.
        notes: why a run is not complete, and its warnings.
    """

    a: StoredRun
    b: StoredRun
    config: tuple[Pair, ...]
    n_same: int
    metrics: tuple[MetricPair, ...]
    curves: Mapping[str, Separation]
    effective: tuple[Effective, ...]
    facts: tuple[Pair, ...]
    notes: tuple[str, ...]
    at: str = "best"
    seeds: tuple[MetricPair, ...] = ()
    n_seeds: tuple[int, int] = (1, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison in JSON types."""
        sides = {
            side: {"path": str(run.path), "name": run.name, "state": run.state}
            for side, run in (("a", self.a), ("b", self.b))
        }
        found = {
            **sides,
            "at": self.at,
            "config": [asdict(pair) for pair in self.config],
            "same_parameters": self.n_same,
            "metrics": [pair.to_dict() for pair in self.metrics],
            "seeds": [pair.to_dict() for pair in self.seeds],
            "n_seeds": list(self.n_seeds),
            "curves": {
                name: {**asdict(one), "lower": one.lower} for name, one in self.curves.items()
            },
            "effective": [asdict(one) for one in self.effective],
            "facts": [asdict(pair) for pair in self.facts],
            "notes": list(self.notes),
        }
        return dict(plain(found))


def diff_runs(
    a: StoredRun,
    b: StoredRun,
    *,
    at: str = "best",
    goal: str | None = None,
    kind: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> RunDiff:
    """Return two runs side by side.

    Args:
        kind: of arrays whose run does not state it, as ``"decay_curve"``.
        data: more about those arrays, as ``{"rate_hz": 48000}``, and functions of the user's.
        at: which report of a logged metric counts: ``best``, ``last`` or ``step:N``.
        goal: of metrics whose name does not show it.

    Raises:
        UsageError: `at` is none of these.
    """
    rule = Rule(at)
    config, n_same = _pairs(a.config, b.config)
    measured = partial(measure, kind=kind, data=data, rule=rule)
    rows = [measured(run) for run in (a, b)]
    notes = []
    for side, row in zip("AB", rows, strict=True):
        if isinstance(row, Row):
            notes += [f"{side}: {text}" for text in row.warnings]
        else:
            missing = [f"missing {', '.join(row.missing)}"] if row.missing else []
            notes.append(f"{side}: {'; '.join([row.problem or '', *missing]).strip('; ')}")
    # A run without a row, as one that still trains, has logged values all the same.
    logged = [_logged(run, rule) for run in (a, b)]
    facts = [run_facts(run, run.record) for run in (a, b)]
    seeds = [_seeds(run, measured) for run in (a, b)]
    known = {**(data or {}), **({} if kind is None else {"kind": kind})}
    recomputed = [row.metrics if isinstance(row, Row) else {} for row in rows]
    return RunDiff(
        a=a,
        b=b,
        config=config,
        n_same=n_same,
        metrics=_metrics(a, b, recomputed, logged, goal, known),
        curves=_curves(a, b),
        effective=_effective(a, b),
        facts=tuple(Pair(n, facts[0].get(n), facts[1].get(n)) for n in {**facts[0], **facts[1]}),
        notes=tuple(dict.fromkeys(notes)),
        at=at,
        seeds=_over_seeds(a, b, seeds, goal),
        n_seeds=(len(seeds[0]), len(seeds[1])),
    )


def _seeds(run: StoredRun, measured: Callable[[StoredRun], Row | Incomplete]) -> list[Row]:
    """Return the rows of the complete seeds of a run's config; none for a config without seeds."""
    if run.sweep is None or run.record is None or run.record.group is None:
        return []
    others = (
        other
        for other in find_runs([run.sweep.path])
        if other.record is not None
        and other.record.group == run.record.group
        and other.state is TrialState.COMPLETE
    )
    return [row for other in others if isinstance(row := measured(other), Row)]


def _over_seeds(
    a: StoredRun, b: StoredRun, seeds: Sequence[Sequence[Row]], goal: str | None
) -> tuple[MetricPair, ...]:
    """Return the means over seeds of the metrics that all have, with their intervals."""
    if min(map(len, seeds)) < 2 or {row.path for row in seeds[0]} & {row.path for row in seeds[1]}:
        return ()
    values = [[{**row.logged, **row.metrics} for row in side] for side in seeds]
    everyone = [*values[0], *values[1]]
    found = []
    for name in filter(is_metric, everyone[0]):
        if not all(name in each for each in everyone):
            continue
        one, two = ([each[name] for each in side] for side in values)
        between = _replicates(seeds[1], name).seeds_minus(_replicates(seeds[0], name))
        if between is not None:
            kind = a.data.get("kind")
            difference = Difference(
                between.value, between.low, between.high, "seeds", unit(name, kind)
            )
            better = _better(difference, _own_goal(name, a, b) or named_goal(name, kind) or goal)
            found.append(MetricPair(name, fmean(one), fmean(two), difference, better))
    return tuple(found)


def _replicates(seeds: Sequence[Row], metric: str) -> Replicates:
    return Replicates(replace(seeds[0], members=tuple(seeds)), metric)


def _better(difference: Difference, way: str | None) -> Side | None:
    if not way or not difference.value or difference.is_noise or math.isnan(difference.value):
        return None
    return "b" if (difference.value < 0) == (way == "minimize") else "a"


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[tuple[Pair, ...], int]:
    """Return the values that differ, and how many do not."""
    found, same = [], 0
    for name in {**a, **b}:
        if name in a and name in b and _is_same(a[name], b[name]):
            same += 1
            continue
        only: Side | None = None if name in a and name in b else ("a" if name in a else "b")
        found.append(Pair(name, a.get(name), b.get(name), only))
    return tuple(found), same


def _is_same(one: Any, two: Any) -> bool:
    """Return whether two values are the same: 1 is 1.0 but not True, NaN is NaN."""
    if isinstance(one, bool) != isinstance(two, bool):
        return False
    both_nan = all(isinstance(value, float) and math.isnan(value) for value in (one, two))
    return both_nan or bool(one == two)


def _metrics(
    a: StoredRun,
    b: StoredRun,
    recomputed: Sequence[Mapping[str, float]],
    logged: Sequence[Mapping[str, float]],
    goal: str | None,
    data: Mapping[str, Any],
) -> tuple[MetricPair, ...]:
    intervals: dict[str, Difference] = {}
    if all(recomputed):
        for split in SPLITS:
            prefix = "" if split == "test" else f"{split}_"
            intervals |= {f"{prefix}{n}": one for n, one in paired(b, a, split, data=data).items()}
    # What is recomputed for one run is not compared with what the other logged.
    names = {**recomputed[0], **recomputed[1]}
    kept = [
        {n: v for n, v in values.items() if n not in names and is_metric(n)} for values in logged
    ]
    values = [{**own, **more} for own, more in zip(recomputed, kept, strict=True)]
    kind = a.data.get("kind")
    found = []
    for name in {**values[0], **values[1]}:
        one, two = (side.get(name) for side in values)
        if one is None or two is None:
            found.append(MetricPair(name, one, two))
            continue
        difference = replace(intervals.get(name, Difference(two - one)), unit=unit(name, kind))
        way = _own_goal(name, a, b) or named_goal(name, kind) or goal
        found.append(MetricPair(name, one, two, difference, _better(difference, way)))
    return tuple(found)


def _logged(run: StoredRun, rule: Rule) -> dict[str, float]:
    goals = {} if run.sweep is None else {run.sweep.metric: run.sweep.goal}
    return {name: value for name, (_, value) in logged_by(replace(rule, goals=goals), run).items()}


def _own_goal(name: str, a: StoredRun, b: StoredRun) -> str | None:
    for run in (a, b):
        if run.sweep is not None and run.sweep.metric == name:
            return run.sweep.goal
    return None


def _curves(a: StoredRun, b: StoredRun) -> dict[str, Separation]:
    one, two = (_series(run) for run in (a, b))
    both = [name for name in one if name in two and is_metric(name)]
    return {n: separate(one[n], two[n]) for n in both if min(len(one[n]), len(two[n])) > 1}


def _series(run: StoredRun) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for step, metrics in run.curve:
        for name, value in metrics.items():
            found.setdefault(name, {})[step] = value
    return found


def _effective(a: StoredRun, b: StoredRun) -> tuple[Effective, ...]:
    """Return the effective values that differ, or that are not as requested."""
    used = [
        metadata.flatten(found) if isinstance(found, Mapping) else {}
        for found in (run.metadata.get("effective") for run in (a, b))
    ]
    found = []
    for name in {**used[0], **used[1]}:
        asked = [run.config.get(name, _ABSENT) for run in (a, b)]
        got = [side.get(name, _ABSENT) for side in used]
        as_asked = all(
            _ABSENT in (wanted, value) or _is_same(wanted, value)
            for wanted, value in zip(asked, got, strict=True)
        )
        if as_asked and (_ABSENT in got or _is_same(*got)):
            continue
        shown = [
            None if value is _ABSENT else value for value in (asked[0], got[0], asked[1], got[1])
        ]
        found.append(Effective(name, *shown))
    return tuple(found)
