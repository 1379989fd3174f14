"""What was decided about the course of a sweep: each once, written down before it is acted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Tell = Callable[..., None]
"""Writes an event down and tells it, as ``tell("promotion", words="stage quick: ...")``."""


@dataclass(frozen=True)
class Ending:
    """Why a sweep ends before all that the file asks for has run.

    Attributes:
        words: the reason, for people.
        stops: True where trials that run are asked to save and wait, too.
        exit_code: of the command, where the reason has one; None leaves it to the trials.
    """

    words: str
    stops: bool = False
    exit_code: int | None = None


class Decisions:
    """The decisions of a sweep, kept in the ``course`` of its ``state.json``.

    A killed driver may have written one down without acting on it; whoever acts on it asks the
    records what has been done. ::

        {"stages": {"quick": {"words": ..., "trials": 12, "promoted": [3, 5]}},
         "gates": {"baseline": {"words": ..., "held": true}},
         "kept": {"more_dropout": {"words": ..., "kept": false}}}

    Args:
        course: what was decided so far; it is changed in place.
        save: writes it down; called before anybody is told.
        tell: told of each decision.
    """

    def __init__(
        self,
        course: dict[str, Any] | None = None,
        save: Callable[[], None] = lambda: None,
        tell: Tell = lambda event, **details: None,
    ) -> None:
        self.course: dict[str, Any] = {} if course is None else course
        self.save = save
        self.tell = tell

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what was decided of `name`, or None."""
        found = self.course.get(kind, {}).get(name)
        return found if isinstance(found, dict) else None

    def note(self, kind: str, name: str, event: str, words: str, **facts: Any) -> dict[str, Any]:
        """Write a decision down, tell it and return it.

        Args:
            kind: ``"stages"``, ``"gates"`` or ``"kept"``.
            name: what it is about.
            event: as which it stands in the log of events.
            words: what people read of it.
            facts: what follows from it, in JSON types.
        """
        decided: dict[str, Any] = {"words": words, **facts}
        self.course.setdefault(kind, {})[name] = decided
        self.save()
        self.tell(event, words=words, **facts)
        return decided
