"""What conditions may ask of a trial, and what it answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.trial_values import facts_of, is_improving
from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialRecord, TrialState
from orchestrator.sweepfile.conditions.grammar import parse
from orchestrator.sweepfile.model.spec import MetricGoal

METRIC = MetricGoal("val_mae")


def trial(folder: Path, losses: list[float], **fields: object) -> tuple[TrialRecord, RunDir]:
    run = RunDir(folder)
    for step, loss in enumerate(losses, 1):
        metrics = {"train_loss": loss, "val_mae": loss, "lr": 0.1 / step}
        jsonl.append(run.metrics_file, {"step": step, "metrics": atomic.plain(metrics)})
    record = TrialRecord(0, "t", {"batch": 4, "model": {"width": 8}}, state=TrialState.COMPLETE)
    record.value = min(losses, default=None)
    for name, value in fields.items():
        setattr(record, name, value)
    return record, run


def holds(folder: Path, condition: str, losses: list[float], **fields: object) -> bool | None:
    return facts_of(*trial(folder, losses, **fields), [METRIC]).hold(parse(condition))


FALLING = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]


@pytest.mark.parametrize(
    ("condition", "losses", "expected"),
    [
        ("stable and improving and complete", FALLING, True),
        ("improving", [*FALLING, 0.2, 0.2, 0.2, 0.2], False),
        ("stable", [1.0, 0.5, 10.0, 100.0, 1000.0], False),
        ("stable", [1.0, math.nan], False),
        ("stable", [], None),
        ("batch == 4 and model.width == 8", FALLING, True),
        ("train_loss@2 < 0.9 and lr < 0.02", FALLING, True),
        ("train_loss@20 < 0.9", FALLING, None),
        ("train_loss/val_mae: 0.9..1.1", FALLING, True),
        ("val_mae <= 0.1", [*FALLING, 5.0], True),
        ("train_loss <= 0.1", [*FALLING, 5.0], True),
        ("train_loss <= 0.1", [*FALLING, math.nan], True),
        ("train_loss <= 0.1", [math.nan, 5.0], False),
        ("val_mae@9 <= 0.1", [*FALLING, 5.0], False),
    ],
)
def test_conditions_meet_what_was_logged(
    tmp_path: Path, condition: str, losses: list[float], expected: bool | None
) -> None:
    assert holds(tmp_path, condition, losses) is expected


def test_what_is_recomputed_is_stronger_than_what_was_logged(tmp_path: Path) -> None:
    record, run = trial(tmp_path, FALLING)
    targets = np.zeros((6, 2))
    for split, wrong in (("val", 0.25), ("test", 0.75)):
        np.save(run.predictions_file(split), targets + wrong)
        np.save(run.targets_file(split), targets)
    jsonl.append(run.metrics_file, {"step": 9, "metrics": {"mae": 0.0, "val_rmse": 0.0}})
    atomic.write_json(run.metadata_file, {"config": {"dropout": 0.5, "batch": 99}})
    known = facts_of(record, run, [METRIC])
    assert known.values["test_mae"] == known.values["mae"] == pytest.approx(0.75)
    assert known.values["val_rmse"] == pytest.approx(0.25)
    assert known.values["val_mae"] == 0.1, "what ranks it"
    assert known.hold(parse("dropout == 0.5 and batch == 4")) is True


def test_a_trial_that_failed_is_neither_stable_nor_complete(tmp_path: Path) -> None:
    assert holds(tmp_path, "stable or complete", FALLING, state=TrialState.FAIL) is False


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_a_series_and_its_mirror_agree(series: list[float]) -> None:
    assert is_improving(series, "minimize") is is_improving([-v for v in series], "maximize")
    assert not is_improving([*series, *[max(series)] * len(series)], "minimize")
