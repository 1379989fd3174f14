"""What the rule says about one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["continue", "warn", "remedy", "stop"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a run after one report.

    Attributes:
        action: ``"continue"``; ``"warn"``, the run goes on and the user is told; ``"remedy"``, it
            ends so that another may try a remedy; ``"stop"``, the run is lost.
        symptom: what was seen, one of `orchestrator.divergence.policy.SYMPTOMS`; None where
            nothing was.
        onset: the step at which it began; None where nothing was seen.
        reason: one sentence with the numbers behind it; empty where nothing was seen.
        numbers: the same numbers by name.
    """

    action: Action = "continue"
    symptom: str | None = None
    onset: int | None = None
    reason: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def stops(self) -> bool:
        """True where the run ends."""
        return self.action in ("stop", "remedy")


CONTINUE = Verdict()
