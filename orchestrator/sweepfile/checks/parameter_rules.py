"""How parameters hang together: ``zip``, ``when`` and ``constraints``, checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.conditions.ast import Among, Both, Compare, Name, Not, Word
from orchestrator.sweepfile.conditions.condition import Condition, names, parse
from orchestrator.sweepfile.conditions.constraints import dependent_order
from orchestrator.sweepfile.expand.configs import (
    MOST_JUDGED,
    Excluded,
    count_trials,
    iter_all,
    iter_configs,
)
from orchestrator.sweepfile.model.spec import Constraint, Spec
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Node


def check_zips(file: ParsedFile) -> tuple[tuple[str, ...], ...]:
    """Return the groups of parameters that move together."""
    given = file.values.get("zip", ())
    if not given:
        return ()
    _refuse_bayes(file, "zip")
    where = file.node("zip")
    if not all(isinstance(group, list) for group in given):
        if any(isinstance(group, list) for group in given):
            file.log.at(where, "zip", "must be one list of parameters, or a list of such lists.")
            return ()
        given = [given]
    seen: set[str] = set()
    for group in given:
        _check_group(file, group, where, seen)
    return tuple(tuple(group) for group in given)


def _check_group(file: ParsedFile, group: list[str], where: Node, seen: set[str]) -> None:
    log = file.log
    if len(group) < 2:
        log.at(where, "zip", f"must join two parameters at least, but got {', '.join(group)}.")
    lengths: dict[str, int] = {}
    for name in group:
        declared = file.parameters.get(name)
        if name in seen:
            log.at(where, "zip", f"must name a parameter once, but {name} is repeated.")
        elif declared is None and name not in file.strongest:
            hint = log.hint(name, file.parameters)
            log.at(where, "zip", f"must name parameters with values, but {name} is none.{hint}")
        elif declared is not None:
            if declared.domain.distribution != "categorical" or declared.domain.when:
                what = "a condition" if declared.domain.when else declared.domain.distribution
                message = f"must name parameters with values alone, but {name} has {what}."
                log.at(declared.node, "zip", message)
            else:
                lengths[name] = len(declared.domain.values)
        seen.add(name)
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        log.at(where, "zip", f"must join lists of equal length, but {counted}.")


def _refuse_bayes(file: ParsedFile, key: str) -> None:
    if file.method == "bayes":
        message = "goes with method grid or random, but method is bayes, whose sampler chooses."
        file.log.at(file.key_node(key), key, f"{message} Write method: random.")


def check_conditions(file: ParsedFile) -> tuple[Constraint, ...]:
    """Return the constraints; check their names and those of every ``when``."""
    conditions: dict[str, Condition] = {}
    for name, declared in file.parameters.items():
        if declared.domain.when is None:
            continue
        key = join(file.key_of(name), "when")
        conditions[name] = parse(declared.domain.when)
        where = declared.node.get("when") or declared.node
        _check_names(file, conditions[name], where, key)
        if file.method == "bayes":
            message = "goes with method grid or random, but method is bayes. Write method: random."
            file.log.at(where, key, message)
    try:
        dependent_order(conditions)
    except ValueError as error:
        where = file.node("parameters")
        message = f"must not wait for each other by when, but {error} do."
        file.log.at(where, "parameters", message)
    given = file.values.get("constraints", ())
    if given:
        _refuse_bayes(file, "constraints")
    nodes = file.node("constraints").value
    constraints = []
    for place, item in enumerate(given):
        # A refused entry is not among the good ones, so its node may be another's.
        where = nodes[place] if len(nodes) == len(given) else file.node("constraints")
        constraint = _constraint(file, item, where, join("constraints", str(place)))
        constraints += [] if constraint is None else [constraint]
    return tuple(constraints)


def _constraint(file: ParsedFile, item: Any, where: Node, key: str) -> Constraint | None:
    entry = {"require": item} if isinstance(item, str) else item
    forms = [form for form in ("require", "forbid") if form in entry]
    if len(forms) != 1:
        got = "both" if forms else "none"
        file.log.at(where, key, f"must have one of require and forbid, but has {got}.")
        return None
    text = entry[forms[0]]
    _check_names(file, parse(text), where, key)
    return Constraint(text, forms[0] == "forbid", entry.get("reason", ""))


def _check_names(file: ParsedFile, condition: Condition, where: Node, key: str) -> None:
    """Check that a condition is about parameters, and that they are there."""
    schema, log = file.schema, file.log
    if _speaks_of_results(condition):
        log.at(where, key, "must be about parameters, but is about results.")
        return
    known: Iterable[str] = {*file.named, *file.parameters, *file.strongest}
    if schema is not None and schema.takes_anything:
        schema = None
    if schema is not None:
        known = schema.parameters
    # On the right of == a word that is no parameter is text.
    words = set(_right_sides(condition)) if schema is None else set()
    words |= {name for name in _right_sides(condition) if name not in known}
    for name in sorted(item.name for item in names(condition)):
        if name not in known and name not in words:
            what = f"a parameter of trainer '{schema.name}'" if schema else "a parameter"
            message = f"must name {what}, but {name!r} is none.{log.hint(name, known)}"
            log.at(where, key, message)


def _speaks_of_results(condition: Condition) -> bool:
    if isinstance(condition, Word | Among):
        return True
    if isinstance(condition, Not):
        return _speaks_of_results(condition.part)
    if isinstance(condition, Both):
        return any(map(_speaks_of_results, (condition.left, condition.right)))
    return any(name.step is not None for name in names(condition))


def _right_sides(condition: Condition) -> list[str]:
    """Return the names on the right of comparisons that may be text as well."""
    if isinstance(condition, Not):
        return _right_sides(condition.part)
    if isinstance(condition, Both):
        return [*_right_sides(condition.left), *_right_sides(condition.right)]
    if isinstance(condition, Compare) and isinstance(condition.value, Name):
        return [condition.value.name] if condition.op in ("==", "!=") else []
    return []


def check_some_run(file: ParsedFile, spec: Spec) -> None:
    """Check that the constraints leave something, and that this can be found out."""
    conditional = any(domain.when for domain in spec.parameters.values())
    if not spec.constraints and not conditional:
        return
    key = "constraints" if spec.constraints else "parameters"
    where = file.node(key)
    if spec.ablate is not None:
        first = next(iter_all(spec))
        if isinstance(first, Excluded):
            message = f"must let the baseline of ablate run, but it breaks {first.constraint}."
            file.log.at(where, key, message)
        return
    if spec.method == "random":
        if next(iter_configs(replace(spec, run_cap=1)), None) is None:
            file.log.at(where, key, "must leave configs to run, but no draw of 10,000 keeps them.")
        return
    try:
        count = count_trials(spec)
    except ValueError as error:
        message = f"must name parameters with at most {MOST_JUDGED:,} combinations, but they have"
        file.log.at(where, key, f"{message} {error}. Write method: random.")
        return
    if not count:
        file.log.at(where, key, "must leave configs to run, but every one breaks them.")
