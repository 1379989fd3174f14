"""All symptoms of learning curves, one module each.

A module defines ``SYMPTOM`` or, for those that one rule finds, ``SYMPTOMS``. Adding a module here
is all it takes: the sweep file, `sweep doctor` and the docs test pick it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from orchestrator.divergence.symptom import CHOICES, Choice, Symptom
from orchestrator.files.discover import records

__all__ = ["CHOICES", "Choice", "all_symptoms", "divergence_symptoms", "symptom_named"]


@cache
def all_symptoms() -> Mapping[str, Symptom]:
    """Return every symptom by name: those that stop a run first, then by name."""
    found: list[Symptom] = [*records(__name__, "SYMPTOM")]
    for several in records(__name__, "SYMPTOMS"):
        found += several
    found.sort(key=lambda symptom: (symptom.default != "stop", symptom.name))
    return {symptom.name: symptom for symptom in found}


def symptom_named(text: str) -> str | None:
    """Return the name that `text` means (case and separators do not matter); None if unknown."""
    plain = _plain(text)
    return next((name for name in all_symptoms() if _plain(name) == plain), None)


def divergence_symptoms() -> tuple[str, ...]:
    """Return the names of the symptoms of a run that has diverged; the others are notes."""
    return tuple(name for name, symptom in all_symptoms().items() if symptom.default == "stop")


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").replace("-", " ").lower().split())
