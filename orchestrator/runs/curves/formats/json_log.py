"""JSON files: Hugging Face's ``trainer_state.json``, a list of reports, Keras' history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import flat, transposed
from orchestrator.runs.curves.columns import LoggedRows
from orchestrator.runs.curves.formats.json_lines import parse_record
from orchestrator.runs.curves.log_reader import (
    Head,
    LoggedRun,
    LogProblem,
    LogReader,
    encoding_of,
    read_bytes,
)


def _read(path: Path) -> list[LoggedRun]:
    try:
        data = read_bytes(path)
        if b"[" not in data:  # as in most configs
            raise LogProblem("has neither log_history, nor a list of reports, nor lists by name")
        content = json.loads(data.decode(encoding_of(data[:256]), "replace"))
    except (ValueError, RecursionError) as error:
        raise LogProblem(f"is no JSON: {error}") from None
    if isinstance(content, list):
        records = [flat(item) for item in content if isinstance(item, dict)]
        if records:
            return _runs(records, path, "JSON")
    if isinstance(content, dict):
        if isinstance(content.get("log_history"), list):
            return [_trainer_state(content, path)]
        for inner in content.values():
            items = inner if isinstance(inner, list) else []
            records = [flat(item) for item in items if isinstance(item, dict)]
            if records:
                return _runs(records, path, "JSON")
        reports = _with_steps(content)
        if reports:
            return _runs(reports, path, "JSON")
        for inner in (content.get("history"), content):
            if isinstance(inner, dict):
                # Ludwig groups its lists by split and by output.
                history = {k: v for k, v in flat(inner).items() if isinstance(v, list) and v}
                if history:
                    return _runs(transposed(history), path, "JSON history")
    raise LogProblem("has neither log_history, nor a list of reports, nor lists by name")


def _with_steps(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the reports of series that have steps of their own, as Sacred writes them."""
    reports: dict[Any, dict[str, Any]] = {}
    for name, series in content.items():
        pair = [series.get(k) for k in ("steps", "values")] if isinstance(series, dict) else []
        if pair and all(isinstance(each, list) for each in pair):
            for step, value in zip(*pair, strict=False):
                if isinstance(step, int | float):
                    reports.setdefault(step, {"step": step})[name] = value
    return [reports[step] for step in sorted(reports)]


def _trainer_state(content: Mapping[str, Any], path: Path) -> LoggedRun:
    """Return the run of a ``trainer_state.json``: its losses are means over its logging steps."""
    entries = [flat(item) for item in content["log_history"] if isinstance(item, dict)]
    summary = {"train_runtime", "total_flos", "train_samples_per_second"}
    kept = [
        {name: value for name, value in entry.items() if name != "epoch"}
        for entry in entries
        # The last entry sums the run up; its train_loss is the mean over all of it.
        if summary.isdisjoint(entry)
    ]
    if not kept:
        raise LogProblem("has an empty log_history")
    run = _runs(kept, path, "Hugging Face state")[0]
    total = content.get("max_steps")
    planned = float(total) if isinstance(total, int | float) and total > 0 else None
    return replace(run, name=path.parent.name or path.stem, total_steps=planned)


def _runs(records: list[dict[str, Any]], path: Path, form: str) -> list[LoggedRun]:
    rows = LoggedRows()
    for record in records:
        rows.add(record)
    return rows.runs(path, form)


def _recognizes(head: Head) -> bool:
    text = head.text.lstrip()
    if not text.startswith(("{", "[")):
        return False
    return head.suffix == ".json" or parse_record(text) is not None


READER = LogReader(
    "JSON",
    _read,
    _recognizes,
    rank=2,
    usual_names={"trainer_state.json": 0, "history.json": 30, "metrics.json": 31}
    | {"training_statistics.json": 30},
)
