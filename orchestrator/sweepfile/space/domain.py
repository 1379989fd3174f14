"""The block of one parameter: which values it may take.

The names are W&B's. What W&B's own reader would only complain of is read as it was meant, with a
warning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.schema.containers import Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    Anything,
    Number,
    Schema,
    Text,
    join,
    refuse,
)
from orchestrator.sweepfile.schema.text_kinds import CONDITION
from orchestrator.sweepfile.space.distributions import DISTRIBUTIONS, limits
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
    meant={
        **dict.fromkeys(("low", "lower", "minimum", "start", "from"), "min"),
        **dict.fromkeys(("high", "upper", "maximum", "stop", "to"), "max"),
        **dict.fromkeys(("step", "quantization", "step_size"), "q"),
        **dict.fromkeys(("log", "scale", "log_scale"), "distribution: log_uniform_values"),
        **dict.fromkeys(("choices", "options", "categories", "list", "enum"), "values"),
        **dict.fromkeys(("probs", "weights", "p"), "probabilities"),
        **dict.fromkeys(("mean", "loc"), "mu"),
        **dict.fromkeys(("std", "stddev"), "sigma"),
        **dict.fromkeys(("alpha",), "a"),
        **dict.fromkeys(("beta",), "b"),
        **dict.fromkeys(("type", "dist", "prior"), "distribution"),
        **dict.fromkeys(("condition", "if"), "when"),
    },
)


_MAY_BE_MAPPINGS = {"value", "values", "parameters"}


@dataclass(frozen=True)
class Declared:
    """A parameter's domain, and its block in the file."""

    domain: Domain
    node: Node

    def leaves(self) -> Iterator[tuple[str, Node]]:
        """Yield every value of the block, with the rest of its key."""
        for name in ("value", "min", "max", "values"):
            node = self.node.get(name)
            if node is not None and name == "values" and isinstance(node.value, list):
                yield from ((name, item) for item in node.value)
            elif node is not None:
                yield name, node


@dataclass(frozen=True)
class Block:
    """The kind of value of an entry of ``parameters``."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a `Declared`, or a dict of them if it has parameters inside."""
        if not isinstance(node.value, dict):
            example = "values: [...]" if isinstance(node.value, list) else f"value: {found(node)}"
            return refuse(node, key, log, BLOCK.expected, f"Write {{{example}}}.")
        inner = node.value.values()
        if (
            inner
            and not node.value.keys() & _MAY_BE_MAPPINGS
            and all(isinstance(n.value, dict) for n in inner)
        ):
            name = next(iter(node.value))
            hint = f"Write {{parameters: {{{name}: ...}}}} for parameters inside this one."
            return refuse(node, key, log, BLOCK.expected, hint)
        before = len(log.problems)
        entries = BLOCK.read(node, key, log)
        nested = entries.pop("parameters", None)
        if nested is not None:
            if entries:
                others = ", ".join(entries)
                log.at(node, key, f"no other key is allowed next to parameters (found {others}).")
            return nested
        domain = _domain(entries, node, key, log) if len(log.problems) == before else None
        return ABSENT if domain is None else Declared(domain, node)

    def schema(self) -> Schema:
        """Return the block's record, with the keys that belong together."""
        schema = BLOCK.schema()
        schema["properties"]["distribution"]["enum"] = list(DISTRIBUTIONS)
        schema["properties"]["values"] |= {"not": {"type": ["null", "object"]}, "minItems": 1}
        forms: list[tuple[list[str], set[str]]] = [
            (["value"], {"distribution", "when"}),
            (["values"], {"probabilities", "distribution", "when"}),
            (["min", "max"], {"q", "distribution", "when"}),
            (["distribution"], {"q", "mu", "sigma", "a", "b", "when"}),
            (["parameters"], set()),
        ]
        schema["oneOf"] = []
        for required, optional in forms:
            others = [key for key in BLOCK.keys if key not in {*required, *optional}]
            form: Schema = {"required": required, "properties": dict.fromkeys(others, False)}
            needs = {"distribution": (), "min": ("min", "max")}.get(required[0])
            if needs is not None:
                names = [name for name, kind in DISTRIBUTIONS.items() if kind.needs == needs]
                form["properties"]["distribution"] = {"enum": names}
            schema["oneOf"].append(form)
        return schema


def flatten(blocks: Mapping[str, Any]) -> tuple[dict[str, Declared], dict[str, tuple[str, ...]]]:
    """Return parameters by one name each, and the path of those inside others.

    The names of a path are joined by dots, by more of them if a parameter has that name already.
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
            while (name := dots.join(path)) in flat or name in blocks:
                dots += "."
            flat[name] = block
            paths[name] = path
    return flat, paths


_GREATEST_EXPONENT = 700
# Names in the files of other tools.
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


def _domain(entries: dict[str, Any], node: Node, key: str, log: Log) -> Domain | None:
    """Return the domain of a block whose single keys are good, or None after reporting why not."""
    when = entries.pop("when", None)
    given = entries.pop("distribution", None)
    if given is None:
        name = _inferred(entries, node, key, log)
    else:
        name = _named(given, entries, node.get("distribution") or node, key, log)
    if name is None:
        return None
    kind = DISTRIBUTIONS[name]
    missing = [word for word in kind.needs if word not in entries]
    surplus = [word for word in entries if word not in (*kind.needs, *kind.defaults)]
    if missing or surplus:
        parts = [f"needs {' and '.join(missing)}"] if missing else []
        parts += [f"does not take {' and '.join(surplus)}"] if surplus else []
        where = (node.get(surplus[0]) if surplus else None) or node
        log.at(where, key, f"{name} {' and '.join(parts)}.")
        return None
    if kind.held_as == "constant":
        domain: Domain | None = Domain(name, values=(entries["value"],))
    elif kind.scale is None:
        domain = _categorical(entries, node, key, log)
    elif not kind.needs:
        domain = Domain(name, **{**kind.defaults, **entries})
    else:
        domain = _range(name, entries, node.get("min") or node, key, log)
    return domain if domain is None or when is None else replace(domain, when=when)


def _named(name: str, entries: dict[str, Any], where: Node, key: str, log: Log) -> str | None:
    """Return the distribution that a block names, or the one that it means."""
    key = join(key, "distribution")
    if name not in DISTRIBUTIONS:
        meant = _MEANT.get(name)
        hint = f" Did you mean '{meant}'?" if meant else log.hint(name, DISTRIBUTIONS)
        choices = ", ".join(DISTRIBUTIONS)
        log.at(where, key, f"unknown distribution '{name}'.{hint} Choices: {choices}.")
        return None
    written = " and ".join(sorted(entries, reverse=True))
    meant = {
        "value": "constant",
        "values": "categorical",
        "values and probabilities": "categorical_w_probabilities",
    }.get(written, name)
    if meant != name:
        log.warn(where, key, f"is {name}, but {written} make it a {meant}.")
    return meant


def _inferred(entries: dict[str, Any], node: Node, key: str, log: Log) -> str | None:
    """Return the distribution of a block that names none."""
    forms: list[str] = [word for word in ("value", "values") if word in entries]
    ranged: list[str] = [word for word in ("min", "max") if word in entries]
    if len(forms) + bool(ranged) != 1:
        got = " and ".join(forms + ranged) or ", ".join(entries) or "nothing"
        hint = ""
        if not forms and not ranged and {"mu", "sigma", "a", "b"} & entries.keys():
            fitting = "normal" if {"mu", "sigma"} & entries.keys() else "beta"
            hint = f" Write distribution: {fitting}."
        log.at(node, key, f"expected one of value, values, or min and max (found {got}).{hint}")
        return None
    if forms == ["value"]:
        return "constant"
    if forms:
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
            refuse(where, join(key, "values"), log, "a list")
            return None
        log.warn(where, join(key, "values"), f"should be a list; read as [{values}].")
        values = [values]
    if not values:
        log.at(where, join(key, "values"), "the list is empty. Give at least one value.")
        return None
    if "probabilities" not in entries:
        # Not only once each: a value that is written twice is twice as likely to be drawn.
        return Domain("categorical", values=tuple(values))
    weights = [float(weight) for weight in entries["probabilities"]]
    total = math.fsum(weights)
    if len(weights) != len(values):
        message = f"not as many as the {len(values)} values (found {len(weights)})."
    elif not math.isclose(total, 1.0, rel_tol=1e-5, abs_tol=1e-8):
        message = f"the sum is not 1 (found {total:g})."
    else:
        name = "categorical_w_probabilities"
        return Domain(name, values=tuple(values), probabilities=tuple(weights))
    log.at(node.get("probabilities") or node, join(key, "probabilities"), message)
    return None


def _range(name: str, entries: dict[str, Any], where: Node, key: str, log: Log) -> Domain | None:
    low, high = entries["min"], entries["max"]
    scale = DISTRIBUTIONS[name].scale
    assert scale is not None
    if name == "int_uniform":
        if not (float(low).is_integer() and float(high).is_integer()):
            hint = "Use distribution: uniform for numbers between."
            log.at(where, key, f"bounds are not whole numbers (found {low} and {high}). {hint}")
            return None
        if not type(low) is type(high) is int:
            log.warn(where, key, f"has whole numbers as {int(low)} and {int(high)}.")
        low, high = int(low), int(high)
    if low >= high:
        hint = f" Write {{value: {low}}}." if low == high else ""
        log.at(where, key, f"min is not below max (found {low} and {high}).{hint}")
        return None
    if scale.logarithmic and scale.exponent is None and low <= 0:
        log.at(where, join(key, "min"), f"not above 0, on a logarithmic scale (found {low}).")
        return None
    domain = Domain(name, low=low, high=high)
    if scale.exponent:
        if max(-low, high) > _GREATEST_EXPONENT:  # beyond all floats
            outside = f"outside -{_GREATEST_EXPONENT} to {_GREATEST_EXPONENT}"
            message = f"exponents of e {outside} (found {low} and {high})."
            log.at(where, key, f"{message} Use {name}_values for limits.")
            return None
        least, most = (f"{bound:.4g}" for bound in limits(domain))
        message = f"has exponents of e as bounds, so it goes from {least} to {most}."
        log.warn(where, key, f"{message} Use {name}_values to give the limits themselves.")
    if "q" not in DISTRIBUTIONS[name].defaults:
        return domain
    q = entries.get("q", 1.0)
    top = float(limits(domain)[1])
    if not math.isfinite(top / q) or not math.isfinite(top / q - float(low) / q):
        log.at(where, join(key, "q"), f"too small a step for its range (found {q}).")
        return None
    return replace(domain, q=q)
