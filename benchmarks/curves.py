"""Labeled learning curves, read from a file of JSON lines."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DIVERGED = ("diverged_nan", "diverged_explosion", "diverged")
MAXIMISED = ("max", "maximize", "maximise")
KNOWN = ("values", "x", "columns", "tags", "train_loss", "val_loss")
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Curve:
    """One labelled curve.

    Attributes:
        id: its name in the file.
        repo: where it comes from.
        mode: ``"min"`` or ``"max"``.
        values: the series, one value a report; reports without a value are left out.
        label: what a person saw in it.
        onset: index at which the divergence began; None if there is none.
        ambiguous: True if the label is in doubt.
        val_loss: the validation loss of each report; None if there is none.
        places: index of each value in the file; () if none was left out.
        length: number of reports, including those without a value; 0 if none was left out.
        others: further series by name: rate, gradient norm, phase.
        cohort: what it shares with the other runs of one study.
    """

    id: str
    repo: str
    mode: str
    values: tuple[float, ...]
    label: str
    onset: int | None
    ambiguous: bool
    val_loss: tuple[float | None, ...] = ()
    places: tuple[int, ...] = ()
    length: int = 0
    others: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    cohort: str = ""

    def report(self, index: int) -> dict[str, float]:
        """Return the report of the value at `index`, with the other series that it contains."""
        place = self.place(index)
        named = {"val_loss": self.val_loss, **self.others}
        found = {"metric" if self.mode == "max" else "train_loss": self.values[index]}
        for name, series in named.items():
            value = series[place] if place < len(series) else None
            if value is not None and not (name == "val_loss" and self.mode == "max"):
                found[name] = value
        return found

    def place(self, index: int) -> int:
        """Return the place in the file of the value at `index`."""
        return self.places[index] if self.places else index

    @property
    def reports(self) -> int:
        """Number of reports of the run, including those without a value."""
        return self.length or len(self.values)


def read_curves(path: Path) -> Iterator[Curve]:
    """Yield the curves of a JSON-lines file, gzipped or not, or of AlgoPerf's folder.

    Raises:
        ValueError: a line is not a curve; the message names it.
    """
    if path.is_dir():
        yield from _read_algoperf(path)
        return
    content = path.read_bytes()
    if content.startswith(GZIP):
        content = gzip.decompress(content)
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            if not isinstance(raw, dict):
                raise TypeError(f"got {type(raw).__name__}")
            yield curve_of({"id": f"line {number}", **raw})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, line {number}: must be a curve, a JSON object with values, but: {error}."
            ) from None


def _read_algoperf(folder: Path) -> Iterator[Curve]:
    """Yield the trials of ``trials.csv.gz`` with their evaluations in ``curves.csv.gz``.

    Their labels are derived from the validation loss and have no onset.
    """
    values: dict[str, list[tuple[Any, Any]]] = {}
    with gzip.open(folder / "curves.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            values.setdefault(row["trial_id"], []).append((row["train_loss"], row["val_loss"]))
    with gzip.open(folder / "trials.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            train, val = zip(*values.get(row["trial_id"], [("", "")]), strict=True)
            yield curve_of(
                {
                    "id": row["trial_id"],
                    "repo": f"{row['submission']} {row['study']}",
                    "metric": f"{row['workload']} {row['framework']}",
                    "values": [*train],
                    "val_loss": [*val],
                    "label": row["derived_label"],
                }
            )


def curve_of(raw: dict[str, Any]) -> Curve:
    """Make a curve of one record; of its fields only `values` must be there.

    Words for values that are not finite become numbers. null and "" are reports without the value,
    which keep their place: what is told of a curve counts all of its reports.

    Raises:
        TypeError: `values` is missing or no list.
        ValueError: a value is no number.
    """
    series = raw.get("values")
    if not isinstance(series, list):
        raise TypeError(f"values is {series!r}")
    read = [_number(value) for value in series]
    kept = [(place, value) for place, value in enumerate(read) if value is not None]
    is_whole = len(kept) == len(read)
    onset = raw.get("onset")
    return Curve(
        id=str(raw["id"]),
        repo=str(raw.get("repo") or ""),
        mode="max" if str(raw.get("mode")).lower() in MAXIMISED else "min",
        values=tuple(value for _, value in kept),
        label=str(raw.get("label") or ""),
        onset=None if onset is None else int(onset),
        ambiguous=bool(raw.get("ambiguous")),
        val_loss=tuple(map(_number, raw.get("val_loss") or ())),
        places=() if is_whole else tuple(place for place, _ in kept),
        length=0 if is_whole else len(read),
        others={name: tuple(map(_number, found)) for name, found in _others(raw).items()},
        cohort=_cohort(raw),
    )


def _cohort(raw: dict[str, Any]) -> str:
    more = raw.get("other")
    workload = more.get("workload") if isinstance(more, dict) else None
    parts = (raw.get("repo"), raw.get("metric"), workload or raw.get("domain"))
    return " ".join(str(part) for part in parts if part)


def _others(raw: dict[str, Any]) -> dict[str, list[Any]]:
    more = raw.get("other")
    every = {**raw, **(more if isinstance(more, dict) else {})}
    return {
        name: series
        for name, series in every.items()
        if isinstance(series, list) and name not in KNOWN
    }


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return float(value)  # which also reads "nan", "Inf" and "-Infinity"
    except OverflowError:
        return math.copysign(math.inf, value)
