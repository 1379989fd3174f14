"""Rules between parameters: ``zip``, ``when`` and ``constraints``, checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import leaves, right_names
from orchestrator.sweepfile.conditions.condition import names
from orchestrator.sweepfile.conditions.constraints import dependent_order
from orchestrator.sweepfile.conditions.grammar import Among, Condition, Word, parse
from orchestrator.sweepfile.expand.build import Excluded
from orchestrator.sweepfile.expand.configs import MOST_JUDGED, count_trials, iter_all, iter_configs
from orchestrator.sweepfile.model.spec import Constraint, Spec
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Node


def read_zips(file: ParsedFile) -> tuple[tuple[str, ...], ...]:
    """Return the groups of parameters that move together."""
    given = file.values.get("zip", ())
    if not given:
        return ()
    _refuse_bayes(file, "zip")
    listed = [isinstance(group, list) for group in given]
    if not any(listed):
        given = [given]
    elif not all(listed):
        message = "mixes parameters and lists of parameters. Write lists only."
        file.error(message, "zip", at=file.node("zip"))
        return ()
    seen: set[str] = set()
    for group in given:
        _check_group(file, group, seen)
    return tuple(tuple(group) for group in given)


def _check_group(file: ParsedFile, group: list[str], seen: set[str]) -> None:
    """Check the parameters of a group; add them to `seen`."""
    where = file.node("zip")
    if len(group) < 2:
        file.error(f"needs two parameters (found {', '.join(group)}).", "zip", at=where)
    lengths: dict[str, int] = {}
    for name in group:
        declared = file.parameters.get(name)
        if name in seen:
            file.error(f"{name} is listed twice.", "zip", at=where)
        elif declared is None and name not in file.strongest:
            hint = file.log.hint(name, file.parameters)
            file.error(f"no parameter '{name}' under parameters.{hint}", "zip", at=where)
        elif declared is not None:
            if declared.domain.distribution != "categorical" or declared.domain.when:
                what = "a condition" if declared.domain.when else declared.domain.distribution
                message = f"needs parameters with plain values, but {name} has {what}."
                file.error(message, "zip", at=declared.node)
            else:
                lengths[name] = len(declared.domain.values)
        seen.add(name)
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        file.error(f"needs lists of equal length, but {counted}.", "zip", at=where)


def _refuse_bayes(file: ParsedFile, *path: str, at: Node | None = None) -> None:
    if file.method == "bayes":
        message = "cannot be used with method bayes, whose sampler chooses. Write method: random."
        file.error(message, *path, at=at)


def read_constraints(file: ParsedFile) -> tuple[Constraint, ...]:
    """Return the constraints; check their names and those of every ``when``."""
    conditions: dict[str, Condition] = {}
    for name, declared in file.parameters.items():
        if declared.domain.when is None:
            continue
        path = (*file.key_of(name), "when")
        conditions[name] = parse(declared.domain.when)
        where = declared.node.get("when") or declared.node
        _check_names(file, conditions[name], where, join(*path))
        _refuse_bayes(file, *path, at=where)
    try:
        dependent_order(conditions)
    except ValueError as error:
        file.error(f"circular when: {error}.", "parameters", at=file.node("parameters"))
    given = file.values.get("constraints", ())
    if given:
        _refuse_bayes(file, "constraints")
    constraints = []
    for item, path, where in file.items("constraints", given):
        entry = {"require": item} if isinstance(item, str) else item
        forms = [form for form in ("require", "forbid") if form in entry]
        if len(forms) != 1:
            got = "both" if forms else "neither"
            file.error(f"needs one of require and forbid (found {got}).", *path, at=where)
            continue
        text = entry[forms[0]]
        _check_names(file, parse(text), where, join(*path))
        constraints.append(Constraint(text, forms[0] == "forbid", entry.get("reason", "")))
    return tuple(constraints)


def _check_names(file: ParsedFile, condition: Condition, where: Node, key: str) -> None:
    """Check that a condition is about parameters, and that they exist."""
    schema, log = file.declared, file.log
    used = names(condition)
    about_results = any(isinstance(leaf, Word | Among) for leaf in leaves(condition))
    if about_results or any(name.step is not None for name in used):
        log.at(where, key, "expected a condition about parameters, but this one is about results.")
        return
    known: Collection[str] = {*file.named, *file.parameters, *file.strongest}
    if schema is not None:
        known = schema.parameters
    # On the right of == a word that is no parameter is text.
    texts = right_names(condition)
    for name in sorted(item.name for item in used):
        if name not in known and name not in texts:
            owner = f"trainer '{schema.name}' has" if schema else "there is"
            log.at(where, key, f"{owner} no parameter '{name}'.{log.hint(name, known)}")


def check_some_run(file: ParsedFile, spec: Spec) -> None:
    """Check that the constraints leave something to run, and that this can be found out."""
    conditional = any(domain.when for domain in spec.parameters.values())
    if not spec.constraints and not conditional:
        return
    message = ""
    if spec.ablate is not None:
        first = next(iter_all(spec))
        if isinstance(first, Excluded):
            message = f"exclude the baseline of ablate, which breaks {first.constraint}."
    elif spec.method == "random":
        if next(iter_configs(replace(spec, run_cap=1)), None) is None:
            message = "exclude all of 10,000 random configs. Relax them."
    else:
        try:
            if not count_trials(spec):
                message = "exclude every config. Relax them."
        except ValueError as error:
            message = f"the parameters in conditions have {error} "
            message += f"(limit: {MOST_JUDGED:,}). Write method: random."
    if message:
        key = "constraints" if spec.constraints else "parameters"
        file.error(message, key, at=file.node(key))
