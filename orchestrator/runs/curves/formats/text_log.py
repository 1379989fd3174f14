"""Plain text logs: what a training loop printed.

A pattern, a regular expression with named groups, finds the numbers; its group ``epoch`` or
``step`` is the place. Without a pattern, `TextParser` understands the usual lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.columns import LoggedRows
from orchestrator.runs.curves.formats.text_parser import TextParser, visible
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, LogReader, read_lines


def read_text(path: Path, pattern: str | None = None) -> list[LoggedRun]:
    """Return the run that a text log reports."""
    rows, parser = LoggedRows(), TextParser()
    epoch: float | None = None
    total: float | None = None
    for lines in read_lines(path):
        for row in _by_pattern(lines, pattern) if pattern else parser.rows(lines):
            # A line without an epoch belongs to that of the line before.
            epoch = number(row.get("epoch", epoch))
            total = number(row.pop("of", total))
            rows.add(row if epoch is None else {**row, "epoch": epoch})
    if not rows.count:
        hint = "" if pattern else "; name the numbers with --pattern"
        raise LogProblem(f"holds no line with numbers of a training{hint}")
    found = rows.runs(path, "text log")
    return [replace(run, total_steps=total if run.unit == "epoch" else None) for run in found]


def _by_pattern(lines: Iterable[str], pattern: str) -> Iterator[dict[str, float]]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LogProblem(f"cannot be read with the pattern {pattern!r}: {error}") from None
    if not set(compiled.groupindex) - {"epoch", "step"}:
        raise LogProblem(
            f"cannot be read with the pattern {pattern!r}: it needs a named group for a number, "
            "as (?P<train_loss>\\S+)"
        )
    for line in lines:
        match = compiled.search(visible(line))
        if match is None:
            continue
        groups = match.groupdict().items()
        kept = {name: value for name, text in groups if (value := number(text)) is not None}
        if set(kept) - {"epoch", "step"}:
            yield kept


READER = LogReader(
    "text",
    read_text,
    lambda head: bool(head.text.strip()),
    rank=9,
    parser=TextParser,
    read_with_pattern=read_text,
    usual_names={
        "log.txt": 50,
        "train.log": 51,
        "training.log": 52,
        "training_log*.txt": 52,
        "train*.txt": 53,
        "log_*.txt": 53,
        "logs-*.txt": 53,
        "*.log": 54,
        "*.out": 55,
        "stdout*": 55,
    },
)
