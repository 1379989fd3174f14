"""The noisy mixture of four sines, and how slots traverse it.

At every sample each sine gets a random amplitude and phase, so single samples carry little
information; the network must remember its position in the cycle. Training, validation and test are
three draws of the noise over the same clean sines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.signal.metrics import FREQUENCIES_HZ

Floats = NDArray[np.float32]

SPLITS = ("train", "val", "test")
SINES = len(FREQUENCIES_HZ)
FEATURES = 1 + SINES
"""The mixture, and the sine to extract (one-hot)."""


@dataclass(frozen=True)
class Mixture:
    """One draw of the noise.

    Attributes:
        mixture: [T], the mean of four noisy sines, the same for all rows of `targets`.
        targets: [4, T], the clean sines.
    """

    mixture: Floats
    targets: Floats

    def inputs(self) -> Floats:
        """Return the network's inputs [T, 4, 5], one sequence for each sine."""
        wanted = np.broadcast_to(np.eye(SINES, dtype=np.float32), (len(self.mixture), SINES, SINES))
        heard = np.broadcast_to(self.mixture[:, None, None], (len(self.mixture), SINES, 1))
        return np.concatenate([heard, wanted], axis=2)

    def start(self, share: float) -> Mixture:
        """Return the first `share` of the signal, at least one sample."""
        count = max(1, round(share * len(self.mixture)))
        return Mixture(self.mixture[:count], self.targets[:, :count])


def make_mixture(
    *,
    split: str,
    seed: int,
    rate_hz: float,
    duration_s: float,
    phase_noise: float,
    amplitude_noise: float,
) -> Mixture:
    """Return the signal S(t) = ¼ Σ A·sin(2πft + φ) with its clean sines sin(2πft).

    Args:
        split: one of `SPLITS`; each has its own noise.
        seed: seed of the noise.
        rate_hz: samples per second.
        duration_s: length in seconds; the signal begins at t = 0.
        phase_noise: φ is uniform from 0 to this many turns, drawn at every sample.
        amplitude_noise: A is uniform from 1 minus this to 1 plus this, drawn at every sample.
    """
    random = np.random.default_rng([seed, SPLITS.index(split)])
    count = max(1, round(rate_hz * duration_s))
    turns = np.outer(FREQUENCIES_HZ, np.arange(count) / rate_hz)
    amplitude = random.uniform(1.0 - amplitude_noise, 1.0 + amplitude_noise, turns.shape)
    phase = random.uniform(0.0, phase_noise, turns.shape) if phase_noise else 0.0
    noisy = amplitude * np.sin(2.0 * np.pi * (turns + phase))
    return Mixture(
        mixture=noisy.mean(axis=0).astype(np.float32),
        targets=np.sin(2.0 * np.pi * turns).astype(np.float32),
    )


@dataclass(frozen=True)
class Segment:
    """A part of the signal that all slots traverse in parallel.

    Attributes:
        inputs: [T, slots, 5].
        targets: [T, slots].
        first: [slots], True if the slot's part begins at t = 0.
    """

    inputs: Floats
    targets: Floats
    first: NDArray[np.bool_]


def lay_out(signal: Mixture, slots: int) -> list[Segment]:
    """Return the segments in which `slots` slots traverse the four sequences.

    Every slot has contiguous samples of one sequence at a time. With four or more slots, a sequence
    is cut into slots/4 equal parts, in order, and there is one segment; leftover samples at the end
    are dropped. With fewer slots, a slot takes several sequences in turn, one segment each.

    Args:
        signal: the training signal.
        slots: 1, 2, or a multiple of 4.

    Raises:
        ValueError: there are fewer samples than parts.
    """
    inputs, targets = signal.inputs(), signal.targets.T
    if slots < SINES:
        return [
            Segment(
                inputs[:, first::step],
                targets[:, first::step],
                np.ones(slots, dtype=bool),
            )
            for step in [SINES // slots]
            for first in range(step)
        ]
    parts = slots // SINES
    length = len(inputs) // parts
    if length == 0:
        raise ValueError(
            f"batch_size: must be at most {SINES * len(inputs)} for {len(inputs)} training "
            f"samples (found {slots}). Use a greater data_fraction or fewer slots."
        )
    used = length * parts
    # [parts, length, 4, …] → [length, 4 · parts, …]: slots of one sequence are adjacent.
    cut = inputs[:used].reshape(parts, length, SINES, FEATURES).transpose(1, 2, 0, 3)
    wanted = targets[:used].reshape(parts, length, SINES).transpose(1, 2, 0)
    return [
        Segment(
            cut.reshape(length, slots, FEATURES),
            wanted.reshape(length, slots),
            np.arange(slots) % parts == 0,
        )
    ]
