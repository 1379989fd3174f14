"""JSON lines under any name: Detectron2, MMDetection, Ray Tune, DETR; inner maps are flattened."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import flat, is_metric, place_of
from orchestrator.runs.curves.columns import LoggedRows
from orchestrator.runs.curves.log_reader import Head, LoggedRun, LogProblem, LogReader, read_lines

_FEW = 8


def parse_record(line: str) -> dict[str, Any] | None:
    """Return the object in a line, None if there is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class JsonLinesParser:
    """Turns lines into rows; those without an object are dropped."""

    def __init__(self) -> None:
        self._damaged = 0

    def left_out(self) -> str:
        """Return what was not read; "" if all was."""
        return f"{self._damaged} damaged lines were left out" if self._damaged else ""

    def rows(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of further lines."""
        for line in lines:
            record = parse_record(line)
            if record is not None:
                # Ray repeats the config of the run in each line.
                record.pop("config", None)
                yield flat(record)
            elif line.lstrip()[:1] == "{":
                self._damaged += 1


def _read(path: Path) -> list[LoggedRun]:
    rows, parser = LoggedRows(), JsonLinesParser()
    for lines in read_lines(path):
        for names, same in groupby(parser.rows(lines), key=tuple):
            _add(rows, names, list(same))
    if not rows.count:
        raise LogProblem("has no line that is a JSON object with numbers")
    return rows.runs(path, "JSON lines", parser.left_out())


def _add(rows: LoggedRows, names: tuple[str, ...], same: list[dict[str, Any]]) -> None:
    """Add rows with the same names; by column, which is much faster, if they are many numbers."""
    columns = list(zip(*(row.values() for row in same), strict=True))
    is_plain = len(same) > _FEW and {int, float}.issuperset(
        kind for cells in columns for kind in set(map(type, cells))
    )
    if is_plain and any(is_metric(name) and place_of(name)[0] != "run" for name in names):
        with suppress(OverflowError):
            rows.add_columns([name.strip() for name in names], [array("d", c) for c in columns])
            return
    for row in same:
        rows.add(row)


def _recognizes(head: Head) -> bool:
    if head.suffix in (".jsonl", ".ndjson"):
        return True
    lines = head.lines
    if not lines or parse_record(lines[0]) is None:
        return False
    # One object alone is a file of results, unless it is a log that has just begun.
    return len(lines) > 1 or head.text.endswith("\n")


READER = LogReader(
    "JSON lines",
    _read,
    _recognizes,
    parser=JsonLinesParser,
    usual_names={
        "metrics.jsonl": 10,
        "result.json": 11,
        "*.log.json": 12,
        "scalars.json": 12,
        "log.jsonl": 40,
    },
)
