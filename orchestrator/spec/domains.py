"""The block of one parameter: which values it may take.

The words are W&B's: ``value``, ``values``, or ``min`` and ``max`` with an optional
``distribution`` and ``q``. Without ``distribution``, two whole bounds mean whole numbers and any
other two mean numbers between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.spec.kinds import ABSENT, Anything, Number, Schema, Text, join
from orchestrator.spec.model import Domain
from orchestrator.spec.problems import Log
from orchestrator.spec.shapes import Key, Record
from orchestrator.spec.tree import Node, found

# Distribution -> the keys it needs and the keys it may have.
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "int_uniform": (("min", "max"), ()),
    "uniform": (("min", "max"), ()),
    "q_uniform": (("min", "max"), ("q",)),
    "log_uniform_values": (("min", "max"), ()),
}
# Names that stand in other tools' files, and W&B's that are still to come.
_MEANT = {
    "loguniform": "log_uniform_values",
    "log_uniform": "log_uniform_values",
    "reverse_log_uniform": "log_uniform_values",
    "inv_log_uniform": "log_uniform_values",
    "inv_log_uniform_values": "log_uniform_values",
    "q_log_uniform": "log_uniform_values",
    "q_log_uniform_values": "log_uniform_values",
    "quniform": "q_uniform",
    "choice": "categorical",
    "grid": "categorical",
    "categorical_w_probabilities": "categorical",
    "randint": "int_uniform",
    "int": "int_uniform",
    "q_int_uniform": "q_uniform",
    "float": "uniform",
    "normal": "uniform",
}
_LATER = "Use min and max with one of the distributions " + ", ".join(
    name for name, (needed, _) in DISTRIBUTIONS.items() if "min" in needed
)
BLOCK = Record(
    keys={
        "value": Key(Anything(), "the one value of all configs"),
        "values": Key(Anything(), "the choices, in the order in which a grid takes them"),
        "min": Key(Number(), "least value, inclusive"),
        "max": Key(Number(), "greatest value, inclusive"),
        "distribution": Key(Text("the name of a distribution"), "how a value is drawn"),
        "q": Key(Number(above=0.0), "step of a q_uniform range; a whole q gives whole numbers"),
    },
    expected="a mapping such as {values: [...]} or {min: ..., max: ...}",
    later={
        "probabilities": "Leave it out to draw all values alike.",
        "mu": f"{_LATER}.",
        "sigma": f"{_LATER}.",
        "a": f"{_LATER}.",
        "b": f"{_LATER}.",
        "parameters": "Write nested parameters by flat names.",
    },
)


@dataclass(frozen=True)
class Declared:
    """A parameter's domain and where it stands.

    Attributes:
        domain: the domain.
        node: its block in the file.
    """

    domain: Domain
    node: Node

    def leaves(self) -> Iterator[tuple[str, Node]]:
        """Yield every value that stands in the block, with the rest of its key."""
        for name in ("value", "min", "max"):
            node = self.node.get(name)
            if node is not None:
                yield name, node
        values = self.node.get("values")
        if values is not None and isinstance(values.value, list):
            for item in values.value:
                yield "values", item
        elif values is not None:
            yield "values", values


@dataclass(frozen=True)
class Block:
    """The kind of value that stands under the name of a parameter."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a `Declared`."""
        if not isinstance(node.value, dict):
            word = "values" if isinstance(node.value, list) else "value"
            example = found(node) if word == "value" else "[...]"
            hint = f" Write {{{word}: {example}}}."
            log.at(node, key, f"must be {BLOCK.expected}, but got {found(node)}.{hint}")
            return ABSENT
        before = len(log.problems)
        entries = BLOCK.read(node, key, log)
        domain = _domain(entries, node, key, log) if len(log.problems) == before else None
        return ABSENT if domain is None else Declared(domain, node)

    def schema(self) -> Schema:
        """Return the block's record, with the keys that belong together."""
        schema = BLOCK.schema()
        schema["properties"]["distribution"]["enum"] = list(DISTRIBUTIONS)
        schema["properties"]["values"] |= {"not": {"type": ["null", "object"]}, "minItems": 1}
        ranged = ["min", "max", "q"]
        schema["oneOf"] = [
            {"required": ["value"], "properties": dict.fromkeys(["values", *ranged], False)},
            {"required": ["values"], "properties": dict.fromkeys(["value", *ranged], False)},
            {"required": ["min", "max"], "properties": dict.fromkeys(["value", "values"], False)},
        ]
        return schema


def _domain(entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    """Return the domain of a block whose single keys are good, or None after telling why not."""
    name = entries.get("distribution")
    if name is None:
        name = _infer(entries, node, key, log)
        if name is None:
            return None
    elif name not in DISTRIBUTIONS:
        meant = _MEANT.get(name)
        hint = f" Did you mean '{meant}'?" if meant else log.hint(name, DISTRIBUTIONS)
        choices = ", ".join(DISTRIBUTIONS)
        where = node.get("distribution") or node
        log.at(
            where,
            join(key, "distribution"),
            f"must be a known distribution, but got '{name}'.{hint} Choices: {choices}.",
        )
        return None
    needed, allowed = DISTRIBUTIONS[name]
    missing = [word for word in needed if word not in entries]
    surplus = [w for w in entries if w not in (*needed, *allowed, "distribution")]
    if missing or surplus:
        wanted = [f"have {' and '.join(missing)}"] if missing else []
        wanted += [f"not have {' and '.join(surplus)}"] if surplus else []
        article = "an" if name.startswith("int") else "a"
        where = (node.get(surplus[0]) if surplus else None) or node
        log.at(where, key, f"must {' and '.join(wanted)}, since it is {article} {name}.")
        return None
    if name == "constant":
        return Domain(name, values=(entries["value"],))
    if name == "categorical":
        return _categorical(entries["values"], node, key, log)
    return _range(name, entries, node, key, log)


def _infer(entries: dict[str, Any], node: Node, key: str, log: Log) -> str | None:
    forms: list[str] = [word for word in ("value", "values") if word in entries]
    ranged: list[str] = [word for word in ("min", "max") if word in entries]
    if len(forms) + bool(ranged) != 1:
        got = " and ".join(forms + ranged) or ", ".join(entries) or "nothing"
        log.at(node, key, f"must have one of value, values, or min and max, but has {got}.")
        return None
    if forms:
        return "constant" if forms == ["value"] else "categorical"
    if "q" in entries:
        return "q_uniform"
    whole = all(type(entries.get(word, 0)) is int for word in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _categorical(values: Any, node: Node, key: str, log: Log) -> Domain | None:
    where = node.get("values") or node
    if not isinstance(values, list):
        if values is None or isinstance(values, dict):
            log.at(where, join(key, "values"), f"must be a list, but got {found(where)}.")
            return None
        log.warn(where, join(key, "values"), f"should be a list; read as [{values}].")
        values = [values]
    if not values:
        log.at(where, join(key, "values"), "must list at least one value, but got an empty list.")
        return None
    return Domain("categorical", values=tuple(distinct(values)))


def _range(name: str, entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    low, high, q = entries["min"], entries["max"], entries.get("q")
    where = node.get("min") or node
    if name == "int_uniform":
        if not all(float(bound).is_integer() for bound in (low, high)):
            hint = "Use distribution: uniform for numbers between."
            log.at(where, key, f"must have whole bounds, but got {low} and {high}. {hint}")
            return None
        low, high = int(low), int(high)
    if low >= high:
        hint = f" Write {{value: {low}}}." if low == high else ""
        log.at(where, key, f"must have min below max, but got {low} and {high}.{hint}")
        return None
    if name == "log_uniform_values" and low <= 0:
        log.at(where, join(key, "min"), f"must be above 0 on a logarithmic scale, but got {low}.")
        return None
    if name == "q_uniform":
        q = 1.0 if q is None else q
        if not math.isfinite(float(high) / q - float(low) / q):
            log.at(where, join(key, "q"), f"must be a step for its range, but got {q}: too small.")
            return None
    return Domain(name, low=low, high=high, q=q)


def canonical(value: Any) -> Any:
    """Return something hashable that is equal for values that are the same choice.

    ``1`` and ``1.0`` are the same; ``True`` and ``1`` are not, nor are ``"1"`` and ``1``.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        if math.isnan(value):
            return ("nan",)
        return int(value) if math.isfinite(value) and value.is_integer() else value
    if isinstance(value, list | tuple):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, dict):
        return ("dict", frozenset((key, canonical(item)) for key, item in value.items()))
    return value


def distinct(values: Sequence[Any]) -> list[Any]:
    """Return `values` without repetitions, in order; of two that are the same the later stays."""
    return list({canonical(value): value for value in values}.values())
