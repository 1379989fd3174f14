r"""What lines of text report, without a pattern.

Lines such as these are understood, also behind a logging prefix and with colors::

    Epoch 22/50 | Train: 0.1881 | Val: 0.1900 | LR: 1.00e-04
    epoch=3 step=400 loss=0.52, lr 1e-3
    [12/200] train_loss: nan - val_loss: 1.2
    [0]	train-rmse:0.54	eval-rmse:0.61
    {'loss': 0.52, 'learning_rate': 5e-05, 'epoch': 0.1}
    | rollout/ep_rew_mean | 20.5 |

and tables under a heading that begins with ``epoch`` or ``step``.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.files.series_names import (
    METRIC_WORDS,
    SPLIT_WORDS,
    is_rate,
    is_split,
    split_of,
    with_split,
    words,
)
from orchestrator.runs.curves.cells import flat, is_metric, number, place_of
from orchestrator.runs.curves.formats.json_lines import parse_record

_LONGEST_LINE = 4_000
# No name and no number is so long; each of its letters could begin a name, up to its end.
_LONG = re.compile(r"[\w./@%'-]{101,}")
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]")
_NUMBER = (
    r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?"
    r"|nan|inf(?:inity)?)"
)
_EPOCH = re.compile(
    r"\bepoch\b(?:\(\w+\))?[\s:=#\[(]*(\d+(?:\.\d+)?)(?:\s*(?:/|of)\s*(\d+))?"
    r"|\bepochs\b[\s:=#\[(]*(\d+)\s*/\s*(\d+)|\b(\d+)epoch\b",
    re.IGNORECASE,
)
_STEP = re.compile(
    r"\b(?:global[_ ]?)?(?:step|iter(?:ation)?|batch|update|round|episode)\b[\s:=#\[(]*(\d+)"
    r"(?:\s*/\s*(\d+))?",
    re.IGNORECASE,
)
_COUNT = re.compile(r"^\s*[\[(]?(\d+)\s*/\s*(\d+)[\])]?")  # [12/200]
_BOOSTING = re.compile(r"^\s*(?:\[(\d+)\]|(\d+):)\s")  # XGBoost, LightGBM, CatBoost
_NAME = r"[A-Za-z][\w./@%'-]*(?: [A-Za-z][\w./@%'-]*){0,3}"
_AFTER = r"(?![\w.]*[A-Za-z])(?:\s*/\s*(\d+))?(?:\s*\(\s*([\d.]+)\s*%\s*\))?"
_PAIR = re.compile(rf"({_NAME})\s*[:=]\s*({_NUMBER}){_AFTER}", re.IGNORECASE)
# One value for each class, as nnU-Net's "Pseudo dice [0.81, nan]": their mean counts.
_LIST = re.compile(rf"({_NAME})(?:\s*[:=])?\s*\[\s*({_NUMBER}(?:[,\s]+{_NUMBER})*)\s*\]", re.I)
# Metrics that stand before their number without a sign.
_KNOWN = rf"(?:acc|prec)@\d+|top-?\d|lr|{'|'.join(sorted(METRIC_WORDS))}"
_BARE = re.compile(rf"\b((?:[\w/-]+[_ ]){{0,2}}(?:{_KNOWN}))\s+({_NUMBER}){_AFTER}", re.IGNORECASE)
_SOURCE = re.compile(r"\(\w+:\d+\) (?=[A-Z]{4,8}\b)")  # ESPnet: (trainer:338) INFO
_TIMM = re.compile(r"\bTrain: (?=\d+ \[ *\d+/\d+ \()")  # followed by the epoch
_CELL = re.compile(rf"^[|│┃]\s*([\w][\w/ .@-]*?)\s*[|│┃]\s*({_NUMBER})?\s*[|│┃]\s*$", re.IGNORECASE)
_BOX_END = re.compile(r"^\s*[-=+─━└┴┘]{5,}\s*$")
_SPLIT = re.compile(
    rf"(?<![\w/.'-])(train_inner|{'|'.join(SPLIT_WORDS)})(?![\w/.'=-])",
    re.IGNORECASE,
)
_METRICS = re.compile(
    rf"(?:^|[_ /.-])(?:{_KNOWN})(?:$|[_ /.-])|(?:loss|acc|accuracy|entropy)$", re.IGNORECASE
)
_MEANS = {"average", "avg", "mean"}
# Words of a sentence before a metric, not of its name.
_NO_NAMES = {
    *("info", "debug", "warning", "error", "root", "main", "done", "finished", "end", "of", "the"),
    *("is", "and", "with", "at", "in", "on", "set", "epoch", "step", "iter", "iteration", "batch"),
    *("final", "current", "new", "for", "s", "it", "ms", "took", "finished", "after", "from"),
}
_TIMES = {"time", "eta", "elapsed", "data", "speed", "it/s", "samples/sec", "batch size"}
# What dictionaries print that Python does not read.
_CALL = re.compile(
    r"\b(?:np\.|numpy\.|torch\.)?(?:tensor|array|float\d*|int\d*)\(([^(),]*)[^()]*\)"
)
_WORDS = {"'": '"', "nan": "NaN", "inf": "Infinity", "True": "true", "False": "false"}
_WORDS |= {"None": "null"}
_WORD = re.compile(r"'|\bnan\b|\binf\b|\bTrue\b|\bFalse\b|\bNone\b")
_SUMMARY = "train_runtime"  # Hugging Face's last dictionary sums the run up


def visible(line: str) -> str:
    """Return what a terminal shows of a line: a progress bar writes over it many times."""
    shown = _ESCAPE.sub("", line) if "\x1b" in line else line
    return (shown.rstrip("\r").rpartition("\r")[2] or shown)[:_LONGEST_LINE]


class TextParser:
    """Turns the lines of a training loop, as they come, into rows of numbers by name."""

    def __init__(self) -> None:
        self._place: dict[str, float] = {}
        self._has_epochs = False
        self._split = ""  # that a line of its own names
        self._heading: list[str] = []
        self._box: dict[str, float] = {}
        self._section = ""

    def left_out(self) -> str:
        """Return what was not read: most lines of such a log report nothing."""
        return ""

    def rows(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of further lines; ``of`` is the number of epochs to come."""
        for line in lines:
            row = self._row(visible(line))
            if row:
                yield row

    def _row(self, line: str) -> dict[str, Any] | None:
        line = _SOURCE.sub("", _TIMM.sub("Train Epoch: ", line))
        if "{" in line and "}" in line:
            found = self._dictionary(line)
            if found is not None:
                return found
        line = _LONG.sub(" ", line)
        if "[" in line:
            line = _LIST.sub(_with_mean, _CALL.sub(r"\1", line))
        boxed = self._boxed(line)
        if boxed is not None:
            return boxed
        bare = line.strip(" \t:-=#*>.[]")
        if is_split(bare):
            self._split = split_of(bare)
            return None
        return self._tabled(line) or self._named(line)

    def _dictionary(self, line: str) -> dict[str, Any] | None:
        """Return the row of a line with a dictionary, {} if it is no report; None for others."""
        start, end = line.index("{"), line.rindex("}") + 1
        text = line[start:end]
        record = parse_record(text)
        if record is None:
            plain = _WORD.sub(lambda found: _WORDS[found[0]], _CALL.sub(r"\1", text))
            record = parse_record(plain)
        if record is None:
            return None
        if _SUMMARY in record:
            return {}
        split = _last_split(_splits(line[:start]), start)
        row = {
            with_split(split, name) if is_metric(name) else name: value
            for name, value in flat(record).items()
        }
        is_placed = any(place_of(name)[0] in ("epoch", "step") for name in row)
        return row if is_placed else {**self._placed(line[:start]), **row}

    def _boxed(self, line: str) -> dict[str, Any] | None:
        """Return the row of a box of names and values at its end; {} inside, None outside."""
        cell = _CELL.match(line.strip())
        if cell is not None:
            name = cell[1]
            value = number(cell[2])
            if value is None:
                self._section = name if name.endswith("/") else ""
                return {}
            is_place = place_of(name)[0] in ("epoch", "step")
            self._box[name if is_place else f"{self._section}{name}"] = value
            return {}
        if self._box and _BOX_END.match(line):
            row, self._box, self._section = self._box, {}, ""
            return {**self._place, **row}
        return None

    def _tabled(self, line: str) -> dict[str, Any] | None:
        """Return the row of a line under a heading, as fastai prints."""
        plain = line.strip()
        has_bars = plain[:1] == "|"
        cells = [c.strip() for c in plain.strip("|").split("|")] if has_bars else plain.split()
        is_text = len(cells) > 1 and all(number(cell) is None for cell in cells)
        if is_text and place_of(cells[0])[0] in ("epoch", "step"):
            self._heading = cells
            return None
        if not self._heading or not len(self._heading) <= len(cells):
            return None
        first, _, of = cells[0].partition("/")
        place = number(first)
        if place is None:
            return None
        row: dict[str, Any] = {
            name: value
            for name, cell in zip(self._heading[1:], cells[1:], strict=False)
            if (value := number(cell)) is not None
        }
        if not row:
            return None
        total = number(of)
        kind = place_of(self._heading[0])[0]
        return {kind: place, **row} | ({"of": total} if total is not None else {})

    def _named(self, line: str) -> dict[str, Any] | None:
        """Return the row of a line with names before numbers."""
        own = self._placed(line)
        row: dict[str, Any] = {}
        has_sign = False
        splits = _splits(line)
        for pattern in (_PAIR, _BARE):
            for found in pattern.finditer(line):
                name, value = self._metric(splits, found)
                if value is not None and name not in row:
                    row[name] = value
                    has_sign |= pattern is _PAIR
        place = own or self._place
        # On a line that gives its place, any name before a sign is a metric.
        is_report = any(map(_METRICS.search, row)) or (bool(own) and has_sign)
        return {**place, **row} if place and row and is_report else None

    def _metric(
        self, splits: list[tuple[int, str]], found: re.Match[str]
    ) -> tuple[str, float | None]:
        """Return the name and the value of a pair; None if it is no metric.

        Args:
            splits: where the words for splits in the line end, and these.
        """
        written = found[1]
        parts = written.split()
        while parts and (
            parts[0].lower() in _NO_NAMES | _MEANS or place_of(parts[0])[0] == "epoch"
        ):
            del parts[0]
        plain = "_".join(parts).lower().replace("'s_", "_")
        value = number(found[2])
        count, percent = found[3], found[4]
        if count is not None and value is not None:
            # 9800/10000 (98%) is a part of all; 32/400 is a place.
            is_part = percent is not None or "acc" in plain
            part = number(percent) if percent is not None else value / max(1.0, float(count))
            value = part if is_part else None
        is_time = not plain or " ".join(words(plain)) in _TIMES
        if is_time or not is_metric(plain) or place_of(plain)[0] in ("run", "name"):
            return plain, None
        if is_split(plain):
            return f"{split_of(plain)}_loss", value  # Train: 0.1881
        split = "" if split_of(plain) else _last_split(splits, found.start(1)) or self._split
        if split == "train_inner" and not is_rate(plain):
            return f"train_inner_{plain}", value
        return with_split(split, plain), value

    def _placed(self, line: str) -> dict[str, float]:
        """Return the place that a line gives, and remember it."""
        place: dict[str, float] = {}
        epoch, step, count = _EPOCH.search(line), _STEP.search(line), _COUNT.match(line)
        boosting = _BOOSTING.match(line)
        if epoch is not None:
            self._has_epochs = True
            self._split = ""
            place["epoch"] = float(epoch[1] or epoch[3] or epoch[5])
            of = epoch[2] or epoch[4]
            place |= {"of": float(of)} if of else {}
        elif count is not None and not self._has_epochs:
            # Below an epoch it counts batches.
            place |= {"epoch": float(count[1]), "of": float(count[2])}
        elif boosting is not None:
            place["step"] = float(boosting[1] or boosting[2])
        if step is not None:
            place["step"] = float(step[1])
        self._place = place or self._place
        return place


def _with_mean(found: re.Match[str]) -> str:
    """Return a metric and the mean of its values that are finite, as text; others as they are."""
    values = [
        value for text in re.split(r"[,\s]+", found[2]) if (value := number(text)) is not None
    ]
    finite = [value for value in values if math.isfinite(value)]
    if not _METRICS.search(found[1].replace(" ", "_")):
        return found[0]
    return f"{found[1]}: {sum(finite) / len(finite) if finite else math.nan}"


def _splits(text: str) -> list[tuple[int, str]]:
    return [(found.end(), found[1]) for found in _SPLIT.finditer(text)]


def _last_split(splits: list[tuple[int, str]], place: int) -> str:
    """Return the split that the last such word before a place names; "" if there is none."""
    index = bisect_right(splits, (place, "\U0010ffff")) - 1
    if index < 0:
        return ""
    word = splits[index][1]
    return "train_inner" if word.lower() == "train_inner" else split_of(word)
