"""Whether a sweep as a whole is a success: the closing verdict of ``success``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.analysis.trial_values import Facts, facts_of
from orchestrator.runs import SweepDir, TrialRecord
from orchestrator.sweepfile.conditions import (
    Among,
    Condition,
    evaluate,
    gap,
    names,
    parse,
    shortfall,
)
from orchestrator.sweepfile.model import MetricGoal

SHOWN = 3
"""Most trials that a verdict names."""


@dataclass(frozen=True)
class Success:
    """The verdict on a sweep.

    Attributes:
        met: whether every condition holds.
        conditions: each condition as it is in the file, and whether it holds; None if that
            is not known, because no trial has a value that it asks for.
        missed: condition to what is missing, for those of which that is known.
    """

    met: bool
    conditions: tuple[tuple[str, bool | None], ...]
    missed: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The verdict for people."""
        told = {True: "holds", False: "does not hold", None: "is not known"}
        parts = [
            f"{text} {told[holds]}" + (f" ({self.missed[text]})" if text in self.missed else "")
            for text, holds in self.conditions
        ]
        return f"success: {'met' if self.met else 'missed'}; {'; '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict in JSON types."""
        conditions = [{"condition": text, "holds": holds} for text, holds in self.conditions]
        return {"met": self.met, "conditions": conditions, "words": self.words}


def judge_success(
    conditions: Sequence[str],
    sweep: SweepDir,
    records: Sequence[TrialRecord],
    metric: MetricGoal | None,
) -> Success:
    """Return the verdict over all trials of a sweep.

    A condition without ``any`` or ``all`` is about the best trial by the sweep's metric.

    Args:
        conditions: as they are in the sweep file.
        sweep: its folder.
        records: all its trials.
        metric: what ranks them, or None.
    """
    known = [
        facts_of(record, sweep.run_dir(record.number, record.name), metric) for record in records
    ]
    best = _best(known, metric)
    judged = []
    missed: dict[str, str] = {}
    for text in conditions:
        condition = parse(text)
        # The grammar looks for a metric at a step among the values of each of many trials.
        steps = [(name.name, name.step) for name in names(condition) if name.step is not None]
        many = [
            dict(facts.values)
            | {
                f"{name}@{step}": value
                for name, step in steps
                if (value := facts.at(name, step)) is not None
            }
            for facts in known
        ]
        holds = evaluate(condition, best.values, at=best.at, many=many)
        if holds is None and isinstance(condition, Among) and condition.word == "any":
            # A trial that has ended without a value will never meet it.
            is_known = any(facts.hold(condition.part) is not None for facts in known)
            holds = False if is_known else None
        judged.append((text, holds))
        words = "" if holds else _missing(condition, records, known)
        if words:
            missed[text] = words
    return Success(all(holds is True for _, holds in judged), tuple(judged), missed)


def _missing(condition: Condition, records: Sequence[TrialRecord], known: Sequence[Facts]) -> str:
    """Return what keeps an ``any`` or ``all`` from holding; "" if that takes too many words."""
    if not isinstance(condition, Among):
        return ""
    part = condition.part
    if condition.word == "all":
        without = [
            record.name
            for record, facts in zip(records, known, strict=True)
            if facts.hold(part) is not True
        ]
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        return f"missed by {', '.join(without[:SHOWN])}{more}"
    gaps = [(gap(part, facts), place) for place, facts in enumerate(known)]
    least = min(((off, place) for off, place in gaps if off is not None), default=None)
    if least is None:
        return ""
    return f"nearest is {records[least[1]].name}: {shortfall(part, known[least[1]])}"


def _best(known: Sequence[Facts], metric: MetricGoal | None) -> Facts:
    if metric is None:
        return Facts({})
    sign = 1.0 if metric.goal == "minimize" else -1.0

    def rank(facts: Facts) -> float:
        value = facts.values.get(metric.name)
        is_known = isinstance(value, int | float) and math.isfinite(value)
        return sign * float(value or 0.0) if is_known else math.inf

    complete = [facts for facts in known if facts.values["complete"]]
    return min(complete, key=rank, default=Facts({}))
