"""Synthetic EEG: people at rest (label 0) and at mental work (label 1), seeded.

Each subject has a background whose power falls as 1/f^β, an alpha rhythm at the back of the head
and a theta rhythm at its front, at frequencies, strengths and slopes of its own. At work alpha
weakens and theta grows, as in real recordings (Klimesch 1999, Brain Research Reviews 29:169), but
by how much differs between people, in some hardly or the other way round; subjects differ from
each other far more than the two labels do. Muscle noise comes and goes. So a probe must learn what
holds for people that it has never seen, and an error of 20 to 30 % remains.
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
"""Raise it when the same arguments give other signals: caches go by it."""

MOST_CHANNELS: Final = 20

# x to the right, y to the front; the rim of the head is at radius 1.
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
    """Return the windows of `subjects` synthetic people, half of each one's of either label.

    A subject's signals depend on `seed` and its number alone: more subjects leave the first ones
    as they are.

    Args:
        subjects: number of people.
        windows_per_subject: windows of each, at least 2.
        channels: the first so many of `CHANNELS`, 1 to `MOST_CHANNELS`.
        rate_hz: samples per second.
        window_s: length of a window in seconds; they follow one another without overlap.
        seed: of everything that is random.
        progress: told how far it is, every few percent.
        should_stop: asked before each person.

    Raises:
        Interrupted: `should_stop` said so.
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
    """What one subject keeps in both states."""

    def __init__(self, random: np.random.Generator, places: Floats) -> None:
        self.random = random
        self.gain = 10.0 * math.exp(random.normal(0.0, 0.3))  # µV
        self.slope = random.normal(1.1, 0.2)
        self.alpha_hz = random.normal(10.0, 0.9)
        self.theta_hz = random.normal(6.0, 0.6)
        self.alpha = math.exp(random.normal(-0.3, 0.6))
        self.theta = math.exp(random.normal(-0.9, 0.5))
        # Who has a strong alpha answers with it; who has a weak one answers with theta.
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
            # A rhythm is narrow-band noise: its strength waxes and wanes by itself.
            wave = self._noise(1, samples, rate_hz, _around(hz, 0.8))
            found = found + strength * place[:, None] * wave
        knots = self.random.gamma(1.0, 1.0, max(2, round(seconds)))
        loudness = np.interp(np.linspace(0, 1, samples), np.linspace(0, 1, len(knots)), knots)
        muscle = self._noise(channels, samples, rate_hz, lambda f: (f > 18.0) * 1.0)
        found = found + self.muscle * self.sides[:, None] * loudness * muscle
        return np.asarray(self.gain * found)

    def _noise(self, rows: int, samples: int, rate_hz: float, shape: _Shape) -> Floats:
        """Return [rows, samples] of unit variance whose amplitude spectrum is `shape`."""
        frequencies = np.fft.rfftfreq(samples, 1.0 / rate_hz)
        amplitude = shape(frequencies)
        amplitude[0] = 0.0
        parts = self.random.normal(size=(2, rows, len(frequencies)))
        wave = np.fft.irfft((parts[0] + 1j * parts[1]) * amplitude, samples, axis=1)
        return np.asarray(wave / wave.std(axis=1, keepdims=True))


def _around(centre_hz: float, width_hz: float) -> _Shape:
    return lambda f: np.exp(-0.5 * ((f - centre_hz) / width_hz) ** 2)


def _bump(places: Floats, centre: NDArray[Any], width: float) -> Floats:
    """Return how strongly each place sees a source at `centre`, at most 1."""
    return np.asarray(np.exp(-0.5 * (np.linalg.norm(places - centre, axis=1) / width) ** 2))
