"""Where a trial stands among the others of its sweep: its stage, origin, change and seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.files.atomic import plain
from orchestrator.runs.records import TrialRecord

_LONG = 10
"""Characters above which a number is shortened."""


@dataclass(frozen=True)
class Lineage:
    """What links a trial to others; all empty for a run of another tool.

    Attributes:
        number: the trial's number in its sweep.
        stage: the stage that it ran at.
        origin: number of the trial that it follows.
        link: how it follows: ``"promoted"``, ``"remedy"`` or ``"resumed"``.
        change: what sets it apart from its origin, or from the baseline: ``name`` and ``set``.
        group: number of the first trial with its config, where configs run with several seeds.
        replicate: place of its seed among them, from 0.
    """

    number: int | None = None
    stage: str | None = None
    origin: int | None = None
    link: str | None = None
    change: Mapping[str, Any] = field(default_factory=dict)
    group: int | None = None
    replicate: int = 0

    @classmethod
    def of(cls, record: TrialRecord | None) -> Lineage:
        """Return the lineage of a trial; an empty one for None."""
        if record is None:
            return cls()
        return cls(
            number=record.number,
            stage=record.stage,
            origin=record.origin,
            link=record.link,
            change=record.change,
            group=record.group,
            replicate=record.replicate,
        )

    @property
    def words(self) -> str:
        """What changed, for people: ``"adamw: optimizer=adamw"``; "" for nothing."""
        name = str(self.change.get("name") or "")
        values = self.change.get("set")
        shown = ""
        if isinstance(values, Mapping):
            shown = ", ".join(f"{key}={_text(value)}" for key, value in values.items())
        if not name or name.replace(" ", "") == shown.replace(" ", ""):
            return shown or name
        if shown and name.endswith(f"+{shown}"):
            return name
        return f"{name}: {shown}" if shown else name


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        # As in the name of the change, unless that is what arithmetic left: 0.30000000000000004.
        return min(repr(value), f"{value:g}", key=len) if len(repr(value)) > _LONG else repr(value)
    return str(plain(value))
