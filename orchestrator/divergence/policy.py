"""What each symptom leads to, and which findings are new.

::

    policy = Policy.of({"plateau": "stop", "overfitting": "ignore"})
    policy.action("rising", loss_can_fall=True)   # "stop"

By default only a lost run ends: a non-finite training loss, an explosion, lost progress; and a loss
that only rises, once another trial of the sweep has shown that the loss can fall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.divergence.symptom import CHOICES, Choice
from orchestrator.divergence.symptoms import all_symptoms, symptom_named
from orchestrator.divergence.verdict import CONTINUE, Verdict
from orchestrator.errors import UsageError, nearest


@dataclass(frozen=True)
class Policy:
    """Symptom → choice.

    Attributes:
        choices: those that differ from the defaults of the symptoms.
    """

    choices: Mapping[str, Choice] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, object], where: str = "divergence") -> Policy:
        """Return the policy of a mapping from symptom names to choices.

        Raises:
            UsageError: a symptom or a choice is unknown.
        """
        choices: dict[str, Choice] = {}
        for name, choice in raw.items():
            symptom = symptom_named(str(name))
            if symptom is None:
                known = list(all_symptoms())
                raise UsageError(
                    f"{where}: unknown symptom {name!r}.{nearest(str(name), known)} "
                    f"Choices: {', '.join(known)}."
                )
            found = next((known for known in CHOICES if known == choice), None)
            if found is None:
                raise UsageError(
                    f"{where}.{name}: unknown choice {choice!r}.{nearest(str(choice), CHOICES)} "
                    f"Choices: {', '.join(CHOICES)}."
                )
            choices[symptom] = found
        return cls(choices)

    def action(self, symptom: str, *, loss_can_fall: bool = False) -> Choice:
        """Return what `symptom` leads to.

        Args:
            symptom: its name.
            loss_can_fall: True once another trial of the sweep has shown that the loss can fall.
                Without that, a rising loss may be the task's fault and is only a warning.
        """
        known = all_symptoms().get(symptom)
        choice = self.choices.get(symptom, known.default if known else "warn")
        if symptom == "rising" and choice in ("stop", "remedy") and not loss_can_fall:
            return "warn"
        return choice

    def apply(self, found: Verdict, *, loss_can_fall: bool = False) -> Verdict:
        """Return `found` with the action of the policy; `CONTINUE` if the policy ignores it.

        A non-finite validation value that may be transient stays a warning whatever the policy.
        """
        if found.symptom is None:
            return found
        choice = self.action(found.symptom, loss_can_fall=loss_can_fall)
        if choice == "ignore":
            return CONTINUE
        if found.symptom == "non-finite" and found.action == "warn":
            return found
        return replace(found, action=choice)


class Reported:
    """Which findings were already reported. Watch, status, table and doctor all ask here.

    Args:
        per_onset: report a symptom again when it begins again; else once per run.
    """

    def __init__(self, *, per_onset: bool = False) -> None:
        self._per_onset = per_onset
        self._seen: set[object] = set()

    def is_new(self, found: Verdict) -> bool:
        """Return whether a finding was not reported before, and remember it."""
        key: object = finding_key(found)
        if self._per_onset:
            key = key, found.onset
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new


def finding_key(found: Verdict) -> str:
    """Return what makes two findings the same: the symptom, or the reason if each is separate."""
    symptom = all_symptoms().get(str(found.symptom))
    return found.reason if symptom is None or symptom.is_separate else symptom.name
