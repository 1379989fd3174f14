"""Plain text logs: what a training loop printed.

A pattern, a regular expression with named groups, finds the numbers; its group ``epoch`` or
``step`` is the place. Without a pattern, lines such as these are understood::

    Epoch 22/50 | Train: 0.1881 | Val: 0.1900 | LR: 1.00e-04
    epoch=3 step=400 loss=0.52, lr 1e-3
    [12/200] train_loss: nan - val_loss: 1.2
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.runs.curves.cells import EPOCHS, STEPS, as_reports, number
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, LogReader, read_bytes

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
_PLACES = {*EPOCHS, *STEPS, "time", "eta", "elapsed", "batch size", "batch_size"}
_LOSSES = {"train": "train_loss", "training": "train_loss", "val": "val_loss", "valid": "val_loss"}
_METRICS = ("loss", "acc", "mae", "mse", "psnr", "ssim", "per", "wer", "auroc", "perplexity", "f1")
_LONGEST_LINE = 2_000


def read_text(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the run that a text log reports."""
    text = read_bytes(path).decode("utf-8", "replace")
    # Progress bars write over their line; the last state of a line is the one that stays.
    lines = [
        (line.rpartition("\r")[2] or line)[:_LONGEST_LINE]
        for line in text.replace("\r\n", "\n").split("\n")
    ]
    found = list(_by_pattern(lines, pattern) if pattern else _by_name(lines))
    if not found:
        hint = "" if pattern else "; name the numbers with --pattern"
        raise LogProblem(f"holds no line with numbers of a training{hint}")
    # A line without an epoch belongs to that of the line before.
    epoch = next((row["epoch"] for row in found if "epoch" in row), None)
    epochs = [epoch := row.get("epoch", epoch) for row in found]
    unit, reports, notes = as_reports(
        epochs,
        [row.get("step") for row in found],
        [{k: v for k, v in row.items() if k not in ("epoch", "step", "of")} for row in found],
    )
    totals = [row["of"] for row in found if "of" in row]
    total = totals[-1] if totals and unit == "epoch" else None
    run = LoggedRun(path.stem, path, "text log", reports, unit, total_steps=total, notes=notes)
    return [run]


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
        match = compiled.search(line)
        if match is None:
            continue
        groups = match.groupdict().items()
        kept = {name: value for name, text in groups if (value := number(text)) is not None}
        if set(kept) - {"epoch", "step"}:
            yield kept


def _by_name(lines: list[str]) -> Iterator[dict[str, float]]:
    place: dict[str, float] = {}
    for line in lines:
        place = _place(line) or place
        row: dict[str, float] = {}
        for name, text in (*_PAIR.findall(line), *_BARE.findall(line)):
            plain = "_".join(name.lower().split())
            plain = _LOSSES.get(plain, plain)
            value = number(text)
            if value is None or plain in _PLACES or name.lower() in _PLACES:
                continue
            if plain.startswith(("epoch_", "step_")):
                plain = plain.partition("_")[2]
            row.setdefault(plain, value)
        if place and any(_is_metric(name) for name in row):
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


def _is_metric(name: str) -> bool:
    return any(metric in name.split("_") or name.endswith(metric) for metric in _METRICS)


READER = LogReader(
    "text",
    read_text,
    read_with_pattern=read_text,
    usual_names={"log.txt": 50, "train.log": 51, "training.log": 52},
)
