"""What a logged series is by its name, however its tool writes it.

``train_loss``, ``Loss/train``, ``losses/train``, ``Training loss``, ``tr_loss``, ``trainLoss`` and
``Train Loss (MSE)`` are all the training loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

CAMEL = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z]{2})")
"""Between the words of CamelCase, but not inside mAP, mIoU or PSNR."""
_UNIT = re.compile(r"\s*[(\[{][^)\]}]*[)\]}]\s*$")
_BETWEEN_WORDS = re.compile(r"[^a-z0-9²]+")
_PLURALS = {"losses": "loss", "rates": "rate", "norms": "norm", "epochs": "epoch", "steps": "step"}

SPLITS = ("test", "val", "train")
"""The splits of data, the one that counts most first."""

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "tr", "learn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev", "va"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}
METRIC_WORDS = frozenset((
    *("loss", "acc", "accuracy", "mae", "mse", "rmse", "mape", "ae", "r2", "psnr", "ssim", "snr"),
    *("auc", "auroc", "auprc", "f1", "precision", "recall", "sensitivity", "specificity", "wer"),
    *("per", "cer", "perplexity", "ppl", "bpc", "bleu", "rouge", "map", "iou", "miou", "dice"),
    *("error", "err", "score", "reward", "return", "elbo", "nll", "logloss", "percentile", "ndcg"),
    *("l1", "l2", "mrr", "kappa", "mcc", "fid", "correlation", "pearson", "spearman"),
))  # fmt: skip
"""Words of which one is in the name of nearly every metric that programs print."""

_LOSSES = frozenset(("loss", "cost", "logloss", "nll", "crossentropy", "objective"))
_OF_LOSS = frozenset(("ppl", "perplexity", "bpc", "bpb"))
_ERRORS = frozenset(("mse", "mae", "rmse", "bce", "ce", "l1", "l2", "error", "err"))
# Words that do not change what is measured.
_FILLERS = frozenset(("average", "avg", "mean", "running", "epoch", "step", "batch", "iter", "s"))
_PER_BATCH = frozenset(("step", "batch", "iter", "inner"))
# Names with one of these measure the run or the machine, not the quality of a model.
_STATES = frozenset((
    *("lr", "time", "times", "timestamp", "eta", "elapsed", "duration", "runtime", "took", "sec"),
    *("secs", "second", "seconds", "ms", "minutes", "hours", "memory", "mem", "gb", "mb", "norm"),
    *("momentum", "flos"),
))  # fmt: skip

_NORM = re.compile(r"grad(?:ient)?[_/. ]?norm")
_MEMORY = re.compile(r"(?:^|[_/.])(?:memory|mem|vram)(?:$|[_/.])")
# A weight in the loss, or how hard the data is.
_WEIGHTS = frozenset((
    *("weight", "coef", "coeff", "beta", "lambda", "annealing", "difficulty", "curriculum"),
    *("stage", "sparsity"),
))  # fmt: skip
_NO_WEIGHTS = frozenset(("decay", "norm", "grad", "gradient", "loss", "mean", "std", "max", "min"))

_SO_FAR = frozenset(("best", "final"))
_PARTS = frozenset(("precision", "recall", "fps", "throughput"))

Rank = tuple[int, bool, int, str]
"""How well a name fits, the best lowest."""


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case, without a unit in brackets at its end."""
    text = CAMEL.sub(" ", _UNIT.sub("", name) or name).lower()
    return tuple(_PLURALS.get(word, word) for word in _BETWEEN_WORDS.split(text) if word)


@lru_cache(maxsize=4096)
def split_of(name: str) -> str:
    """Return the data that a name belongs to: ``"train"``, ``"val"``, ``"test"``, "" if unstated.

    If it names several, as ``eval/test_loss`` does, data held back from training wins.
    """
    parts = words(name)
    found = {
        SPLIT_WORDS[word]
        for before, word in zip(("", *parts), parts, strict=False)
        if word in SPLIT_WORDS and (before, word) != ("std", "dev")
    }
    return next((split for split in SPLITS if split in found), "")


def is_split(text: str) -> bool:
    """Return whether a text is only the name of a split, as in a column that names each row's."""
    return text.strip().lower() in SPLIT_WORDS


def with_split(split: str, name: str) -> str:
    """Return the name of a series of one split; a learning rate has none."""
    return name if not split or split_of(name) or is_rate(name) else f"{split}_{name}"


@lru_cache(maxsize=4096)
def training_rank(name: str) -> Rank | None:
    """Return how well `name` fits a training loss; None if it does not fit.

    ``train_loss`` comes first, then ``loss`` and ``total_loss`` as scripts log them, then any
    ``train_…_loss``: the shortest, because a term of a loss adds its own name, and epoch means
    before values per step (``train_loss_step``), which are too noisy to judge. The last is
    ``train_mse`` or another error, of runs that log no loss.
    """
    split, rest = split_of(name), _rest(name)
    plain = _plain(rest)
    if split == "train" and rest == ["loss"]:
        fit = 0
    elif not split and plain in (["loss"], ["total", "loss"], ["loss", "total"]):
        fit = 1
    elif split == "train" and _LOSSES.intersection(rest):
        fit = 2
    elif split == "train" and len(plain) == 1 and plain[0] in _ERRORS:
        fit = 3
    else:
        return None
    return fit, not _PER_BATCH.isdisjoint(rest), len(name), name.lower()


def best_training_name(names: Iterable[str]) -> tuple[Rank, str] | None:
    """Return the name that fits a training loss best, with its rank; None if none fits."""
    ranked = [(rank, name) for name in names if (rank := training_rank(name)) is not None]
    return min(ranked, default=None)


@lru_cache(maxsize=4096)
def validation_rank(name: str) -> Rank | None:
    """Return how well `name` fits a loss on data held back from training; None if it does not."""
    if not is_validation(name):
        return None
    rest = _rest(name)
    plain = _plain(rest)
    if _LOSSES.intersection(rest):
        fit = 0
    elif len(plain) == 1 and plain[0] in _ERRORS:
        fit = 1
    else:
        return None
    return fit, not _PER_BATCH.isdisjoint(rest), len(name), name.lower()


def best_validation_name(names: Iterable[str]) -> tuple[Rank, str] | None:
    """Return the name that fits a validation loss best, with its rank; None if none fits."""
    ranked = [(rank, name) for name in names if (rank := validation_rank(name)) is not None]
    return min(ranked, default=None)


def is_validation(name: str) -> bool:
    """Return whether `name` was measured on data held back from training."""
    return split_of(name) in ("val", "test")


@lru_cache(maxsize=4096)
def is_rate(name: str) -> bool:
    """Return whether `name` is a learning rate."""
    parts = words(name)
    return "lr" in parts or ("learning", "rate") in pairwise(parts)


@lru_cache(maxsize=4096)
def is_state(name: str) -> bool:
    """Return whether `name` is a rate, a time, a norm or the like, not the quality of a model."""
    return is_rate(name) or not _STATES.isdisjoint(words(name))


@lru_cache(maxsize=4096)
def kind_of(name: str) -> str:
    """Return ``"rate"``, ``"norm"``, ``"memory"``, ``"val"`` (loss), ``"weight"``; else ""."""
    plain = name.lower()
    if is_rate(name):
        return "rate"
    if _NORM.search(plain):
        return "norm"
    if _MEMORY.search(plain):
        return "memory"
    parts = set(words(name))
    if parts & _WEIGHTS and not parts & _NO_WEIGHTS:
        return "weight"
    return "val" if validation_rank(name) is not None else ""


def ranking_order(name: str, *, has_goal: bool) -> tuple[bool, bool, bool, int, bool, bool, int]:
    """Return the place of a logged metric among those that runs could be ranked by, least first.

    Quality before states of a run; names that show which way is better; values of one report
    before the best so far; validation, then test, then unstated, then training data; whole scores
    before parts such as precision; scores before losses; short names.

    Args:
        has_goal: whether the name shows which way is better.
    """
    parts = set(words(name))
    # Validation metrics are metrics/… for YOLO, a pseudo dice for nnU-Net.
    is_val = name.lower().startswith("metrics/") or "pseudo" in parts
    split = "val" if is_val else split_of(name)
    return (
        is_state(name) or "step" in parts,
        not has_goal,
        not _SO_FAR.isdisjoint(parts),
        ("val", "test", "", "train").index(split),
        not _PARTS.isdisjoint(parts),
        not (_LOSSES | _OF_LOSS).isdisjoint(parts) or "loss" in name.lower(),
        len(parts),
    )


def is_progress_only(name: str) -> bool:
    """Return whether a metric shows how training goes, not how good the model is.

    That is so for training data, for losses of unstated data, and for the best value so far.
    """
    split = split_of(name)
    is_loss = "loss" in name.lower()
    return split == "train" or (is_loss and not split) or not _SO_FAR.isdisjoint(words(name))


def _rest(name: str) -> list[str]:
    """Return the words of a name that name no split."""
    return [word for word in words(name) if word not in SPLIT_WORDS]


def _plain(rest: Iterable[str]) -> list[str]:
    """Return the words that say what is measured: ``validation_0-rmse`` is an rmse."""
    return [word for word in rest if word not in _FILLERS and not word.isdigit()]


def root_of(name: str) -> str:
    """Return the metric whose square is `name`: ``rmse`` for ``mse``; "" for other names."""
    before, _, last = name.rpartition("_")
    return f"{before}_rmse".removeprefix("_") if last == "mse" else ""
