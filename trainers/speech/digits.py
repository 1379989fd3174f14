"""Spoken digits as sentences: a small real task for the same network.

Clips of single digits by one speaker are concatenated; the targets are the phonemes of the digits
(ARPAbet, the first pronunciations of the CMU dictionary). The speaker takes the place of the day.
Features are the log energies of 40 mel bands every 10 ms, z-scored for each speaker with mean and
deviation of the training clips.

No clip is in two splits: for each speaker and digit, recordings 0 to 4 are test clips, as in the
data set's official split, 5 to 9 validation, and the others training. No sequence of digits is in
two splits. Speakers are in all three splits, since the network has a layer for each. With
`new_speakers`, each split has its own speakers, whose layers are untrained in validation and test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.speech.corpus import TEST, TEST_SHARE, TRAIN, VAL, VALIDATION_SHARE, Corpus, Ints

KEYS: Final = ("audio", "offsets", "digit", "speaker", "index", "fs")

# fmt: off
PRONUNCIATIONS: Final = (
    ("Z", "IH", "R", "OW"), ("W", "AH", "N"), ("T", "UW"), ("TH", "R", "IY"), ("F", "AO", "R"),
    ("F", "AY", "V"), ("S", "IH", "K", "S"), ("S", "EH", "V", "AH", "N"), ("EY", "T"),
    ("N", "AY", "N"),
)
# fmt: on
PHONEMES: Final = tuple(sorted({phone for word in PRONUNCIATIONS for phone in word}))
"""The 19 phonemes of the digits; ids count from 1."""

BANDS: Final = 40
HOP_S: Final = 0.010
WINDOW_S: Final = 0.025
FEWEST_DIGITS, MOST_DIGITS = 3, 6
TEST_INDICES: Final = range(5)
VAL_INDICES: Final = range(5, 10)
LEAST_SPEAKERS: Final = 3
"""One each for training, validation and test."""


def read_digits(
    arrays: Mapping[str, NDArray[Any]],
    source: str,
    *,
    sentences: int,
    seed: int,
    new_speakers: bool = False,
) -> Corpus:
    """Return sentences of spoken digits.

    Args:
        arrays: ``audio`` [S], all clips concatenated; ``offsets`` [M + 1], their boundaries;
            ``digit``, ``speaker`` and ``index`` [M] (0 to 9; from 0; number of the recording of
            that digit by that speaker); ``fs``, samples per second.
        source: name of the source in messages.
        sentences: number of sentences in all splits.
        seed: seed of digits, speakers and clips.
        new_speakers: whether each split has its own speakers.

    Raises:
        ValueError: arrays are missing or inconsistent, or there are too few speakers.
    """
    clips = _Clips(arrays, source)
    if new_speakers:
        clips.part_speakers(seed)
    features, lengths = clips.features()
    features = _standardised(features, np.repeat(clips.speaker, lengths), clips.split, lengths)
    random = np.random.default_rng([seed, 0xD1617])
    starts = np.cumsum(lengths) - lengths
    pronounced = [np.array([PHONEMES.index(p) + 1 for p in word]) for word in PRONUNCIATIONS]

    held = max(1, round(VALIDATION_SHARE * sentences)), max(1, round(TEST_SHARE * sentences))
    numbers = {VAL: held[0], TEST: held[1], TRAIN: max(1, sentences - sum(held))}
    rows: list[NDArray[np.intp]] = []
    splits: list[int] = []
    used: set[bytes] = set()
    # Validation and test first, so that their texts are left out of training.
    for split in (VAL, TEST, TRAIN):
        drawn = clips.draw(random, split, numbers[split], used)
        rows += drawn
        splits += [split] * len(drawn)
        used |= {clips.digit[row].tobytes() for row in drawn}
    flat = np.concatenate(rows)
    owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    within = np.arange(int(lengths[flat].sum())) - np.repeat(
        np.cumsum(lengths[flat]) - lengths[flat], lengths[flat]
    )
    said = [pronounced[digit] for digit in clips.digit[flat]]
    return Corpus(
        features=features[np.repeat(starts[flat], lengths[flat]) + within],
        lengths=np.bincount(owner, weights=lengths[flat]).astype(np.int64),
        phonemes=np.concatenate(said).astype(np.int64),
        phoneme_lengths=np.bincount(owner, weights=[len(one) for one in said]).astype(np.int64),
        days=clips.speaker[[row[0] for row in rows]],
        splits=np.array(splits),
        n_phonemes=len(PHONEMES),
        n_days=int(clips.speaker.max()) + 1,
    ).checked(source)


class _Clips:
    """The validated clips of an archive."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], source: str) -> None:
        missing = [name for name in KEYS if name not in arrays]
        if missing:
            raise ValueError(f"{source}: expected {', '.join(KEYS)} (missing: {missing}).")
        self.source = source
        self.offsets: Ints = np.asarray(arrays["offsets"], dtype=np.int64)
        self.digit, self.speaker, index = (
            np.asarray(arrays[name], dtype=np.int64) for name in ("digit", "speaker", "index")
        )
        clips = len(self.digit)
        self.audio = np.asarray(arrays["audio"], dtype=np.float32)
        self.rate_hz = float(np.asarray(arrays["fs"]).reshape(-1)[0])
        fits = (
            clips > 0
            and self.offsets.shape == (clips + 1,)
            and self.speaker.shape == index.shape == (clips,)
            and self.audio.ndim == 1
            and bool((np.diff(self.offsets) > 0).all())
            and int(self.offsets[0]) >= 0
            and int(self.offsets[-1]) <= len(self.audio)
            and int(self.digit.min()) >= 0
            and int(self.digit.max()) <= 9
            and int(self.speaker.min()) >= 0
            and 1000.0 <= self.rate_hz <= 384_000.0
        )
        if not fits:
            raise ValueError(
                f"{source}: offsets must have one value more than digit, speaker and index and"
                " rise within audio, digits must be 0 to 9, and fs 1,000 to 384,000 Hz (found"
                f" {clips:,} clips, fs {self.rate_hz:g})."
            )
        self.split = np.full(clips, TRAIN)
        self.split[np.isin(index, TEST_INDICES)] = TEST
        self.split[np.isin(index, VAL_INDICES)] = VAL

    def part_speakers(self, seed: int) -> None:
        """Give each split its own speakers, about 70 : 15 : 15."""
        names = np.random.default_rng([seed, 0x5BEAC]).permutation(np.unique(self.speaker))
        if len(names) < LEAST_SPEAKERS:
            raise ValueError(
                f"new_speakers: at least {LEAST_SPEAKERS} speakers are needed, one for each "
                f"split ({self.source} has {len(names)})."
            )
        held = max(1, round(VALIDATION_SHARE * len(names)))
        last = held + max(1, round(TEST_SHARE * len(names)))
        self.split[:] = TRAIN
        self.split[np.isin(self.speaker, names[:held])] = VAL
        self.split[np.isin(self.speaker, names[held:last])] = TEST

    def features(self) -> tuple[NDArray[np.float32], Ints]:
        """Return log-mel energies [ΣT, bands] of all clips, and the frames T of each."""
        window = round(WINDOW_S * self.rate_hz)
        hop = round(HOP_S * self.rate_hz)
        sizes = np.diff(self.offsets)
        frames = np.maximum(1, 1 + (sizes - window) // hop)
        first = np.repeat(self.offsets[:-1], frames)
        within = np.arange(int(frames.sum())) - np.repeat(np.cumsum(frames) - frames, frames)
        begin = first + hop * within
        last = np.repeat(self.offsets[1:], frames)
        size = 1 << (window - 1).bit_length()
        bands = _mel_bands(size, self.rate_hz)
        taper = np.hanning(window).astype(np.float32)
        found = np.empty((len(begin), BANDS), dtype=np.float32)
        for start in range(0, len(begin), 16_384):
            part = slice(start, start + 16_384)
            places = begin[part, None] + np.arange(window)
            # A clip shorter than a window is padded with silence, not with the next clip.
            pieces = np.where(
                places < last[part, None], self.audio[np.minimum(places, len(self.audio) - 1)], 0.0
            )
            power = np.abs(np.fft.rfft(pieces * taper, n=size)) ** 2
            # The floor is one step of 16-bit audio; lower values are rounding errors.
            found[part] = np.log(power @ bands + 1.0)
        return found, frames

    def draw(
        self, random: np.random.Generator, split: int, number: int, used: set[bytes]
    ) -> list[NDArray[np.intp]]:
        """Return the clips of `number` single-speaker sentences whose digits are not in `used`."""
        where = {
            (speaker, digit): np.flatnonzero(
                (self.split == split) & (self.speaker == speaker) & (self.digit == digit)
            )
            for speaker in np.unique(self.speaker).tolist()
            for digit in range(10)
        }
        speakers = sorted({speaker for (speaker, _), rows in where.items() if len(rows)})
        if not speakers:
            raise ValueError(
                f"{self.source}: every split needs clips (there are none with the indices "
                f"{('0 to 4' if split == TEST else '5 to 9' if split == VAL else 'from 10')})."
            )
        drawn: list[NDArray[np.intp]] = []
        for attempt in range(100 * number):
            if len(drawn) == number:
                break
            speaker = speakers[attempt % len(speakers)]
            digits = random.integers(10, size=random.integers(FEWEST_DIGITS, MOST_DIGITS + 1))
            there = [where[speaker, digit] for digit in digits.tolist()]
            if digits.tobytes() in used or not all(len(rows) for rows in there):
                continue
            drawn.append(np.array([random.choice(rows) for rows in there]))
        if not drawn:
            raise ValueError(f"{self.source}: no speaker has clips of enough digits.")
        return drawn


def _standardised(
    features: NDArray[np.float32], speaker: Ints, split: Ints, lengths: Ints
) -> NDArray[np.float32]:
    """Return features z-scored per speaker with the statistics of the speaker's training clips."""
    known = np.repeat(split == TRAIN, lengths)
    done = np.empty_like(features)
    for name in np.unique(speaker):
        rows = speaker == name
        # A speaker without training clips is scaled by the clips of all others.
        fitted = features[rows & known] if (rows & known).any() else features[known]
        spread = np.maximum(fitted.std(axis=0), 1e-3)
        done[rows] = (features[rows] - fitted.mean(axis=0)) / spread
    return done


def _mel_bands(size: int, rate_hz: float) -> NDArray[np.float32]:
    """Return the weights [size/2 + 1, BANDS] of triangles of equal width in mel.

    mel = 2595 · log10(1 + f/700) (O'Shaughnessy 1987); from 60 Hz to half the rate.
    """
    lowest, highest = (2595 * math.log10(1 + hz / 700) for hz in (60.0, rate_hz / 2))
    edges_mel = np.linspace(lowest, highest, BANDS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.arange(size // 2 + 1) * rate_hz / size
    rising = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    # A band narrower than a bin would be empty: use the bin nearest to its center.
    empty = np.flatnonzero(weights.sum(axis=0) == 0)
    weights[np.abs(bins_hz[:, None] - edges_hz[1:-1][empty]).argmin(axis=0), empty] = 1.0
    return np.asarray(weights, dtype=np.float32)
