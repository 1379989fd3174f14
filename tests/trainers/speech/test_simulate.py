"""Simulated activity: seeded, z-scored, and it says which phonemes were meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainers.speech.corpus import Corpus
from trainers.speech.simulate import GAP_BINS, LEAST_PHONEME_BINS, simulate

VALUES: dict[str, Any] = {
    "sentences": 40,
    "channels": 12,
    "days": 3,
    "phonemes": 6,
    "difficulty": 1.0,
    "seed": 0,
}


def made(**values: Any) -> Corpus:
    return simulate(**{**VALUES, **values})


def test_a_seed_gives_the_same_sentences_and_another_seed_others() -> None:
    first, again, other = made(), made(), made(seed=1)
    assert np.array_equal(first.features, again.features)
    assert np.array_equal(first.phonemes, again.phonemes)
    assert first.texts != other.texts


def test_days_are_standardised_one_by_one() -> None:
    found = made()
    of_day = np.repeat(found.days, found.lengths)
    assert set(found.days.tolist()) == {0, 1, 2}
    for day in range(3):
        part = found.features[of_day == day]
        assert np.abs(part.mean(axis=0)).max() < 1e-3
        np.testing.assert_allclose(part.std(axis=0), 1.0, rtol=1e-3)


def test_sentences_end_each_word_in_silence_and_leave_room_for_their_phonemes() -> None:
    found = made()
    for text in found.targets():
        assert text[-1] == 6
        assert (np.diff(np.flatnonzero(np.append(6, text) == 6)) >= 3).all()
    least = found.phoneme_lengths * LEAST_PHONEME_BINS + 2 * GAP_BINS
    assert (found.lengths >= least).all()


def decoded(found: Corpus, day: int) -> float:
    """Return the share of variance of a day's channels that linear maps of another day explain."""
    of_day = np.repeat(found.days, found.lengths)
    known, asked = found.features[of_day == 0], found.features[of_day == day]
    # The channels' own correlations: what one half says of the other.
    half = known.shape[1] // 2
    weights = np.linalg.lstsq(known[:, :half], known[:, half:], rcond=None)[0]
    left = asked[:, half:] - asked[:, :half] @ weights
    return float(1 - left.var() / asked[:, half:].var())


def test_without_difficulty_there_is_no_noise_and_no_drift() -> None:
    clean = made(difficulty=0.0, channels=40)
    assert decoded(clean, 0) > 0.99
    assert decoded(clean, 2) > 0.9
    hard = made(channels=40)
    assert decoded(hard, 0) < 0.5
    assert decoded(hard, 2) < 0.5 * decoded(hard, 0), "days that do not differ need no layers"


def test_fewer_sentences_than_days_are_fine() -> None:
    found = made(sentences=4, days=9)
    assert len(found) == 4
    assert found.n_days == 9


@pytest.mark.parametrize("sentences", [3, 17])
def test_the_number_of_sentences_is_as_asked(sentences: int) -> None:
    assert len(made(sentences=sentences)) == sentences
