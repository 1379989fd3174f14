"""The mixture and the way through it: what is drawn, what a slot sees, what a fraction leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from trainers.signal.data import FEATURES, SPLITS, Mixture, lay_out, make_mixture
from trainers.signal.metrics import FREQUENCIES_HZ


def made(split: str = "train", **values: float) -> Mixture:
    known = {"rate_hz": 1000.0, "duration_s": 10.0, "phase_noise": 0.01, "amplitude_noise": 0.2}
    return make_mixture(split=split, seed=int(values.pop("seed", 0)), **{**known, **values})


def test_targets_are_the_clean_sines_from_zero() -> None:
    targets = made().targets
    assert targets.shape == (4, 10_000)
    time_s = np.arange(10_000) / 1000
    for row, frequency in zip(targets, FREQUENCIES_HZ, strict=True):
        np.testing.assert_allclose(row, np.sin(2 * np.pi * frequency * time_s), atol=1e-6)
    assert targets.var() == pytest.approx(0.5, abs=1e-6)


def test_without_noise_the_mixture_is_the_mean_of_the_sines() -> None:
    signal = made(phase_noise=0.0, amplitude_noise=0.0)
    np.testing.assert_allclose(signal.mixture, signal.targets.mean(axis=0), atol=1e-6)


def test_noise_is_drawn_anew_at_every_sample_within_its_bounds() -> None:
    # Where three of the four sines are 0, the mixture is a quarter of the fourth.
    quarter = made(phase_noise=0.0, duration_s=1000.0).mixture.reshape(-1, 1000)[:, 250]
    clean = made(phase_noise=0.0, amplitude_noise=0.0).mixture[250]
    assert clean == pytest.approx((1 - 1 + 1 - 1) / 4, abs=1e-6)
    # sin(2π·f/4) is 1, -1, 1, -1: a quarter of the sum of four amplitudes' deviations.
    assert np.abs(quarter).max() <= 0.2 + 1e-6
    assert quarter.std() == pytest.approx(0.2 / np.sqrt(3) / 2, rel=0.1)
    assert len(np.unique(quarter)) > 900


def test_full_phase_noise_leaves_nothing_of_the_sines() -> None:
    signal = made(phase_noise=1.0)
    for row in signal.targets:
        assert abs(np.corrcoef(row, signal.mixture)[0, 1]) < 0.05
    assert abs(np.corrcoef(made().targets[0], made().mixture)[0, 1]) > 0.4


def test_splits_and_seeds_have_noise_of_their_own_over_the_same_sines() -> None:
    drawn = [made(split).mixture for split in SPLITS] + [made(seed=1).mixture]
    for place, left in enumerate(drawn):
        for right in drawn[place + 1 :]:
            assert np.abs(left - right).max() > 0.05
    np.testing.assert_array_equal(made("train").targets, made("test").targets)
    np.testing.assert_array_equal(made("val").mixture, made("val").mixture)


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0))
def test_less_training_signal_is_the_start_of_more(left: float, right: float) -> None:
    few, many = sorted((left, right))
    signal = made(rate_hz=100.0)
    less, more = signal.start(few), signal.start(many)
    assert 1 <= len(less.mixture) <= len(more.mixture) <= 1000
    np.testing.assert_array_equal(less.mixture, more.mixture[: len(less.mixture)])
    np.testing.assert_array_equal(less.targets, more.targets[:, : len(less.mixture)])


@given(st.sampled_from([1, 2, 4, 8, 16, 32, 64]), st.integers(16, 300))
def test_slots_walk_contiguous_parts_and_leave_out_less_than_a_sample_each(
    slots: int, samples: int
) -> None:
    values = np.arange(samples, dtype=np.float32)
    signal = Mixture(values, np.stack([values + 1000 * sine for sine in range(4)]))
    segments = lay_out(signal, slots)
    seen: list[np.ndarray] = []
    for segment in segments:
        assert segment.inputs.shape == (len(segment.targets), slots, FEATURES)
        for slot in range(slots):
            heard, wanted = segment.inputs[:, slot, 0], segment.targets[:, slot]
            assert (np.diff(heard) == 1).all(), "a slot's samples follow each other"
            sine = int(segment.inputs[0, slot, 1:].argmax())
            np.testing.assert_array_equal(wanted, heard + 1000 * sine)
            assert (segment.inputs[:, slot, 1:] == np.eye(4)[sine]).all()
            assert segment.first[slot] == (heard[0] == 0)
            if not segment.first[slot]:
                left = segment.inputs[-1, slot - 1, 0]
                assert heard[0] == left + 1, "a part begins where its left neighbour ends"
            seen.append(wanted)
    rows = np.concatenate(seen)
    assert len(np.unique(rows)) == len(rows)
    parts = max(1, slots // 4)
    assert len(rows) == 4 * (samples // parts) * parts


def test_more_slots_than_samples_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="batch_size: must be at most 12 for 3 training samples"):
        lay_out(made(rate_hz=100.0).start(0.003), 64)
