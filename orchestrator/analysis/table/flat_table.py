"""A comparison as one flat table: CSV, JSON and a pandas data frame."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.measure.row import Comparison, Row
from orchestrator.analysis.table.pipeline import compare
from orchestrator.files import plain
from orchestrator.metrics import asked_for

if TYPE_CHECKING:
    import pandas

_FORMULA = re.compile(r"[=@\t\r]|[-+](?![\d.])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

FIRST = ("rank", "sweep", "trial", "path", "state", "warnings")


def flat_rows(comparison: Comparison) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns and the rows of the flat table.

    Columns are those of `FIRST` (warnings joined by ``"; "``), ``config.<name>``, the metrics by
    their names with the one that ranks first, ``target.<metric>`` and ``expected.<milestone>``
    (True, False or None), and those of `_related`. A row lacks the columns that do not apply.
    """
    rows = comparison.rows
    metrics = _union(row.metrics for row in rows)
    if comparison.sort_by in metrics:
        metrics.remove(comparison.sort_by)
        metrics.insert(0, comparison.sort_by)
    related = [_related(row) for row in rows]
    columns = [
        *FIRST,
        *(f"config.{name}" for name in _union(row.config for row in rows)),
        *metrics,
        *(f"target.{name}" for name in _union(row.targets for row in rows)),
        *(f"expected.{name}" for name in _union(row.expected for row in rows)),
        *_union(related),
    ]
    flat = [
        {
            **{name: getattr(row, name) for name in FIRST},
            "path": str(row.path),
            "warnings": "; ".join(row.warnings),
            **{f"config.{name}": value for name, value in row.config.items()},
            **row.metrics,
            **{f"target.{name}": target.met for name, target in row.targets.items()},
            **{f"expected.{name}": target.met for name, target in row.expected.items()},
            **more,
        }
        for row, more in zip(rows, related, strict=True)
    ]
    return columns, flat


def _related(row: Row) -> dict[str, Any]:
    """Return what links a row to others, without what it lacks.

    ``facts.<name>`` are steps, times and memory (`FACTS`), ``on_front`` is whether no other row is
    better in both metrics, ``lr.<part>`` its first, peak and last rate, ``sd.<metric>`` the
    deviation between seeds, ``earlier.<stage>`` the metric that ranks at an earlier stage, and
    ``difference.<other>.<metric>`` the gain over a baseline or reference.
    """
    lineage = row.lineage
    found: dict[str, Any] = {} if lineage.stage is None else {"stage": lineage.stage}
    values = {"changed": lineage.words, "tier": row.tier, "seeds": len(row.members)}
    values |= {"node": row.node}
    found |= {name: value for name, value in values.items() if value}
    found |= {} if row.on_front is None else {"on_front": row.on_front}
    found |= {f"facts.{name}": value for name, value in row.facts.items()}
    found |= {f"lr.{name}": value for name, value in row.rates.items()}
    found |= {f"sd.{name}": one.deviation for name, one in row.spread.items() if one.n > 1}
    found |= {f"earlier.{stage}": value for stage, value in row.earlier.items()}
    for other, differences in row.differences.items():
        found |= {f"difference.{other}.{name}": one.value for name, one in differences.items()}
    return found


def to_csv(comparison: Comparison, only: Collection[str] | None = None) -> str:
    """Return all ranked rows as CSV with a header.

    Args:
        only: the columns of `flat_rows` to write, in this order, after those of `FIRST`; with a
            metric come its target and deviation. None for all.
    """
    columns, rows = flat_rows(comparison)
    if only is not None:
        wanted = [key for name in only for key in (name, f"target.{name}", f"sd.{name}")]
        columns = list(dict.fromkeys([*FIRST, *(key for key in wanted if key in columns)]))
        rows = [{key: row[key] for key in columns if key in row} for row in rows]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writerow({name: _inert(name) for name in columns})
    writer.writerows({name: _inert(cell(value)) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def to_json(comparison: Comparison) -> str:
    """Return the whole comparison as strict JSON in ASCII."""
    return json.dumps(plain(comparison.to_dict()), indent=2) + "\n"


def cell(value: Any) -> Any:
    """Return `value` as it is in one cell of a file; lists and maps are JSON in it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(plain(value), ensure_ascii=False)
    return value


def _inert(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula, and no terminal for a command."""
    if not isinstance(value, str):
        return value
    text = _CONTROL.sub("?", value)
    return f"'{text}" if _FORMULA.match(value) else text


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all keys of `mappings`, in the order in which they first appear."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def load_results(
    path: str | os.PathLike[str] = "results",
    *,
    sort_by: str | None = None,
    goal: str | None = None,
    at: str = "best",
    metrics: str | None = None,
    rate: float | None = None,
) -> pandas.DataFrame:
    """Return the rows of ``sweep compare PATH`` as a data frame, best first.

    ::

        load_results("results")[["trial", "config.lr", "val_mae", "mae"]]

    Args:
        path: any folder with runs, of ours or of other tools.
        sort_by: the metric that ranks; by default a validation metric.
        goal: of that metric; by default what the sweep or the name shows.
        at: which of logged values counts: ``best``, ``last`` or ``step:N``.
        metrics: kind of arrays whose run does not state it, as ``"edc"``, or a function of yours,
            as ``"my_module:my_metric"``.
        rate: samples per second of those arrays, in Hz.

    Returns:
        One row per run that can be ranked, with the columns of ``sweep compare --export csv``.
        ``attrs`` holds ``sort_by``, ``goal``, ``notes`` and ``incomplete`` (runs not ranked).

    Raises:
        NotFoundError: `path` is no folder.
        UsageError: no run has the metric `sort_by`, or `metrics` names no kind of data.
    """
    import pandas as pd

    kind, known = asked_for(metrics, rate, "metrics")
    comparison = compare([Path(path)], sort_by=sort_by, goal=goal, at=at, kind=kind, data=known)
    columns, rows = flat_rows(comparison)
    frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns)
    whole = comparison.to_dict()
    frame.attrs.update({name: whole[name] for name in ("sort_by", "goal", "notes", "incomplete")})
    return frame
