"""Whether the names and values of parameters are what a trainer takes."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.schema.fields import join, number_hint, refuse
from orchestrator.sweepfile.schema.sweep import PROGRAMS, SPEC
from orchestrator.sweepfile.space.distributions import limits, support
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.trainer_schemas import TrainerParameter, TrainerSchema
from orchestrator.sweepfile.yaml.compose import ORIGIN
from orchestrator.sweepfile.yaml.node import Log, Node

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def check_parameters(file: ParsedFile) -> None:
    """Check the names and values of all parameters."""
    schema, log = file.declared, file.log
    if file.schema is not None and schema is None:
        message = "declares no Config, so names and values of parameters cannot be checked."
        file.warn(message, "trainer")
    if schema is None:
        if file.schema is not None or any(file.values.get(key) for key in PROGRAMS):
            _check_overrides_of_program(file)
        return
    for path, settings in file.settings():
        for name, node in settings.items():
            check_setting(schema, name, node, join(*path, name), log)
    for name, declared in file.parameters.items():
        _check_domain(name, declared, join(*file.key_of(name)), schema, log)
    for name, node in file.strongest.items():
        check_setting(schema, name, node, name, log, *SPEC.keys)
    seed = file.root.get("seed")
    if seed is not None and "seed" in file.values and "seed" in schema.parameters:
        check_value(schema.parameters["seed"], seed, "seed", log)


def _check_overrides_of_program(file: ParsedFile) -> None:
    """Warn if ``--set`` names a parameter that the file does not: a script's own are unknown."""
    given = {name: declared.node for name, declared in file.parameters.items()}
    for name, node in {**given, **file.strongest}.items():
        if node.origin == ORIGIN and name not in file.named:
            hint = file.log.hint(name, [*file.named, *SPEC.keys])
            message = f"not in the sweep file; it is passed to the program.{hint}"
            file.log.warn(node, name, message)


def check_name(
    schema: TrainerSchema, name: str, node: Node, key: str, log: Log, *others: str
) -> TrainerParameter | None:
    """Return the parameter called `name`; log an error if there is none.

    Args:
        schema: the trainer's parameters.
        name: the parameter's name.
        node: where the file names it.
        key: the same as a dotted key.
        log: collects errors.
        others: further valid names, for the hint.
    """
    known = schema.parameters.get(name)
    if known is None:
        hint = log.hint(name, [*schema.parameters, *others])
        hint = hint or f" Choices: {', '.join(schema.parameters)}."
        log.at(node, key, f"trainer '{schema.name}' has no parameter '{name}'.{hint}")
    return known


def check_setting(
    schema: TrainerSchema, name: str, node: Node, key: str, log: Log, *others: str
) -> None:
    """Check the name and the value of a parameter; the arguments are those of `check_name`."""
    known = check_name(schema, name, node, key, log, *others)
    if known is not None:
        check_value(known, node, key, log)


def _check_domain(name: str, declared: Declared, key: str, schema: TrainerSchema, log: Log) -> None:
    """Check a parameter of the search space: its name and every value of its block."""
    known = check_name(schema, name, declared.node, key, log)
    if known is None:
        return
    domain, node = declared.domain, declared.node
    if not domain.values:
        is_whole = domain.distribution == "int_uniform" or type(domain.q) is int
        if known.type not in (int, float):
            shape = "a range" if domain.low is not None else f"a {domain.distribution} distribution"
            message = f"expected {_expected(known)} (found {shape})."
            log.at(node, key, f"{message} Write {{values: [...]}}.")
            return
        if known.type is int and not is_whole:
            bounds = "" if domain.low is None else f" from {domain.low} to {domain.high}"
            message = f"expected whole numbers, but {domain.distribution}{bounds} draws others. "
            message += "Use int_uniform with whole bounds, or a q_ distribution with a whole q."
            log.at(node, key, message)
            return
        # Otherwise min and max are exponents, and no values of the parameter.
        if domain.low is None or (domain.low, domain.high) != limits(domain):
            _check_support(known, domain, node, key, log)
            return
    before = len(log.problems)
    for word, leaf in declared.leaves():
        shown = leaf
        if domain.distribution == "int_uniform" and isinstance(leaf.value, float):
            shown = Node(int(leaf.value), leaf.line, leaf.origin)  # its bounds were read as whole
        check_value(known, shown, join(key, word), log)
    if len(log.problems) == before and domain.q is not None:
        for bound, value in zip((domain.low, domain.high), support(domain), strict=True):
            if not _in_range(known, value):
                stepped = f"{bound}, which is {value} in steps of {domain.q}"
                log.at(node, key, f"expected {_expected(known)} (found {stepped}).")
    if domain.distribution == "int_uniform" and known.type is float:
        bounds = f"{{min: {float(domain.low or 0)}, max: {float(domain.high or 0)}}}"
        message = "draws whole numbers only, since both bounds are whole numbers. Write "
        log.warn(node, key, f"{message}{bounds} for any number.")


def _check_support(known: TrainerParameter, domain: Domain, node: Node, key: str, log: Log) -> None:
    """Check what a distribution may draw if its block does not give the limits."""
    low, high = support(domain)
    if _in_range(known, low) and _in_range(known, high):
        return
    drawn = f"numbers from {low:.4g} to {high:.4g}"
    if math.isinf(high):
        drawn = "any number" if math.isinf(low) else f"any number above {low:g}"
    message = f"expected {_expected(known)}, but {domain.distribution} draws {drawn}. "
    log.at(node, key, f"{message}Use a distribution with min and max.")


def _in_range(known: TrainerParameter, value: Any) -> bool:
    above = known.low is None or value >= known.low
    return above and (known.high is None or value <= known.high)


def check_value(known: TrainerParameter, node: Node, key: str, log: Log) -> None:
    """Check one value against a parameter's type, bounds and choices."""
    value = node.value
    if value is None and known.nullable:
        return
    if not _is_type(value, known.type):
        hint = _type_hint(known, value)
    elif not _in_range(known, value) or (known.choices and value not in known.choices):
        hint = log.hint(value, map(str, known.choices)) if isinstance(value, str) else ""
    else:
        return
    refuse(node, key, log, _expected(known), hint.strip())


def _is_type(value: Any, kind: type) -> bool:
    if kind is float:
        # Training can use neither an int beyond all floats, nor infinity, nor NaN.
        return type(value) in (int, float) and abs(value) < 1.8e308
    return type(value) is kind


def _type_hint(known: TrainerParameter, value: Any) -> str:
    if isinstance(value, list):
        return f" To try several, write parameters: {{{known.name}: {{values: [...]}}}}."
    if isinstance(value, dict):
        return f" To try a range, write it under parameters: {{{known.name}: ...}}."
    if known.type is str and isinstance(value, bool | int | float):
        return " Put it in quotes."
    if known.type is int and isinstance(value, float) and value.is_integer():
        return f" Write {int(value)}."
    return number_hint(value) if known.type in (int, float) else ""


def _expected(known: TrainerParameter) -> str:
    """Return what a parameter takes, as in "a number from 0 to 1, or null"."""
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
