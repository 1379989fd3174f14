"""DVCLive's folder: a table of two columns, step and value, for each metric below ``plots``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.columns import LoggedRows
from orchestrator.runs.curves.formats.csv_table import TableParser
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, read_lines

_MOST_METRICS = 5_000


def is_dvclive(folder: Path) -> bool:
    """Return whether DVCLive wrote its metrics below a folder."""
    return (folder / "plots" / "metrics").is_dir()


def read_dvclive(folder: Path) -> list[LoggedRun]:
    """Return the run in a folder of DVCLive; raise LogProblem if it has no metrics."""
    top = folder / "plots" / "metrics"
    by_step: dict[float, dict[str, Any]] = {}
    for path in sorted(top.rglob("*.tsv"))[:_MOST_METRICS]:
        name, parser = path.relative_to(top).with_suffix("").as_posix(), TableParser()
        for row in (row for lines in read_lines(path) for row in parser.rows(lines)):
            step = number(row.get("step"))
            if step is not None and parser.names[-1] in row:
                by_step.setdefault(step, {"step": row["step"]})[name] = row[parser.names[-1]]
    rows = LoggedRows()
    for _, values in sorted(by_step.items()):
        rows.add(values)
    if not rows.count:
        raise LogProblem("holds no metrics of DVCLive")
    return [replace(run, name=folder.name) for run in rows.runs(folder, "DVCLive")]
