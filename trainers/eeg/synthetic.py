"""Seeded synthetic EEG: people at rest (label 0) and during mental work (label 1).

Each subject has a background whose power falls as 1/f^β, an alpha rhythm at the back and a theta
rhythm at the front of the head, with individual frequencies, strengths and slopes. During work
alpha weakens and theta grows, as in real recordings (Klimesch 1999, Brain Research Reviews 29:169),
by an amount that differs between people; in some it is small or reversed. Subjects differ far more
than the two labels do, and there is intermittent muscle noise. So a probe must learn what applies
to people it has never seen, and an error of 20 to 30 % remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.cache import Interrupted
from trainers.eeg.windows import CHANNELS, Windows

VERSION: Final = 1
"""Increase it when the same arguments give other signals: it is part of cache keys."""

MOST_CHANNELS: Final = 20

# x points right, y to the front; the rim of the head is at radius 1.
_PLACES: Final = np.array(
    [
        *[(-0.3, 0.95), (0.3, 0.95), (-0.4, 0.5), (0.4, 0.5), (-0.8, 0.6), (0.8, 0.6), (-1.0, 0.0)],
        *[
            (1.0, 0.0),
            (-0.5, 0.0),
            (0.5, 0.0),
            (-0.8, -0.6),
            (0.8, -0.6),
            (-0.4, -0.5),
            (0.4, -0.5),
        ],
        *[(-0.3, -0.95), (0.3, -0.95), (0.0, 0.5), (0.0, 0.0), (0.0, -0.5), (0.0, -1.0)],
    ]
)

Floats = NDArray[np.float64]
_Shape = Callable[[NDArray[Any]], NDArray[Any]]


def generate(
    *,
    subjects: int,
    windows_per_subject: int,
    channels: int,
    rate_hz: float,
    window_s: float,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Windows:
    """Return the windows of `subjects` synthetic people, half of each person's with either label.

    A subject's signals depend only on `seed` and its number: adding subjects does not change the
    first ones.

    Args:
        subjects: number of people.
        windows_per_subject: windows per person, at least 2.
        channels: number of channels, from the beginning of `CHANNELS`, 1 to `MOST_CHANNELS`.
        rate_hz: samples per second.
        window_s: length of a window in seconds; windows do not overlap.
        seed: seed of all random numbers.
        progress: receives the progress every few percent.
        should_stop: checked before each person.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    of_label = (windows_per_subject - windows_per_subject // 2, windows_per_subject // 2)
    length = round(rate_hz * window_s)
    signals = np.empty((subjects * windows_per_subject, channels, length), dtype=np.float32)
    labels = np.tile(np.repeat([0, 1], of_label), subjects)
    row = 0
    step = max(1, subjects // 20)
    for subject in range(subjects):
        if should_stop():
            raise Interrupted
        if subject % step == 0:
            progress(f"generating synthetic EEG: {subject:,} of {subjects:,} people")
        random = np.random.default_rng([seed, subject, 0xEE6])
        person = _Person(random, _PLACES[:channels])
        for label, count in enumerate(of_label):
            recorded = person.record(label, count * length, rate_hz)
            cut = recorded.reshape(channels, count, length).swapaxes(0, 1)
            signals[row : row + count] = cut
            row += count
    return Windows(
        signals=signals,
        labels=labels.astype(np.int64),
        subjects=np.repeat(np.arange(subjects, dtype=np.int64), windows_per_subject),
        channels=CHANNELS[:channels],
        rate_hz=float(rate_hz),
    )


class _Person:
    """The properties of one subject in both states."""

    def __init__(self, random: np.random.Generator, places: Floats) -> None:
        self.random = random
        self.gain = 10.0 * math.exp(random.normal(0.0, 0.3))  # µV
        self.slope = random.normal(1.1, 0.2)
        self.alpha_hz = random.normal(10.0, 0.9)
        self.theta_hz = random.normal(6.0, 0.6)
        self.alpha = math.exp(random.normal(-0.3, 0.6))
        self.theta = math.exp(random.normal(-0.9, 0.5))
        # People with strong alpha respond with alpha, the others with theta.
        strong = 1.0 / (1.0 + math.exp(-2.0 * (math.log(self.alpha) + 0.3)))
        self.alpha_answer = random.normal(0.9 * strong, 0.25)
        self.theta_answer = random.normal(0.9 * (1.0 - strong), 0.25)
        self.muscle = math.exp(random.normal(-1.6, 0.6))
        self.back = _bump(places, random.normal([0.0, -0.75], 0.12), 0.55)
        self.front = _bump(places, random.normal([0.0, 0.5], 0.12), 0.45)
        self.sides = np.minimum(1.0, np.abs(places[:, 0])) ** 2
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)
        mixing = np.exp(-0.5 * (apart / 0.45) ** 2)
        self.mixing = mixing / np.linalg.norm(mixing, axis=1, keepdims=True)

    def record(self, label: int, samples: int, rate_hz: float) -> Floats:
        """Return [C, samples] in µV."""
        work = float(label)
        alpha = self.alpha * math.exp(-self.alpha_answer * work + self.random.normal(0, 0.05))
        theta = self.theta * math.exp(self.theta_answer * work + self.random.normal(0, 0.05))
        channels = len(self.mixing)
        seconds = samples / rate_hz
        background = self.mixing @ self._noise(
            channels, samples, rate_hz, lambda f: np.maximum(f, 0.5) ** (-self.slope / 2)
        )
        found = background
        for strength, hz, place in (
            (alpha, self.alpha_hz, self.back),
            (theta, self.theta_hz, self.front),
        ):
            # A rhythm is narrow-band noise, so its strength varies by itself.
            wave = self._noise(1, samples, rate_hz, _around(hz, 0.8))
            found = found + strength * place[:, None] * wave
        knots = self.random.gamma(1.0, 1.0, max(2, round(seconds)))
        loudness = np.interp(np.linspace(0, 1, samples), np.linspace(0, 1, len(knots)), knots)
        muscle = self._noise(channels, samples, rate_hz, lambda f: (f > 18.0) * 1.0)
        found = found + self.muscle * self.sides[:, None] * loudness * muscle
        return np.asarray(self.gain * found)

    def _noise(self, rows: int, samples: int, rate_hz: float, shape: _Shape) -> Floats:
        """Return noise [rows, samples] of unit variance with the amplitude spectrum `shape`."""
        frequencies = np.fft.rfftfreq(samples, 1.0 / rate_hz)
        amplitude = shape(frequencies)
        amplitude[0] = 0.0
        parts = self.random.normal(size=(2, rows, len(frequencies)))
        wave = np.fft.irfft((parts[0] + 1j * parts[1]) * amplitude, samples, axis=1)
        return np.asarray(wave / wave.std(axis=1, keepdims=True))


def _around(centre_hz: float, width_hz: float) -> _Shape:
    return lambda f: np.exp(-0.5 * ((f - centre_hz) / width_hz) ** 2)


def _bump(places: Floats, centre: NDArray[Any], width: float) -> Floats:
    """Return the weight of a source at `centre` at each place, at most 1."""
    return np.asarray(np.exp(-0.5 * (np.linalg.norm(places - centre, axis=1) / width) ** 2))
