"""What was decided about the course of a sweep: written down before it is acted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.runs import SweepRecord

EVENTS = {"stages": "promotion", "gates": "gate", "kept": "improvement"}
"""The kinds of decisions, each with the name of its event."""


@dataclass(frozen=True)
class Ending:
    """Why a sweep ends before all that the file requests has run.

    Attributes:
        reason: for people.
        stops: True if running trials are asked to save and wait, too.
        exit_code: of the command; None leaves it to the trials.
    """

    reason: str
    stops: bool = False
    exit_code: int | None = None


class Decisions:
    """The decisions of a sweep, kept in the ``course`` of its ``state.json``.

    A killed driver may have written a decision down without acting on it, so whoever acts on one
    looks at the records for what has been done. ::

        {"stages": {"quick": {"words": ..., "trials": 12, "promoted": [3, 5]}},
         "gates": {"baseline": {"words": ..., "held": true}},
         "kept": {"more_dropout": {"words": ..., "kept": false}}}
    """

    def __init__(self, state: SweepRecord, log: SweepLog) -> None:
        self._state = state
        self._log = log

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the decision about `name`, or None."""
        found = self._state.course.get(kind, {}).get(name)
        return found if isinstance(found, dict) else None

    def note(self, kind: str, name: str, text: str, **facts: Any) -> dict[str, Any]:
        """Write a decision down, report it and return it.

        Args:
            kind: one of `EVENTS`.
            text: the decision, for people.
            facts: what follows from it, in JSON types.
        """
        decided: dict[str, Any] = {"words": text, **facts}
        self._state.course.setdefault(kind, {})[name] = decided
        self._state.save(self._log.folder)
        self._log.emit(EVENTS[kind], **decided)
        return decided

    def value(self, name: str, default: Any) -> Any:
        """Return another entry of the course: ``spent``, ``shifts`` or ``ended``."""
        return self._state.course.get(name, default)

    def keep(self, name: str, value: Any) -> None:
        """Write such an entry down."""
        self._state.course[name] = value
        self._state.save(self._log.folder)
