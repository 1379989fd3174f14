"""Which of the reported names is the training loss, and what is judged where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_TRAINING = re.compile(r"(?:^|[_/.])(?:train|training|trn)(?:$|[_/.])")
_VALIDATION = re.compile(r"(?:^|[_/.])(?:val|valid|validation|eval|test|dev)(?:$|[_/.])")
_LOSS = re.compile(r"(?:^|[_/.])loss(?:$|[_/.])")
_BARE = ("loss", "total_loss")

Rank = tuple[int, bool, int, str]


@lru_cache(maxsize=1024)
def training_rank(name: str) -> Rank | None:
    """Return how well `name` fits a training loss, the best lowest; None where it does not.

    ``train_loss`` comes first, then ``loss`` and ``total_loss`` as scripts log them, then any
    ``train_…_loss``: the shortest, because a part of a loss adds its own word, and epoch means
    before values per step (``train_loss_step``), which are too noisy to judge.
    """
    plain = name.lower()
    per_step = plain.endswith(("_step", "_batch"))
    if plain in ("train_loss", "training_loss", "train/loss", "train.loss"):
        return (0, per_step, len(plain), plain)
    if plain in _BARE:
        return (1, per_step, len(plain), plain)
    if _TRAINING.search(plain) and _LOSS.search(plain):
        return (2, per_step, len(plain), plain)
    return None


@lru_cache(maxsize=1024)
def is_validation(name: str) -> bool:
    """Tell whether `name` says that it was measured on data held back from training."""
    return _VALIDATION.search(name.lower()) is not None


def is_validation_loss(name: str) -> bool:
    """Tell whether `name` is a loss on data held back from training."""
    return is_validation(name) and _LOSS.search(name.lower()) is not None


def best_training_name(names: Iterable[str]) -> tuple[Rank, str] | None:
    """Return the name that fits a training loss best, with its rank; None where none does."""
    ranked = [(rank, name) for name in names if (rank := training_rank(name)) is not None]
    return min(ranked) if ranked else None
