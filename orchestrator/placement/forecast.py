"""How long a sweep would take on the slots of its plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.placement.model import Plan


@dataclass(frozen=True)
class Forecast:
    """Bounds on the time from a sweep's start to its end.

    Attributes:
        trial_minutes: how long one trial takes.
        source: who says so, in words.
        best_minutes: where trials that run at once do not slow each other down; None for an
            unbounded sweep.
        worst_minutes: where running at once gains nothing; None for an unbounded sweep.
    """

    trial_minutes: float
    source: str
    best_minutes: float | None
    worst_minutes: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast in JSON types."""
        return asdict(self)


def forecast(plan: Plan, trial_minutes: float, source: str) -> Forecast:
    """Return how long the trials of a plan take, if each takes as long.

    Args:
        plan: where they run; all that fit at once are taken to do so in the best case.
        trial_minutes: above 0.
        source: who says so.
    """
    if plan.n_trials is None:
        return Forecast(trial_minutes, source, None, None)
    rounds = -(-plan.n_trials // plan.max_parallel)
    return Forecast(trial_minutes, source, rounds * trial_minutes, plan.n_trials * trial_minutes)
