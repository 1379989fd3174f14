"""How many seeds or samples find a difference, before and after a sweep."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from orchestrator.analysis.chance import resolution, seed_noise
from orchestrator.analysis.chance.power import groups_for, power_notes, seeds_for, standard_errors
from orchestrator.analysis.table import compare
from orchestrator.runs import TrialState
from orchestrator.sweepfile.model import MetricGoal, Spec
from tests.analysis import made
from tests.analysis.chance.test_replicates import of_seeds, seeds_of


@pytest.mark.parametrize("freedom", [1, 2, 4, 10, 11, 29, 1000])
def test_the_quantiles_are_scipys(freedom: int) -> None:
    wanted = stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom)
    assert standard_errors(freedom) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("n_seeds", [3, 5, 20])
def test_that_difference_is_found_in_four_of_five_cases(n_seeds: int) -> None:
    shift = resolution(1.0, n_seeds) / math.sqrt(2 / n_seeds)
    freedom = 2 * n_seeds - 2
    bound = stats.t.ppf(0.975, freedom)
    found = 1 - stats.nct.cdf(bound, freedom, shift) + stats.nct.cdf(-bound, freedom, shift)
    assert found == pytest.approx(0.8, abs=0.02)


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_the_number_of_seeds_is_the_least_that_resolves(amount: float, deviation: float) -> None:
    n_seeds = seeds_for(amount, deviation)
    assert n_seeds >= 2
    assert resolution(deviation, n_seeds) <= amount * 1.01
    assert n_seeds == 2 or resolution(deviation, n_seeds - 1) > amount * 0.99


@given(st.floats(0.01, 10), st.floats(0.01, 10))
def test_the_number_of_groups_resolves(amount: float, deviation: float) -> None:
    count = groups_for(amount, deviation)
    assert count >= 10
    assert standard_errors(count - 1) * deviation / math.sqrt(count) <= amount * 1.02


def test_a_table_states_what_is_needed(tmp_path: Path) -> None:
    seeds_of(tmp_path, shifts=(0.0, 0.01))
    notes = [note for note in compare([tmp_path], power=0.005).notes if "To find" in note]
    assert len(notes) == 2
    assert "two configs need" in notes[0]
    assert "seeds each" in notes[0]
    assert "groups of samples are needed; these 20 resolve" in notes[1]


def test_with_one_seed_it_is_unknown_how_many_are_needed(tmp_path: Path) -> None:
    seeds_of(tmp_path, n_seeds=1)
    notes = compare([tmp_path], power=0.005, single=True).notes
    assert any("no config ran with several" in note for note in notes)


def spec(name: str = "next", trainer: str = "edc", metric: str = "val_mae") -> Spec:
    path = Path("next.yaml")
    return Spec(name=name, path=path, trainer=trainer, metric=MetricGoal(metric, "minimize"))


def test_earlier_seeds_of_the_same_system_show_the_noise(tmp_path: Path) -> None:
    assert seed_noise(tmp_path / "nowhere", spec()) is None
    for name, trainer, spread in (("one", "edc", 0.1), ("other", "sar", 9.0)):
        sweep = made.sweep(tmp_path, name, spec={"trainer": trainer, "seeds": [0, 1, 2]})
        number = 0
        for group in range(2):
            for replicate in range(3):
                value = group + spread * (replicate - 1)
                made.trial(sweep, number, group=2 * group, replicate=replicate, value=value)
                number += 1
        made.trial(sweep, 9, group=9, value=math.nan, state=TrialState.COMPLETE)
        made.trial(sweep, 10, group=0, value=77.0, state=TrialState.FAIL)
    (tmp_path / "no sweep").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "spec.json").write_text("{")
    found = seed_noise(tmp_path, spec())
    assert found is not None
    assert (found.n_configs, found.sweep) == (2, "one")
    assert found.deviation == pytest.approx(0.1)
    assert seed_noise(tmp_path, spec(metric="val_loss")) is None
    assert np.isfinite(resolution(found.deviation, 1))


def test_shared_seeds_need_what_their_differences_need() -> None:
    shared = [0.0, 5.0, 9.0, -4.0, 2.0, 7.0]
    noise = [0.1, -0.1, 0.2, 0.0, -0.2, 0.1]
    rows = {
        1: of_seeds(shared, list(range(6))),
        2: of_seeds([a + 1 + b for a, b in zip(shared, noise, strict=True)], list(range(6))),
    }
    seeds, *_ = power_notes(rows, 0.1, 40)
    deviation = float(np.std(noise, ddof=1))
    assert f"the same {groups_for(0.1, deviation):,} seeds" in seeds
    assert f"varies by {deviation:.2g} between seeds. 6 seeds resolve" in seeds
    assert "need the same 5 seeds" in power_notes(rows, 100.0, 40)[0]
