"""Keep the runs that meet a condition: ``lr < 1e-3 and state == COMPLETE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.analysis.measure.row import Incomplete, Row
from orchestrator.errors import UsageError, nearest
from orchestrator.sweepfile.conditions import ConditionError, evaluate, names, parse

_OWN = ("state", "trial", "sweep", "complete")


def matching(
    where: str, rows: Sequence[Row], incomplete: Sequence[Incomplete]
) -> tuple[list[Row], list[Incomplete]]:
    """Return the runs that meet the condition `where`; what is unknown of a run does not.

    Raises:
        UsageError: it is no condition, or no run has a name in it.
    """
    try:
        condition = parse(where)
    except ConditionError as error:
        raise UsageError(f"--where: {error} (found {where!r}).") from None
    known = [(row, _values(row)) for row in rows]
    found = dict.fromkeys([*_OWN, *(name for _, values in known for name in values)])
    for name in sorted(item.name for item in names(condition, maybe_text=False)):
        if rows and name not in found:
            raise UsageError(
                f"--where: no run has {name!r}.{nearest(name, list(found))} "
                f"Choices: {', '.join(found)}."
            )
    kept = [row for row, values in known if evaluate(condition, values) is True]
    rest = [item for item in incomplete if evaluate(condition, _own(item)) is True]
    return kept, rest


def _own(run: Row | Incomplete) -> dict[str, Any]:
    state = str(run.state) if run.state is not None else None
    is_complete = isinstance(run, Row)
    return {"state": state, "trial": run.trial, "sweep": run.sweep, "complete": is_complete}


def _values(row: Row) -> dict[str, Any]:
    found = {**_own(row), **row.facts, **row.config, **row.logged, **row.metrics}
    # The last part of a dotted name is enough if nothing else is called so.
    ends = [name.rpartition(".")[2] for name in row.config]
    short = {
        end: row.config[name]
        for name in row.config
        if ends.count(end := name.rpartition(".")[2]) == 1
    }
    return {**short, **found}
