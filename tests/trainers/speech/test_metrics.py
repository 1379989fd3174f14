from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator import metrics
from trainers.speech.metrics import GOALS, evaluate

IDS = st.lists(st.integers(1, 4), max_size=7)


def ids(*sequences: list[int]) -> list[np.ndarray]:
    return [np.array(sequence, dtype=np.int64) for sequence in sequences]


def distance(first: list[int], second: list[int]) -> int:
    """Wagner and Fischer's table, row by row: the definition, slowly."""
    above = list(range(len(second) + 1))
    for row, left in enumerate(first, start=1):
        here = [row]
        for column, right in enumerate(second, start=1):
            swap = above[column - 1] + (left != right)
            here.append(min(swap, above[column] + 1, here[-1] + 1))
        above = here
    return above[-1]


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4))
def test_the_error_rate_is_edits_over_target_phonemes(pairs: list[tuple[list[int], ...]]) -> None:
    predicted, wanted = zip(*pairs, strict=True)
    total = sum(map(len, wanted))
    if total == 0:
        with pytest.raises(ValueError, match="no target contains a phoneme"):
            evaluate(ids(*predicted), ids(*wanted))
        return
    found = evaluate(ids(*predicted), ids(*wanted))
    assert set(found) == set(GOALS)
    assert found["per"] == pytest.approx(sum(map(distance, predicted, wanted)) / total)
    parts = ("substitution_rate", "deletion_rate", "insertion_rate")
    assert found["per"] == pytest.approx(sum(found[name] for name in parts))
    same = sum(left == right for left, right in pairs)
    assert found["exact_rate"] == pytest.approx(same / len(pairs))


def test_what_lacks_is_deleted_and_what_is_too_much_is_inserted() -> None:
    silent = evaluate(ids([]), ids([1, 2]))
    assert (silent["per"], silent["deletion_rate"]) == (1.0, 1.0)
    talking = evaluate(ids([3, 3, 3, 3]), ids([1]))
    assert talking["per"] == 4.0
    assert (talking["substitution_rate"], talking["insertion_rate"]) == (1.0, 3.0)


@pytest.mark.parametrize("bad", [[0], [-1], [1.5], [float("nan")], [[1]]])
def test_what_is_no_phoneme_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="predictions must be phoneme ids"):
        evaluate([np.array(bad)], ids([1]))


def test_whole_floats_are_ids() -> None:
    assert evaluate([np.array([1.0, 2.0])], ids([1, 2]))["per"] == 0.0


def test_numbers_of_sequences_must_agree() -> None:
    with pytest.raises(ValueError, match="one prediction per target"):
        evaluate(ids([1]), ids([1], [2]))


def test_the_table_knows_which_way_is_better() -> None:
    assert metrics.goal("val_per") == "minimize"
    assert metrics.goal("exact_rate", "speech") == "maximize"


def test_ranking_loads_no_torch() -> None:
    code = (
        "import sys, trainers.speech.metrics, trainers.speech.config; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
