"""Files that hold runs: tables with a run in each row, as Optuna or W&B export them, and logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.files.series_names import is_rate, is_state, is_validation, split_of, words
from orchestrator.metrics import goal
from orchestrator.runs.curves.cells import number, place_of
from orchestrator.runs.curves.formats.json_lines import JsonLinesParser, parse_record
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, read_lines, reader_of
from orchestrator.runs.curves.tail import first_lines
from orchestrator.runs.foreign.metadata import flatten
from orchestrator.runs.foreign.run_files import MANIFEST
from orchestrator.runs.read.stored_run import StoredRun

# What names a run, the best first, as `words`.
_LABELS = (
    *("tags mlflow run name", "run name", "sys name", "name", "trial", "trial id", "run", "run id"),
    *("model", "experiment", "experiment name", "sys id", "id", "number", "uid", "unnamed 0"),
)
_STATES = ("state", "status", "sys state")
_ENDED_WELL = frozenset(("complete", "completed", "finished", "done", "success", "succeeded"))
_ENDED_WELL |= {"ok", "inactive", "terminated", "idle", "true"}
_SETTINGS = ("params", "param", "config", "parameters", "hparams", "hyperparameters")
_METRICS = ("metrics", "summary")
_RESULTS = ("user", "attrs")  # of Optuna, which has settings elsewhere
_VALUES = ("value", "values", "objective")
# Columns of a table on the table itself, or on machines.
_ASIDE = ("rank", "tags", "sys", "system", "monitoring", "artifact", "target", "expected", "facts")
_ASIDE_NAMES = frozenset((
    *("path", "sweep", "notes", "user", "created", "datetime start", "datetime complete", "logdir"),
    *("start time", "end time", "experiment id", "warnings", "checkpoint dir name"),
))  # fmt: skip
_DURATIONS = frozenset(("runtime", "duration", "time total s", "fit time", "train runtime"))

_SNIFFED = 200  # lines by which a log is told from a table of runs

Row = Mapping[str, Any]


def runs_in_file(path: Path) -> list[StoredRun]:
    """Return the runs of a file: one for each row of a table of runs, or those of a log.

    Raises:
        UsageError: it is neither.
    """
    from orchestrator.runs.curves.reader import read_runs  # which reads trials through here

    found = _rows_as_runs(path)
    if found is None:
        if path.name == MANIFEST:
            raise UsageError(f"{path}: describes runs. Name the folder that it is in.")
        found = read_runs(path)
        if len(found) == 1:
            return [StoredRun(path, log=found[0], label=path.name)]
    places = {run.name: path / run.name.replace("/", "_") for run in found}
    return [
        StoredRun(places[run.name], log=run, label=run.name, error=run.failure or None)
        for run in found
    ]


def names_runs(path: Path) -> bool:
    """Return whether a file is a table whose rows are called runs, so certainly is no log."""
    rows, _ = _rows(path, [first_lines(path)[:_SNIFFED]])
    return bool(rows) and _is_explicit(_names(rows), rows, _label(_names(rows), rows))


def _rows(path: Path, pieces: Iterable[list[str]]) -> tuple[list[Row], str]:
    """Return the rows in the lines of a table, and what was left out."""
    try:
        reader = reader_of(path)
        if reader is None or reader.parser is None:
            return [], ""
        if reader.parser is JsonLinesParser:
            found = (parse_record(line) for lines in pieces for line in lines)
            return [flatten(record) for record in found if record], ""
        parser = reader.parser()
        rows = [row for lines in pieces for row in parser.rows(lines)]
    except LogProblem:
        return [], ""
    return rows, parser.left_out()


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _rows_as_runs(path: Path) -> list[LoggedRun] | None:
    """Return the rows of a table with a run in each; None for a log or another file."""
    # The beginning shows whether a file is a log, which may be huge.
    for pieces in ([first_lines(path)[:_SNIFFED]], read_lines(path)):
        rows, note = _rows(path, pieces)
        names = _names(rows)
        label = _label(names, rows)
        if not rows or not _is_of_runs(names, rows, label):
            return None
    found = [_run(path, row, label, place) for place, row in enumerate(rows, 1)]
    return [replace(run, notes=(note,)) if note else run for run in found]


def _label(names: Iterable[str], rows: Sequence[Row]) -> str | None:
    """Return the column that names each run; None if none does."""
    places = {" ".join(words(name)): name for name in reversed(list(names))}
    for known in _LABELS:
        name = places.get(known)
        if name is not None:
            cells = {str(row[name]) for row in rows if name in row}
            if len(cells) == len(rows):
                return name
    return None


def _is_of_runs(names: Sequence[str], rows: Sequence[Row], label: str | None) -> bool:
    if not any(map(_is_setting, names)) and any(place_of(n)[0] == "name" for n in names):
        return False  # each row has a metric's name
    if _is_explicit(names, rows, label):
        return True
    is_alike = any(map(_is_metric, names)) and (label is not None or any(map(_is_setting, names)))
    return is_alike and not _counts(names, rows)


def _is_explicit(names: Sequence[str], rows: Sequence[Row], label: str | None) -> bool:
    if label is not None and number(rows[0][label]) is None and len(rows) > 1:
        return True
    # Ray repeats the config of a run in each row of its log.
    has_settings = any({*words(name)[:1]}.intersection(_SETTINGS) for name in names)
    return has_settings and not _counts(names, rows)


def _counts(names: Sequence[str], rows: Sequence[Row]) -> bool:
    """Return whether epochs or steps count up."""
    return any(_rises(rows, name) for name in names if place_of(name)[0] in ("epoch", "step"))


def _rises(rows: Sequence[Row], name: str) -> bool:
    """Return whether a column counts up; one row alone is a log that has begun."""
    values = [value for row in rows if (value := number(row.get(name))) is not None]
    if name.lower().endswith("epochs"):  # which may be how many a run was given
        return values[1:] == [value + 1 for value in values[:-1]]
    steps = {after - before for before, after in pairwise(values)}
    # Epochs may repeat; a batch size of 32, 32, 64 counts nothing.
    return len(rows) == 1 or (bool(steps) and (min(steps) > 0 or steps == {0, 1}))


def _is_metric(name: str) -> bool:
    return (goal(name) is not None and not is_state(name)) or (
        bool(split_of(name)) and is_validation(name)
    )


def _is_setting(name: str) -> bool:
    if place_of(name)[0] in ("epoch", "step"):
        return words(name) == ("batch",) or name.lower().endswith("s")
    is_plain = not place_of(name)[0] and not _is_metric(name) and not is_state(name)
    return is_rate(name) or is_plain


def _run(path: Path, row: Row, label: str | None, place: int) -> LoggedRun:
    config: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    facts: dict[str, float] = {}
    failure = ""
    for name, cell in row.items():
        parts, value = words(name), number(cell)
        plain = " ".join(parts)
        if plain in _STATES:
            is_well = str(cell).lower().rpartition(".")[2] in _ENDED_WELL
            failure = "" if is_well else f"its {name} is {cell}"
        elif plain in _DURATIONS and value is not None:
            facts["duration"] = value
        elif name != label and not _is_aside(name, parts):
            is_inner = parts[0] in (*_SETTINGS, *_METRICS) and "/" not in name
            inner = _inner(name) if is_inner or parts[0] in _SETTINGS else name
            is_setting = _is_setting(name) and plain not in _VALUES and parts[0] not in _METRICS
            if value is None:
                config[inner] = cell
            elif parts[0] in _SETTINGS or (is_setting and parts[:2] != _RESULTS):
                config[inner] = _exact(cell, value)
            else:
                metrics[inner.removeprefix("user_attrs_")] = value
    # scikit-learn writes the score of each fold before their mean.
    metrics = dict(sorted(metrics.items(), key=lambda item: item[0].startswith("split")))
    named = "" if label is None else str(row[label])
    if number(named) is not None:
        named = f"{label} {named}"
    return LoggedRun(
        named or f"row {place}",
        path,
        "table of runs",
        (),
        config=config,
        failure=failure,
        last=metrics,
        facts=facts,
    )


def _is_aside(name: str, parts: Sequence[str]) -> bool:
    """Return whether a column is neither a setting nor a metric."""
    is_last_step = place_of(name)[0] in ("epoch", "step") and not _is_setting(name)
    is_named = not parts or parts[0] in _ASIDE or " ".join(parts) in _ASIDE_NAMES
    return is_named or is_last_step or name[:1] == "_"


def _inner(name: str) -> str:
    """Return the name behind the part that says what it is: ``lr`` of ``params_lr``."""
    first = words(name)[0]
    return name[len(first) :].lstrip("_./ ") or name


def _exact(cell: Any, value: float) -> Any:
    """Return a number as the table has it: whole ones stay whole."""
    try:
        return int(cell) if isinstance(cell, str) else cell
    except ValueError:
        return value
