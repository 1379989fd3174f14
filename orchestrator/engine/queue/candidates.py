"""Trials that could start, and the numbers of those to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.runs import TrialRecord
from orchestrator.sweepfile.expand import numbers_end
from orchestrator.sweepfile.model import Spec

LOOK_AHEAD = 64
"""How many trials are shown to placement at most."""


@dataclass(frozen=True)
class Candidate:
    """A trial that could start now.

    Attributes:
        config: the values that the sweep gives, as far as they are known.
        number: the trial's number; None for one that the study has yet to propose.
        record: where it has run before.
        turn: the place of its seed among the sweep's; all configs have their first before one has
            its second.
    """

    config: Mapping[str, Any]
    number: int | None = None
    record: TrialRecord | None = None
    turn: int = 0


def number_after(spec: Spec, records: Mapping[int, TrialRecord]) -> int:
    """Return the number of a trial that is made now, or of the first of its replicates.

    What a grid or a random draw still asks for has its numbers already; a trial that follows from
    another must not take one of them. With seeds, the replicates of a config have numbers running.
    """
    # Not their count: a folder whose record was lost must not shift the numbers.
    least = max(max(records, default=-1) + 1, numbers_end(spec))
    many = max(len(spec.seeds), 1)
    return -(-least // many) * many
