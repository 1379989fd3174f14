"""What ending lost trials has saved, and what ending trials by hand would have done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from orchestrator.analysis.trial_status import TrialStatus
from orchestrator.divergence import roles
from orchestrator.divergence.by_hand import WORDS, ByHand
from orchestrator.divergence.policy import LOST
from orchestrator.files import jsonl
from orchestrator.files.units import format_duration
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, read_reports


@dataclass(frozen=True)
class Savings:
    """What was not spent on trials that were lost.

    Attributes:
        trials: how many were ended because they diverged.
        steps: reports that they had still to make, where that was known.
        seconds: time for those, at the pace that each trial had.
        answered: how many of them a remedy answered.
    """

    trials: int = 0
    steps: int = 0
    seconds: float = 0.0
    answered: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "trials": self.trials,
            "steps": self.steps,
            "hours": round(self.seconds / 3600, 4),
            "answered": self.answered,
        }

    def words(self) -> str:
        """Return it in a sentence; "" where nothing was lost."""
        if not self.trials:
            return ""
        lost = "1 lost trial" if self.trials == 1 else f"{self.trials} lost trials"
        spared = f"{self.steps} epochs and {format_duration(self.seconds)} not spent on {lost}"
        return f"{spared}; remedies answered {self.answered}." if self.answered else f"{spared}."


def savings(sweep: SweepDir, trials: Sequence[TrialStatus]) -> Savings:
    """Return what was saved in a sweep.

    Args:
        sweep: its folder; the logs of the lost trials are read.
        trials: how all of its trials stand.
    """
    lost = [trial for trial in trials if trial.symptom in LOST and trial.state == TrialState.PRUNED]
    steps, seconds = 0, 0.0
    for trial in lost:
        done, whole = trial.step or 0, trial.total_steps or 0
        left = max(0, whole - done)
        steps += left
        seconds += left * _pace(sweep, trial) if left else 0.0
    followed = {trial.origin for trial in trials if trial.link == "remedy"}
    answered = sum(trial.number in followed for trial in lost)
    return Savings(len(lost), steps, seconds, answered)


def _pace(sweep: SweepDir, trial: TrialStatus) -> float:
    """Return the seconds of a trial's usual step; 0 where unknown.

    It is the median between two reports, as a sweep may have rested between attempts.
    """
    points = [
        (step, at)
        for line in jsonl.read(sweep.run_dir(trial.number, trial.name).metrics_file)
        if isinstance(step := line.get("step"), int) and isinstance(at := line.get("time"), float)
    ]
    paces = [
        (ended - began) / (after - before)
        for (before, began), (after, ended) in pairwise(points)
        if after > before
    ]
    return max(0.0, median(paces)) if paces else 0.0


def by_hand(sweep: SweepDir, trials: Sequence[TrialStatus]) -> str:
    """Return in a sentence what rules of thumb would have done to the trials of a sweep.

    Every log is read whole for it. "" where no trial completed with a training loss.
    """
    ended = whole = 0
    for trial in trials:
        if trial.state != TrialState.COMPLETE:
            continue
        rule, is_ended, judged = ByHand(), False, None
        for _, metrics in read_reports(sweep.run_dir(trial.number, trial.name)):
            judged = judged or roles.best_training_name(metrics)
            if judged is not None and judged[1] in metrics:
                is_ended = is_ended or rule.ends(metrics[judged[1]])
        whole += judged is not None
        ended += is_ended
    if not whole:
        return ""
    return f"By hand ({WORDS}) {ended} of the {whole} complete trials would have been stopped."
