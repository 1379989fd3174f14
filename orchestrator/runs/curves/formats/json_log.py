"""JSON files: Hugging Face's ``trainer_state.json``, a list of reports, Keras' history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import flat, runs_of, transposed
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, LogReader, read_bytes


def _read(path: Path) -> list[LoggedRun]:
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise LogProblem(f"is no JSON: {error}") from None
    if isinstance(content, list):
        records = [flat(item) for item in content if isinstance(item, dict)]
        if records:
            return runs_of(records, path, "JSON")
    if isinstance(content, dict):
        if isinstance(content.get("log_history"), list):
            return [_trainer_state(content, path)]
        for inner in (content.get("history"), content):
            if isinstance(inner, dict):
                history = {k: v for k, v in inner.items() if isinstance(v, list) and v}
                if history:
                    return runs_of(transposed(history), path, "JSON history")
    raise LogProblem("has neither log_history, nor a list of reports, nor lists by name")


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
    run = runs_of(kept, path, "Hugging Face state")[0]
    total = content.get("max_steps")
    planned = float(total) if isinstance(total, int | float) and total > 0 else None
    return replace(run, name=path.parent.name or path.stem, total_steps=planned)


READER = LogReader(
    "JSON",
    _read,
    suffixes=(".json",),
    usual_names={"trainer_state.json": 0, "history.json": 30, "metrics.json": 31},
)
