"""A tiny config, a corpus that is learned at once, and a run without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.trainers.edc.local_run import LocalRun
from trainers.base import build
from trainers.speech.config import PRESETS, Config
from trainers.speech.corpus import UNDECIDED, Corpus
from trainers.speech.train import train

TINY: dict[str, Any] = {
    "gru_layers": 2,
    "gru_hidden": 8,
    "batch_size": 4,
    "eval_batch_size": 8,
    "batches": 12,
    "eval_every": 4,
    "channels": 6,
    "days": 2,
    "sentences": 30,
    "phonemes": 5,
    "unfold_kernel": 8,
    "unfold_stride": 4,
    "smoothing_kernel": 5,
    "dropout": 0.2,
}


def tiny(**values: Any) -> Config:
    return build(Config, PRESETS, {**TINY, **values})


def trained(folder: Path, *, stop_after: int | None = None, **values: Any) -> LocalRun:
    run = LocalRun(folder)
    run.stop_after = stop_after
    train(tiny(**values), run)
    return run


def corpus(*texts: list[int], bins: int = 5, splits: list[int] | None = None) -> Corpus:
    """Return sentences of the given phonemes; each phoneme is a value that lasts some bins."""
    lengths = np.array([len(text) * bins for text in texts])
    flat = np.concatenate([np.array(text, dtype=np.int64) for text in texts])
    features = np.repeat(flat, bins)[:, None] * np.ones((1, 3))
    return Corpus(
        features=features.astype(np.float32),
        lengths=lengths,
        phonemes=flat,
        phoneme_lengths=np.array([len(text) for text in texts]),
        days=np.arange(len(texts)) % 2,
        splits=np.array(splits if splits is not None else [UNDECIDED] * len(texts)),
        n_phonemes=int(flat.max()),
        n_days=2,
    )
