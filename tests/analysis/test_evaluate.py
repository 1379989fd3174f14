from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.measure.measuring import evaluate_run, evaluation_of
from orchestrator.metrics import ArrayProblem, known_metrics
from orchestrator.runs.read import open_run
from tests.analysis import made


def test_bare_names_are_of_the_test_arrays_and_val_names_of_the_validation_arrays(
    tmp_path: Path,
) -> None:
    made.pair(tmp_path, 0.1)
    made.pair(tmp_path, 0.3, split="val")
    metrics = evaluate_run(tmp_path)
    assert metrics["mae"] == pytest.approx(0.1)
    assert metrics["val_mae"] == pytest.approx(0.3)
    plain = set(known_metrics())
    assert set(metrics) == plain | {f"val_{name}" for name in plain}


def test_train_names_are_of_the_training_arrays_where_they_were_kept(tmp_path: Path) -> None:
    made.pair(tmp_path, 0.1)
    made.pair(tmp_path, 0.05, split="train")
    metrics = evaluate_run(tmp_path)
    assert metrics["train_mae"] == pytest.approx(0.05)
    assert metrics["mae"] == pytest.approx(0.1)
    assert "val_mae" not in metrics
    (tmp_path / "train_targets.npy").unlink()
    found = evaluation_of(open_run(tmp_path))
    assert "train_mae" not in found.metrics
    assert found.problems == ("training arrays: train_targets.npy is missing",)


def test_metadata_says_what_arrays_are(tmp_path: Path) -> None:
    made.curves(tmp_path, stretch=1.1)
    made.metadata(tmp_path, data={"kind": "decay_curve", "rate_hz": made.RATE_HZ})
    metrics = evaluate_run(tmp_path)
    # T20 of an exponential decay is its T60, here 0.4, 0.6, 0.8 and 1.0 s; 10 % too long.
    assert metrics["t20_mae"] == pytest.approx(0.07, rel=0.02)
    assert metrics["edt_mae"] == pytest.approx(0.07, rel=0.05)


def test_metadata_of_a_script_say_it_where_ours_cannot_know(tmp_path: Path) -> None:
    made.curves(tmp_path, stretch=1.1)
    made.metadata(tmp_path, config={"lr": 0.1})
    (tmp_path / "metadata.json").replace(tmp_path / "outputs_metadata.json")
    assert "t20_mae" not in evaluate_run(tmp_path)
    (tmp_path / "outputs_metadata.json").write_text(
        json.dumps({"data": {"kind": "decay_curve", "rate_hz": made.RATE_HZ}})
    )
    made.metadata(tmp_path, config={"lr": 0.1})
    assert evaluate_run(tmp_path)["t20_mae"] == pytest.approx(0.07, rel=0.02)


def test_options_say_it_for_arrays_of_others_and_never_overrule_metadata(tmp_path: Path) -> None:
    made.curves(tmp_path, stretch=1.1)
    assert "t20_mae" not in evaluate_run(tmp_path)
    run = open_run(tmp_path)
    typed = evaluation_of(run, kind="decay_curve", data={"rate_hz": made.RATE_HZ}).metrics
    assert typed["t20_mae"] == pytest.approx(0.07, rel=0.02)
    made.metadata(tmp_path, data={"kind": "decay_curve", "rate_hz": made.RATE_HZ})
    again = evaluation_of(open_run(tmp_path), kind="decay_curve", data={"rate_hz": 48_000})
    assert again.metrics == typed


def test_a_run_that_says_it_is_something_else_is_not_taken_for_what_was_typed(
    tmp_path: Path,
) -> None:
    made.curves(tmp_path)
    made.metadata(tmp_path, data={"kind": "regression"})
    found = evaluation_of(open_run(tmp_path), kind="decay_curve", data={"rate_hz": made.RATE_HZ})
    assert set(found.metrics) == set(known_metrics())
    assert found.problems == ()


def test_a_kind_that_does_not_fit_leaves_the_errors_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "predictions.npy", np.array([1.0, 2.0]))
    np.save(tmp_path / "targets.npy", np.array([1.0, 3.0]))
    found = evaluation_of(open_run(tmp_path), kind="decay_curve", data={"rate_hz": 500.0})
    assert found.metrics["mae"] == 0.5
    assert len(found.problems) == 1
    assert "decay_curve" in found.problems[0]


def test_a_kind_that_is_unknown_here_is_told(tmp_path: Path) -> None:
    made.pair(tmp_path)
    made.metadata(tmp_path, data={"kind": "hologram"})
    found = evaluation_of(open_run(tmp_path))
    assert "hologram" in found.problems[0]
    assert set(found.metrics) == set(known_metrics())


def test_bad_validation_arrays_do_not_take_the_test_metrics_away(tmp_path: Path) -> None:
    made.pair(tmp_path, 0.1)
    made.pair(tmp_path, 0.1, split="val")
    (tmp_path / "val_targets.npy").unlink()
    found = evaluation_of(open_run(tmp_path))
    assert found.metrics["mae"] == pytest.approx(0.1)
    assert "val_mae" not in found.metrics
    assert found.problems == ("validation arrays: val_targets.npy is missing",)


def test_bad_test_arrays_are_an_error(tmp_path: Path) -> None:
    made.pair(tmp_path)
    np.save(tmp_path / "targets.npy", np.zeros((2, 2)))
    with pytest.raises(ArrayProblem, match="shapes"):
        evaluate_run(tmp_path)


def test_nothing_is_written_into_the_folder(tmp_path: Path) -> None:
    made.pair(tmp_path)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    evaluate_run(tmp_path)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == before
