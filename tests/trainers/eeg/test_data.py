from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tests.trainers.eeg.samples import labelled, made, tiny
from trainers.cache import Interrupted
from trainers.eeg import synthetic
from trainers.eeg.data import load, make_folds, save_folds
from trainers.eeg.features import BANDS_HZ, band_powers, standardized
from trainers.recording import RecordingRun

BOTH = [0, 0, 1, 1]


def subjects_of(windows, rows):  # type: ignore[no-untyped-def]
    return set(windows.subjects[rows].tolist())


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(3, 40),
    folds=st.sampled_from([1, 3, 5, 6]),
    seed=st.integers(0, 5),
    fraction=st.floats(0.01, 1.0),
)
def test_no_subject_is_in_two_parts(count: int, folds: int, seed: int, fraction: float) -> None:
    windows = labelled([BOTH] * count)
    if count < folds:
        with pytest.raises(ValueError, match="subjects"):
            make_folds(windows, folds=folds, seed=seed)
        return
    found = make_folds(windows, folds=folds, seed=seed, data_fraction=fraction)
    for fold in found:
        parts = [subjects_of(windows, rows) for rows in (fold.train, fold.val, fold.test)]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts))
        for rows in (fold.train, fold.val, fold.test):  # whole subjects, each window once
            assert len(rows) == len(BOTH) * len(subjects_of(windows, rows)) == len({*rows})
    if folds > 1:
        tested = np.concatenate([fold.test for fold in found])
        assert sorted(tested) == list(range(len(windows)))
        validated = np.concatenate([fold.val for fold in found])
        assert sorted(validated) == list(range(len(windows)))


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.integers(0, 3))
def test_less_training_data_is_part_of_more(
    count: int, one: float, other: float, seed: int
) -> None:
    windows = labelled([BOTH] * count)
    less, more = (
        make_folds(windows, folds=1, seed=seed, data_fraction=share)[0]
        for share in sorted((one, other))
    )
    assert subjects_of(windows, less.train) <= subjects_of(windows, more.train)
    np.testing.assert_array_equal(less.val, more.val)
    np.testing.assert_array_equal(less.test, more.test)


def test_a_twentieth_is_a_twentieth_of_the_subjects() -> None:
    windows = labelled([BOTH] * 100)
    fold = make_folds(windows, folds=1, seed=0, data_fraction=0.05)[0]
    assert len(subjects_of(windows, fold.train)) == 3
    assert len(subjects_of(windows, fold.test)) == 20


@pytest.mark.parametrize("folds", [1, 4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_patients_and_controls_are_spread_evenly(folds: int, seed: int) -> None:
    windows = labelled([[0, 0]] * 24 + [[1, 1]] * 24)
    for fold in make_folds(windows, folds=folds, seed=seed, data_fraction=0.1):
        for rows in (fold.train, fold.val, fold.test):
            assert 0.2 <= windows.labels[rows].mean() <= 0.8


def test_training_subjects_are_kept_until_both_labels_are_there() -> None:
    windows = labelled([[0, 0]] * 30 + [[1, 1]] * 30)
    fold = make_folds(windows, folds=1, seed=0, data_fraction=1e-6)[0]
    assert set(windows.labels[fold.train].tolist()) == {0, 1}
    assert len(subjects_of(windows, fold.train)) <= 3


def test_a_part_without_both_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="both labels"):
        make_folds(labelled([[0, 0]] * 9 + [BOTH]), folds=5, seed=0)


@pytest.mark.parametrize(("folds", "fraction"), [(2, 1.0), (1, 0.0), (1, 1.5), (9, 1.0)])
def test_a_split_that_cannot_be_is_refused(folds: int, fraction: float) -> None:
    with pytest.raises(ValueError, match=r"must be|needs at least"):
        make_folds(labelled([BOTH] * 6), folds=folds, seed=0, data_fraction=fraction)


def test_another_seed_splits_otherwise() -> None:
    windows = labelled([BOTH] * 20)
    tests = {
        frozenset(subjects_of(windows, make_folds(windows, folds=1, seed=seed)[0].test))
        for seed in range(3)
    }
    assert len(tests) == 3


def test_synthetic_eeg_goes_by_its_seed_and_more_subjects_leave_the_first_as_they_are() -> None:
    few, more, other = made(4), made(6), made(4, seed=1)
    np.testing.assert_array_equal(few.signals, more.signals[: len(few)])
    assert not np.array_equal(few.signals, other.signals)
    assert few.labels.tolist() == [0, 0, 0, 1, 1, 1] * 4
    assert few.channels == ("Fp1", "Fp2", "F3", "F4", "F7")
    assert 2 < few.signals.std() < 60, "microvolts"


def test_people_are_made_up_once_for_all_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path))
    with pytest.raises(Interrupted):
        load(tiny(), should_stop=lambda: True)
    first = load(tiny())
    monkeypatch.delattr(synthetic, "generate")
    again = load(tiny(max_lr=1e-4))
    for name in ("signals", "labels", "subjects", "channels", "rate_hz"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    with pytest.raises(AttributeError):
        load(tiny(data_seed=1))


def test_synthetic_rhythms_answer_to_work_on_the_average_and_less_than_people_differ() -> None:
    windows = synthetic.generate(
        subjects=60, windows_per_subject=8, channels=19, rate_hz=128.0, window_s=2.0, seed=1
    )
    powers = band_powers(windows).reshape(len(windows), len(BANDS_HZ), 19)
    alpha_back = powers[:, 2, [14, 15, 18]].mean(axis=1)
    theta_front = powers[:, 1, [2, 3, 16]].mean(axis=1)
    of_person = np.array(
        [
            [
                values[(windows.subjects == who) & (windows.labels == label)].mean()
                for label in (0, 1)
            ]
            for values in (alpha_back, theta_front)
            for who in range(60)
        ]
    ).reshape(2, 60, 2)
    change = of_person[..., 1] - of_person[..., 0]
    assert change[0].mean() < -0.05
    assert change[1].mean() > 0.05
    assert ((change[0] > 0).sum(), (change[1] < 0).sum()) > (0, 0), "some answer the other way"
    assert (of_person[..., 0].std(axis=1) > abs(change.mean(axis=1))).all()


def test_band_powers_find_a_rhythm_where_it_is() -> None:
    windows = made(5, 2)
    time = np.arange(64) / 64.0
    windows.signals[:] = 0.0
    windows.signals[0, 3] = 10 * np.sin(2 * np.pi * 10 * time)
    found = band_powers(windows).reshape(10, -1, 5)
    assert found[0].argmax() == 2 * 5 + 3  # alpha, fourth channel
    assert np.isfinite(found).all()
    # Parseval: a sine of amplitude A has the power A²/2, here within 5 of 5 Hz of the band.
    assert 10 ** float(found[0, 2, 3]) == pytest.approx(50 / 5, rel=0.5)


def test_training_scales_know_nothing_of_other_subjects() -> None:
    random = np.random.default_rng(0)
    features = random.normal(3, 2, (20, 4)).astype(np.float32)
    subjects = np.repeat(np.arange(5), 4)
    train = np.arange(8)
    moved = features.copy()
    moved[8:] *= 9
    plain, other = (standardized(f, subjects, train, "train") for f in (features, moved))
    np.testing.assert_array_equal(plain[:8], other[:8])
    np.testing.assert_allclose(plain[:8].mean(axis=0), 0, atol=1e-5)
    own = standardized(moved, subjects, train, "subject")
    for who in range(5):
        np.testing.assert_allclose(own[subjects == who].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(own[subjects == who].std(axis=0), 1, rtol=1e-4)


def test_predictions_are_saved_with_the_subject_of_each_window(tmp_path: Path) -> None:
    windows = labelled([BOTH] * 6)
    folds = make_folds(windows, folds=3, seed=0)
    run = RecordingRun(tmp_path)
    probabilities = [fold.test.astype(np.float32) for fold in folds]
    save_folds(run, "test", probabilities, windows, folds)
    predicted, targets = run.arrays["test"]
    rows = np.asarray(predicted).astype(int)
    np.testing.assert_array_equal(targets, windows.labels[rows])
    np.testing.assert_array_equal(run.groups["test"], windows.subjects[rows])
