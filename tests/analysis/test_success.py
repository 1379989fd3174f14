"""The closing verdict, and what a missed condition lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.analysis.trial_values import judge_success
from orchestrator.runs.records import TrialState, load_trials
from orchestrator.sweepfile.model.spec import MetricGoal
from tests.analysis import made


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("any test_mae <= 0.25", "success: met; any test_mae <= 0.25 holds"),
        ("any mae < 0.1", "does not hold (nearest is t0: mae is 0.2, 0.1 too high)"),
        ("any mae: 0.45..0.5", "does not hold (nearest is t1: mae is 0.4, 0.05 too low)"),
        ("any mse/val_mse < 0.5", "does not hold (nearest is t0: mse/val_mse is 1, 0.5 too high)"),
        ("all complete", "does not hold (missed by t2)"),
        ("all mae < 0.1", "does not hold (missed by t0, t1, t2)"),
        ("any nothing < 1", "success: missed; any nothing < 1 is not known"),
        ("any (mae < 0.1 and complete)", "does not hold"),
    ],
)
def test_the_verdict_says_what_is_missing(tmp_path: Path, condition: str, words: str) -> None:
    sweep = made.sweep(tmp_path)
    for number, error in enumerate([0.2, 0.4]):
        made.trial(sweep, number, error=error, val_error=error)
    made.trial(sweep, 2, state=TrialState.FAIL, reason="no")
    verdict = judge_success([condition], sweep, load_trials(sweep), [MetricGoal("val_mae")])
    assert verdict.words.endswith(words)


def test_a_trial_without_a_report_at_a_step_is_unknown(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    for number, steps in enumerate(([4, 5], [4])):
        run = made.trial(sweep, number, value=0.1 + number)
        for step in steps:
            made.report(run, step, 0.0, train_loss=0.01)
    conditions = ["all train_loss@5 < 0.02", "any train_loss@5 < 0.02", "all train_loss@4 < 0.02"]
    verdict = judge_success(conditions, sweep, load_trials(sweep), [MetricGoal("val_mae")])
    assert [holds for _, holds, _ in verdict.conditions] == [None, True, True]
    assert "missed by t1" in verdict.words
