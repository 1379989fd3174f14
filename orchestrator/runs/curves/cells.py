"""Cells of a log: numbers in any notation, and what a column gives by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from orchestrator.files.series_names import is_split, split_of, with_split, words

Row = Mapping[str, Any]

_PLACES = {
    "epoch": ("epoch", "epochs", "ep", "cur epoch", "current epoch", "epoch num", "n epoch"),
    "step": (
        *("step", "global step", "trainer global step", "train global step", "iteration"),
        *("iterations", "iter", "iters", "batch", "it", "num updates", "updates", "update"),
        *("training iteration", "total timesteps", "time total timesteps", "timesteps", "round"),
        *("episode", "tick", "n iter"),
    ),
    "planned": ("max epochs", "total epochs", "num epochs", "max steps", "total steps"),
    "beside": (
        *("time", "wall time", "timestamp", "runtime", "elapsed", "seconds", "index", "unnamed 0"),
        *("date", "datetime", "eta", "pid", "iterations since restore", "relative time", "dur"),
        *("duration", "fit time", "consumed samples", "global batch size", "loss scale", "loaded"),
        *("n updates", "agent timesteps total", "episodes total"),
    ),
    # Facts of a run, of which the last value counts.
    "parameters": ("n parameters", "num parameters", "n params", "num params", "total params"),
    "duration": ("time total s", "train runtime", "total time"),
    "run": ("run", "run id", "run name", "trial", "trial id", "experiment", "seed", "fold"),
    # A column that names the metric of each row, whose value is in another.
    "name": ("metric", "metric name", "tag", "variable", "measure", "key", "series"),
}
_PLAIN_PLACES = {
    " ".join(words(name)): (kind, rank)
    for kind, names in _PLACES.items()
    for rank, name in reversed(list(enumerate(names)))
}
FACTS = ("parameters", "duration")
_VALUES = ("value", "values", "score")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?(?:[eE][+-]?\d+)?")

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?%?")


@lru_cache(maxsize=4096)
def place_of(name: str) -> tuple[str, int]:
    """Return what a column gives if not a metric, and its rank among such names, the best 0.

    It is ``"epoch"``, ``"step"``, ``"planned"`` (how many there will be), ``"run"``, ``"name"`` (of
    the row's metric), ``"beside"`` (time and the like, and columns without a name), one of `FACTS`,
    or "".
    """
    found = words(name)
    if not found:
        return "beside", 0
    # Ray and Stable-Baselines3 write many times: time_this_iter_s, time/fps.
    other = "beside" if found[0] == "time" else ""
    return _PLAIN_PLACES.get(" ".join(found), (other, 0))


def is_metric(name: str) -> bool:
    """Return whether a column gives a metric, not a position in the training or a time."""
    return place_of(name)[0] in ("", "name", "run")


def column_of(kind: str, names: Iterable[str]) -> str | None:
    """Return the best name of a kind of place among `names`; None if there is none."""
    found = [(place_of(name)[1], name) for name in names if place_of(name)[0] == kind]
    return min(found, key=lambda pair: pair[0], default=(0, None))[1]


def number(value: Any) -> float | None:
    """Return `value` as a float; None if it is not a number.

    Text may be ``nan``, ``1,234.5`` (thousands), ``0,5`` (a decimal comma) or ``50%``, whose sign
    is dropped.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    except ValueError:
        text = str(value).strip().removesuffix("%").rstrip()
        if text[-1:] not in set("0123456789."):
            return None
        if _THOUSANDS.fullmatch(text):
            text = text.replace(",", "")
        elif text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        try:
            found = float(text)
        except ValueError:
            return None
    # Python reads 1_000 as a number; no tool writes one like that.
    return None if isinstance(value, str) and "_" in value else found


class Numbers:
    """Reads the numbers of one log: if one has a decimal comma, 1,250 in it is 1.25."""

    def __init__(self) -> None:
        self._has_comma = False

    def see(self, text: str) -> None:
        """Take in a text that `read` is called with later."""
        if _DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text):
            self._has_comma = True

    def read(self, text: str | None) -> float | None:
        """Return a text as a number; None if it is none."""
        if self._has_comma and text is not None and _DECIMAL_COMMA.fullmatch(text):
            text = text.replace(",", ".")
        return number(text)


def with_names(row: Row) -> Row:
    """Return a row whose texts that name its split or its metric are part of the metrics' names.

    ``{"mode": "val", "loss": 1}`` gives ``{"val_loss": 1}``, and ``{"tag": "loss", "value": 1}``
    gives ``{"loss": 1}``.
    """
    texts = {key: cell for key, cell in row.items() if isinstance(cell, str)}
    if not texts:
        return row
    split = next((split_of(cell) for cell in texts.values() if is_split(cell)), "")
    tag = next((cell for key, cell in texts.items() if place_of(key)[0] == "name"), "")
    if not split and not tag:
        return row
    renamed = {}
    for key, cell in row.items():
        if cell is tag and tag:
            continue
        name = tag if tag and key.strip().lower() in _VALUES else key
        renamed[with_split(split, name) if is_metric(name) else name] = cell
    return renamed


def transposed(history: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return lists by name as rows, with the epoch, from 1, unless they name it."""
    longest = max(len(values) for values in history.values())
    return [
        {"epoch": index + 1}
        | {name: values[index] for name, values in history.items() if index < len(values)}
        for index in range(longest)
    ]


def flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return a record with inner maps flattened: {"val": {"mae": 1}} gives {"val/mae": 1}."""
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and depth < 4:
            # Some maps merely group numbers; our own log puts all into `metrics`.
            inner = "" if key in ("metrics", "logs", "scalars") else f"{prefix}{key}/"
            found |= flat(value, inner, depth + 1)
        else:
            found[f"{prefix}{key}"] = value
    return found
