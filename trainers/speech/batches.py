"""Batches of sentences of similar length, prefetched by one, and their augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.speech.config import Config
from trainers.speech.corpus import Corpus

LENGTH_SPREAD: Final = 0.05
"""Standard deviation of the random factor on lengths before sorting. Batches have sentences of
similar length, to reduce padding; the factor makes the batches of each epoch different."""


class Batch:
    """Sentences padded to one length.

    Attributes:
        signal: [B, T, C], zero-padded after each sentence's bins.
        bins: [B] on the CPU, bins of each sentence.
        phonemes: [B, L], zero-padded after each sentence's phonemes.
        counts: [B] on the CPU, phonemes of each sentence.
        days: [B].
    """

    def __init__(
        self, signal: Tensor, bins: Tensor, phonemes: Tensor, counts: Tensor, days: Tensor
    ) -> None:
        self.signal = signal
        self.bins = bins
        self.phonemes = phonemes
        self.counts = counts
        self.days = days

    def __len__(self) -> int:
        return len(self.bins)

    def pinned(self) -> Batch:
        """Return the batch in pinned memory."""
        parts = (self.signal, self.phonemes, self.days)
        signal, phonemes, days = (part.pin_memory() for part in parts)
        return Batch(signal, self.bins, phonemes, self.counts, days)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`, copied asynchronously. Lengths stay on the CPU."""
        signal, phonemes, days = (
            part.to(device, non_blocking=True) for part in (self.signal, self.phonemes, self.days)
        )
        return Batch(signal, self.bins, phonemes, self.counts, days)


class Sentences:
    """The sentences of one split, as batches.

    Args:
        corpus: sentences of the split.
        least_bins: shorter sentences are padded to this number of bins.
    """

    def __init__(self, corpus: Corpus, *, least_bins: int) -> None:
        self.corpus = corpus
        self.least_bins = least_bins
        self._starts = corpus.starts
        self._phoneme_starts = np.cumsum(corpus.phoneme_lengths) - corpus.phoneme_lengths

    def __len__(self) -> int:
        return len(self.corpus)

    def sample(self, count: int) -> Sentences:
        """Return at most `count` sentences, evenly spread and always the same."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        return Sentences(self.corpus.take(rows), least_bins=self.least_bins)

    def batch(self, rows: NDArray[Any]) -> Batch:
        """Return the sentences `rows`, by a single gather."""
        corpus = self.corpus
        signal, _ = _filled(
            corpus.features, self._starts[rows], corpus.lengths[rows], self.least_bins
        )
        phonemes, _ = _filled(
            corpus.phonemes, self._phoneme_starts[rows], corpus.phoneme_lengths[rows], 1
        )
        return Batch(
            torch.from_numpy(signal),
            torch.from_numpy(corpus.lengths[rows]),
            torch.from_numpy(phonemes),
            torch.from_numpy(corpus.phoneme_lengths[rows]),
            torch.from_numpy(corpus.days[rows]),
        )

    def by_length(self, batch_size: int) -> list[NDArray[np.intp]]:
        """Return the rows of evaluation batches: every sentence once, longest first."""
        order = np.argsort(-self.corpus.lengths, kind="stable")
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class Order:
    """The sentences of each training batch.

    An epoch has every sentence once, in an order that depends only on seed and epoch: sentences are
    sorted roughly by length and cut into batches, which are shuffled. So a batch is determined by
    its number.

    Args:
        sentences: all sentences.
        batch_size: sentences per batch; the last batch of an epoch may be smaller.
        seed: seed of the order.
    """

    def __init__(self, sentences: Sentences, *, batch_size: int, seed: int) -> None:
        self._lengths = sentences.corpus.lengths
        self._size = batch_size
        self._seed = seed
        self.per_epoch = -(-len(sentences) // batch_size)
        self._epoch = -1
        self._batches: list[NDArray[np.intp]] = []

    def rows(self, number: int) -> NDArray[np.intp]:
        """Return the rows of batch `number` of the whole training, from 0."""
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._drawn(epoch)
        return self._batches[place]

    def _drawn(self, epoch: int) -> list[NDArray[np.intp]]:
        random = np.random.default_rng((self._seed, epoch))
        factors = np.exp(LENGTH_SPREAD * random.normal(size=len(self._lengths)))
        order = np.argsort(self._lengths * factors)
        batches = [order[at : at + self._size] for at in range(0, len(order), self._size)]
        return [batches[place] for place in random.permutation(len(batches))]


class Prefetch:
    """Make the next item in a thread while the current one is used.

    ::

        with Prefetch(make, range(3, 10)) as items:
            for item in items: ...

    Leaving the block always ends the thread. Numpy's gathers release the GIL, so both really run
    in parallel.

    Args:
        make: makes the item for a number.
        numbers: numbers of the items, in order.
    """

    def __init__(self, make: Callable[[int], Batch], numbers: range) -> None:
        self._make = make
        self._numbers = iter(numbers)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._next: Future[Batch] | None = None

    def __enter__(self) -> Self:
        self._advance()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[Batch]:
        while self._next is not None:
            item = self._next.result()
            self._advance()
            yield item

    def _advance(self) -> None:
        number = next(self._numbers, None)
        self._next = None if number is None else self._pool.submit(self._make, number)


def _filled(
    values: NDArray[Any], starts: NDArray[Any], lengths: NDArray[Any], least: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return zero-padded parts [B, T, ...] of `values`, and a mask of the unpadded entries."""
    place = np.arange(max(least, int(lengths.max())))
    own = place < lengths[:, None]
    filled = values.take(np.where(own, starts[:, None] + place, 0), axis=0)
    filled[~own] = 0
    return filled, own


class Augmentation:
    """White noise, an offset of each channel, and time masks (SpecAugment without warping).

    The augmentation of a batch depends only on seed and batch number, so a resumed run continues
    identically. Random numbers are drawn on the device of the batch, for all sentences at once.

    Args:
        config: gives the strengths.
        device: device of the batches.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config = config
        self._generator = torch.Generator(device)

    def __call__(self, signal: Tensor, bins: Tensor, number: int) -> Tensor:
        """Return the augmented `signal`, which may be changed in place.

        Args:
            signal: [B, T, C], z-scored, zero-padded after each sentence's bins.
            bins: [B], bins of each sentence.
            number: the batch's number in the whole training.
        """
        config, generator = self.config, self._generator
        # A CPU generator uses only 32 bits of its seed.
        mixed = np.random.SeedSequence((config.seed, number)).generate_state(1)
        generator.manual_seed(int(mixed[0]))
        sentences, length, channels = signal.shape
        device = signal.device
        if config.white_noise > 0:
            noise = torch.randn(signal.shape, generator=generator, device=device)
            signal.add_(noise, alpha=config.white_noise)
        if config.constant_offset > 0:
            offset = torch.randn((sentences, 1, channels), generator=generator, device=device)
            signal.add_(offset, alpha=config.constant_offset)
        place = torch.arange(length, device=device)
        bins = bins.to(device, non_blocking=True)[:, None]
        # Padding stays zero, as in evaluation.
        hidden = place >= bins
        if config.time_mask_prob > 0:
            hidden = hidden | self._masks(bins, place)
        return signal.masked_fill_(hidden[..., None], 0.0)

    def _masks(self, bins: Tensor, place: Tensor) -> Tensor:
        """Return the bins [B, T] to mask; each mask is within its sentence."""
        config = self.config
        shape = (len(bins), config.time_mask_max)
        drawn, width, start = torch.rand((3, *shape), generator=self._generator, device=bins.device)
        widths = (1 + width * config.time_mask_width).floor().clamp(max=config.time_mask_width)
        widths = torch.minimum(widths, bins) * (drawn < config.time_mask_prob)
        starts = (start * (bins - widths + 1)).floor()
        inside = (place >= starts[..., None]) & (place < (starts + widths)[..., None])
        masked: Tensor = inside.any(1)
        return masked
