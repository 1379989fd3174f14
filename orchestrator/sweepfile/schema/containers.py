"""Lists, mappings and records of the kinds of value in `orchestrator.sweepfile.schema.fields`.

The kind of value that ``command`` takes: a list of words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sweepfile.schema.fields import ABSENT, Kind, Schema, join, refuse
from orchestrator.sweepfile.yaml.node import Log, Node


@dataclass(frozen=True)
class ListOf:
    """A list of one or more values of a kind.

    Attributes:
        item: the kind.
        expected: what the list is, for messages.
    """

    item: Kind
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the list of those items that are good."""
        if not isinstance(node.value, list) or not node.value:
            return refuse(node, key, log, self.expected)
        read = [self.item.read(item, join(key, str(i)), log) for i, item in enumerate(node.value)]
        return [value for value in read if value is not ABSENT]

    def schema(self) -> Schema:
        """Return an array type."""
        return {"type": "array", "items": self.item.schema(), "minItems": 1}


@dataclass(frozen=True)
class MapOf:
    """A mapping from names that the writer chooses to values of a kind.

    Attributes:
        item: the kind.
        expected: what the mapping is, for messages.
    """

    item: Kind
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict of those entries that are good."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values = {}
        for name, entry in node.value.items():
            if not name.strip():
                where = Node(name, node.key_lines.get(name), node.origin)
                refuse(where, key, log, "a mapping with a name for each entry")
                continue
            value = self.item.read(entry, join(key, name), log)
            if value is not ABSENT:
                values[name] = value
        return values

    def schema(self) -> Schema:
        """Return an object type."""
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Key:
    """A key of a record.

    Attributes:
        kind: what its value is.
        help: one line for people and editors.
        required: True where it must be there.
    """

    kind: Kind
    help: str
    required: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with known keys.

    Attributes:
        keys: the keys.
        expected: what it is, for messages.
        later: keys that are known but not supported yet, to what to do instead.
        ignored: keys that are known and have no meaning here; they become warnings.
        empty: True where null stands for an empty record.
    """

    keys: Mapping[str, Key]
    expected: str
    later: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    empty: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict of those entries that are good."""
        if node.value is None and self.empty:
            return {}
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values = {}
        for name, entry in node.value.items():
            where = Node(entry.value, node.key_lines.get(name), entry.origin)
            if name in self.keys:
                value = self.keys[name].kind.read(entry, join(key, name), log)
                if value is not ABSENT:
                    values[name] = value
            elif name in self.later:
                message = f"is not supported yet. {self.later[name]}".rstrip()
                log.at(where, join(key, name), message)
            elif name in self.ignored:
                log.warn(where, join(key, name), f"is ignored: {self.ignored[name]}.")
            else:
                self._unknown(where, key, name, log)
        for name, declared in self.keys.items():
            if declared.required and name not in node.value:
                log.at(node, join(key, name), f"must be given: {declared.help}.")
        return values

    def _unknown(self, where: Node, key: str, name: str, log: Log) -> None:
        hint = log.hint(name, self.keys)
        choices = "" if hint else f" Choices: {', '.join(self.keys)}."
        log.at(where, join(key, name), f"must be a known key, but is not.{hint}{choices}")

    def schema(self) -> Schema:
        """Return an object type that allows no other keys."""
        properties = {
            name: {**declared.kind.schema(), "description": declared.help}
            for name, declared in self.keys.items()
        }
        for name, reason in self.ignored.items():
            properties[name] = {"description": f"Ignored: {reason}.", "deprecated": True}
        schema: Schema = {
            "type": ["object", "null"] if self.empty else "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [name for name, declared in self.keys.items() if declared.required]
        return schema | ({"required": required} if required else {})


@dataclass(frozen=True)
class Either:
    """A scalar of one kind, or a mapping or list of another.

    Attributes:
        scalar: the kind of a scalar.
        other: the kind of anything else.
    """

    scalar: Kind
    other: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return what the fitting kind reads."""
        structured = isinstance(node.value, dict | list)
        return (self.other if structured else self.scalar).read(node, key, log)

    def schema(self) -> Schema:
        """Return a choice of two."""
        return {"anyOf": [self.scalar.schema(), self.other.schema()]}


@dataclass(frozen=True)
class ListOr:
    """A list, or else a mapping.

    Attributes:
        items: the kind of the list.
        other: the kind of anything else.
    """

    items: Kind
    other: Kind

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return what the fitting kind reads."""
        return (self.items if isinstance(node.value, list) else self.other).read(node, key, log)

    def schema(self) -> Schema:
        """Return a choice of two."""
        return {"anyOf": [self.items.schema(), self.other.schema()]}


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
