"""The kind of value that ``command`` takes: a list of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.schema.fields import Schema, join, refuse
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.problems import Log

_EXPECTED = "a list of words such as [python, '${program}', '${args}']"


@dataclass(frozen=True)
class Words:
    """The words of a command; numbers and the like become words as Python writes them."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a tuple of words, or the text where one stands instead of a list."""
        if isinstance(node.value, str) and node.value.strip() and "\0" not in node.value:
            return node.value
        if not isinstance(node.value, list) or not node.value:
            return refuse(node, key, log, _EXPECTED)
        words = []
        for place, item in enumerate(node.value):
            if isinstance(item.value, dict | list) or "\0" in str(item.value):
                return refuse(item, join(key, str(place)), log, "a word")
            words.append(str(item.value))
        return tuple(words)

    def schema(self) -> Schema:
        """Return an array of scalars, or text."""
        scalar = {"type": ["string", "number", "boolean", "null"]}
        items = {"type": "array", "items": scalar, "minItems": 1}
        return {"anyOf": [items, {"type": "string", "minLength": 1}]}
