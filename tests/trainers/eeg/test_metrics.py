import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator import metrics
from trainers.eeg.config import DATA_KIND
from trainers.eeg.metrics import GOALS, evaluate


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])),
        min_size=2,
        max_size=40,
    ).filter(lambda rows: len({label for label, _ in rows}) == 2)
)
def test_both_metrics_are_what_their_definitions_count(rows: list[tuple[int, float]]) -> None:
    labels, scores = (np.array(values, dtype=float) for values in zip(*rows, strict=True))
    found = evaluate(scores, labels)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    pairs = [(one > zero) + 0.5 * (one == zero) for one in ones for zero in zeros]
    assert found["auroc"] == pytest.approx(np.mean(pairs))
    balanced = ((ones >= 0.5).mean() + (zeros < 0.5).mean()) / 2
    assert found["balanced_accuracy"] == pytest.approx(balanced)


@pytest.mark.parametrize(("scores", "labels"), [([0.1, math.nan], [0, 1]), ([0.1, 0.9], [1, 1])])
def test_what_is_undefined_is_nan(scores: list[float], labels: list[float]) -> None:
    found = evaluate(np.array(scores), np.array(labels))
    assert found.keys() == GOALS.keys()
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize(
    ("scores", "labels"), [(np.zeros((2, 2)), np.zeros((2, 2))), (np.zeros(2), np.array([0.5, 1]))]
)
def test_arrays_of_another_kind_are_refused(scores: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="label"):
        evaluate(scores, labels)


def test_a_table_knows_the_kind_and_its_directions() -> None:
    found = metrics.evaluate(DATA_KIND, np.array([0.2, 0.7]), np.array([0.0, 1.0]), {})
    assert found["auroc"] == 1.0
    assert metrics.goal("val_balanced_accuracy", DATA_KIND) == "maximize"
    assert metrics.resolve_kind("eeg") == DATA_KIND


def test_sklearn_is_loaded_by_whoever_evaluates_alone() -> None:
    code = (
        "import sys, trainers.eeg.config, trainers.eeg.metrics as m\n"
        "assert m.GOALS\n"
        "print(sorted({'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
