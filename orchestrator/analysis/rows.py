"""What a comparison is made of: ranked rows, incomplete runs, targets met or missed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.analysis.scan import SweepInfo
from orchestrator.files.atomic import plain
from orchestrator.spec.model import Bound

_BOUND = re.compile(r"\s*(<=|>=|<|>)\s*(\S+)\s*")


@dataclass(frozen=True)
class Target:
    """One target of a sweep held against one run.

    Attributes:
        bound: as it stands in the sweep file, ``"<= 0.02"``.
        value: the run's metric of that name; None where it has none.
        met: whether `value` keeps the bound; None where there is no value to judge.
    """

    bound: str
    value: float | None
    met: bool | None


@dataclass(frozen=True)
class Row:
    """One run that can be ranked.

    Attributes:
        trial: the trial's name, or the folder's.
        path: the run folder.
        sweep: the sweep's name; None for a run of another tool.
        state: the trial's state; None for a run of another tool.
        config: parameter values, nested ones with dots.
        metrics: recomputed ones, and the one that ranks where it is only logged.
        targets: metric name to how it stands against the sweep's target.
        warnings: what the reader should know of this run.
        rank: place from 1; 0 before ranking.
        split: ``"test"`` where it is known what the bare metrics were computed on, else
            ``"unknown"``.
        kind: what its arrays are; None where nothing says so.
        logged: numbers that the run itself wrote down.
        info: the sweep that it belongs to.
    """

    trial: str
    path: Path
    sweep: str | None = None
    state: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    rank: int = 0
    split: str = "unknown"
    kind: str | None = None
    logged: Mapping[str, float] = field(default_factory=dict)
    info: SweepInfo | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row in JSON types."""
        judged = {
            name: {"bound": target.bound, "value": target.value, "met": target.met}
            for name, target in self.targets.items()
        }
        row = {
            "rank": self.rank,
            "sweep": self.sweep,
            "trial": self.trial,
            "path": str(self.path),
            "state": self.state,
            "config": dict(self.config),
            "metrics": dict(self.metrics),
            "targets": judged,
            "split": self.split,
            "warnings": list(self.warnings),
        }
        return dict(plain(row))


@dataclass(frozen=True)
class Incomplete:
    """One run that cannot be ranked.

    Attributes:
        path: the run folder.
        missing: names of the arrays that it lacks.
        problem: what is wrong beside that, or how the trial ended; None where nothing is known.
        sweep: the sweep's name; None for a run of another tool.
        trial: the trial's name, or the folder's.
        state: the trial's state; None for a run of another tool.
    """

    path: Path
    missing: tuple[str, ...] = ()
    problem: str | None = None
    sweep: str | None = None
    trial: str = ""
    state: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"path": str(self.path), "missing": list(self.missing), "problem": self.problem}


@dataclass(frozen=True)
class Tally:
    """How many runs keep the bound of one target.

    Attributes:
        bounds: as they stand in the sweep files; one, unless sweeps differ.
        met: how many runs keep theirs.
        judged: how many have the metric; the others are neither met nor missed.
    """

    bounds: tuple[str, ...]
    met: int
    judged: int


@dataclass(frozen=True)
class Comparison:
    """Runs in order, and those that could not be ranked.

    Attributes:
        rows: the ranked ones, best first, cut to the number that was asked for.
        incomplete: all that cannot be ranked.
        sort_by: the metric that ranks.
        goal: ``"minimize"`` or ``"maximize"``.
        basis: what the metric was computed on, in words for the heading: ``"validation"``,
            ``"selected on test among 18"``, ``"split unknown"``, ``"as logged"``.
        n_complete: how many could be ranked, before the cut.
        notes: what the reader should know, one sentence each.
        tallies: metric name to how its target stands among all that could be ranked.
    """

    rows: tuple[Row, ...]
    incomplete: tuple[Incomplete, ...]
    sort_by: str
    goal: str
    basis: str
    n_complete: int
    notes: tuple[str, ...] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def n_total(self) -> int:
        """How many runs were found."""
        return self.n_complete + len(self.incomplete)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole comparison in JSON types."""
        return {
            "sort_by": self.sort_by,
            "goal": self.goal,
            "basis": self.basis,
            "complete": self.n_complete,
            "total": self.n_total,
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
            "incomplete": [item.to_dict() for item in self.incomplete],
        }


def parse_bound(text: str) -> Bound | None:
    """Return the bound that ``"<= 0.02"`` means, or None where it means none."""
    match = _BOUND.fullmatch(text)
    if match is None:
        return None
    try:
        return Bound(match[1], float(match[2]))
    except ValueError:
        return None


def judge(targets: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Target]:
    """Hold `values` against `targets` (metric name to bound); NaN misses every bound."""
    judged = {}
    for name, text in targets.items():
        bound = parse_bound(text)
        value = values.get(name)
        met = None if bound is None or value is None else bound.holds(value)
        judged[name] = Target(text, value, met)
    return judged


def tally(rows: Iterable[Row]) -> dict[str, Tally]:
    """Count for each target how many of `rows` keep it."""
    held: dict[str, list[Target]] = {}
    for row in rows:
        for name, target in row.targets.items():
            held.setdefault(name, []).append(target)
    return {
        name: Tally(
            bounds=tuple(dict.fromkeys(target.bound for target in targets)),
            met=sum(target.met is True for target in targets),
            judged=sum(target.met is not None for target in targets),
        )
        for name, targets in held.items()
    }
