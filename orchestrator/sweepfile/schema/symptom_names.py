"""The symptoms of a run and what each may lead to, by the names that a sweep file has for them.

`orchestrator.divergence.verdict` finds them and acts; a test holds the two lists together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.schema.fields import Kind, Schema, join, refuse
from orchestrator.sweepfile.yaml.node import Log, Node

SYMPTOMS = (
    "non-finite",
    "explosion",
    "lost progress",
    "rising",
    "oscillation",
    "plateau",
    "overfitting",
    "too slow",
    "dead from the start",
    "growing memory",
    "restart",
    "schedule",
)
CHOICES = ("stop", "warn", "remedy", "ignore")


def symptom_of(text: str) -> str | None:
    """Return the symptom that `text` means: blanks, hyphens and underscores are alike."""
    words = text.replace("_", " ").replace("-", " ").strip().lower()
    return next((known for known in SYMPTOMS if known.replace("-", " ") == words), None)


@dataclass(frozen=True)
class BySymptom:
    """A mapping from symptom to values of a kind.

    Attributes:
        item: the kind.
        expected: what the mapping is, for messages.
    """

    item: Kind
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from the names of `SYMPTOMS` to what the kind reads."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values: dict[str, Any] = {}
        written: dict[str, str] = {}
        for name, entry in node.value.items():
            where = Node(None, node.key_lines.get(name), node.origin)
            symptom = symptom_of(name)
            if symptom is None:
                hint = log.hint(name, SYMPTOMS)
                listed = "" if hint else f" Choices: {', '.join(SYMPTOMS)}."
                log.at(where, join(key, name), f"must be a symptom, but is none.{hint}{listed}")
                continue
            if symptom in written:
                message = f"must stand once, but '{written[symptom]}' is the same symptom."
                log.at(where, join(key, name), message)
                continue
            written[symptom] = name
            value = self.item.read(entry, join(key, name), log)
            if value or value == 0:
                values[symptom] = value
        return values

    def schema(self) -> Schema:
        """Return an object type with the symptoms, and their other spellings as a pattern."""
        described = {"description": "what this symptom leads to"}
        item = self.item.schema()
        return {
            "type": "object",
            "properties": {name: {**item, **described} for name in SYMPTOMS},
            "patternProperties": {_spellings(): item},
            "additionalProperties": False,
        }


def _spellings() -> str:
    words = ("[ _-]".join(_any_case(w) for w in s.replace("-", " ").split()) for s in SYMPTOMS)
    return f"^ *({'|'.join(words)}) *$"


def _any_case(word: str) -> str:
    return "".join(f"[{c.lower()}{c.upper()}]" for c in word)


def written_as(node: Node, symptom: str) -> str:
    """Return the key of a mapping under which a symptom stands in the file."""
    entries: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    return next((name for name in entries if symptom_of(name) == symptom), symptom)
