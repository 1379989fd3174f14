"""MLflow's stores: run folders, with a file for each metric, and its SQLite database."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.files import regular
from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.columns import LoggedRows
from orchestrator.runs.curves.log_reader import Head, LoggedRun, LogProblem, LogReader
from orchestrator.runs.curves.tail import GrowingLines
from orchestrator.sweepfile.yaml import LenientError, read_yaml

_MOST_METRICS = 5_000  # files of one run
_DATABASE = b"SQLite format 3\0"
_LONGEST_VALUE = 16 << 20  # bytes
_VIEWS = "SELECT 1 FROM sqlite_master WHERE type = 'view' AND lower(name) IN ('metrics', 'runs')"
_SELECT = """
    SELECT runs.run_uuid, runs.name, metrics.key, metrics.step, metrics.is_nan, metrics.value
    FROM metrics JOIN runs USING (run_uuid) WHERE runs.lifecycle_stage = 'active'
    ORDER BY runs.start_time, runs.run_uuid, metrics.step, metrics.timestamp
"""


class MlflowRun:
    """The metrics of one run folder, one file each: time, value, step."""

    def __init__(self, folder: Path) -> None:
        self._metrics = folder / "metrics"
        self._files: dict[Path, GrowingLines] = {}

    def poll(self, last: bool = False) -> list[dict[str, Any]]:
        """Return a row for each value since the last call, with ``_step``, in order of steps."""
        found: list[tuple[int, int, str, float]] = []
        files = (
            Path(folder) / name
            for folder, _, names in os.walk(self._metrics)
            for name in sorted(names)
        )
        for path in islice(files, _MOST_METRICS):
            name = path.relative_to(self._metrics).as_posix()
            for line in self._lines(path, last):
                cells = [number(text) for text in line.split()]
                if len(cells) < 2:
                    continue
                time, value, step = cells[0], cells[1], cells[2] if len(cells) > 2 else 0.0
                if value is not None and step is not None and math.isfinite(step):
                    is_known = time is not None and math.isfinite(time)
                    found.append((int(step), int(time or 0) if is_known else 0, name, value))
        found.sort(key=lambda item: item[:2])
        return [{name: value, "_step": step} for step, _, name, value in found]

    def _lines(self, path: Path, last: bool) -> Iterator[str]:
        """Yield the whole lines since the last call; MLflow ends each."""
        file = self._files.setdefault(path, GrowingLines(path))
        while pieces := list(file.lines()):
            for lines, _ in pieces:
                yield from lines
            if not last:
                return


def run_name(folder: Path) -> str | None:
    """Return the name of the run in a folder, the folder's if it has none; None if deleted."""
    about: Any = None
    given = ""
    with suppress(OSError, LenientError):
        text = regular.read_bytes(folder / "meta.yaml", folder).decode("utf-8-sig", "replace")
        about = read_yaml(text)
    if isinstance(about, dict):
        if about.get("lifecycle_stage") == "deleted":
            return None
        given = str(about.get("run_name") or "")
    with suppress(OSError):  # where releases before 2.0 kept it
        tag = regular.read_bytes(folder / "tags" / "mlflow.runName", folder)
        given = given or tag.decode(errors="replace")
    return given.strip() or folder.name


def _read(path: Path) -> list[LoggedRun]:
    if path.name != "meta.yaml":
        return _read_database(path)
    name = run_name(path.parent)
    if name is None:
        raise LogProblem("is of a deleted run")
    rows = LoggedRows()
    for row in MlflowRun(path.parent).poll(last=True):
        rows.add(row, name)
    return rows.runs(path, "MLflow")


def _read_database(path: Path) -> list[LoggedRun]:
    rows = LoggedRows()
    names: dict[str, str] = {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            # A stranger may have made it: no value is large, no text has to be valid, and a view
            # could compute for ever.
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            database.text_factory = lambda text: text.decode(errors="replace")
            if database.execute(_VIEWS).fetchone():
                raise LogProblem("is no database of MLflow: what should be a table is a view")
            for run, name, key, step, is_nan, value in database.execute(_SELECT):
                # Two runs may have one name.
                shown = names.get(run) or (name if name not in names.values() else run)
                names[run] = shown or run
                found = math.nan if is_nan else value
                rows.add({key: found, "_step": step}, names[run])
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise LogProblem(f"is no database of MLflow: {error}") from None
    return rows.runs(path, "MLflow")


def _recognizes(head: Head) -> bool:
    path = head.path
    is_run = path.name == "meta.yaml" and (path.parent / "metrics").is_dir()
    return is_run or head.data.startswith(_DATABASE)


READER = LogReader(
    "MLflow", _read, _recognizes, rank=0, usual_names={"meta.yaml": 3, "mlflow.db": 3}
)
