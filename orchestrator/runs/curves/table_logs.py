"""Logs that are tables: CSV of any tool (Lightning, Keras, YOLO), JSON lines, JSON of trainers."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.files import jsonl
from orchestrator.runs.curves import cells
from orchestrator.runs.curves.curve import LoggedRun, LogProblem

LARGEST_BYTES = 512 * 2**20


def read_bytes(path: Path) -> bytes:
    """Return the content of a log, unpacked where its name ends in ``.gz``.

    Raises:
        LogProblem: it cannot be read, or is larger than any log of curves.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise LogProblem(f"is larger than {LARGEST_BYTES >> 20} MiB")
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(LARGEST_BYTES + 1)
        else:
            content = path.read_bytes()
    except (OSError, EOFError) as error:
        raise LogProblem(f"cannot be read: {error}") from None
    if len(content) > LARGEST_BYTES:
        raise LogProblem(f"is larger than {LARGEST_BYTES >> 20} MiB")
    return content


def read_csv(path: Path) -> list[LoggedRun]:
    """Return the runs of a table with a heading, cells parted by comma, semicolon or tabulator.

    Raises:
        LogProblem: it is no such table.
    """
    text = read_bytes(path).decode("utf-8-sig", "replace").replace("\0", "")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        table = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
        found = [
            {str(key).strip(): cell for key, cell in row.items() if isinstance(cell, str)}
            for row in table
        ]
    except csv.Error as error:
        raise LogProblem(f"is no table: {error}") from None
    if not found:
        raise LogProblem("holds no rows below its heading")
    return cells.runs_of(found, path, _csv_form(path, list(found[0])))


def _csv_form(path: Path, names: list[str]) -> str:
    if any(name.startswith(("train/box", "metrics/mAP", "metrics/precision")) for name in names):
        return "YOLO results"
    if path.name == "metrics.csv" and "epoch" in names and "step" in names:
        return "Lightning CSV"
    if "epoch" in names and "loss" in names and "val_loss" in names:
        return "Keras CSV"
    return "CSV"


def read_jsonl(path: Path) -> list[LoggedRun]:
    """Return the runs of a log with one JSON object a line; inner maps are flattened.

    Raises:
        LogProblem: no line holds numbers.
    """
    records = jsonl.parse(read_bytes(path))
    if not records:
        raise LogProblem("holds no line that is a JSON object")
    return cells.runs_of([flat(record) for record in records], path, "JSON lines")


def read_json(path: Path) -> list[LoggedRun]:
    """Return the runs of a JSON file: Hugging Face's state, a list of reports, Keras' history.

    Raises:
        LogProblem: it holds none of these.
    """
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise LogProblem(f"is no JSON: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("log_history"), list):
        return [_trainer_state(content, path)]
    if isinstance(content, list):
        records = [flat(item) for item in content if isinstance(item, dict)]
        if records:
            return cells.runs_of(records, path, "JSON")
    if isinstance(content, dict):
        for inner in (content.get("history"), content):
            if isinstance(inner, dict):
                history = {k: v for k, v in inner.items() if isinstance(v, list) and v}
                if history:
                    return cells.runs_of(transposed(history), path, "JSON history")
    raise LogProblem("holds neither log_history, nor a list of reports, nor lists by name")


def _trainer_state(content: Mapping[str, Any], path: Path) -> LoggedRun:
    """Return the run of a ``trainer_state.json``: its losses are means over its logging steps."""
    entries = [flat(item) for item in content["log_history"] if isinstance(item, dict)]
    summary = ("train_runtime", "total_flos", "train_samples_per_second")
    kept = [
        {name: value for name, value in entry.items() if name != "epoch"}
        for entry in entries
        # The last entry sums the run up; its train_loss is the mean over all of it.
        if not any(name in entry for name in summary)
    ]
    if not kept:
        raise LogProblem("has an empty log_history")
    run = cells.runs_of(kept, path, "Hugging Face state")[0]
    total = content.get("max_steps")
    planned = float(total) if isinstance(total, int | float) and total > 0 else None
    name = path.parent.name or path.stem
    return LoggedRun(
        name, path, run.form, run.reports, run.unit, total_steps=planned, notes=run.notes
    )


def transposed(history: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Return lists by name as rows, with the epoch, from 1, where they name none."""
    longest = max(len(values) for values in history.values())
    return [
        {"epoch": index + 1}
        | {name: values[index] for name, values in history.items() if index < len(values)}
        for index in range(longest)
    ]


def flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return a record with inner maps flattened: ``{"val": {"mae": 1}}`` gives ``{"val/mae": 1}``.

    What merely groups numbers (``metrics``, ``logs``, ``scalars``) leaves no name behind.
    """
    found: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping) and depth < 4:
            # `metrics`, `train` and the like group numbers; our own log puts all into `metrics`.
            inner = "" if key in ("metrics", "logs", "scalars") else f"{prefix}{key}/"
            found |= flat(value, inner, depth + 1)
        else:
            found[f"{prefix}{key}"] = value
    return found
