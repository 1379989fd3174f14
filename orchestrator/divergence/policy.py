"""What the symptoms of a run lead to, and for how long they must last before that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.divergence.symptom import CHOICES, CONTINUE, Choice, Verdict
from orchestrator.divergence.symptoms import all_symptoms, symptom_named
from orchestrator.errors import UsageError, nearest

GRAVITY = ("stop", "remedy", "warn")
"""Actions, gravest first."""


@dataclass(frozen=True)
class Policy:
    """What each symptom leads to.

    Attributes:
        choices: symptom → choice, if it differs from the symptom's default.
        patience: symptom → number of reports, from its onset on, for which it must last before
            it leads to that; until then a symptom that ends a run is only a warning, and one that
            is a warning is not reported. By default a symptom is acted on once it is found.
    """

    choices: Mapping[str, Choice] = field(default_factory=dict)
    patience: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, object], where: str = "divergence") -> Policy:
        """Return the policy of a mapping from symptom names to choices, or to mappings.

        A mapping has a ``patience``, and an ``action`` unless the symptom keeps its default.

        Raises:
            UsageError: a symptom, a choice or a patience is not valid.
        """
        choices: dict[str, Choice] = {}
        patience: dict[str, int] = {}
        for name, entry in raw.items():
            symptom = symptom_named(str(name))
            if symptom is None:
                raise _unknown(where, "symptom", name, all_symptoms())
            given: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"action": entry}
            choice, wait = given.get("action"), given.get("patience")
            if wait is not None and (type(wait) is not int or wait < 1):
                raise UsageError(
                    f"{where}.{name}.patience: expected a whole number of at least 1 "
                    f"(found {wait!r})."
                )
            if wait is not None:
                patience[symptom] = wait
            if choice is None and wait is not None:
                continue
            found = next((known for known in CHOICES if known == choice), None)
            if found is None:
                raise _unknown(f"{where}.{name}", "choice", choice, CHOICES)
            choices[symptom] = found
        return cls(choices, patience)

    def action(self, symptom: str, *, loss_can_fall: bool = False) -> Choice:
        """Return what `symptom` leads to.

        Until another trial of the sweep has shown that the loss can fall, a rising loss may be the
        task's fault and is only a warning, unless the policy names an action for it.
        """
        if symptom in self.choices:
            return self.choices[symptom]
        if symptom == "rising" and not loss_can_fall:
            return "warn"
        known = all_symptoms().get(symptom)
        return known.default if known else "warn"

    def stops_at_once(self, symptom: str) -> bool:
        """Return whether `symptom` ends a run at the report that shows it."""
        return symptom not in self.patience and self.action(symptom) in ("stop", "remedy")

    def apply(self, found: Verdict, *, loss_can_fall: bool = False) -> Verdict:
        """Return `found` with the action of the policy; `CONTINUE` if the policy ignores it.

        A non-finite validation value that may be transient stays a warning whatever the policy, and
        lost progress that may be meant does unless the policy names an action for it.
        """
        if found.symptom is None:
            return found
        choice = self.action(found.symptom, loss_can_fall=loss_can_fall)
        if choice == "ignore":
            return CONTINUE
        is_unsure = found.symptom == "lost progress" and found.symptom not in self.choices
        if found.action == "warn" and (found.symptom == "non-finite" or is_unsure):
            return found
        return replace(found, action=choice)


class Patience:
    """Delays what symptoms lead to until they have lasted for as long as the policy waits."""

    def __init__(self, policy: Policy) -> None:
        self._reports = policy.patience
        self._steps: deque[int] = deque(maxlen=max(self._reports.values(), default=0))
        self._waiting: dict[str, tuple[Verdict, Verdict]] = {}  # symptom: (applied, as found)

    def count(self, step: int) -> None:
        """Count a report; steps that go back belong to another run."""
        if self._steps and step < self._steps[-1]:
            self._steps.clear()
            self._waiting.clear()
        self._steps.append(step)

    def apply(self, applied: Verdict, found: Verdict) -> Verdict:
        """Return what a finding leads to at this report."""
        symptom = str(applied.symptom)
        if applied.symptom is None or self._has_lasted(applied):
            self._waiting.pop(symptom, None)
            return applied
        known = self._waiting.get(symptom)
        if known is not None and known[0].onset is not None:
            applied = replace(applied, onset=known[0].onset)  # found again: it still lasts
        self._waiting[symptom] = applied, found
        return replace(applied, action="warn") if applied.stops else CONTINUE

    def due(self, holds: Callable[[Verdict], bool]) -> list[Verdict]:
        """Return the findings that have lasted long enough now, and forget those that ceased."""
        if not self._waiting:
            return []
        self._waiting = {name: one for name, one in self._waiting.items() if holds(one[1])}
        ready = [one[0] for one in self._waiting.values() if self._has_lasted(one[0])]
        for verdict in ready:
            del self._waiting[str(verdict.symptom)]
        return [
            replace(
                one, reason=f"{one.reason}; it has lasted {self._reports[str(one.symptom)]} reports"
            )
            for one in ready
        ]

    def _has_lasted(self, found: Verdict) -> bool:
        wanted = self._reports.get(str(found.symptom))
        if wanted is None or found.onset is None:
            return True
        # Those forgotten were before the longest patience: more have lasted anyway.
        return sum(step >= found.onset for step in self._steps) >= wanted


def _unknown(where: str, what: str, found: object, known: Collection[str]) -> UsageError:
    hint = nearest(str(found), known)
    return UsageError(f"{where}: unknown {what} {found!r}.{hint} Choices: {', '.join(known)}.")
