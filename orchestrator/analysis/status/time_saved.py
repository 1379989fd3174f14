"""What ending lost trials has saved, and what ending trials by hand would have done.

The rules of thumb by which people stop runs, to hold the rule against what it replaces.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from orchestrator.analysis.status.trial_status import TrialStatus
from orchestrator.divergence.series import best_training_name
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.files import atomic, format_duration, jsonl
from orchestrator.runs import SweepDir, TrialState, read_reports

_ENOUGH_PACES = 9


@dataclass(frozen=True)
class Savings:
    """What was not spent on trials that were lost.

    Attributes:
        trials: how many were ended because they diverged.
        steps: how far they still had to go, where that was known.
        seconds: time for those, at the pace that each trial had.
        answered: how many of them a remedy answered.
        unit: what the steps count.
    """

    trials: int = 0
    steps: int = 0
    seconds: float = 0.0
    answered: int = 0
    unit: str = "epoch"

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "trials": self.trials,
            "steps": self.steps,
            "hours": round(self.seconds / 3600, 4),
            "answered": self.answered,
        }

    def words(self) -> str:
        """Return it in a sentence; "" if nothing was lost."""
        if not self.trials:
            return ""
        lost = "1 lost trial" if self.trials == 1 else f"{self.trials} lost trials"
        if self.steps:
            unit = self.unit if self.steps == 1 else f"{self.unit}s"
            time = f" and {format_duration(self.seconds)}" if self.seconds else ""
            spared = f"{self.steps} {unit}{time} not spent on {lost}"
        else:
            spared = f"{lost} ended, it is not known how long before the end"
        return f"{spared}; remedies answered {self.answered}." if self.answered else f"{spared}."


def savings(sweep: SweepDir, trials: Sequence[TrialStatus]) -> Savings:
    """Return what was saved in a sweep.

    Args:
        sweep: its folder; the logs of the lost trials are read.
        trials: how all of its trials stand.
    """
    lost = [trial for trial in trials if _is_lost(trial)]
    left = [max(0, (trial.total_steps or 0) - (trial.step or 0)) for trial in lost]
    paces = [
        _pace(sweep, trial) if steps else None for trial, steps in zip(lost, left, strict=True)
    ]
    if any(steps and pace is None for steps, pace in zip(left, paces, strict=True)):
        # What is lost at its first report shows no pace; that of the others is the best guess.
        usual = _usual_pace(sweep, trials)
        paces = [usual if pace is None else pace for pace in paces]
    seconds = sum(steps * (pace or 0.0) for steps, pace in zip(left, paces, strict=True))
    followed = {trial.origin for trial in trials if trial.link == "remedy"}
    answered = sum(trial.number in followed for trial in lost)
    # Scripts report what they like; our trainers report epochs.
    is_script = bool((atomic.read_json(sweep.spec_file) or {}).get("program"))
    unit = "step" if is_script else "epoch"
    return Savings(len(lost), sum(left), seconds, answered, unit)


def _is_lost(trial: TrialStatus) -> bool:
    return trial.symptom in divergence_symptoms() and trial.state == TrialState.PRUNED


def _usual_pace(sweep: SweepDir, trials: Sequence[TrialStatus]) -> float | None:
    """Return the median pace of some trials that show one; None if none does."""
    found: list[float] = []
    for trial in trials:
        pace = _pace(sweep, trial)
        if pace is not None:
            found.append(pace)
        if len(found) == _ENOUGH_PACES:
            break
    return median(found) if found else None


def _pace(sweep: SweepDir, trial: TrialStatus) -> float | None:
    """Return the seconds of a trial's usual step; None if unknown.

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
    return max(0.0, median(paces)) if paces else None


def by_hand(sweep: SweepDir, trials: Sequence[TrialStatus]) -> str:
    """Return in a sentence what rules of thumb would have done to the trials of a sweep.

    Every log is read whole for it. "" if no trial completed with a training loss.
    """
    ended = {True: 0, False: 0}
    whole = {True: 0, False: 0}
    for trial in trials:
        is_lost = _is_lost(trial)
        if trial.state != TrialState.COMPLETE and not is_lost:
            continue
        rule, is_ended, judged = ByHand(), False, None
        for _, metrics in read_reports(sweep.run_dir(trial.number, trial.name)):
            judged = judged or best_training_name(metrics)
            if judged is not None and judged[1] in metrics:
                is_ended = is_ended or rule.ends(metrics[judged[1]])
        whole[is_lost] += judged is not None
        ended[is_lost] += is_ended
    if not whole[False]:
        return ""
    return (
        f"By hand ({WORDS}) {ended[False]} of the {whole[False]} complete trials would have been "
        f"stopped as well, and {ended[True]} of the {whole[True]} lost ones as soon."
    )


JUMP = 1.2
SWING = 0.3
OVER_BEST = 1.61
_WINDOW = 5
_TURNS = 3

WORDS = "a jump of 20 %, swings of ± 30 %, 61 % over the best"


class ByHand:
    """Judges a loss as people do who watch it: at the first sign.

    A value that is not finite, one 61 % over the best or 20 % over the one before, or three turns
    in five values that span 30 % of their level end the run. Losses that are not positive have no
    such shares; of them only what is not finite ends.
    """

    def __init__(self) -> None:
        self._best = math.inf
        self._last: deque[float] = deque(maxlen=_WINDOW)

    def ends(self, value: float) -> bool:
        """Take in one report and tell whether the run would have been ended at it."""
        if not math.isfinite(value):
            return True
        before = self._last[-1] if self._last else None
        self._last.append(value)
        self._best = min(self._best, value)
        if self._best <= 0:
            return False
        jumps = before is not None and value > JUMP * before
        return value > OVER_BEST * self._best or jumps or self._swings()

    def _swings(self) -> bool:
        if len(self._last) < _WINDOW:
            return False
        level = sum(self._last) / _WINDOW
        steps = [after - before for before, after in pairwise(self._last)]
        turns = sum(one * other < 0 for one, other in pairwise(steps))
        return turns >= _TURNS and max(self._last) - min(self._last) > SWING * level
