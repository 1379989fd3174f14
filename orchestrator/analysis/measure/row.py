"""The records of a comparison: rows, incomplete runs, and how each is related to others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.targets import Tally, Target, judge
from orchestrator.files import plain
from orchestrator.runs import TrialRecord
from orchestrator.runs.read import StoredRun, SweepInfo

NO_SWEEP = SweepInfo("", Path())
"""Of runs of other tools."""

FACTS = ("steps", "best step", "duration", "s/step", "parameters", "peak MiB")
"""What is known of how a run went: steps (epochs) done, of its best value, seconds, memory."""

_LONG = 10
"""Characters above which a number is shortened."""


@dataclass(frozen=True)
class Lineage:
    """What links a trial to others, as in `TrialRecord`; all empty for a run of another tool."""

    number: int | None = None
    stage: str | None = None
    origin: int | None = None
    link: str | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    group: int | None = None
    replicate: int = 0
    node: str = ""

    @classmethod
    def of(cls, record: TrialRecord | None) -> Lineage:
        """Return the lineage of a trial; an empty one for None."""
        if record is None:
            return cls()
        return cls(**{item.name: getattr(record, item.name) for item in fields(cls)})

    @property
    def words(self) -> str:
        """What changed, as text: ``"adamw: optimizer=adamw"``; "" for nothing."""
        name = str(self.change.get("name") or "")
        values = self.change.get("set")
        shown = ""
        if isinstance(values, Mapping):
            shown = ", ".join(f"{key}={_text(value)}" for key, value in values.items())
        if not name or name.replace(" ", "") == shown.replace(" ", ""):
            return shown or name
        if shown and name.endswith(f"+{shown}"):
            return name
        return f"{name}: {shown}" if shown else name


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        # As in the name of the change, unless arithmetic left 0.30000000000000004.
        return min(repr(value), f"{value:g}", key=len) if len(repr(value)) > _LONG else repr(value)
    return str(plain(value))


@dataclass(frozen=True)
class Difference:
    """One value minus another, with the interval that chance explains; NaN for no interval.

    Attributes:
        basis: what the interval is based on: ``"samples"``, ``"groups"`` of them, ``"seeds"``,
            ``"seeds and samples"`` (or groups), or ``""``.
        unit: of the metric; "" for none, or if unknown.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    basis: str = ""
    unit: str = ""

    @property
    def is_noise(self) -> bool | None:
        """True if the interval includes 0, None if there is no interval."""
        if math.isnan(self.low) or math.isnan(self.high):
            return None
        return self.low <= 0.0 <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return the difference in JSON types, without its unit."""
        known = self.is_noise is not None
        return {
            "value": self.value,
            "low": self.low if known else None,
            "high": self.high if known else None,
            "basis": self.basis,
        }


@dataclass(frozen=True)
class Spread:
    """Sample standard deviation of a metric over `n` seeds of a config; NaN for one."""

    deviation: float
    n: int


@dataclass(frozen=True)
class Interval:
    """The 95 % interval of the metric that ranks, and what it is based on."""

    low: float
    high: float
    basis: str  # "samples", "groups" (of samples), "seeds", "seeds and samples" or "… groups"


@dataclass(frozen=True)
class Row:
    """One run that can be ranked.

    Attributes:
        trial: the trial's name, or the folder's.
        sweep: None, as `state`, for a run of another tool.
        config: nested values have dots in their names.
        metrics: recomputed ones, and in a ranking those that are only logged.
        rank: from 1; 0 before ranking.
        split: ``"test"`` if the bare metrics are known to be of test data, else ``"unknown"``.
        kind: of its arrays; None if unknown.
        data: what else is known of its arrays.
        logged: numbers that the run itself wrote down, of each series one.
        steps: the step of each of those.
        expected: milestones.
        tier: the highest that it meets.
        members: the single runs of a config that ran with several seeds; the row has their means.
        lost: how many more seeds of its config ran without ending well.
        differences: what it is compared with (``"baseline"``, a reference) to metric to difference.
        earlier: earlier stage to what the trial reached there of the metric that ranks.
        facts: those of `FACTS` that are known.
        on_front: with two metrics, whether no other row is better; None with one.
        rates: ``first``, ``peak`` and ``last`` learning rate that it reported; {} for none.
        interval: of the metric that ranks; None if unknown.
        tied: whether chance alone may separate it from the best; None if unknown.
        run: what it was measured from; None for a reference.
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
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    logged: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    info: SweepInfo = NO_SWEEP
    lineage: Lineage = field(default_factory=Lineage)
    expected: Mapping[str, Target] = field(default_factory=dict)
    tier: str | None = None
    members: tuple[Row, ...] = ()
    lost: int = 0
    spread: Mapping[str, Spread] = field(default_factory=dict)
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    earlier: Mapping[str, float] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    on_front: bool | None = None
    interval: Interval | None = None
    tied: bool | None = None
    run: StoredRun | None = field(default=None, repr=False, compare=False)

    @property
    def node(self) -> str:
        """The nodes of a cluster on which it ran, with commas if its seeds ran on several."""
        runs = self.members or (self,)
        return ", ".join(dict.fromkeys(run.lineage.node for run in runs if run.lineage.node))

    def value(self, name: str) -> Any:
        """Return a metric, fact or parameter by its full name; None if the row lacks it."""
        for known in (self.metrics, self.facts, self.config):
            if name in known:
                return known[name]
        return None

    def judged_by_tier(self, tier: str) -> dict[str, Target]:
        """Compare the row with the targets of a tier of its sweep."""
        return judge(self.info.tiers[tier], {**self.logged, **self.metrics})

    def to_dict(self) -> dict[str, Any]:
        """Return the row in JSON types."""
        row = {
            "rank": self.rank,
            "sweep": self.sweep,
            "trial": self.trial,
            "path": self.path,
            "state": self.state,
            "config": self.config,
            "metrics": self.metrics,
            "logged": self.logged,
            "steps": self.steps,
            "targets": {name: asdict(target) for name, target in self.targets.items()},
            "expected": {name: asdict(target) for name, target in self.expected.items()},
            "tier": self.tier,
            "split": self.split,
            "stage": self.lineage.stage,
            "node": self.node,
            "origin": self.lineage.origin,
            "link": self.lineage.link,
            "changed": self.lineage.words,
            "earlier": self.earlier,
            "differences": {
                other: {metric: found.to_dict() for metric, found in metrics.items()}
                for other, metrics in self.differences.items()
            },
            "spread": {name: asdict(spread) for name, spread in self.spread.items()},
            "lr": self.rates,
            "facts": self.facts,
            "on_front": self.on_front,
            "interval": None if self.interval is None else asdict(self.interval),
            "tied": self.tied,
            "runs": [member.to_dict() for member in self.members],
            "warnings": self.warnings,
        }
        return dict(plain(row))


@dataclass(frozen=True)
class Incomplete:
    """One run that cannot be ranked.

    Attributes:
        missing: names of the arrays that it lacks.
        problem: what else is wrong, or how the trial ended; None if nothing is known.
    """

    path: Path
    missing: tuple[str, ...] = ()
    problem: str | None = None
    sweep: str | None = None
    trial: str = ""
    state: str | None = None
    lineage: Lineage = field(default_factory=Lineage)

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {"path": str(self.path), "missing": list(self.missing), "problem": self.problem}


@dataclass(frozen=True)
class Comparison:
    """Runs in order, and those that could not be ranked.

    Attributes:
        rows: best first, cut to the requested number.
        basis: what the metric was computed on, for the heading: ``"validation"``,
            ``"selected on test among 18"``, ``"split unknown"``, ``"as logged"``.
        n_complete: how many runs could be ranked, before the cut.
        n_rows: how many rows they make, before the cut: one for all seeds of a config.
        references: what the sweep file compares its trials with; they have no rank.
        n_early: how many of `n_complete` did not end well, but saved all that is needed.
        at: which of logged values counts: ``best``, ``last`` or ``step:N``.
        second: the second metric of a sweep with two; "" if there is none.
        n_unstarted: how many trials of the sweeps have not started, so have no folder.
        expected: range of the best row's metric on other samples, since it was chosen by these.
        overtuning: an `analysis.chance.choice.Overtuning`; None if unknown.
        selected: the trial that ``--select`` chooses; "" without.
    """

    rows: tuple[Row, ...]
    incomplete: tuple[Incomplete, ...]
    sort_by: str
    goal: str
    basis: str
    n_complete: int
    n_rows: int = 0
    notes: tuple[str, ...] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    references: tuple[Row, ...] = ()
    n_early: int = 0
    at: str = "best"
    second: str = ""
    n_unstarted: int = 0
    expected: tuple[float, float] | None = None
    overtuning: Any = None
    selected: str = ""

    @property
    def n_total(self) -> int:
        """How many runs were found."""
        return self.n_complete + len(self.incomplete) + self.n_unstarted

    def to_dict(self) -> dict[str, Any]:
        """Return the whole comparison in JSON types."""
        return {
            "sort_by": self.sort_by,
            "goal": self.goal,
            "basis": self.basis,
            "at": self.at,
            "complete": self.n_complete,
            "total": self.n_total,
            "best_expected": None if self.expected is None else list(self.expected),
            "overtuning": None if self.overtuning is None else self.overtuning.to_dict(),
            "selected": self.selected or None,
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
            "references": [
                {"name": row.trial, "metrics": plain(row.metrics)} for row in self.references
            ],
            "incomplete": [item.to_dict() for item in self.incomplete],
        }
