"""The block of one parameter: which values it may take.

The words are W&B's: ``value``, ``values``, or ``min`` and ``max`` with an optional
``distribution`` and what belongs to it. Without ``distribution``, two whole bounds mean whole
numbers and any other two mean numbers between. What W&B's own reader would only grumble at is read
as what was meant, with a warning.

The distributions that a parameter's block may mean, and what belongs to each.

The table holds W&B's names; a new one is a line here and a case in `sweepfile.space.quantiles`.

Which values of a list of choices are the same choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.schema.containers import Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    CONDITION,
    Anything,
    Number,
    Schema,
    Text,
    join,
    refuse,
)
from orchestrator.sweepfile.yaml.node import Log, Node, found


@dataclass(frozen=True)
class _Nested:
    """The kind of parameters inside a parameter; described once more under ``parameters``."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from name to `Declared`, or to such a dict."""
        if not isinstance(node.value, dict) or not node.value:
            return refuse(node, key, log, "a mapping from parameter to its values")
        entries = {
            name: Block().read(item, join(key, name), log) for name, item in node.value.items()
        }
        return {name: entry for name, entry in entries.items() if entry is not ABSENT}

    def schema(self) -> Schema:
        """Return a mapping to the very schema that this one is part of."""
        block = "#/properties/parameters/anyOf/0/additionalProperties"
        return {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": block}}


BLOCK = Record(
    keys={
        "value": Key(Anything(), "the one value of all configs"),
        "values": Key(Anything(), "the choices, in the order in which a grid takes them"),
        "probabilities": Key(
            ListOf(Number(least=0.0), "a list of numbers that sum to 1"),
            "how likely each of the values is",
        ),
        "min": Key(Number(), "least value, inclusive"),
        "max": Key(Number(), "greatest value, inclusive"),
        "distribution": Key(Text("the name of a distribution"), "how a value is drawn"),
        "q": Key(Number(above=0.0), "step of a q_ distribution; a whole q gives whole numbers"),
        "mu": Key(Number(), "mean of a normal distribution, or of a log-normal one's logarithm"),
        "sigma": Key(Number(least=0.0), "standard deviation of a normal distribution"),
        "a": Key(Number(above=0.0), "first shape of a beta distribution"),
        "b": Key(Number(above=0.0), "second shape of a beta distribution"),
        "when": Key(CONDITION, "the condition under which the parameter exists"),
        "parameters": Key(_Nested(), "parameters inside this one, which arrive as one mapping"),
    },
    expected="a mapping such as {values: [...]} or {min: ..., max: ...}",
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
        """Return a `Declared`, or a dict of them where parameters stand inside."""
        if not isinstance(node.value, dict):
            word = "values" if isinstance(node.value, list) else "value"
            example = found(node) if word == "value" else "[...]"
            hint = f"Write {{{word}: {example}}}."
            return refuse(node, key, log, BLOCK.expected, hint)
        before = len(log.problems)
        entries = BLOCK.read(node, key, log)
        nested = entries.pop("parameters", None)
        if nested is not None:
            if entries:
                others = ", ".join(entries)
                log.at(node, key, f"must have no other key beside parameters, but has {others}.")
            return nested
        domain = read_domain(entries, node, key, log) if len(log.problems) == before else None
        return ABSENT if domain is None else Declared(domain, node)

    def schema(self) -> Schema:
        """Return the block's record, with the keys that belong together."""
        schema = BLOCK.schema()
        schema["properties"]["distribution"]["enum"] = list(DISTRIBUTIONS)
        schema["properties"]["values"] |= {"not": {"type": ["null", "object"]}, "minItems": 1}
        shapes = {"mu", "sigma", "a", "b"}
        forms: list[tuple[list[str], set[str]]] = [
            (["value"], set()),
            (["values"], {"probabilities"}),
            (["min", "max"], {"q"}),
            (["distribution"], {"q", *shapes}),
            (["parameters"], set()),
        ]
        schema["oneOf"] = []
        for required, optional in forms:
            free = {"distribution", "when"} if required != ["parameters"] else set()
            others = [key for key in BLOCK.keys if key not in {*required, *optional, *free}]
            form: Schema = {"required": required, "properties": dict.fromkeys(others, False)}
            if required == ["distribution"]:
                form["properties"]["distribution"] = {"enum": list(UNBOUNDED)}
            elif required == ["min", "max"]:
                ranges = [name for name, (needed, _) in DISTRIBUTIONS.items() if "min" in needed]
                form["properties"]["distribution"] = {"enum": ranges}
            schema["oneOf"].append(form)
        return schema


def flatten(
    blocks: Mapping[str, Any],
) -> tuple[dict[str, Declared], dict[str, tuple[str, ...]]]:
    """Return parameters by one name each, and the path of those that stand inside others.

    The names of a path are joined by dots; where a parameter of that name is there already,
    another dot is put between.
    """
    flat: dict[str, Declared] = {}
    paths: dict[str, tuple[str, ...]] = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((name,), block) for name, block in blocks.items()]
    while todo:
        path, block = todo.pop(0)
        if not isinstance(block, Declared):
            todo[:0] = [((*path, name), inner) for name, inner in block.items()]
        elif len(path) == 1:
            flat[path[0]] = block
        else:
            dots = "."
            while dots.join(path) in flat or dots.join(path) in blocks:
                dots += "."
            flat[dots.join(path)] = block
            paths[dots.join(path)] = path
    return flat, paths


_MIN_MAX = ("min", "max")
# Distribution -> the keys it needs, and those that it may have with what they are by default.
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "constant": (("value",), {}),
    "categorical": (("values",), {}),
    "categorical_w_probabilities": (("values", "probabilities"), {}),
    "int_uniform": (_MIN_MAX, {}),
    "uniform": (_MIN_MAX, {}),
    "q_uniform": (_MIN_MAX, {"q": 1.0}),
    "log_uniform_values": (_MIN_MAX, {}),
    "q_log_uniform_values": (_MIN_MAX, {"q": 1.0}),
    "inv_log_uniform_values": (_MIN_MAX, {}),
    "log_uniform": (_MIN_MAX, {}),
    "q_log_uniform": (_MIN_MAX, {"q": 1.0}),
    "inv_log_uniform": (_MIN_MAX, {}),
    "normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "log_normal": ((), {"mu": 0.0, "sigma": 1.0}),
    "q_log_normal": ((), {"mu": 0.0, "sigma": 1.0, "q": 1.0}),
    "beta": ((), {"a": 1.0, "b": 1.0}),
    "q_beta": ((), {"a": 1.0, "b": 1.0, "q": 1.0}),
}
UNBOUNDED = tuple(name for name, (needed, _) in DISTRIBUTIONS.items() if not needed)
IN_A_GRID = ("constant", "categorical", "int_uniform", "q_uniform")
_EXPONENTS = ("log_uniform", "q_log_uniform", "inv_log_uniform")
_GREATEST_EXPONENT = 700
# Names that stand in other tools' files.
_MEANT = {
    "loguniform": "log_uniform_values",
    "reverse_log_uniform": "inv_log_uniform_values",
    "qloguniform": "q_log_uniform_values",
    "quniform": "q_uniform",
    "choice": "categorical",
    "grid": "categorical",
    "categorical_with_probabilities": "categorical_w_probabilities",
    "randint": "int_uniform",
    "int": "int_uniform",
    "q_int_uniform": "q_uniform",
    "float": "uniform",
    "gaussian": "normal",
    "lognormal": "log_normal",
}


def read_domain(entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    """Return the domain of a block whose single keys are good, or None after telling why not."""
    when = entries.pop("when", None)
    name = _distribution(entries, node, key, log)
    if name is None:
        return None
    needed, optional = DISTRIBUTIONS[name]
    missing = [word for word in needed if word not in entries]
    surplus = [w for w in entries if w not in (*needed, *optional, "distribution")]
    if missing or surplus:
        wanted = [f"have {' and '.join(missing)}"] if missing else []
        wanted += [f"not have {' and '.join(surplus)}"] if surplus else []
        article = "an" if name.startswith("i") else "a"
        where = (node.get(surplus[0]) if surplus else None) or node
        log.at(where, key, f"must {' and '.join(wanted)}, since it is {article} {name}.")
        return None
    if name == "constant":
        domain: Domain | None = Domain(name, values=(entries["value"],))
    elif name.startswith("categorical"):
        domain = _categorical(entries, node, key, log)
    elif name in UNBOUNDED:
        shapes = {word: entries.get(word, default) for word, default in optional.items()}
        domain = Domain(name, **shapes)
    else:
        domain = _range(name, entries, node, key, log)
    return domain if domain is None or when is None else replace(domain, when=when)


def _distribution(entries: dict[str, Any], node: Node, key: str, log: Log) -> str | None:
    """Return which distribution a block means, or None after telling why it means none."""
    name = entries.get("distribution")
    if name is None:
        return _infer(entries, node, key, log)
    where = node.get("distribution") or node
    if name not in DISTRIBUTIONS:
        meant = _MEANT.get(name)
        hint = f" Did you mean '{meant}'?" if meant else log.hint(name, DISTRIBUTIONS)
        choices = ", ".join(DISTRIBUTIONS)
        message = f"must be a known distribution, but got '{name}'.{hint} Choices: {choices}."
        log.at(where, join(key, "distribution"), message)
        return None
    written = {word for word in entries if word != "distribution"}
    by_values = {"value": "constant", "values": "categorical"}
    by_values["values probabilities"] = "categorical_w_probabilities"
    meant = by_values.get(" ".join(sorted(written, reverse=True)))
    if meant is not None and meant != name:
        words = " and ".join(sorted(written, reverse=True))
        log.warn(where, join(key, "distribution"), f"is {name}, but {words} make it a {meant}.")
        return meant
    return str(name)


def _infer(entries: dict[str, Any], node: Node, key: str, log: Log) -> str | None:
    forms: list[str] = [word for word in ("value", "values") if word in entries]
    ranged: list[str] = [word for word in ("min", "max") if word in entries]
    if len(forms) + bool(ranged) != 1:
        got = " and ".join(forms + ranged) or ", ".join(entries) or "nothing"
        hint = ""
        if not forms and not ranged:
            fitting = "normal" if {"mu", "sigma"} & set(entries) else "beta"
            shaped = {"mu", "sigma", "a", "b"} & set(entries)
            hint = f" Write distribution: {fitting}." if shaped else ""
        message = f"must have one of value, values, or min and max, but has {got}.{hint}"
        log.at(node, key, message)
        return None
    if forms:
        if forms == ["value"]:
            return "constant"
        return "categorical_w_probabilities" if "probabilities" in entries else "categorical"
    if "q" in entries:
        return "q_uniform"
    kinds = {type(entries[word]) for word in ranged}
    if kinds == {int, float}:
        bounds = f"{{min: {float(entries['min'])}, max: {float(entries['max'])}}}"
        message = "mixes a whole bound with another; any number between them is drawn."
        log.warn(node.get("min") or node, key, f"{message} Write {bounds}.")
    return "int_uniform" if kinds == {int} else "uniform"


def _categorical(entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    values, where = entries["values"], node.get("values") or node
    if not isinstance(values, list):
        if values is None or isinstance(values, dict):
            log.at(where, join(key, "values"), f"must be a list, but got {found(where)}.")
            return None
        log.warn(where, join(key, "values"), f"should be a list; read as [{values}].")
        values = [values]
    if not values:
        log.at(where, join(key, "values"), "must list at least one value, but got an empty list.")
        return None
    if "probabilities" not in entries:
        # Not only once each: what stands there twice is twice as likely to be drawn.
        return Domain("categorical", values=tuple(values))
    weights = entries["probabilities"]
    where = node.get("probabilities") or node
    total = math.fsum(weights)
    if len(weights) != len(values):
        message = f"must be as many as the {len(values)} values, but are {len(weights)}."
    elif not math.isclose(total, 1.0, rel_tol=1e-5, abs_tol=1e-8):
        message = f"must sum to 1, but sum to {total:g}."
    else:
        return Domain(
            "categorical_w_probabilities",
            values=tuple(values),
            probabilities=tuple(float(weight) for weight in weights),
        )
    log.at(where, join(key, "probabilities"), message)
    return None


def _range(name: str, entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    low, high, q = entries["min"], entries["max"], entries.get("q")
    where = node.get("min") or node
    if name == "int_uniform":
        if not all(float(bound).is_integer() for bound in (low, high)):
            hint = "Use distribution: uniform for numbers between."
            log.at(where, key, f"must have whole bounds, but got {low} and {high}. {hint}")
            return None
        if not type(low) is type(high) is int:
            log.warn(where, key, f"has whole numbers as {int(low)} and {int(high)}.")
        low, high = int(low), int(high)
    if low >= high:
        hint = f" Write {{value: {low}}}." if low == high else ""
        log.at(where, key, f"must have min below max, but got {low} and {high}.{hint}")
        return None
    if "log_uniform_values" in name and low <= 0:
        log.at(where, join(key, "min"), f"must be above 0 on a logarithmic scale, but got {low}.")
        return None
    if name in _EXPONENTS and not _tell_exponents(name, low, high, where, key, log):
        return None
    if "q" in DISTRIBUTIONS[name][1]:
        q = 1.0 if q is None else q
        top = math.exp(high) if name in _EXPONENTS else float(high)
        if not math.isfinite(top / q) or not math.isfinite(top / q - float(low) / q):
            log.at(where, join(key, "q"), f"must be a step for its range, but got {q}: too small.")
            return None
    return Domain(name, low=low, high=high, q=q)


def _tell_exponents(name: str, low: float, high: float, where: Node, key: str, log: Log) -> bool:
    """Say what bounds that are exponents of e come to; False where that is beyond all floats."""
    if max(-low, high) > _GREATEST_EXPONENT:
        message = f"must have exponents of e from -{_GREATEST_EXPONENT} to {_GREATEST_EXPONENT}"
        log.at(where, key, f"{message}, but got {low} and {high}. Use {name}_values for limits.")
        return False
    bounds = (-high, -low) if name == "inv_log_uniform" else (low, high)
    least, most = (f"{math.exp(bound):.4g}" for bound in bounds)
    message = f"has exponents of e as bounds, so it goes from {least} to {most}."
    log.warn(where, key, f"{message} Use {name}_values to give the limits themselves.")
    return True


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
