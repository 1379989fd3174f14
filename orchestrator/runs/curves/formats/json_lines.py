"""JSON lines: one object a line."""

from __future__ import annotations

from pathlib import Path

from orchestrator.files import jsonl
from orchestrator.runs.curves import cells
from orchestrator.runs.curves.curve import LoggedRun, LogProblem
from orchestrator.runs.curves.log_reader import LogReader, read_bytes


def read_jsonl(path: Path) -> list[LoggedRun]:
    """Return the runs of a log with one JSON object a line; inner maps are flattened.

    Raises:
        LogProblem: no line has numbers.
    """
    records = jsonl.parse(read_bytes(path))
    if not records:
        raise LogProblem("has no line that is a JSON object")
    return cells.runs_of([cells.flat(record) for record in records], path, "JSON lines")


READER = LogReader(
    "JSON lines",
    read_jsonl,
    suffixes=(".jsonl", ".ndjson"),
    usual_names={"metrics.jsonl": 10, "log.jsonl": 40},
)
