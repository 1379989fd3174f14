"""What ending lost trials has saved, and what ending trials by hand would have done."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import median
from typing import Any

from orchestrator.analysis.status.trial_status import TrialStatus
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.files import atomic, format_duration, jsonl
from orchestrator.files.series_names import best_training_name
from orchestrator.runs import SweepDir, TrialState, read_reports

_ENOUGH_PACES = 9

JUMP = 1.2
SWING = 0.3
OVER_BEST = 1.61
_WINDOW = 5
_TURNS = 3
RULES_OF_THUMB = "a jump of 20 %, swings of ± 30 %, 61 % over the best"


@dataclass(frozen=True)
class Savings:
    """What was not spent on trials that were ended because they diverged.

    Attributes:
        steps: how many they still had to go, as far as known.
        seconds: time for those, at the pace of each trial.
        answered: how many of the trials a remedy answered.
        unit: of the steps.
    """

    trials: int
    steps: int
    seconds: float
    answered: int
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types."""
        return {
            "trials": self.trials,
            "steps": self.steps,
            "hours": round(self.seconds / 3600, 4),
            "answered": self.answered,
        }

    def sentence(self) -> str:
        """Return it in a sentence; "" if nothing was lost."""
        if not self.trials:
            return ""
        lost = "1 diverged trial" if self.trials == 1 else f"{self.trials} diverged trials"
        text = f"{lost} stopped before the end; how long before it is not known"
        if self.steps:
            unit = self.unit if self.steps == 1 else f"{self.unit}s"
            time = f" and {format_duration(self.seconds)}" if self.seconds else ""
            text = f"Stopping {lost} early saved {self.steps} {unit}{time}"
        return f"{text}; remedies answered {self.answered}." if self.answered else f"{text}."


def savings(sweep: SweepDir, trials: Sequence[TrialStatus]) -> Savings:
    """Return what was saved in a sweep, given all its trials; the logs of lost ones are read."""
    lost = [trial for trial in trials if _is_lost(trial)]
    left = [max(0, (trial.total_steps or 0) - (trial.step or 0)) for trial in lost]
    paces = [_pace(sweep, trial) if steps else 0.0 for trial, steps in zip(lost, left, strict=True)]
    usual = 0.0
    if None in paces:
        # What is lost at its first report shows no pace; that of the others is the best guess.
        known = (pace for trial in trials if (pace := _pace(sweep, trial)) is not None)
        usual = median(list(islice(known, _ENOUGH_PACES)) or [0.0])
    seconds = sum(
        steps * (usual if pace is None else pace) for steps, pace in zip(left, paces, strict=True)
    )
    followed = {trial.origin for trial in trials if trial.link == "remedy"}
    answered = sum(trial.number in followed for trial in lost)
    # Scripts report what they like; our trainers report epochs.
    is_script = bool((atomic.read_json(sweep.spec_file) or {}).get("program"))
    return Savings(len(lost), sum(left), seconds, answered, "step" if is_script else "epoch")


def _is_lost(trial: TrialStatus) -> bool:
    return trial.symptom in divergence_symptoms() and trial.state == TrialState.PRUNED


def _pace(sweep: SweepDir, trial: TrialStatus) -> float | None:
    """Return the median seconds per step between reports; None if unknown.

    It is no mean, as a sweep may have rested between attempts.
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
        judged, losses = None, []
        for _, metrics in read_reports(sweep.run_dir(trial.number, trial.name)):
            judged = judged or best_training_name(metrics)
            if judged is not None and judged[1] in metrics:
                losses.append(metrics[judged[1]])
        whole[is_lost] += judged is not None
        ended[is_lost] += stopped_by_hand(losses) is not None
    if not whole[False]:
        return ""
    return (
        f"By hand ({RULES_OF_THUMB}) {ended[False]} of the {whole[False]} complete trials would "
        f"have been stopped as well, and {ended[True]} of the {whole[True]} lost ones as soon."
    )


def stopped_by_hand(losses: Iterable[float]) -> int | None:
    """Return the index of the loss at which a watching person stops a run; None for none.

    The first sign is enough: a value that is not finite, one 61 % over the best or 20 % over the
    one before, or three turns in five values that span 30 % of their level. Losses that are not
    positive have no such shares; of them only non-finite ones end a run.
    """
    best = math.inf
    last: deque[float] = deque(maxlen=_WINDOW)
    for index, value in enumerate(losses):
        if not math.isfinite(value):
            return index
        jumps = bool(last) and value > JUMP * last[-1]
        last.append(value)
        best = min(best, value)
        if best > 0 and (jumps or value > OVER_BEST * best or _swings(last)):
            return index
    return None


def _swings(values: Sequence[float]) -> bool:
    if len(values) < _WINDOW:
        return False
    steps = [after - before for before, after in pairwise(values)]
    turns = sum(one * other < 0 for one, other in pairwise(steps))
    return turns >= _TURNS and max(values) - min(values) > SWING * sum(values) / _WINDOW
