"""Sequences of unequal length: what the child saves is what the table reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.analysis.measure.measuring import evaluate_run, evaluation_of
from orchestrator.analysis.table import compare
from orchestrator.engine.child.saving import save_pair
from orchestrator.errors import TrialError
from orchestrator.metrics import ArrayProblem, check_pair
from orchestrator.runs.layout import RunDir
from orchestrator.runs.read import open_run
from orchestrator.runs.read.arrays import load_sequences
from tests.analysis import made

Ids = list[np.ndarray]
SEQUENCES = st.lists(st.lists(st.integers(1, 40), max_size=6), min_size=1, max_size=5)


def ids(*sequences: list[int]) -> Ids:
    return [np.array(sequence, dtype=np.int64) for sequence in sequences]


def phonemes(folder: Path, predicted: Ids, wanted: Ids, split: str = "test") -> None:
    save_pair(RunDir(folder), predicted, wanted, split)
    made.metadata(folder, data={"kind": "phonemes"})


@settings(max_examples=40, deadline=None)
@given(SEQUENCES)
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, sequences: list[list[int]]
) -> None:
    run = RunDir(tmp_path_factory.mktemp("run"))
    kept = ids(*sequences)
    save_pair(run, kept, list(reversed(kept)), "val")
    read = load_sequences(run.predictions_file("val"), run.predictions_lengths_file("val"))
    assert [part.tolist() for part in read] == sequences
    read = load_sequences(run.targets_file("val"), run.targets_lengths_file("val"))
    assert [part.tolist() for part in read] == sequences[::-1]


def test_the_error_rate_is_of_both_splits_and_nothing_else_is_computed(tmp_path: Path) -> None:
    phonemes(tmp_path, ids([1, 2, 3], [], [5, 5]), ids([1, 2], [4], [5]))
    phonemes(tmp_path, ids([1]), ids([1]), split="val")
    found = evaluation_of(open_run(tmp_path))
    assert found.kind == "phonemes"
    assert found.problems == ()
    # 2 inserted, 1 deleted, of 4 phonemes.
    assert found.metrics["per"] == pytest.approx(3 / 4)
    assert found.metrics["val_per"] == 0.0
    assert not {"mae", "rmse", "r2"} & set(found.metrics)


def test_the_kind_may_be_typed(tmp_path: Path) -> None:
    save_pair(RunDir(tmp_path), ids([1, 2]), ids([1, 3]), "test")
    assert evaluation_of(open_run(tmp_path), kind="speech").metrics["per"] == 0.5


@pytest.mark.parametrize("kind", [None, "decay_curve", "hologram"])
def test_sequences_of_a_kind_without_metrics_for_them_are_a_problem(
    kind: str | None, tmp_path: Path
) -> None:
    save_pair(RunDir(tmp_path), ids([1, 2]), ids([1, 3]), "test")
    with pytest.raises(ArrayProblem, match=r"need a kind with metrics for them \(.*phonemes"):
        evaluation_of(open_run(tmp_path), kind=kind, data={"rate_hz": 500.0})


def test_phonemes_without_lengths_are_told(tmp_path: Path) -> None:
    phonemes(tmp_path, ids([1, 2]), ids([1, 3]))
    RunDir(tmp_path).predictions_lengths_file().unlink()
    with pytest.raises(ArrayProblem, match=r"predictions_lengths\.npy is missing"):
        evaluation_of(open_run(tmp_path))
    RunDir(tmp_path).targets_lengths_file().unlink()
    assert "targets_lengths.npy" in evaluation_of(open_run(tmp_path)).problems[0]


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (np.array([1, 2]), "adds up to 3, but predictions.npy holds 4 values"),
        (np.array([5, -1]), r"negative length \(-1\)"),
        (np.array([2.0, 2.0]), "no array .* of whole numbers"),
        (np.array([[2, 2]]), "with 2 dimensions"),
        (np.array([2**63 - 1, 2**63 - 1, 6]), "adds up to 18,"),
    ],
)
def test_lengths_that_do_not_divide_the_values(
    lengths: np.ndarray, words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "predictions.npy", np.arange(4))
    np.save(tmp_path / "predictions_lengths.npy", lengths)
    with pytest.raises(ArrayProblem, match=words):
        load_sequences(tmp_path / "predictions.npy", tmp_path / "predictions_lengths.npy")


def test_pairs_that_cannot_be_compared() -> None:
    with pytest.raises(ArrayProblem, match="1 sequences of predictions and 2 of targets"):
        check_pair(ids([1]), ids([1], [2]))
    with pytest.raises(ArrayProblem, match="no sequence"):
        check_pair([], [])
    with pytest.raises(ArrayProblem, match="1 values of targets are not"):
        check_pair([np.ones(1)], [np.array([np.nan])])
    check_pair(ids([], [1]), ids([2], []))


def test_saving_says_what_does_not_fit(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with pytest.raises(TrialError, match="predictions are a list of sequences, targets an array"):
        save_pair(run, ids([1], [2, 3]), np.zeros((2, 2)), "test")
    with pytest.raises(TrialError, match=r"1 predicted sequences, 2 targets\. Give one prediction"):
        save_pair(run, ids([1]), ids([1], [2]), "test")
    with pytest.raises(TrialError, match=r"not numeric \(dtype"):
        save_pair(run, [np.array(["a"])], ids([1]), "test")
    assert list(tmp_path.iterdir()) == []


def test_runs_of_another_tool_are_ranked_by_their_own_metric(tmp_path: Path) -> None:
    for name, predicted in (("bad", [1, 1, 1]), ("good", [1, 2])):
        (tmp_path / name).mkdir()
        phonemes(tmp_path / name, ids(predicted), ids([1, 2, 3]))
    table = compare([tmp_path])
    assert (table.sort_by, table.goal) == ("per", "minimize")
    assert [row.trial for row in table.rows] == ["good", "bad"]
    for name in ("bad", "good"):
        phonemes(tmp_path / name, ids([1]), ids([1]), split="val")
    assert compare([tmp_path]).sort_by == "val_per"


def test_arrays_that_follow_sequences_are_not_divided(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    save_pair(run, ids([1], [2, 3]), ids([1], [2]), "test")
    save_pair(run, np.ones((2, 2)), np.ones((2, 2)), "test")
    assert evaluate_run(tmp_path)["mae"] == 0.0
