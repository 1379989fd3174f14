"""What the rule says about one report.

What each symptom leads to: the run ends, somebody is told, a remedy is tried, or nothing.

::

    policy = Policy.of({"plateau": "stop", "overfitting": "ignore"})
    policy.action("rising", loss_can_fall=True)   # "stop"

By default only what is lost ends a run: a non-finite training loss, an explosion, lost progress;
and a loss that only rises, once another trial of the sweep has shown that the loss can fall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.errors import UsageError, nearest

Action = Literal["continue", "warn", "remedy", "stop"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a run after one report.

    Attributes:
        action: ``"continue"``; ``"warn"``, the run goes on and the user is told; ``"remedy"``, it
            ends so that another may try a remedy; ``"stop"``, the run is lost.
        symptom: what was seen, one of `orchestrator.divergence.verdict.SYMPTOMS`; None where
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


Choice = Literal["stop", "warn", "remedy", "ignore"]
CHOICES: tuple[Choice, ...] = ("stop", "warn", "remedy", "ignore")

DEFAULTS: dict[str, Choice] = {
    "non-finite": "stop",
    "explosion": "stop",
    "lost progress": "stop",
    "rising": "stop",
    "oscillation": "warn",
    "plateau": "warn",
    "overfitting": "warn",
    "too slow": "warn",
    "dead from the start": "warn",
    "growing memory": "warn",
    "restart": "warn",
    "schedule": "warn",
}
SYMPTOMS = tuple(DEFAULTS)
LOST = tuple(symptom for symptom, choice in DEFAULTS.items() if choice == "stop")
"""Symptoms of a run that has diverged; the others are notes."""


@dataclass(frozen=True)
class Policy:
    """Symptom to choice.

    Attributes:
        choices: what was asked for; the others are `DEFAULTS`.
    """

    choices: Mapping[str, Choice] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, object], where: str = "divergence") -> Policy:
        """Return the policy of a map; underscores stand for spaces as well.

        Raises:
            UsageError: a symptom or a choice is unknown.
        """
        choices: dict[str, Choice] = {}
        for name, choice in raw.items():
            symptom = str(name).replace("_", " ")
            symptom = "non-finite" if symptom == "non finite" else symptom
            if symptom not in DEFAULTS:
                raise UsageError(
                    f"{where}: must name symptoms ({', '.join(SYMPTOMS)}), but got {name!r}."
                    f"{nearest(symptom, SYMPTOMS)}"
                )
            found = next((known for known in CHOICES if known == choice), None)
            if found is None:
                raise UsageError(
                    f"{where}.{name}: must be one of {', '.join(CHOICES)}, but got {choice!r}."
                    f"{nearest(str(choice), CHOICES)}"
                )
            choices[symptom] = found
        return cls(choices)

    def action(self, symptom: str, *, loss_can_fall: bool = False) -> Choice:
        """Return what `symptom` leads to.

        Args:
            symptom: one of `SYMPTOMS`.
            loss_can_fall: True once another trial of the sweep has shown that the loss can fall.
                Without that, a rising loss may be the task's fault and is only told.
        """
        choice = self.choices.get(symptom, DEFAULTS.get(symptom, "warn"))
        if symptom == "rising" and choice in ("stop", "remedy") and not loss_can_fall:
            return "warn"
        return choice

    def apply(self, found: Verdict, *, loss_can_fall: bool = False) -> Verdict:
        """Return `found` with the action that the policy gives it.

        What the finder itself only warns of, such as validation values that may pass, is never
        made graver than a warning, but for symptoms whose choice says so in words.
        """
        if found.symptom is None:
            return found
        choice = self.action(found.symptom, loss_can_fall=loss_can_fall)
        if choice == "ignore":
            return CONTINUE
        if found.symptom == "non-finite" and found.action == "warn":
            return found
        return replace(found, action=choice)
