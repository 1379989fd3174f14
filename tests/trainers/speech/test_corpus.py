"""Sentences keep together what belongs together, and no text is in two splits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from tests.trainers.speech.made import corpus
from trainers.speech.corpus import TEST, TRAIN, UNDECIDED, VAL, Corpus, divide

TEXTS = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=12, max_size=40)


def check_sentences(part: Corpus, whole: Corpus) -> None:
    """Check that each sentence still has its own features: their values are its phonemes."""
    assert len(part.features) == part.lengths.sum()
    spoken = part.features[::5, 0].astype(int)
    assert spoken.tolist() == part.phonemes.tolist()
    assert set(part.texts) <= set(whole.texts)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(0, 5))
def test_no_text_is_in_two_splits(texts: list[list[int]], seed: int) -> None:
    whole = corpus(*texts)
    assume(len(set(whole.texts)) >= 9)
    splits = divide(whole, seed=seed)
    parts = (splits.train, splits.val, splits.test)
    assert sum(map(len, parts)) == len(whole)
    for part in parts:
        check_sentences(part, whole)
    train, val, test = (set(part.texts) for part in parts)
    assert not train & val
    assert not train & test
    assert not val & test


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.02, 1.0), min_size=2, max_size=4))
def test_smaller_fractions_are_part_of_greater_ones(fractions: list[float]) -> None:
    whole = corpus(*[[1 + i % 3, 1 + i // 3 % 3, 1 + i // 9 % 3, 1 + i // 27] for i in range(60)])
    found = [divide(whole, seed=1, data_fraction=part) for part in sorted(fractions)]
    for small, great in itertools.pairwise(found):
        assert set(small.train.texts) <= set(great.train.texts)
        assert small.val.texts == great.val.texts
        assert small.test.texts == great.test.texts
    all_of_it = divide(whole, seed=1).train
    for part, splits in zip(sorted(fractions), found, strict=True):
        assert len(splits.train) == max(1, round(part * len(all_of_it)))


@given(TEXTS)
def test_equal_neighbours_need_a_frame_between_them(texts: list[list[int]]) -> None:
    wanted = [len(text) + sum(a == b for a, b in itertools.pairwise(text)) for text in texts]
    assert corpus(*texts).least_frames.tolist() == wanted


def test_shares_and_seeds() -> None:
    whole = corpus(*[[1 + i % 7, 1 + i // 7] for i in range(100)])
    first, again, other = (divide(whole, seed=seed) for seed in (0, 0, 1))
    assert [len(part) for part in (first.train, first.val, first.test)] == [70, 15, 15]
    assert first.test.texts == again.test.texts
    assert first.test.texts != other.test.texts


def test_the_split_does_not_hang_on_the_order_of_the_file() -> None:
    whole = corpus(*[[1 + i % 7, 1 + i // 7] for i in range(50)])
    turned = whole.take(np.arange(50)[::-1])
    assert set(divide(whole, seed=3).val.texts) == set(divide(turned, seed=3).val.texts)


def test_a_given_test_split_stays_and_its_texts_leave_training() -> None:
    texts = [[1, 1], [2, 2], *[[1, 2, 1 + i % 3, 1 + i // 3] for i in range(20)], [2, 2]]
    splits = [UNDECIDED] * 22 + [TEST]
    found = divide(corpus(*texts, splits=splits), seed=0)
    assert found.test.targets()[0].tolist() == [2, 2]
    assert len(found.test) == 1
    # One of the 22 says what is tested.
    assert len(found.train) + len(found.val) == 21
    assert len(found.val) == round(0.15 * 21)
    assert b"".join(found.test.texts) not in {*found.train.texts, *found.val.texts}


def test_decided_splits_stay_as_they_are() -> None:
    found = divide(corpus([1], [1], [2], splits=[TRAIN, VAL, TEST]), seed=0)
    assert [len(part) for part in (found.train, found.val, found.test)] == [1, 1, 1]


def test_too_few_sentences_and_bad_fractions_are_told() -> None:
    with pytest.raises(ValueError, match="each split needs at least one"):
        divide(corpus([1], [1], [1], [1]), seed=0)
    with pytest.raises(ValueError, match="data_fraction"):
        divide(corpus([1], [2], [3], [4]), seed=0, data_fraction=0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"days": np.zeros(2, int)}, "days must have one value for each of the 3 sentences"),
        ({"days": np.array([0, 1, 2])}, "days must be from 0 to 1"),
        ({"lengths": np.array([5, 5, 4])}, "lengths of features must add up to 15"),
        ({"phoneme_lengths": np.array([1, 0, 2])}, "sentence 1 has none"),
        ({"phonemes": np.array([1, 0, 3])}, "ids from 1 to 3"),
        ({"features": np.full((15, 3), np.nan, np.float32)}, "45 values are not"),
        ({"features": np.zeros((15, 0), np.float32)}, "must be .bins, channels."),
    ],
)
def test_arrays_that_do_not_fit_are_told(change: dict[str, np.ndarray], words: str) -> None:
    good = corpus([1], [2], [3])
    assert good.checked("x") is good
    with pytest.raises(ValueError, match=f"sentences.npz: .*{words}"):
        replace(good, **change).checked("sentences.npz")  # type: ignore[arg-type]


def test_sentences_are_grouped_by_day_unless_there_is_one() -> None:
    whole = corpus(*[[1 + i % 4, 1 + i // 4] for i in range(12)])
    days = np.arange(12) % 3
    assert replace(whole, days=0 * days, n_days=1).groups is None
    found = replace(whole, days=days, n_days=3).take(np.array([0, 1, 5]))
    assert found.groups is not None
    assert found.groups.tolist() == [0, 1, 2]
