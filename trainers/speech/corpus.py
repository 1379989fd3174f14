"""Sentences as flat arrays, and their division into training, validation and test.

Sentences differ in length, so their features are concatenated in one array and their phonemes in
another, with separate lengths: one allocation, no padding, and a batch is one gather.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

TRAIN, VAL, TEST, UNDECIDED = 0, 1, 2, -1
VALIDATION_SHARE: Final = 0.15
TEST_SHARE: Final = 0.15
LEAST_SENTENCES: Final = 3


@dataclass(frozen=True)
class Corpus:
    """Concatenated sentences.

    Attributes:
        features: [ΣT, C], z-scored.
        lengths: [N], bins of each sentence.
        phonemes: [ΣL], ids from 1; 0 is CTC's blank.
        phoneme_lengths: [N], phonemes of each sentence.
        days: [N], day of recording (or speaker), from 0.
        splits: [N], `TRAIN`, `VAL`, `TEST`, or `UNDECIDED` (assigned by `divide`).
        n_phonemes: maximum id.
        n_days: maximum number of days.
    """

    features: Floats
    lengths: Ints
    phonemes: Ints
    phoneme_lengths: Ints
    days: Ints
    splits: Ints
    n_phonemes: int
    n_days: int

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def channels(self) -> int:
        """Return the number of channels."""
        return int(self.features.shape[1])

    @property
    def starts(self) -> Ints:
        """Return the first bin of each sentence, [N]."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def texts(self) -> list[bytes]:
        """Return a key of each sentence; sentences with the same phonemes have the same key."""
        ends = np.cumsum(self.phoneme_lengths)
        return [
            self.phonemes[end - length : end].tobytes()
            for end, length in zip(ends, self.phoneme_lengths, strict=True)
        ]

    @property
    def groups(self) -> Ints | None:
        """Return the day or speaker of each sentence, [N]; None if only one is known."""
        return self.days if self.n_days > 1 else None

    @property
    def least_frames(self) -> Ints:
        """Return the frames [N] that CTC needs per sentence: a blank separates equal phonemes."""
        again = np.zeros(len(self.phonemes), dtype=np.int64)
        again[1:] = self.phonemes[1:] == self.phonemes[:-1]
        owner = np.repeat(np.arange(len(self)), self.phoneme_lengths)
        again[np.cumsum(self.phoneme_lengths)[:-1]] = 0  # the first one has no predecessor
        repeated = np.bincount(owner, weights=again, minlength=len(self))
        return self.phoneme_lengths + repeated.astype(np.int64)

    def targets(self) -> list[Ints]:
        """Return the phonemes of each sentence."""
        return np.split(self.phonemes, np.cumsum(self.phoneme_lengths)[:-1])

    def take(self, rows: NDArray[Any]) -> Corpus:
        """Return copies of the sentences `rows`, in that order."""
        return Corpus(
            features=self.features[_places(self.lengths, rows)],
            lengths=self.lengths[rows],
            phonemes=self.phonemes[_places(self.phoneme_lengths, rows)],
            phoneme_lengths=self.phoneme_lengths[rows],
            days=self.days[rows],
            splits=self.splits[rows],
            n_phonemes=self.n_phonemes,
            n_days=self.n_days,
        )

    def checked(self, source: str) -> Corpus:
        """Validate the corpus and return it.

        Args:
            source: name of the source in messages.

        Raises:
            ValueError: its arrays are inconsistent.
        """
        n = len(self.lengths)
        for name in ("phoneme_lengths", "days", "splits"):
            if getattr(self, name).shape != (n,):
                raise ValueError(
                    f"{source}: {name} must have one value for each of the {n:,} sentences "
                    f"(found shape {getattr(self, name).shape})."
                )
        if self.features.ndim != 2 or self.features.shape[1] == 0:
            raise ValueError(
                f"{source}: features must be [bins, channels] (found {self.features.shape})."
            )
        for what, lengths, total in (
            ("features", self.lengths, len(self.features)),
            ("phonemes", self.phoneme_lengths, len(self.phonemes)),
        ):
            if n and int(lengths.min()) < 1:
                short = int(np.flatnonzero(lengths < 1)[0])
                raise ValueError(
                    f"{source}: every sentence needs {what} (sentence {short} has none)."
                )
            if sum(lengths.tolist()) != total:
                raise ValueError(
                    f"{source}: the lengths of {what} must add up to {total:,} (found "
                    f"{sum(lengths.tolist()):,})."
                )
        if n < LEAST_SENTENCES:
            raise ValueError(
                f"{source}: at least {LEAST_SENTENCES} sentences are needed (found {n})."
            )
        if int(self.phonemes.min()) < 1 or int(self.phonemes.max()) > self.n_phonemes:
            raise ValueError(
                f"{source}: phonemes must be ids from 1 to {self.n_phonemes}; 0 is the blank "
                f"(found {self.phonemes.min()} to {self.phonemes.max()})."
            )
        if int(self.days.min()) < 0 or int(self.days.max()) >= self.n_days:
            raise ValueError(
                f"{source}: days must be from 0 to {self.n_days - 1} (found {self.days.min()} "
                f"to {self.days.max()})."
            )
        bad = self.features.size - int(np.count_nonzero(np.isfinite(self.features)))
        if bad:
            raise ValueError(f"{source}: features must be finite ({bad:,} values are not).")
        return self


@dataclass(frozen=True)
class Splits:
    """The three parts of a corpus; none is empty."""

    train: Corpus
    val: Corpus
    test: Corpus


def divide(corpus: Corpus, *, seed: int, data_fraction: float = 1.0) -> Splits:
    """Return training, validation and test sentences.

    Sentences with the same phonemes stay together, so that no test text was seen in training.
    Splits of the corpus are kept; `UNDECIDED` sentences are split 70 : 15 : 15 or, if there are
    test sentences already, 85 : 15 into training and validation. Undecided sentences whose text is
    among the given validation or test sentences are dropped.

    `data_fraction` does not change validation and test; smaller fractions are subsets of larger
    ones.

    Args:
        corpus: all sentences.
        seed: seed of the split, and of the order in which a fraction takes sentences.
        data_fraction: share of the training sentences, in (0, 1]; at least one is kept.

    Raises:
        ValueError: a split would be empty, or the fraction is out of range.
    """
    if not 0 < data_fraction <= 1:
        raise ValueError(f"data_fraction: must be above 0 and at most 1 (found {data_fraction}).")
    random = np.random.default_rng([seed, 0x5B117])
    splits = corpus.splits.copy()
    texts = corpus.texts
    undecided = np.flatnonzero(splits == UNDECIDED)
    if len(undecided):
        _decide(splits, undecided, texts, random)
    parts = []
    for split, name in ((TRAIN, "training"), (VAL, "validation"), (TEST, "test")):
        rows = np.flatnonzero(splits == split)
        if not len(rows):
            raise ValueError(
                f"sentences: each split needs at least one ({name} has none of the "
                f"{len(corpus):,}). Take more sentences, or more different ones."
            )
        parts.append(rows)
    order = random.permutation(parts[0])
    kept = np.sort(order[: max(1, round(data_fraction * len(order)))])
    return Splits(*(corpus.take(rows) for rows in (kept, parts[1], parts[2])))


def _decide(
    splits: Ints, undecided: NDArray[np.intp], texts: list[bytes], random: np.random.Generator
) -> None:
    """Assign the `undecided` sentences to splits, text by text."""
    held = {texts[row] for row in np.flatnonzero((splits == VAL) | (splits == TEST))}
    groups: dict[bytes, list[int]] = {}
    for row in undecided.tolist():
        if texts[row] not in held:
            groups.setdefault(texts[row], []).append(row)
    names = sorted(groups)  # by content, so that the split does not depend on the file's order
    order = [names[place] for place in random.permutation(len(names))]
    wanted = [(VAL, VALIDATION_SHARE)]
    if not (splits == TEST).any():
        wanted.append((TEST, TEST_SHARE))
    count = sum(len(rows) for rows in groups.values())
    taken = 0
    for split, share in wanted:
        filled = 0
        while taken < len(order) and filled < max(1, round(share * count)):
            splits[groups[order[taken]]] = split
            filled += len(groups[order[taken]])
            taken += 1
    for name in order[taken:]:
        splits[groups[name]] = TRAIN


def _places(lengths: Ints, rows: NDArray[Any]) -> Ints:
    """Return the indices [Σ lengths[rows]] of the values of `rows` in a flat array."""
    chosen = lengths[rows]
    starts = (np.cumsum(lengths) - lengths)[rows]
    within = np.arange(int(chosen.sum())) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    places: Ints = np.repeat(starts, chosen) + within
    return places
