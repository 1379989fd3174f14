"""Whether parameter names and values are what a trainer takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.schema.fields import join, number_hint
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.space.quantiles import limits, support
from orchestrator.sweepfile.trainer_schemas import ParameterLike, TrainerSchema
from orchestrator.sweepfile.yaml.node import Log, Node, found

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check_name(
    name: str, node: Node, key: str, schema: TrainerSchema, log: Log, others: Iterable[str] = ()
) -> ParameterLike | None:
    """Return the parameter called `name`, or None after telling that there is none.

    Args:
        name: the parameter's name.
        node: where it stands.
        key: its dotted key.
        schema: the trainer's parameters.
        log: takes the mistake.
        others: names that would be right here too.
    """
    known = schema.parameters.get(name)
    if known is None:
        hint = log.hint(name, [*schema.parameters, *others])
        listed = "" if hint else f" Choices: {', '.join(schema.parameters)}."
        log.at(
            node, key, f"must be a parameter of trainer '{schema.name}', but is not.{hint}{listed}"
        )
    return known


def check_settings(settings: dict[str, Node], key: str, schema: TrainerSchema, log: Log) -> None:
    """Check a mapping from parameter to value."""
    for name, node in settings.items():
        known = check_name(name, node, join(key, name), schema, log)
        if known is not None:
            check_value(known, node, join(key, name), log)


def check_domain(name: str, declared: Declared, key: str, schema: TrainerSchema, log: Log) -> None:
    """Check a parameter of the search space: its name and every value that its block names."""
    known = check_name(name, declared.node, key, schema, log)
    if known is None:
        return
    domain = declared.domain
    before = len(log.problems)
    if not domain.values and known.type not in (int, float):
        shape = "a range" if domain.low is not None else f"a {domain.distribution} distribution"
        message = f"must be {_expected(known)}, but got {shape}. Write {{values: [...]}}."
        log.at(declared.node, key, message)
        return
    if not domain.values and known.type is int and not _whole(domain):
        bounds = "" if domain.low is None else f" from {domain.low} to {domain.high}"
        log.at(
            declared.node,
            key,
            f"must be whole numbers, but {domain.distribution}{bounds} gives others. "
            "Use whole bounds with int_uniform, or a q_ distribution with a whole q.",
        )
        return
    if not domain.values and not _has_limits(domain):
        _check_support(known, domain, declared, key, log)
        return
    for word, node in declared.leaves():
        shown = node
        if domain.distribution == "int_uniform" and isinstance(node.value, float):
            shown = Node(int(node.value), node.line, node.origin)  # its bounds were read as whole
        check_value(known, shown, join(key, word), log)
    if len(log.problems) == before and domain.q is not None:
        _check_rounded(known, domain, declared, key, log)
    if domain.distribution == "int_uniform" and known.type is float:
        bounds = f"{{min: {float(domain.low or 0)}, max: {float(domain.high or 0)}}}"
        log.warn(
            declared.node,
            key,
            f"draws whole numbers only, since both bounds are whole. Write {bounds} for any.",
        )


def _whole(domain: Domain) -> bool:
    return domain.distribution == "int_uniform" or type(domain.q) is int


def _has_limits(domain: Domain) -> bool:
    """Tell whether ``min`` and ``max`` are values of the parameter, and not exponents of them."""
    return domain.low is not None and (domain.low, domain.high) == limits(domain)


def _check_support(
    known: ParameterLike, domain: Domain, declared: Declared, key: str, log: Log
) -> None:
    """Check what a distribution may draw, where its block does not name the limits."""
    low, high = support(domain)
    if (known.low is None or low >= known.low) and (known.high is None or high <= known.high):
        return
    drawn = f"numbers from {low:.4g} to {high:.4g}"
    if math.isinf(high):
        drawn = "any number" if math.isinf(low) else f"any number above {low:g}"
    log.at(
        declared.node,
        key,
        f"must be {_expected(known)}, but {domain.distribution} draws {drawn}. "
        "Use a distribution with min and max.",
    )


def _check_rounded(
    known: ParameterLike, domain: Domain, declared: Declared, key: str, log: Log
) -> None:
    """Check what the bounds become when they are rounded to multiples of q."""
    for bound, value in zip((domain.low, domain.high), support(domain), strict=True):
        if (known.low is not None and value < known.low) or (
            known.high is not None and value > known.high
        ):
            log.at(
                declared.node,
                key,
                f"must be {_expected(known)}, but got {bound}, "
                f"which is {value} in steps of {domain.q}.",
            )


def _expected(known: ParameterLike) -> str:
    text = _KINDS.get(known.type, known.type.__name__)
    if known.choices:
        text = f"one of {', '.join(_shown(choice) for choice in known.choices)}"
    elif known.low is not None and known.high is not None:
        text += f" from {_number(known.low)} to {_number(known.high)}"
    elif known.low is not None:
        text += f" of at least {_number(known.low)}"
    elif known.high is not None:
        text += f" of at most {_number(known.high)}"
    return f"{text}, or null" if known.nullable else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:g}"


def _shown(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def check_value(known: ParameterLike, node: Node, key: str, log: Log) -> None:
    """Check one value against a parameter's type, bounds and choices."""
    value = node.value
    if value is None and known.nullable:
        return
    if not _is_type(value, known.type):
        hint = _type_hint(known, value)
        log.at(node, key, f"must be {_expected(known)}, but got {found(node)}.{hint}")
        return
    below = known.low is not None and value < known.low
    above = known.high is not None and value > known.high
    if below or above or (known.choices and value not in known.choices):
        hint = log.hint(value, map(str, known.choices)) if isinstance(value, str) else ""
        log.at(node, key, f"must be {_expected(known)}, but got {found(node)}.{hint}")


def _is_type(value: Any, kind: type) -> bool:
    if kind is float:
        # An int beyond all floats, infinity and NaN are no setting that training could use.
        return type(value) in (int, float) and abs(value) < 1.8e308
    return type(value) is kind


def _type_hint(known: ParameterLike, value: Any) -> str:
    if isinstance(value, list):
        return f" To try several, write parameters: {{{known.name}: {{values: [...]}}}}."
    if isinstance(value, dict):
        return f" To try a range, write it under parameters: {{{known.name}: ...}}."
    if known.type is str and isinstance(value, bool | int | float):
        return " Put it in quotes."
    if known.type is int and isinstance(value, float) and value.is_integer():
        return f" Write {int(value)}."
    if known.type in (int, float):
        return number_hint(value)
    return ""
