"""What a policy would have done to a run that is over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.policy import Policy
from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.symptom import Verdict
from orchestrator.divergence.watch import Watch

Report = tuple[int, Mapping[str, float]]


@dataclass(frozen=True)
class Replay:
    """The warnings and the end that a policy would have given to a run.

    Attributes:
        warnings: (step of the report, finding), in the order of reporting.
        end: the step at which the run would have ended, and why; None if it would not have.
        reports: number of reports of the run.
        saved: how many of them would not have been made.
        best: the best value of the judged series up to that end; None if there is none.
        missed: its best value afterwards, and that step, if it is better: what the end would have
            lost.
    """

    warnings: tuple[tuple[int, Verdict], ...]
    end: tuple[int, Verdict] | None
    reports: int
    saved: int
    best: float | None
    missed: tuple[int, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "warnings": [_plain(step, found) for step, found in self.warnings],
            "end": None if self.end is None else _plain(*self.end),
            "reports": self.reports,
            "saved": self.saved,
            "best": self.best,
            "missed": None
            if self.missed is None
            else {"step": self.missed[0], "value": self.missed[1]},
        }


def _plain(step: int, found: Verdict) -> dict[str, Any]:
    return {
        "step": step,
        "symptom": found.symptom,
        "since": found.onset,
        "reason": found.reason,
        "action": found.action,
    }


def replay(
    reports: Sequence[Report],
    policy: Policy,
    *,
    metric: str | None = None,
    goal: str = "minimize",
    target: float | None = None,
    targets: Mapping[str, tuple[float, str]] | None = None,
    total_steps: float | None = None,
    schedule: Declared | None = None,
    phases: Sequence[int] = (),
    loss_can_fall: bool = False,
) -> Replay:
    """Return what `policy` would have done; the arguments are those of `Watch`."""
    watch = Watch(
        metric,
        goal,
        policy=policy,
        target=target,
        targets=targets,
        total_steps=total_steps,
        schedule=schedule,
        phases=phases,
    )
    warnings: list[tuple[int, Verdict]] = []
    end: tuple[int, Verdict] | None = None
    made = len(reports)
    for count, (step, metrics) in enumerate(reports, start=1):
        found = watch.update(step, metrics, loss_can_fall=loss_can_fall)
        warnings += [(step, verdict) for verdict in found if not verdict.stops]
        if found and found[0].stops:
            end, made = (step, found[0]), count
            break
    judged, sign = watch.judged, watch.sign
    before, after = (
        [(sign * metrics[judged], step) for step, metrics in part if judged in metrics]
        if judged is not None
        else []
        for part in (reports[:made], reports[made:])
    )
    best, later = (
        min((one for one in part if math.isfinite(one[0])), default=None)
        for part in (before, after)
    )
    missed = None
    if later is not None and (best is None or later[0] < best[0]):
        missed = later[1], sign * later[0]
    return Replay(
        tuple(warnings),
        end,
        len(reports),
        len(reports) - made,
        None if best is None else sign * best[0],
        missed,
    )
