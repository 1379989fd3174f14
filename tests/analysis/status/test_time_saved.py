"""What ended trials have saved, and learning rates read from logs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.measure.measuring import measure
from orchestrator.analysis.measure.row import Row
from orchestrator.analysis.status.time_saved import by_hand, savings, stopped_by_hand
from orchestrator.analysis.status.trial_status import TrialStatus, read_trial
from orchestrator.divergence.schedule import learning_rates
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.read import SweepInfo, open_run
from orchestrator.runs.records import TrialRecord, TrialState


def trial(folder: Path, number: int, losses: list[float], **fields: Any) -> TrialStatus:
    sweep = SweepDir(folder)
    record = TrialRecord(number, f"t{number}", {}, total_steps=10, attempt=1, **fields)
    run = sweep.run_dir(number, record.name)
    record.save(run)
    run.metrics_file.write_text(
        "".join(
            json.dumps(
                {"step": n, "time": 100.0 + 7 * n, "metrics": {"train_loss": x, "lr": 1 / n}}
            )
            + "\n"
            for n, x in enumerate(losses, 1)
        )
    )
    return read_trial(sweep, record, lives=False, metric="", present=0.0)


def test_what_was_not_spent_on_lost_trials(tmp_path: Path) -> None:
    lost = {"state": TrialState.PRUNED, "symptom": "explosion"}
    trials = [
        trial(tmp_path, 0, [1.0, 3.0, 4.0, 5.0], **lost),
        trial(tmp_path, 1, [1.0, 0.9], state=TrialState.PRUNED),  # a pruner's
        trial(tmp_path, 2, [1.0, 0.5, 0.4], state=TrialState.COMPLETE, origin=0, link="remedy"),
        trial(tmp_path, 3, [1.0, 1.3, 0.4], state=TrialState.COMPLETE),
    ]
    found = savings(SweepDir(tmp_path), trials)
    assert (found.trials, found.steps, found.seconds, found.answered) == (1, 6, 42.0, 1)
    assert (
        found.sentence()
        == "Stopping 1 diverged trial early saved 6 epochs and 42s; remedies answered 1."
    )
    assert "1 of the 2 complete trials" in by_hand(SweepDir(tmp_path), trials)
    assert "1 of the 1 lost ones as soon" in by_hand(SweepDir(tmp_path), trials)
    assert savings(SweepDir(tmp_path), trials[2:]).sentence() == ""


def test_what_is_lost_at_once_is_counted_at_the_pace_of_the_others(tmp_path: Path) -> None:
    lost = {"state": TrialState.PRUNED, "symptom": "non-finite"}
    trials = [
        trial(tmp_path, 0, [float("nan")], **lost),
        trial(tmp_path, 1, [1.0, 0.5], state=TrialState.COMPLETE),
    ]
    assert (
        savings(SweepDir(tmp_path), trials).sentence()
        == "Stopping 1 diverged trial early saved 9 epochs and 1m 03s."
    )
    (tmp_path / "spec.json").write_text('{"program": "train.py"}')
    assert (
        savings(SweepDir(tmp_path), trials[:1]).sentence()
        == "Stopping 1 diverged trial early saved 9 steps."
    )
    unknown = [replace(trials[0], total_steps=None)]
    words = "1 diverged trial stopped before the end; how long before it is not known."
    assert savings(SweepDir(tmp_path), unknown).sentence() == words


def test_the_rates_of_a_run(tmp_path: Path) -> None:
    trial(tmp_path, 0, [1.0, 0.9, 0.8, 0.7])
    run = SweepDir(tmp_path).run_dir(0, "t0").path
    assert learning_rates(open_run(run).reports) == {"first": 1.0, "peak": 1.0, "last": 0.25}
    assert learning_rates(open_run(tmp_path / "none").reports) == {}


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ([1.0, 0.9, 0.8], None),
        ([1.0, 1.21], 1),
        ([1.0, 0.9, 0.95, 1.1, 1.2, 1.3, 1.46], 6),
        ([1.0, 0.85, 1.0, 0.85, 1.0], None),
        ([1.2, 0.9, 1.07, 0.75, 0.89, 0.7], 4),
        ([1.0, float("nan")], 1),
        ([-1.0, -0.1, -5.0], None),
    ],
)
def test_where_a_person_stops(values: list[float], at: int | None) -> None:
    assert stopped_by_hand(values) == at


def test_the_first_rate_of_a_table_is_that_of_the_first_step(tmp_path: Path) -> None:
    run = SweepDir(tmp_path).run_dir(0, "t0")
    record = TrialRecord(0, "t0", {}, TrialState.COMPLETE, total_steps=4, value=0.25, attempt=1)
    record.save(run)
    reports = [
        {"step": n, "time": float(n), "metrics": {"loss": 1 / n, "lr": 2 - n / 2}}
        for n in range(1, 5)
    ]
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in reports))
    linear = {"linear": {"lr": 2.0, "total": 4}, "per": "epoch"}
    for schedule, first in ((linear, 2.0), ({}, 1.5)):
        spec = {"name": "s", "program": {}, "metric": {"name": "loss"}, "lr_schedule": schedule}
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        stored = replace(open_run(run.path, record), sweep=SweepInfo.load(SweepDir(tmp_path)))
        row = measure(stored)
        assert isinstance(row, Row)
        assert row.rates["first"] == first
