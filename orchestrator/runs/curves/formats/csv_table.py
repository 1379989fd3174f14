"""CSV of any tool (Lightning, Keras, YOLO): a table with a heading."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from orchestrator.runs.curves.cells import runs_of
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, LogReader, read_bytes


def _read(path: Path) -> list[LoggedRun]:
    """Return the runs of a table whose cells are separated by comma, semicolon or tab."""
    text = read_bytes(path).decode("utf-8-sig", "replace").replace("\0", "")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        table = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
        found = [
            {str(key).strip(): cell for key, cell in row.items() if isinstance(cell, str)}
            for row in table
        ]
    except csv.Error as error:
        raise LogProblem(f"is no table: {error}") from None
    if not found:
        raise LogProblem("has no rows below its heading")
    return runs_of(found, path, _form(path, list(found[0])))


def _form(path: Path, names: list[str]) -> str:
    if any(name.startswith(("train/box", "metrics/mAP", "metrics/precision")) for name in names):
        return "YOLO results"
    if path.name == "metrics.csv" and "epoch" in names and "step" in names:
        return "Lightning CSV"
    if "epoch" in names and "loss" in names and "val_loss" in names:
        return "Keras CSV"
    return "CSV"


READER = LogReader(
    "CSV",
    _read,
    suffixes=(".csv", ".tsv"),
    usual_names={
        "metrics.csv": 20,
        "results.csv": 21,
        "training.csv": 22,
        "training_log.csv": 23,
        "history.csv": 24,
        "log.csv": 25,
    },
)
