"""Seeds and samples are two sources of uncertainty: both count, and each is named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import ttest_ind, ttest_rel

from orchestrator.analysis.chance import estimate
from orchestrator.analysis.chance.confidence import grouped, mean_of_seeds
from orchestrator.analysis.chance.replicates import (
    Replicates,
    between_means,
    interval_of_mean,
    joined,
)
from orchestrator.analysis.measure.row import Row
from orchestrator.analysis.table import compare
from orchestrator.metrics.resampling import mean_of, resampled
from orchestrator.runs import SweepDir
from tests.analysis import made


def seeds_of(
    tmp_path: Path,
    *,
    shifts: tuple[float, ...] = (0.0, 0.3),
    n_seeds: int = 3,
    groups: int = 20,
    own_samples: bool = False,
) -> None:
    """Make a sweep of configs with several seeds on the same samples, unless `own_samples`."""
    sweep = made.sweep(tmp_path, spec={"ablate": {"baseline": {}}})
    random = np.random.default_rng(0)
    targets = random.normal(size=(40, 4))
    errors = random.normal(size=targets.shape)
    number = 0
    for group, shift in enumerate(shifts):
        for replicate in range(n_seeds):
            run = made.trial(
                sweep,
                number,
                name=f"c{group} seed={replicate}",
                error=0.1,
                config={"lr": 0.1, "seed": replicate},
                group=group,
                replicate=replicate,
                change={"name": f"c{group}", "set": {}} if group else {},
            )
            scale = 1 + shift + 0.02 * random.normal()
            noise = 0.05 * random.normal(size=targets.shape)
            found = targets + replicate * own_samples
            np.save(run.predictions_file("val"), found + scale * errors + noise)
            np.save(run.targets_file("val"), found)
            np.save(run.groups_file("val"), np.arange(40) % groups)
            number += 1


def test_a_table_joins_seeds_and_samples_and_names_both(tmp_path: Path) -> None:
    seeds_of(tmp_path)
    found = compare([tmp_path])
    first, second = found.rows
    assert first.interval is not None
    assert first.interval.basis == "seeds and groups"
    assert second.tied is False
    values = [member.metrics["val_mae"] for member in first.members]
    alone = interval_of_mean(values)
    assert alone is not None
    assert first.interval.low < alone.low < alone.high < first.interval.high
    (sentence,) = [note for note in found.notes if "by more than chance" in note]
    assert "over 3 seeds and 20 groups of samples" in sentence
    assert "Another seed" not in sentence
    difference = second.differences["baseline"]["val_mae"]
    assert (difference.basis, difference.is_noise) == ("seeds and groups", False)
    assert any("within the noise of seeds and samples" in note for note in found.notes)


@pytest.mark.parametrize(
    ("own_samples", "groups", "words"),
    [
        (True, 20, "over 3 seeds). Other samples may change more than that."),
        (False, 5, "No 95 % interval over groups of samples: 5 are too few."),
    ],
)
def test_without_common_samples_the_seeds_alone_are_named(
    tmp_path: Path, own_samples: bool, groups: int, words: str
) -> None:
    seeds_of(tmp_path, own_samples=own_samples, groups=groups)
    found = compare([tmp_path])
    assert found.rows[0].interval is not None
    assert found.rows[0].interval.basis == "seeds"
    assert any(note.endswith(words) for note in found.notes), found.notes


def test_worked_by_hand() -> None:
    # Seeds 1, 2, 3: mean 2, standard error 1/√3, Student's t with 2 degrees 4.3027.
    seeds = interval_of_mean([1.0, 2.0, 3.0])
    assert seeds is not None
    assert seeds.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    samples = estimate(grouped(mean_of(2.0 + np.tile([-1.0, 1.0], 20))))
    assert samples is not None
    both = joined(seeds, samples)
    assert both.high - 2.0 == pytest.approx(math.hypot(seeds.high - 2, samples.high - 2))
    # Satterthwaite: (a + b)² / (a²/2 + b²/39) with a = 1/3 and b = 1/39.
    a, b = 1 / 3, 1 / 39
    assert both.error == pytest.approx(math.sqrt(a + b))
    assert both.freedom == pytest.approx((a + b) ** 2 / (a**2 / 2 + b**2 / 39))


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
    st.lists(st.floats(-1, 1), min_size=2, max_size=6),
)
def test_both_sources_are_wider_than_either(ours: list[float], theirs: list[float]) -> None:
    seeds = between_means(ours, theirs)
    assert seeds is not None
    samples = estimate(grouped(mean_of(seeds.value + np.linspace(-1, 1, 21))))
    assert samples is not None
    both = joined(seeds, samples)
    slack = 1e-9
    assert both.low <= min(seeds.low, samples.low) + slack
    assert both.high >= max(seeds.high, samples.high) - slack
    assert both.p_value >= max(seeds.p_value, samples.p_value)


@pytest.mark.parametrize("kind", [None, "binary_probability"])
def test_the_mean_over_seeds_is_that_of_their_metrics(kind: str | None) -> None:
    random = np.random.default_rng(1)
    targets = (np.arange(30) % 2).astype(float)
    seeds = [np.clip(targets * 0.4 + random.uniform(0, 0.6, 30), 0, 1) for _ in range(3)]
    for name in resampled(kind, seeds[0], targets, {}):
        each = [grouped(resampled(kind, seed, targets, {})[name]) for seed in seeds]
        ones = np.ones((1, 30))
        values = [float(one.at(ones)[0]) for one in each]
        assert float(mean_of_seeds(each).at(ones)[0]) == pytest.approx(np.mean(values))


def test_a_million_samples_are_drawn_in_a_thousand_blocks() -> None:
    values = np.random.default_rng(0).normal(size=1_000_000)
    of = grouped(mean_of(values))
    assert of.n_groups == 1000
    found = estimate(of)
    assert found is not None
    assert found.error == pytest.approx(1e-3, rel=0.1)
    labels = (np.arange(50_000) % 2).astype(float)
    scores = np.clip(labels * 0.2 + np.random.default_rng(1).uniform(0, 0.8, 50_000), 0, 1)
    auroc = grouped(resampled("binary_probability", scores, labels, {})["auroc"])
    assert auroc.n_groups == 30
    assert estimate(auroc) is not None


def of_seeds(values: list[float], names: list[Any]) -> Replicates:
    """Return a row without arrays, with one value per seed."""
    rows = [
        Row(
            f"s{name}",
            Path(f"s{name}"),
            config={"seed": name},
            metrics={},
            logged={"val_mae": value},
        )
        for value, name in zip(values, names, strict=True)
    ]
    return Replicates(replace(rows[0], members=tuple(rows)), "val_mae")


def test_five_shared_seeds_are_paired_in_any_order() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(size=6)
    one, two = (list(shared + 0.1 * random.normal(size=6) + shift) for shift in (0.0, 0.3))
    seeds = list(range(6))
    ours = of_seeds(one, seeds)
    found = ours.seeds_minus(of_seeds(two[::-1], seeds[::-1]))
    expected = ttest_rel(one, two)
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.01)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-3)
    # Other seeds, a repeated one, or few: nothing to pair.
    for names, count in (([*range(1, 7)], 6), ([0, 1, 2, 3, 4, 4], 6), (seeds, 4)):
        apart = of_seeds(one[:count], seeds[:count]).seeds_minus(
            of_seeds(two[:count], names[:count])
        )
        welch = ttest_ind(one[:count], two[:count], equal_var=False)
        assert apart is not None
        assert apart.p_value == pytest.approx(welch.pvalue, rel=0.02)


def test_seeds_that_split_the_data_are_paired_even_if_few(tmp_path: Path) -> None:
    seeds_of(tmp_path, own_samples=True, shifts=(0.0, 0.002))
    for place, run in enumerate(sorted(SweepDir(tmp_path / "demo").run_dirs(), key=str)):
        targets = np.load(run.targets_file("val"))  # each split is of another difficulty
        errors = np.load(run.predictions_file("val")) - targets
        scale = (1.0, 5.0, 20.0)[place % 3] * (1.1 if place >= 3 else 1.0)
        np.save(run.predictions_file("val"), targets + scale * errors)
    best, other = compare([tmp_path]).rows
    found = Replicates(other, "val_mae").seeds_minus(Replicates(best, "val_mae"))
    values = [[each.metrics["val_mae"] for each in row.members] for row in (other, best)]
    assert found is not None
    assert found.p_value == pytest.approx(ttest_rel(*values).pvalue, rel=0.01)
