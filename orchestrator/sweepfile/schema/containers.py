"""Lists, mappings and records of the kinds of value in `orchestrator.sweepfile.schema.fields`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sweepfile.schema.fields import ABSENT, Kind, Schema, join, refuse
from orchestrator.sweepfile.yaml.node import Log, Node


@dataclass(frozen=True)
class ListOf:
    """A list of one or more values of a kind; `expected` is what messages call it."""

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
        names: a pattern that each name matches; "" for any name that is not blank.
        name: what messages call a name.
    """

    item: Kind
    expected: str
    names: str = ""
    name: str = ""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict of those entries that are good."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values = {}
        for name, entry in node.value.items():
            if not name.strip():
                refuse(node.key_node(name), key, log, "a mapping with a name for each entry")
                continue
            value = self.item.read(entry, join(key, name), log)
            if value is not ABSENT:
                values[name] = value
                if self.names and not re.fullmatch(self.names, name):
                    log.at(node.key_node(name), join(key, name), f"not {self.name}.")
        return values

    def schema(self) -> Schema:
        """Return an object type."""
        schema: Schema = {"type": "object", "additionalProperties": self.item.schema()}
        return schema | ({"propertyNames": {"pattern": f"^{self.names}$"}} if self.names else {})


@dataclass(frozen=True)
class Key:
    """A key of a record; `help` is one line for people and editors."""

    kind: Kind
    help: str
    required: bool = False


@dataclass(frozen=True)
class SpecKey(Key):
    """A key of the sweep file itself, which fills the field of `Spec` with the same name.

    Attributes:
        convert: makes the field's value of what was read; None if they are the same.
        joined: True if the mapping is joined with that of the file that is extended.
        of_program: True if it describes a program and is wrong for a trainer.
        of_wandb: True if W&B's sweep files have it too.
    """

    convert: Callable[[Any], Any] | None = None
    joined: bool = False
    of_program: bool = False
    of_wandb: bool = False


def _list_meant(name: str, node: Node) -> str:
    """Return how to write the list whose brackets are missing in ``{values: 1, 2}``; else ""."""
    names = list(node.value)
    place = names.index(name)
    first = node.value[names[place - 1]].value if place else None
    if first is None or isinstance(first, dict | list):
        return ""
    rest = itertools.takewhile(lambda each: node.value[each].value is None, names[place:])
    return f" Write {names[place - 1]}: [{', '.join([str(first), *rest])}]."


def _is_domain(node: Node) -> bool:
    """Return whether a mapping looks like a parameter's."""
    keys = {"value", "values", "min", "max", "distribution"}
    return isinstance(node.value, dict) and bool(keys & node.value.keys())


@dataclass(frozen=True)
class Record:
    """A mapping with known keys.

    Attributes:
        later: keys that are known but not supported yet, to what to do instead.
        ignored: keys that are known and have no meaning here; they become warnings.
        meant: keys of other tools, to what to write instead.
        otherwise: what to do about any other unknown key; "" to list the known ones.
        empty: True if null means an empty record.
        filled: True if it has at least one entry.
        tolerant: True if unknown keys are warnings, as in W&B.
    """

    keys: Mapping[str, Key]
    expected: str
    later: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    meant: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    empty: bool = False
    filled: bool = False
    tolerant: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict of those entries that are good."""
        if node.value is None and self.empty:
            return {}
        if not isinstance(node.value, dict) or (self.filled and not node.value):
            return refuse(node, key, log, self.expected)
        values = {}
        for name, entry in node.value.items():
            inner = join(key, name)
            if name in self.keys:
                value = self.keys[name].kind.read(entry, inner, log)
                if value is not ABSENT:
                    values[name] = value
            elif name in self.ignored:
                log.warn(node.key_node(name), inner, f"is ignored: {self.ignored[name]}.")
            elif name in self.later:
                message = f"not supported yet. {self.later[name]}"
                log.at(node.key_node(name), inner, message)
            else:
                self._report_unknown(name, node, inner, log)
        for name, declared in self.keys.items():
            if declared.required and name not in node.value:
                log.at(node, join(key, name), f"missing ({declared.help}).")
        return values

    def _report_unknown(self, name: str, node: Node, key: str, log: Log) -> None:
        entry = node.value[name]
        if entry.value is None:
            before = list(node.value)[: list(node.value).index(name)]
            if before and before[-1] not in self.keys and node.value[before[-1]].value is None:
                return  # {values: 1, 2, 3}: reported at 2
            hint = _list_meant(name, node)
        elif name == key and "parameters" in self.keys and _is_domain(entry):
            hint = " It looks like a parameter: indent it under parameters."
        else:
            hint = ""
        hint = hint or log.hint(name, self.keys)
        if name.lower() in self.meant:
            hint = f" Write {self.meant[name.lower()]}."
        hint = hint or self.otherwise
        if self.tolerant:
            log.warn(node.key_node(name), key, f"unknown key, which is ignored.{hint}")
            return
        hint = hint or f" Choices: {', '.join(self.keys)}."
        log.at(node.key_node(name), key, f"unknown key.{hint}")

    def schema(self) -> Schema:
        """Return an object type that allows no other keys."""
        properties = {
            name: {**declared.kind.schema(), "description": declared.help}
            for name, declared in self.keys.items()
        }
        for name, reason in self.ignored.items():
            properties[name] = {"description": f"Ignored: {reason}.", "deprecated": True}
        required = [name for name, declared in self.keys.items() if declared.required]
        return {
            "type": ["object", "null"] if self.empty else "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": required} if required else {}),
            **({"minProperties": 1} if self.filled else {}),
        }


@dataclass(frozen=True)
class Either:
    """A value of one kind or another: the first reads scalars or, with `lists_first`, lists."""

    first: Kind
    second: Kind
    lists_first: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return what the fitting kind reads."""
        is_list = isinstance(node.value, list)
        is_first = is_list if self.lists_first else not is_list and not isinstance(node.value, dict)
        return (self.first if is_first else self.second).read(node, key, log)

    def schema(self) -> Schema:
        """Return a choice of two."""
        return {"anyOf": [self.first.schema(), self.second.schema()]}
