"""Differences are told from chance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.relate.noise import (
    between_configs,
    between_runs,
    between_seeds,
    not_worse,
)
from orchestrator.runs.layout import RunDir
from orchestrator.runs.read import StoredRun, open_run
from tests.analysis import made

numbers = st.floats(-1e3, 1e3)


def save(
    folder: Path, predictions: np.ndarray, targets: np.ndarray, split: str = "test"
) -> StoredRun:
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDir(folder)
    np.save(run.predictions_file(split), predictions)
    np.save(run.targets_file(split), targets)
    return open_run(folder)


def test_welchs_interval_is_the_one_of_its_formula() -> None:
    # Worked by hand: means 2 and 4, variances 1 and 4, three values each.
    found = between_seeds([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    freedom = (1 / 3 + 4 / 3) ** 2 / ((1 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    assert found.value == -2.0
    assert found.basis == "seeds"
    assert freedom == pytest.approx(2.941, abs=1e-3)
    # t(0.975; 2.941) = 3.2196, from a table of Student's t between 4.303 (2) and 3.182 (3).
    assert found.high - found.value == pytest.approx(3.2196 * math.sqrt(5 / 3), rel=2e-3)
    assert found.is_noise


@given(st.lists(numbers, min_size=2, max_size=6), st.lists(numbers, min_size=2, max_size=6))
def test_the_other_way_round_is_the_mirror_image(ours: list[float], theirs: list[float]) -> None:
    one, two = between_seeds(ours, theirs), between_seeds(theirs, ours)
    assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low))
    assert one.low <= one.value <= one.high


def test_one_value_each_has_no_interval() -> None:
    found = between_seeds([1.0], [2.0])
    assert found.value == -1.0
    assert found.is_noise is None


def test_samples_that_all_gain_are_no_noise_and_ones_that_gain_by_chance_are(
    tmp_path: Path,
) -> None:
    chance = np.random.default_rng(5)
    targets = np.zeros((400, 3))
    errors = chance.normal(size=targets.shape)
    base = save(tmp_path / "base", errors, targets)
    better = save(tmp_path / "better", errors * 0.95, targets)
    other = save(tmp_path / "other", chance.normal(size=targets.shape), targets)
    found = between_runs(better, base, "mae")
    assert found is not None
    assert found.value == pytest.approx(-0.05 * np.abs(errors).mean())
    assert found.is_noise is False
    assert found.basis == "samples"
    by_chance = between_runs(other, base, "mae")
    assert by_chance is not None
    assert by_chance.is_noise is True


def test_the_interval_of_a_mean_is_near_the_one_of_its_paired_errors(tmp_path: Path) -> None:
    # For a mean over samples the jackknife must agree with the standard error of the differences.
    chance = np.random.default_rng(1)
    targets = np.zeros(4000)
    one, two = chance.normal(size=(2, 4000))
    found = between_runs(
        save(tmp_path / "a", one, targets), save(tmp_path / "b", two, targets), "mae"
    )
    assert found is not None
    differences = np.abs(one) - np.abs(two)
    expected = 2.09 * differences.std(ddof=1) / math.sqrt(4000)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.35)


@pytest.mark.parametrize("metric", ["val_mae", "t20_mae", "per"])
def test_runs_without_the_metric_are_not_paired(tmp_path: Path, metric: str) -> None:
    made.pair(tmp_path / "a", 0.1, size=400)
    made.pair(tmp_path / "b", 0.2, size=400)
    assert between_runs(open_run(tmp_path / "a"), open_run(tmp_path / "b"), metric) is None


def test_runs_of_other_samples_are_not_paired(tmp_path: Path) -> None:
    targets = np.arange(100.0)
    one = save(tmp_path / "a", targets + 1, targets)
    assert between_runs(one, save(tmp_path / "b", targets, targets + 1), "mae") is None
    assert between_runs(one, save(tmp_path / "c", targets[:50], targets[:50]), "mae") is None
    assert between_runs(one, open_run(tmp_path / "absent"), "mae") is None
    found = between_runs(one, save(tmp_path / "d", targets + 3, targets), "mae")
    assert found is not None
    assert found.value == pytest.approx(-2.0)


def test_validation_arrays_and_metrics_of_a_kind_are_paired_too(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    rate_hz = 100.0
    time_s = np.arange(300) / rate_hz
    decays = 10 ** (-6 * time_s / chance.uniform(0.4, 1.2, size=(60, 1)))
    for name, stretch in (("a", 1.1), ("b", 1.3)):
        folder = save(tmp_path / name, decays**stretch, decays, "val")
        made.metadata(folder.path, data={"kind": "decay_curve", "rate_hz": rate_hz})
    found = between_runs(open_run(tmp_path / "a"), open_run(tmp_path / "b"), "val_t20_mae")
    assert found is not None
    assert found.value < 0
    assert found.is_noise is False


def test_not_worse_are_those_that_chance_may_separate(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(60, 3))
    errors = random.normal(size=targets.shape)
    runs = {}
    for number, scale in enumerate((1.0, 1.001, 1.5, 1.0)):
        folder = tmp_path / f"r{number}"
        folder.mkdir()
        noise = 0.02 * random.normal(size=targets.shape)
        some = slice(None) if number < 3 else slice(30)
        np.save(folder / "val_targets.npy", targets[some])
        np.save(folder / "val_predictions.npy", (targets + scale * errors + noise)[some])
        runs[number] = [open_run(folder)]
    assert not_worse(runs, 0, "val_mae") == {1}
    assert not_worse(runs, 7, "val_mae") == set()
    assert not_worse(runs, 0, "val_nothing") == set()


def test_seeds_without_arrays_are_compared_by_their_values(tmp_path: Path) -> None:
    runs = {}
    for number, values in enumerate([(1.0, 1.1, 1.2), (1.0, 1.15, 1.3), (9.0, 9.1, 9.2)]):
        runs[number] = []
        for seed, value in enumerate(values):
            folder = tmp_path / f"r{number}" / str(seed)
            made.metadata(folder, final_metrics={"val_loss": value})
            runs[number].append(open_run(folder))
    assert not_worse(runs, 0, "val_loss") == {1}


def test_configs_are_compared_over_seeds_and_samples(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(60, 3))
    errors = random.normal(size=targets.shape)
    configs = []
    for config, scale in enumerate((1.0, 1.5)):
        runs = []
        for seed in range(3):
            folder = tmp_path / f"r{config}{seed}"
            folder.mkdir()
            predicted = targets + (scale + 0.02 * seed) * errors
            np.save(folder / "val_targets.npy", targets)
            np.save(folder / "val_predictions.npy", predicted)
            runs.append((open_run(folder), float(np.abs(predicted - targets).mean())))
        configs.append(runs)
    found = between_configs(configs[1], configs[0], "val_mae")
    seeds = between_seeds(*([value for _, value in runs] for runs in configs[::-1]))
    assert (found.basis, found.is_noise) == ("seeds and samples", False)
    assert found.value == pytest.approx(seeds.value)
    assert found.low < seeds.low < seeds.high < found.high
    alone = between_configs(configs[1][:1], configs[0][:1], "val_mae")
    assert alone.basis == "samples"
    bare = [[(open_run(tmp_path / "nowhere"), value)] for value in (1.0, 2.0)]
    assert between_configs(*bare, "val_mae").is_noise is None
