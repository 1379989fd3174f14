"""The metrics that a run logged, one value of each series, and the schedule of its rate."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.divergence.schedule import Declared, schedule_of_trial
from orchestrator.errors import UsageError
from orchestrator.files.series_names import is_state
from orchestrator.metrics import goal
from orchestrator.runs.curves import cells
from orchestrator.runs.read import StoredRun, SweepInfo

_RULE = re.compile(r"best|last|step:(\d+)")


@dataclass(frozen=True)
class Rule:
    """Which value of a logged series counts.

    Attributes:
        at: ``best``, ``last`` or ``step:N``. Of a series whose direction is not known, the last
            is taken for the best.
        goals: metric to goal, stronger than what names show.
    """

    at: str = "best"
    goals: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _RULE.fullmatch(self.at):
            raise UsageError(f"--at: expected best, last or step:N (found {self.at!r}).")

    def choose(
        self, reports: Iterable[tuple[int, Mapping[str, float]]]
    ) -> dict[str, tuple[int, float]]:
        """Return step and value of every series that has one. NaN is never best."""
        match = _RULE.fullmatch(self.at)
        only = int(match[1]) if match is not None and match[1] else None
        signs: dict[str, float] = {}  # 0 for series of which the last value counts
        found: dict[str, tuple[int, float]] = {}
        for step, metrics in reports:
            if only is not None and step != only:
                continue
            for name, value in metrics.items():
                if name not in found:
                    way = (self.goals.get(name) or goal(name)) if self.at == "best" else None
                    signs[name] = {None: 0.0, "minimize": 1.0, "maximize": -1.0}[way]
                    found[name] = step, value
                    continue
                sign, best = signs[name], found[name][1]
                is_new = (
                    not sign
                    or not math.isfinite(best)
                    or (math.isfinite(value) and sign * value < sign * best)
                )
                if is_new:
                    found[name] = step, value
        return found


def logged_by(rule: Rule, run: StoredRun) -> dict[str, tuple[int | None, float]]:
    """Return the metrics that a run logged, each with its step.

    The step is None for what the run wrote down only once, as a summary; that has no step to be
    asked for.
    """
    chosen = rule.choose(run.curve)
    if rule.at not in ("best", "last"):
        return {**chosen}
    is_chosen = run.is_ours or (run.manifest is not None and bool(run.manifest.logged))
    # A tool's last report is part of the curve too, whose inner names have slashes.
    known = {name.replace(".", "/") for name in chosen}
    once = {
        name: (None, value)
        for name, value in run.logged.items()
        if is_chosen or (cells.is_metric(name) and name.replace(".", "/") not in known)
    }
    return {**once, **chosen}


def is_metric(name: str) -> bool:
    """Return whether a logged number measures the result, unlike a rate, a time or a counter."""
    return cells.is_metric(name) and not is_state(name)


def configured_schedule(
    run: StoredRun, sweep: SweepInfo | None, last_step: float | None
) -> Declared | None:
    """Return the schedule that a sweep compares with the rate of a trial; None if it has none."""
    if run.record is None or sweep is None:
        return None
    try:
        return schedule_of_trial(
            sweep.lr_schedule,
            config=run.config,
            metadata=run.metadata,
            change=run.record.change,
            varied=sweep.varied,
            last_step=last_step,
        )
    except UsageError:
        return None  # the sweep has reported it
