"""Plain text logs: what a training loop printed.

A pattern finds the numbers, a regular expression with named groups, of which ``epoch`` or ``step``
gives the place. Without one, lines such as these are understood::

    Epoch 22/50 | Train: 0.1881 | Val: 0.1900 | LR: 1.00e-04
    epoch=3 step=400 loss=0.52, lr 1e-3
    [12/200] train_loss: nan - val_loss: 1.2
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.runs.curves import cells as rows
from orchestrator.runs.curves.curve import LoggedRun, LogProblem, number
from orchestrator.runs.curves.log_reader import LogReader, read_bytes

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_EPOCH = re.compile(r"\bepochs?\b\s*[:=#\[(]?\s*(\d+)(?:\s*(?:/|of)\s*(\d+))?", re.IGNORECASE)
_STEP = re.compile(
    r"\b(?:global[_ ]?)?(?:step|iter(?:ation)?|batch)\b\s*[:=#\[(]?\s*(\d+)(?:\s*/\s*(\d+))?",
    re.IGNORECASE,
)
_COUNT = re.compile(r"^\s*\[?\(?(\d+)\s*/\s*(\d+)[\])]?")
_PAIR = re.compile(
    rf"([A-Za-z][\w./-]*(?: [A-Za-z][\w./-]*)?)\s*[:=]\s*({_NUMBER})(?![\w.])", re.IGNORECASE
)
_BARE = re.compile(
    rf"\b((?:\w+[_ ])?(?:loss|lr|acc(?:uracy)?|mae|mse|psnr|per|wer|auroc))\s+({_NUMBER})(?![\w.])",
    re.IGNORECASE,
)
_PLACES = {*rows.EPOCHS, *rows.STEPS, "time", "eta", "elapsed", "batch size", "batch_size"}
_WORDS = {"train": "train_loss", "training": "train_loss", "val": "val_loss", "valid": "val_loss"}
LONGEST_LINE = 2_000


def read_text(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the run that a text log tells.

    Args:
        path: the log.
        pattern: a regular expression with named groups, or None to understand what can be.

    Raises:
        LogProblem: no line matches, or the pattern cannot be.
    """
    text = read_bytes(path).decode("utf-8", "replace")
    # Progress bars write over their line; the last state of a line is the one that stays.
    lines = [line.rpartition("\r")[2] or line for line in text.replace("\r\n", "\n").split("\n")]
    found = list(_by_pattern(lines, pattern) if pattern else _by_words(lines))
    if not found:
        hint = "" if pattern else "; name the numbers with --pattern"
        raise LogProblem(f"holds no line with numbers of a training{hint}")
    epochs = [row.get("epoch") for row in found]
    steps = [row.get("step") for row in found]
    if any(place is not None for place in epochs):
        epochs = _filled(epochs)
    cells = [{k: v for k, v in row.items() if k not in ("epoch", "step", "of")} for row in found]
    unit, reports, notes = rows.as_reports(epochs, steps, cells)
    totals = [row["of"] for row in found if "of" in row]
    total = totals[-1] if totals and unit == "epoch" else None
    form = "text log"
    return [LoggedRun(path.stem, path, form, reports, unit, total_steps=total, notes=tuple(notes))]


def _filled(places: list[float | None]) -> list[float | None]:
    """Let lines without an epoch stand in that of the line before."""
    known = next(place for place in places if place is not None)
    filled: list[float | None] = []
    for place in places:
        known = known if place is None else place
        filled.append(known)
    return filled


def _by_pattern(lines: list[str], pattern: str) -> Iterator[dict[str, float]]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LogProblem(f"cannot be read with the pattern {pattern!r}: {error}") from None
    if not set(compiled.groupindex) - {"epoch", "step"}:
        raise LogProblem(
            f"cannot be read with the pattern {pattern!r}: it needs a named group for a number, "
            "as (?P<train_loss>\\S+)"
        )
    for line in lines:
        match = compiled.search(line[:LONGEST_LINE])
        if match is None:
            continue
        row = {name: number(text) for name, text in match.groupdict().items()}
        kept = {name: value for name, value in row.items() if value is not None}
        if set(kept) - {"epoch", "step"}:
            yield kept


def _by_words(lines: list[str]) -> Iterator[dict[str, float]]:
    place: dict[str, float] = {}
    for full in lines:
        line = full[:LONGEST_LINE]
        here = _place(line)
        if here:
            place = here
        row: dict[str, float] = {}
        for name, text in (*_PAIR.findall(line), *_BARE.findall(line)):
            plain = "_".join(name.lower().split())
            plain = _WORDS.get(plain, plain)
            value = number(text)
            if value is None or plain in _PLACES or name.lower() in _PLACES:
                continue
            if plain.startswith(("epoch_", "step_")):
                plain = plain.partition("_")[2]
            row.setdefault(plain, value)
        if row and any(_is_training(name) for name in row) and place:
            yield {**place, **row}


def _place(line: str) -> dict[str, float]:
    place: dict[str, float] = {}
    epoch = _EPOCH.search(line) or _COUNT.search(line)
    if epoch:
        place["epoch"] = float(epoch[1])
        if epoch[2]:
            place["of"] = float(epoch[2])
    step = _STEP.search(line)
    if step:
        place["step"] = float(step[1])
    return place


def _is_training(name: str) -> bool:
    words = ("loss", "acc", "mae", "mse", "psnr", "ssim", "per", "wer", "auroc", "perplexity", "f1")
    return any(word in name.split("_") or name.endswith(word) for word in words)


READER = LogReader(
    "text",
    read_text,
    read_with_pattern=read_text,
    is_last=True,
    usual_names={"log.txt": 50, "train.log": 51, "training.log": 52},
)
