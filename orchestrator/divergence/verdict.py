"""What the rule says about one report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["continue", "warn", "stop"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a run after one report.

    Attributes:
        action: ``"continue"``; ``"warn"``, the run goes on and the user is told; ``"stop"``, the
            run is lost.
        symptom: what was seen: ``"non-finite"``, ``"explosion"``, ``"lost progress"``,
            ``"rising"``; None where nothing was.
        onset: the step at which it began; None where nothing was seen.
        reason: one sentence with the numbers behind it; empty where nothing was seen.
    """

    action: Action = "continue"
    symptom: str | None = None
    onset: int | None = None
    reason: str = ""

    @property
    def stops(self) -> bool:
        """True where the run is lost."""
        return self.action == "stop"


CONTINUE = Verdict()
