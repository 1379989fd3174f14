"""Whether the names and values of parameters are what a trainer takes."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.sweepfile.checks.keys import range_text
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
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
    if schema is None:
        if file.schema is not None:
            message = "declares no Config, so names and values of parameters cannot be checked."
            file.warn(message, "trainer")
        if file.schema is not None or any(file.values.get(key) for key in PROGRAMS):
            _check_overrides_of_program(file)
        return
    for path, settings in file.settings():
        for name, node in settings.items():
            check_setting(schema, name, node, join(*path, name), log)
    for name, declared in file.parameters.items():
        key = join(*file.key_of(name))
        known = check_name(schema, name, declared.node, key, log)
        if known is not None:
            _check_domain(known, declared, key, log)
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
    """Return the parameter called `name`; log an error at `node` if there is none.

    `others` are further valid names, for the hint.
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


def _check_domain(known: TrainerParameter, declared: Declared, key: str, log: Log) -> None:
    """Check every value that a parameter of the search space may take."""
    domain, node, wanted = declared.domain, declared.node, expected(known)
    kind = domain.distribution
    if not domain.values:
        if known.type not in (int, float):
            shape = "a range" if domain.low is not None else f"a {kind} distribution"
            log.at(node, key, f"expected {wanted} (found {shape}). Write {{values: [...]}}.")
            return
        if known.type is int and kind != "int_uniform" and type(domain.q) is not int:
            message = f"expected whole numbers, but {kind}{range_text(domain)} draws others. "
            message += "Use int_uniform with whole bounds, or a q_ distribution with a whole q."
            log.at(node, key, message)
            return
        # Otherwise min and max are exponents, and no values of the parameter.
        if domain.low is None or (domain.low, domain.high) != limits(domain):
            low, high = support(domain)
            if not (in_range(known, low) and in_range(known, high)):
                message = f"expected {wanted}, but {kind} draws {_drawn(low, high)}. "
                log.at(node, key, f"{message}Use a distribution with min and max.")
            return
    before = len(log.problems)
    for word, leaf in declared.leaves():
        shown = leaf
        if kind == "int_uniform" and isinstance(leaf.value, float):
            shown = Node(int(leaf.value), leaf.line, leaf.origin)  # its bounds were read as whole
        check_value(known, shown, join(key, word), log)
    if len(log.problems) == before and domain.q is not None:
        for bound, value in zip((domain.low, domain.high), support(domain), strict=True):
            if not in_range(known, value):
                stepped = f"{bound}, which is {value} in steps of {domain.q}"
                log.at(node, key, f"expected {wanted} (found {stepped}).")
    if kind == "int_uniform" and known.type is float:
        bounds = f"{{min: {float(domain.low or 0)}, max: {float(domain.high or 0)}}}"
        message = "draws whole numbers only, since both bounds are whole numbers. Write "
        log.warn(node, key, f"{message}{bounds} for any number.")


def _drawn(low: float, high: float) -> str:
    if not math.isinf(high):
        return f"numbers from {low:.4g} to {high:.4g}"
    return "any number" if math.isinf(low) else f"any number above {low:g}"


def in_range(known: TrainerParameter, value: Any) -> bool:
    """Return whether a number is within a parameter's bounds."""
    above = known.low is None or value >= known.low
    return above and (known.high is None or value <= known.high)


def check_value(known: TrainerParameter, node: Node, key: str, log: Log) -> None:
    """Check one value against a parameter's type, bounds and choices."""
    value = node.value
    if value is None and known.nullable:
        return
    if known.type is float:
        # Training can use neither an int beyond all floats, nor infinity, nor NaN.
        fits = type(value) in (int, float) and abs(value) < 1.8e308
    else:
        fits = type(value) is known.type
    if not fits:
        hint = _type_hint(known, value)
    elif not in_range(known, value) or (known.choices and value not in known.choices):
        hint = log.hint(value, map(str, known.choices)) if isinstance(value, str) else ""
    else:
        return
    refuse(node, key, log, expected(known), hint)


def _type_hint(known: TrainerParameter, value: Any) -> str:
    if isinstance(value, list):
        return f"To try several, write parameters: {{{known.name}: {{values: [...]}}}}."
    if isinstance(value, dict):
        return f"To try a range, write it under parameters: {{{known.name}: ...}}."
    if known.type is str and isinstance(value, bool | int | float):
        return "Put it in quotes."
    if known.type is int and isinstance(value, float) and value.is_integer():
        return f"Write {int(value)}."
    return number_hint(value) if known.type in (int, float) else ""


def expected(known: TrainerParameter) -> str:
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
