"""JSON lines: one object a line; inner maps are flattened."""

from __future__ import annotations

from pathlib import Path

from orchestrator.files import jsonl
from orchestrator.runs.curves.cells import flat, runs_of
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, LogReader, read_bytes


def _read(path: Path) -> list[LoggedRun]:
    records = jsonl.parse(read_bytes(path))
    if not records:
        raise LogProblem("has no line that is a JSON object")
    return runs_of([flat(record) for record in records], path, "JSON lines")


READER = LogReader(
    "JSON lines",
    _read,
    suffixes=(".jsonl", ".ndjson"),
    usual_names={"metrics.jsonl": 10, "log.jsonl": 40},
)
