"""What a reported name is: training loss, validation, learning rate, gradient norm, memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_TRAINING = re.compile(r"(?:^|[_/.])(?:train|training|trn)(?:$|[_/.])")
_VALIDATION = re.compile(r"(?:^|[_/.])(?:val|valid|validation|eval|test|dev)(?:$|[_/.])")
_LOSS = re.compile(r"(?:^|[_/.])loss(?:$|[_/.])")
_RATE = re.compile(r"(?:^|[_/.-])(?:lr|learning_rate|learning rate)(?:$|[_/.-])")
_NORM = re.compile(r"grad(?:ient)?[_/. ]?norm")
_MEMORY = re.compile(r"(?:^|[_/.])(?:memory|mem|vram)(?:$|[_/.])")
_RATE_PARAMETERS = ("lr", "learning_rate", "max_lr", "base_lr", "lr0", "optimizer.lr")
_BARE = ("loss", "total_loss")

Rank = tuple[int, bool, int, str]


@lru_cache(maxsize=1024)
def training_rank(name: str) -> Rank | None:
    """Return how well `name` fits a training loss, the best lowest; None if it does not fit.

    ``train_loss`` comes first, then ``loss`` and ``total_loss`` as scripts log them, then any
    ``train_…_loss``: the shortest, because a term of a loss adds its own name, and epoch means
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
    """Return whether `name` was measured on data held back from training."""
    return _VALIDATION.search(name.lower()) is not None


def is_validation_loss(name: str) -> bool:
    """Return whether `name` is a loss on data held back from training."""
    return is_validation(name) and _LOSS.search(name.lower()) is not None


def best_training_name(names: Iterable[str]) -> tuple[Rank, str] | None:
    """Return the name that fits a training loss best, with its rank; None if none fits."""
    ranked = [(rank, name) for name in names if (rank := training_rank(name)) is not None]
    return min(ranked) if ranked else None


def is_rate(name: str) -> bool:
    """Return whether `name` is a learning rate."""
    return _RATE.search(name.lower()) is not None


@lru_cache(maxsize=1024)
def kind_of(name: str) -> str:
    """Return ``"rate"``, ``"norm"``, ``"memory"`` or ``"val"``; empty for any other name."""
    plain = name.lower()
    if is_rate(plain):
        return "rate"
    if _NORM.search(plain):
        return "norm"
    if _MEMORY.search(plain):
        return "memory"
    return "val" if is_validation_loss(plain) else ""


def rate_in(config: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and value of the learning rate in a config; None if it has none."""
    lowered = {str(key).lower(): key for key in config}
    for name in _RATE_PARAMETERS:
        if name in lowered:
            value = config[lowered[name]]
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return str(lowered[name]), float(value)
    return None
