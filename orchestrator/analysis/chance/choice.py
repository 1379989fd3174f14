"""What it costs to choose the best of many by the same data, and which choice is the cheapest.

The best of n trials is the best partly by luck: on other samples it is worse than on those that
chose it. `expected_range` brackets that optimism; `overtuning` compares what the search chose with
what it had chosen before, on data that chose nothing (Schneider, Bischl and Feurer 2025).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from orchestrator.analysis.chance.confidence import draws
from orchestrator.analysis.chance.replicates import Replicates
from orchestrator.analysis.chance.student import FEWEST_GROUPS, LEVEL
from orchestrator.analysis.measure.row import NO_SWEEP, Row

FEWEST_TRIALS = 3
"""Below this number nothing is stated of a choice."""

_DRAWS = 400


def expected_range(compared: Sequence[Replicates], goal: str) -> tuple[float, float] | None:
    """Return the range in which the best trial is expected on other samples; None if unknown.

    In each draw of groups the best is chosen again. Its value on all groups is too good a guess of
    what choosing costs (these groups chose the best, too), its value on the groups that were not
    drawn too bad a one (they lack what was drawn; Tsamardinos, Greasidou and Borboudakis 2018).
    What choosing cost in simulations is between both.

    Args:
        compared: ranked, best first.
    """
    import numpy as np

    best = compared[0] if compared else None
    if best is None or best.by_group is None or best.n_groups < FEWEST_GROUPS:
        return None
    known = [
        each.by_group
        for each in compared
        if each.by_group is not None
        and each.n_groups == best.n_groups
        and each.row.lineage.stage == best.row.lineage.stage
        and each.has_samples_of(best)
    ]
    if len(known) < FEWEST_TRIALS:
        return None
    counts = draws(best.n_groups)[:_DRAWS]
    left = (counts == 0).astype(np.float64)
    counts, left = counts[left.any(axis=1)], left[left.any(axis=1)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        whole = np.array([float(of.at(np.ones((1, of.n_groups)))[0]) for of in known])[:, None]
        drawn, others = (np.stack([of.at(some) for of in known]) for some in (counts, left))
    usable = np.isfinite(drawn).all(axis=0) & np.isfinite(others).all(axis=0)
    if usable.mean() < 0.5 or not np.isfinite(whole).all():
        return None
    drawn, others = drawn[:, usable], others[:, usable]
    chosen = (drawn.argmin(axis=0) if goal == "minimize" else drawn.argmax(axis=0))[None]
    costs = []
    for elsewhere in (whole - drawn, others - drawn):
        # What the best loses without any choice is due to the number of samples.
        of_chosen = np.take_along_axis(elsewhere, chosen, axis=0)
        costs.append(float(of_chosen.mean() - elsewhere[0].mean()))
    sign = 1.0 if goal == "minimize" else -1.0
    low, high = sorted(max(0.0, sign * cost) for cost in costs)
    ends = sorted((best.value + sign * low, best.value + sign * high))
    return ends[0], ends[1]


@dataclass(frozen=True)
class Chosen:
    """The best so far after a trial, and its value on data that chose nothing."""

    number: int
    trial: str
    value: float
    test: float


@dataclass(frozen=True)
class Overtuning:
    """How what a search chose did on test data, as it went on.

    Attributes:
        chosen: one entry for each trial that became the best so far, in time.
        best: the entry whose test value is the best.
        relative: the loss on test since then, as a share of what the search had gained until then;
            0 for none, above 1 if the choice is worse than the first trial; infinite if the first
            one was the best.
    """

    chosen: tuple[Chosen, ...]
    best: Chosen
    relative: float

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "relative": self.relative if math.isfinite(self.relative) else None,
            "best": self.best.trial,
            "chosen": [vars(each) for each in self.chosen],
        }


def overtuning(rows: Sequence[Row], metric: str, goal: str) -> Overtuning | None:
    """Return the course of a search; None without a test value, or for several sweeps.

    Args:
        rows: ranked by `metric`, which is of validation data.
    """
    bare = metric.removeprefix("val_")
    last = [row for row in rows if rows and row.lineage.stage == rows[0].lineage.stage]
    one_sweep = len({row.info.path for row in last}) == 1 and last[0].info is not NO_SWEEP
    tried = [
        row
        for row in last
        if row.lineage.number is not None
        and all(math.isfinite(row.metrics.get(name, math.nan)) for name in (metric, bare))
    ]
    if bare == metric or not one_sweep or len(tried) < FEWEST_TRIALS:
        return None
    sign = 1.0 if goal == "minimize" else -1.0
    chosen: list[Chosen] = []
    for row in sorted(tried, key=lambda row: row.lineage.number or 0):
        value = row.metrics[metric]
        if not chosen or sign * (value - chosen[-1].value) < 0:
            number = row.lineage.number or 0
            chosen.append(Chosen(number, row.trial, value, row.metrics[bare]))
    best = min(chosen, key=lambda each: sign * each.test)
    lost = sign * (chosen[-1].test - best.test)
    gained = sign * (chosen[0].test - best.test)
    relative = 0.0 if lost == 0 else lost / gained if gained > 0 else math.inf
    return Overtuning(tuple(chosen), best, relative)


def overtuning_note(found: Overtuning, replicates: Mapping[int, Replicates]) -> str:
    """Return a warning if test values part from validation values by more than chance, or "".

    Args:
        replicates: rank to the validation metric of each row.
    """
    last, best = found.chosen[-1], found.best
    if last == best:
        return ""
    by_name = {each.row.trial: each.row for each in replicates.values()}
    bare = next(iter(replicates.values())).metric.removeprefix("val_")
    ours, theirs = (Replicates(by_name[one.trial], bare) for one in (last, best))
    difference = ours.minus(theirs)
    if difference is None and found.relative < 1.0:
        return ""
    if difference is not None and difference[0].p_value > 1.0 - LEVEL:
        return ""
    since = f"the first trial, {best.trial}," if best == found.chosen[0] else best.trial
    sure = "by more than chance" if difference is not None else "though chance may explain it"
    return (
        f"Overtuned: {last.trial} is better than {since} on validation ({last.value:.4g}, "
        f"{best.value:.4g}) and worse on test ({last.test:.4g}, {best.test:.4g}), {sure}."
    )


def cheapest_of_the_best(rows: Sequence[Row]) -> tuple[Row, str] | None:
    """Return the cheapest row that cannot be distinguished from the best, and by what it is cheap.

    The fewest parameters count, then the shortest time (the rule of one standard error of Breiman
    and others 1984, with the corrected test in place of the standard error).
    """
    tied = [row for place, row in enumerate(rows) if place == 0 or row.tied]
    for facts in (("parameters", "duration"), ("duration",)):
        if tied and all(name in row.facts for row in tied for name in facts):
            least = min(tied, key=lambda row: [row.facts[name] for name in facts])
            _, group = next(groupby(tied, key=lambda row: row.facts[facts[0]]))
            varies = len(list(group)) < len(tied)
            return least, facts[0] if varies else facts[-1]
    return None
