"""The judgment of one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["continue", "warn", "remedy", "stop"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a run after one report.

    Attributes:
        action: ``"continue"``; ``"warn"``, the run continues and the user is informed;
            ``"remedy"``, it ends so that another trial may try a remedy; ``"stop"``, it is lost.
        symptom: name of the symptom that was found; None if there is none.
        onset: step at which the symptom began; None if there is none.
        reason: one sentence with the numbers behind it; empty if there is no symptom.
        numbers: the same numbers by name.
    """

    action: Action = "continue"
    symptom: str | None = None
    onset: int | None = None
    reason: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def stops(self) -> bool:
        """True if the run ends."""
        return self.action in ("stop", "remedy")


CONTINUE = Verdict()


def number(value: float) -> str:
    """Return `value` with four significant digits: ``"0.2847"``, ``"41.2"``, ``"1.3e+20"``."""
    return f"{value:.4g}"
