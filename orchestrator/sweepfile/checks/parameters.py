"""Names and values of parameters, and their rules: ``zip``, ``when`` and ``constraints``."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from orchestrator.sweepfile.checks.keys import range_text
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import leaves
from orchestrator.sweepfile.checks.start import shortage
from orchestrator.sweepfile.conditions.condition import names
from orchestrator.sweepfile.conditions.constraints import dependent_order, never_met
from orchestrator.sweepfile.conditions.grammar import Among, Condition, Word, parse
from orchestrator.sweepfile.expand.build import Excluded
from orchestrator.sweepfile.expand.configs import (
    count_trials,
    iter_all,
    iter_configs,
)
from orchestrator.sweepfile.model.spec import Constraint, Spec
from orchestrator.sweepfile.schema.fields import join, number_hint, refuse, whole_hint
from orchestrator.sweepfile.schema.sweep import PROGRAMS, SPEC
from orchestrator.sweepfile.space.distributions import limits, support
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.space.grid import MOST_JUDGED
from orchestrator.sweepfile.trainer_schemas import TrainerParameter, TrainerSchema
from orchestrator.sweepfile.yaml.compose import ORIGIN
from orchestrator.sweepfile.yaml.node import Log, Node

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

# What parameters are called elsewhere, so that `--set amp=false` leads to the trainer's own name.
_SYNONYMS = (
    ("precision", "amp", "fp16", "bf16", "mixed_precision", "half", "use_amp"),
    ("lr", "learning_rate", "max_lr", "base_lr", "alpha"),
    ("batch_size", "bs", "train_batch_size", "per_device_train_batch_size"),
    ("epochs", "max_epochs", "n_epochs", "num_epochs", "num_train_epochs", "batches", "max_steps"),
    ("weight_decay", "wd", "l2"),
    ("gradient_clip_val", "grad_clip", "clip", "max_grad_norm", "clip_grad_norm"),
    ("seed", "random_state", "random_seed"),
    ("hidden_size", "hidden", "width", "units", "gru_hidden", "lstm_hidden"),
    ("layers", "n_layers", "num_layers", "gru_layers", "depth"),
    ("data_path", "data", "data_dir", "dataset"),
)


def synonym(name: str, choices: Iterable[str]) -> str:
    """Return as a hint what a parameter is called among `choices`; "" if that is not known."""
    same = next((group for group in _SYNONYMS if name.lower().replace("-", "_") in group), ())
    found = (f" Did you mean '{word}'?" for word in choices if word.replace("-", "_") in same)
    return next(found, "")


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
            key = join(*path, name)
            check_value(check_name(schema, name, node, key, log), node, key, log)
    for name, declared in file.parameters.items():
        key = join(*file.key_of(name))
        known = check_name(schema, name, declared.node, key, log)
        if known is not None:
            _check_domain(known, declared, key, log)
    for name, node in file.strongest.items():
        known = check_name(schema, name, node, name, log, *SPEC.keys)
        check_value(known, node, name, log)
    seed = file.root.get("seed")
    if seed is not None and "seed" in file.values:
        check_value(schema.parameters.get("seed"), seed, "seed", log)


def _check_overrides_of_program(file: ParsedFile) -> None:
    """Warn if ``--set`` names a parameter that the file does not: a script's own are unknown."""
    given = {name: declared.node for name, declared in file.parameters.items()}
    for name, node in {**given, **file.strongest}.items():
        if node.origin == ORIGIN and name not in file.named:
            hint = file.log.hint(name, [*file.named, *SPEC.keys])
            file.log.warn(node, name, f"not in the sweep file; it is passed to the program.{hint}")


def check_name(
    schema: TrainerSchema, name: str, node: Node, key: str, log: Log, *others: str
) -> TrainerParameter | None:
    """Return the parameter `name`, or log that there is none; `others` are valid names too."""
    known = schema.parameters.get(name)
    if known is None:
        choices = [*schema.parameters, *others]
        hint = synonym(name, choices) or log.hint(name, choices)
        hint = hint or f" Choices: {', '.join(schema.parameters)}."
        log.at(node, key, f"trainer '{schema.name}' has no parameter '{name}'.{hint}")
    return known


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
    for word, leaf in declared.leaves():
        shown = leaf
        if kind == "int_uniform" and isinstance(leaf.value, float):
            shown = Node(int(leaf.value), leaf.line, leaf.origin)  # its bounds were read as whole
        check_value(known, shown, join(key, word), log)
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


def check_value(known: TrainerParameter | None, node: Node, key: str, log: Log) -> None:
    """Check one value against a parameter's type, bounds and choices, if it is known."""
    value = node.value
    if known is None or (value is None and known.nullable):
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
        return whole_hint(value)
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
        elif declared is None and (name in file.strongest or _is_refused(file, name)):
            pass  # --set gives it one value, or its block is reported already
        elif declared is None:
            hint = file.log.hint(name, file.parameters)
            file.error(f"no parameter '{name}' under parameters.{hint}", "zip", at=where)
        elif declared.domain.distribution != "categorical" or declared.domain.when:
            what = "a condition" if declared.domain.when else declared.domain.distribution
            message = f"needs parameters with plain values, but {name} has {what}."
            file.error(message, "zip", at=declared.node)
        else:
            lengths[name] = len(declared.domain.values)
        seen.add(name)
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        file.error(f"needs lists of equal length, but {counted}.", "zip", at=where)


def _is_refused(file: ParsedFile, name: str) -> bool:
    """Return whether a parameter is in the file, but its block could not be read."""
    return file.has("parameters", name) and name not in file.mapping("parameters")


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
            if any(each.key.startswith(f"{join(*path)}.") for each in file.log.problems):
                continue  # a key of it is reported
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
    for name in sorted({item.name for item in names(condition, maybe_text=False)}):
        if name not in known:
            owner = f"trainer '{schema.name}' has" if schema else "there is"
            log.at(where, key, f"{owner} no parameter '{name}'.{log.hint(name, known)}")


def check_some_run(file: ParsedFile, spec: Spec) -> None:
    """Check that there is something to run, as much as requested, and that it can be counted."""
    if not file.log.problems:
        _check_constraints(file, spec)
    left = (spec.run_cap or 0) % max(len(spec.seeds), 1)
    if left:
        many = len(spec.seeds)
        file.warn(f"no multiple of {many} seeds: the last config has {left} of them.", "run_cap")
    if spec.method != "grid" and not file.log.problems:
        short = shortage(spec)
        if short is not None:
            file.warn(short, "run_cap")


def _check_constraints(file: ParsedFile, spec: Spec) -> None:
    conditional = any(domain.when for domain in spec.parameters.values())
    for name, values in never_met(spec).items():
        message = f"never holds, so that no trial has {name} ({values})."
        file.warn(message, *file.key_of(name), "when")
    if not spec.constraints and not conditional:
        return
    message = ""
    if spec.ablate is not None:
        first = next(iter_all(spec))
        if isinstance(first, Excluded):
            message = f"exclude the baseline of ablate, which breaks {first.constraint}."
    elif spec.method == "random":
        if next(iter_configs(replace(spec, run_cap=1)), None) is None:
            message = "exclude every random config. Relax them."
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
