"""Whether a sweep as a whole is a success: the closing verdict of ``success``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis.facts import Facts, facts_of
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord
from orchestrator.spec.conditions import evaluate, names, parse
from orchestrator.spec.model import MetricGoal


@dataclass(frozen=True)
class Success:
    """The verdict on a sweep.

    Attributes:
        met: whether every condition holds.
        conditions: each condition as it stands in the file, and whether it holds; None where that
            is not known, because no trial has a value that it asks for.
    """

    met: bool
    conditions: tuple[tuple[str, bool | None], ...]

    @property
    def words(self) -> str:
        """The verdict for people."""
        told = {True: "holds", False: "does not hold", None: "is not known"}
        parts = [f"{text} {told[holds]}" for text, holds in self.conditions]
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
        conditions: as they stand in the sweep file.
        sweep: its folder.
        records: all its trials.
        metric: what ranks them, or None.
    """
    known = [
        facts_of(record, sweep.run_dir(record.number, record.name), metric) for record in records
    ]
    best = _best(known, metric)
    judged = []
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
        judged.append((text, holds))
    return Success(all(holds is True for _, holds in judged), tuple(judged))


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
