"""Labelled learning curves, read from a file of JSON lines."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIVERGED = ("diverged_nan", "diverged_explosion")
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Curve:
    """One labelled curve.

    Attributes:
        id: its name in the file.
        repo: where it comes from.
        mode: ``"min"`` or ``"max"``.
        values: the series, one value a report.
        label: what a person saw in it.
        onset: index at which the divergence began; None where there is none.
        ambiguous: True where the label is in doubt.
        val_loss: the validation loss of each report; None where there is none.
    """

    id: str
    repo: str
    mode: str
    values: tuple[float, ...]
    label: str
    onset: int | None
    ambiguous: bool
    val_loss: tuple[float | None, ...] = ()


def read_curves(path: Path) -> Iterator[Curve]:
    """Yield the curves of a JSON-lines file, gzipped or not."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    for line in content.splitlines():
        if line.strip():
            yield curve_of(json.loads(line))


def curve_of(raw: dict[str, Any]) -> Curve:
    """Make a curve of one record; words for non-finite values become numbers."""
    values = (NON_FINITE.get(value, value) for value in raw["values"] if value is not None)
    return Curve(
        id=raw["id"],
        repo=raw.get("repo", ""),
        mode=raw.get("mode", "min"),
        values=tuple(float(value) for value in values),
        label=raw.get("label", ""),
        onset=raw.get("onset"),
        ambiguous=bool(raw.get("ambiguous")),
        val_loss=tuple(
            None if value is None else float(NON_FINITE.get(value, value))
            for value in raw.get("val_loss") or ()
        ),
    )
