"""Simulated neural activity during speech, the default data.

A seeded language of words generates sentences of phonemes with silence after each word. Each
phoneme moves a few hidden variables along its own path, blurred into the neighboring paths
(coarticulation); slow hidden variables unrelated to speech are added. Every channel mixes all
variables, and spikes are drawn from the mixture (Poisson, in bins of 20 ms). The mixing drifts from
day to day, which day layers compensate. Features are z-scored per day, as recordings are.

At difficulty 1 a spike count carries little information, so a network has to average over channels
and time, and overfits if it is large: learning rate, regularization and augmentation matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.cache import Interrupted
from trainers.speech.corpus import UNDECIDED, Corpus, Ints

Floats64 = NDArray[np.float64]

MEAN_PHONEME_BINS: Final = 9.0
"""A phoneme lasts 180 ms on average, as in slow attempted speech."""
LEAST_PHONEME_BINS: Final = 4
SPEECH_DIMENSIONS: Final = 10
OTHER_DIMENSIONS: Final = 4
GAP_BINS: Final = 12
"""Silence before and after each sentence, long enough for the blur to end."""
BLUR_BINS: Final = 1.5
BASE_SPIKES: Final = 0.5
"""Mean spikes per bin: 25 Hz."""
MODULATION: Final = 0.45
"""Standard deviation of the logarithm of a channel's rate caused by speech."""
DRIFT: Final = 0.5
"""Relative change of the mixing between consecutive days."""
BLOCK_BINS: Final = 65_536


def simulate(
    *,
    sentences: int,
    channels: int,
    days: int,
    phonemes: int,
    difficulty: float,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Corpus:
    """Return simulated sentences.

    Args:
        sentences: number of sentences.
        channels: number of channels.
        days: days of recording; sentences are spread evenly over them.
        phonemes: number of phonemes; the last one is silence.
        difficulty: scales spiking noise, unrelated activity and drift.
        seed: seed of all random numbers.
        progress: receives status messages.
        should_stop: checked before each day.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    random = np.random.default_rng([seed, 0x59EEC])
    texts = _sentences(random, sentences, phonemes)
    counts = np.array([len(text) for text in texts])
    ids = np.concatenate(texts)
    durations = _durations(random, len(ids))
    owner = np.repeat(np.arange(sentences), counts)
    lengths = np.bincount(owner, weights=durations, minlength=sentences).astype(np.int64)
    lengths += 2 * GAP_BINS
    day_of = np.arange(sentences) * days // sentences

    model = _Mixing(random, channels=channels, days=days, phonemes=phonemes, difficulty=difficulty)
    features = np.empty((int(lengths.sum()), channels), dtype=np.float32)
    ends, phoneme_ends = np.cumsum(lengths), np.cumsum(counts)
    for day in range(days):
        rows = np.flatnonzero(day_of == day)
        if not len(rows):
            continue
        if should_stop():
            raise Interrupted
        progress(f"simulating day {day + 1} of {days}")
        bins = slice(int(ends[rows[0]] - lengths[rows[0]]), int(ends[rows[-1]]))
        part = slice(int(phoneme_ends[rows[0]] - counts[rows[0]]), int(phoneme_ends[rows[-1]]))
        hidden = _hidden(
            ids[part], durations[part], counts[rows], model.onsets, model.offsets, phonemes
        )
        features[bins] = model.spikes(random, hidden, day)
    return Corpus(
        features=features,
        lengths=lengths,
        phonemes=ids,
        phoneme_lengths=counts,
        days=day_of,
        splits=np.full(sentences, UNDECIDED),
        n_phonemes=phonemes,
        n_days=days,
    ).checked("simulated sentences")


class _Mixing:
    """The mixing of hidden variables into the channels of each day."""

    def __init__(
        self,
        random: np.random.Generator,
        *,
        channels: int,
        days: int,
        phonemes: int,
        difficulty: float,
    ) -> None:
        # A path leads from the start of a phoneme to its end; silence stays at rest.
        self.onsets = random.normal(size=(phonemes, SPEECH_DIMENSIONS))
        self.offsets = 0.6 * self.onsets + 0.8 * random.normal(size=(phonemes, SPEECH_DIMENSIONS))
        self.onsets[-1] = self.offsets[-1] = 0.0
        self.difficulty = difficulty
        dimensions = SPEECH_DIMENSIONS + OTHER_DIMENSIONS
        mixing = random.normal(size=(dimensions, channels)) / np.sqrt(SPEECH_DIMENSIONS)
        self.mixing = [mixing]
        for _ in range(days - 1):
            step = random.normal(size=mixing.shape) / np.sqrt(SPEECH_DIMENSIONS)
            change = min(1.0, DRIFT * difficulty)
            # The sum keeps its variance, so that all days are equally loud.
            self.mixing.append(np.sqrt(1 - change**2) * self.mixing[-1] + change * step)

    def spikes(
        self, random: np.random.Generator, hidden: Floats64, day: int
    ) -> NDArray[np.float32]:
        """Return z-scored spike counts [T, channels] for speech variables [T, dimensions]."""
        others = self.difficulty * _slow(random, len(hidden), OTHER_DIMENSIONS)
        variables = np.concatenate([hidden, others], axis=1)
        counts = np.empty((len(hidden), self.mixing[day].shape[1]), dtype=np.float32)
        for start in range(0, len(hidden), BLOCK_BINS):
            part = slice(start, start + BLOCK_BINS)
            rates = BASE_SPIKES * np.exp(MODULATION * variables[part] @ self.mixing[day])
            noise = random.poisson(rates) - rates
            counts[part] = rates + self.difficulty * noise
        mean, spread = counts.mean(axis=0), counts.std(axis=0)
        counts -= mean
        counts /= np.maximum(spread, 1e-3)
        return counts


def _sentences(random: np.random.Generator, number: int, phonemes: int) -> list[Ints]:
    """Return sentences of 2 to 5 words, drawn by Zipf's law."""
    silence = phonemes
    words = [
        np.append(random.integers(1, silence, size=random.integers(2, 5)), silence)
        for _ in range(8 * phonemes)
    ]
    weights = 1.0 / (np.arange(len(words)) + 3.0)
    drawn = random.choice(len(words), size=(number, 5), p=weights / weights.sum())
    sizes = random.integers(2, 6, size=number)
    return [
        np.concatenate([words[word] for word in row[:size]])
        for row, size in zip(drawn, sizes, strict=True)
    ]


def _durations(random: np.random.Generator, number: int) -> Ints:
    """Return the duration of each phoneme in bins; the deviation is a third of the mean."""
    spare = MEAN_PHONEME_BINS - LEAST_PHONEME_BINS
    drawn = random.gamma(shape=3.0, scale=spare / 3.0, size=number)
    return (LEAST_PHONEME_BINS + np.round(drawn)).astype(np.int64)


def _hidden(
    ids: Ints,
    durations: Ints,
    counts: Ints,
    onsets: Floats64,
    offsets: Floats64,
    silence: int,
) -> Floats64:
    """Return the hidden speech variables [T, dimensions] of consecutive sentences."""
    # A gap before the first and after the last phoneme of each sentence, as separate silence.
    firsts = np.cumsum(counts) - counts
    lasts = np.cumsum(counts)
    places = np.sort(np.concatenate([firsts, lasts]))
    ids = np.insert(ids, places, silence)
    durations = np.insert(durations, places, GAP_BINS)
    starts = np.cumsum(durations) - durations
    which = np.repeat(np.arange(len(ids)), durations)
    phase = ((np.arange(len(which)) - starts[which]) / durations[which])[:, None]
    path = (1 - phase) * onsets[ids[which] - 1] + phase * offsets[ids[which] - 1]
    reach = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (reach / BLUR_BINS) ** 2)
    kernel /= kernel.sum()
    blurred = [np.convolve(column, kernel, mode="same") for column in path.T]
    return np.stack(blurred, axis=1)


def _slow(random: np.random.Generator, bins: int, dimensions: int) -> Floats64:
    """Return slow noise [bins, dimensions] of variance 1: one draw per second, interpolated."""
    knots = random.normal(size=(bins // 50 + 2, dimensions))
    place = np.arange(bins) / 50
    left = place.astype(int)
    part = (place - left)[:, None]
    # Weights whose squares sum to 1 keep the variance between the knots.
    away, near = np.sin(part * np.pi / 2), np.cos(part * np.pi / 2)
    return np.asarray(near * knots[left] + away * knots[left + 1])
