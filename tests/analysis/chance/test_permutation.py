"""Few groups of samples: an exact test in place of an interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import r2_score

from orchestrator.analysis.chance.confidence import grouped
from orchestrator.analysis.chance.permutation import swapped
from orchestrator.analysis.relate.noise import not_worse
from orchestrator.analysis.table import compare
from orchestrator.metrics.resampling import mean_of, resampled
from orchestrator.runs.read import find_runs
from tests.analysis.chance.test_best import sweep_of


@pytest.mark.parametrize("seed", range(5))
def test_the_p_value_is_that_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, two = random.normal(0.4 * seed, 1, 8), random.normal(size=8)
    found = swapped(grouped(mean_of(one)), grouped(mean_of(two)))
    expected = permutation_test(
        (one, two),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    assert found is not None
    assert found.value == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_a_metric_that_is_no_mean_is_computed_of_each_swap() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(7, 3))
    one, two = (targets + scale * random.normal(size=targets.shape) for scale in (0.1, 0.8))
    sums = [grouped(resampled(None, each, targets, {})["r2"]) for each in (one, two)]
    found = swapped(*sums)
    differences = []
    for number in range(2**7):
        kept = (number >> np.arange(7) & 1).astype(bool)[:, None]
        ours, theirs = np.where(kept, one, two), np.where(kept, two, one)
        r2 = [r2_score(targets.ravel(), each.ravel()) for each in (ours, theirs)]
        differences.append(r2[0] - r2[1])
    assert found is not None
    assert found.value == pytest.approx(differences[-1])
    extreme = np.abs(differences) >= abs(differences[-1]) - 1e-12
    assert found.p_value == extreme.mean()


@pytest.mark.parametrize("count", [5, 10])
def test_fewer_groups_find_nothing_and_more_have_an_interval(count: int) -> None:
    errors = np.arange(count)
    assert swapped(grouped(mean_of(errors)), grouped(mean_of(errors + 1.0))) is None


def test_a_table_of_few_groups_marks_what_the_exact_test_finds(tmp_path: Path) -> None:
    sweep_of(tmp_path, [0.0, 0.4], groups=8)
    found = compare([tmp_path])
    assert found.rows[0].interval is None
    assert found.rows[1].tied is False
    assert any(
        "better than t1 by more than chance" in note
        and "exact test of 256 swaps, p = 0.0078, paired over 8 groups of samples" in note
        for note in found.notes
    )
    assert "No 95 % interval over groups of samples: 8 are too few." in found.notes
    runs = {run.record.number: [run] for run in find_runs([tmp_path]) if run.record is not None}
    assert not_worse(runs, 0, "val_mae") == set()


def test_what_few_groups_could_never_find_is_not_judged(tmp_path: Path) -> None:
    sweep_of(tmp_path, [0.0, 0.4, 0.5, 0.6], groups=6)  # 6 pairs: 2 of 64 swaps are too many
    found = compare([tmp_path])
    assert [row.tied for row in found.rows] == [None] * 4
    assert any(note.endswith("Differences are not judged.") for note in found.notes)
