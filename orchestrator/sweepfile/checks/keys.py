"""What the keys of a sweep file must hold together.

The single keys were read by the table in `sweepfile.schema.sweep`; here they meet the trainer's
parameters and each other. Every mistake goes to the log, so that all are told at once.

Which parts of a sweep file go together, and why the others do not.

The table of the docs says the same; a test tries each of its pairs.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.errors import Problem, SpecError, UsageError
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.values import (
    check_domain,
    check_name,
    check_settings,
    check_value,
)
from orchestrator.sweepfile.model.spec import Spec
from orchestrator.sweepfile.program.resolve import folder_of
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import PROGRAM_KEYS, PROGRAMS, SPEC, VERSION
from orchestrator.sweepfile.space.domain import IN_A_GRID
from orchestrator.sweepfile.trainer_schemas import trainer_names, trainer_schema
from orchestrator.sweepfile.yaml.overrides import ORIGIN


def check_version(file: ParsedFile) -> None:
    """Check that the file is of a language that is known, and was read whole."""
    extends = file.root.get("extends")
    if extends is not None:  # one in a file has been followed and taken away
        file.log.at(extends, "extends", "must stand in the file. Run a file that extends this.")
    version = file.values.get("version", VERSION)
    if version != VERSION:
        file.log.at(
            file.node("version"),
            "version",
            f"must be {VERSION}, but got {version}. Install the release that reads it.",
        )


def check_runner(file: ParsedFile, need: bool) -> None:
    """Check that one thing runs the trials, and find the trainer's schema.

    Args:
        file: the file.
        need: True where a W&B file must say what runs it; those for a function of a notebook do
            not, and their search space can be looked at all the same.
    """
    # A key whose value was refused already is not missing as well.
    trainer = file.root.get("trainer")
    programs = [key for key in PROGRAMS if file.root.get(key) is not None]
    log = file.log
    if trainer is None and not programs:
        known = ", ".join(_safe_names())
        message = f"must be given, or program. Trainers: {known}."
        is_sweep = file.is_wandb and file.root.get("parameters") and file.root.get("method")
        (log.warn if is_sweep and not need else log.at)(file.root, "trainer", message)
    if trainer is not None:
        for key in programs:
            log.at(file.key_node(key), key, "must not stand beside trainer. Remove one.")
    if trainer is not None and not programs:
        for key in PROGRAM_KEYS:
            if file.root.get(key) is not None:
                log.at(
                    file.key_node(key),
                    key,
                    "must stand beside program, but this sweep has a trainer. Remove it.",
                )
    name = file.values.get("trainer")
    if name is not None:
        try:
            file.schema = trainer_schema(name, folder_of(file.root))
        except UsageError as error:
            log.at(file.node("trainer"), "trainer", str(error))


def _safe_names() -> list[str]:
    try:
        return trainer_names()
    except ImportError:
        return []


def check_parameters(file: ParsedFile) -> None:
    """Check names and values of all parameters against the trainer's."""
    schema, log = file.schema, file.log
    if schema is None:
        if any(file.values.get(key) for key in PROGRAMS):
            _check_overrides_of_program(file)
        return
    if schema.takes_anything:
        log.warn(
            file.node("trainer"),
            "trainer",
            "declares no Config, so names and values of parameters cannot be checked.",
        )
        _check_overrides_of_program(file)
        return
    for path, settings in file.settings():
        check_settings(settings, join(*path), schema, log)
    for name, declared in file.parameters.items():
        check_domain(name, declared, file.key_of(name), schema, log)
    for name, node in file.strongest.items():
        known = check_name(name, node, name, schema, log, others=SPEC.keys)
        if known is not None:
            check_value(known, node, name, log)
    seed = file.root.get("seed")
    if seed is not None and "seed" in file.values and "seed" in schema.parameters:
        check_value(schema.parameters["seed"], seed, "seed", log)


def _check_overrides_of_program(file: ParsedFile) -> None:
    """Warn where ``--set`` names what the file does not; a script's own names are unknown."""
    given = {name: declared.node for name, declared in file.parameters.items()}
    for name, node in {**given, **file.strongest}.items():
        if node.origin == ORIGIN and name not in file.named:
            hint = file.log.hint(name, [*file.named, *SPEC.keys])
            file.log.warn(node, name, f"is not named in the file; the program gets it.{hint}")


def check_method(file: ParsedFile) -> None:
    """Check that the method can do with the parameters what it does."""
    searched = {n: d for n, d in file.parameters.items() if not d.domain.is_constant}
    block = file.root.get("parameters")
    written = block.value if block is not None and isinstance(block.value, dict) else {}
    if file.method == "grid":
        for name, declared in searched.items():
            domain = declared.domain
            if domain.distribution in IN_A_GRID:
                continue
            bounds = "" if domain.low is None else f" from {domain.low} to {domain.high}"
            if domain.probabilities:
                reason = "must have no probabilities in a grid. Remove them"
            else:
                reason = f"must have values in a grid, but is {domain.distribution}{bounds}. "
                reason += "Write {values: [...]}"
            message = f"{reason}, or method: random."
            file.log.at(declared.node, file.key_of(name), message)
    # A parameter that was refused is told already.
    elif not searched and len(written) == len(file.values.get("parameters", {})):
        file.log.at(
            file.node("parameters") if file.parameters else file.node("method"),
            "parameters",
            f"must have one with several values at least, since method is {file.method}. "
            "Add one, or write method: grid.",
        )
    if file.method != "grid" and not _is_bounded(file):
        message = f"is missing, and method {file.method} never ends by itself: `run` refuses it."
        file.log.warn(file.key_node("method"), "run_cap", f"{message} {_BOUNDS}")


_BOUNDS = "Write run_cap: 20, or budget: {hours: 8}, or give --count 20."


def _is_bounded(file: ParsedFile) -> bool:
    """Tell whether something ends the sweep, be it a bound that is refused for what it holds."""
    budget = file.node("budget")
    asked = file.root.get("run_cap") is not None or file.count is not None
    return asked or any(budget.get(key) is not None for key in ("trials", "hours"))


def refuse_unbounded(spec: Spec) -> None:
    """Refuse a spec that would never end.

    Raises:
        SpecError: the method draws trials and nothing bounds how many.
    """
    budget = spec.budget
    unbounded = spec.run_cap is None and budget.trials is None and budget.hours is None
    if spec.method != "grid" and unbounded:
        message = f"must be given, since method {spec.method} never ends by itself. {_BOUNDS}"
        raise SpecError([Problem(None, "run_cap", message, str(spec.path))])


_ONE_METRIC = "ranks by one metric, but there are two"


def _varies(file: ParsedFile) -> bool:
    return any(not declared.domain.is_constant for declared in file.parameters.values())


def _has(key: str) -> Callable[[ParsedFile], bool]:
    return lambda file: file.root.get(key) is not None


def _promotes(file: ParsedFile) -> bool:
    return any("promote" in entry for entry in file.values.get("stages", {}).values())


def _ranks_in_promotion(file: ParsedFile) -> bool:
    entries = file.values.get("stages", {}).values()
    return any({"top", "fraction"} & set(entry.get("promote", {})) for entry in entries)


PARTS: dict[str, Callable[[ParsedFile], bool]] = {
    "ablate": _has("ablate"),
    "method random": lambda file: file.method == "random",
    "method bayes": lambda file: file.method == "bayes",
    "trials": _has("trials"),
    "parameters with several values": _varies,
    "zip": _has("zip"),
    "promote": _promotes,
    "promote by top or fraction": _ranks_in_promotion,
    "remedy": _has("remedy"),
    "seeds": _has("seeds"),
    "keep_improvements": lambda d: bool(d.values.get("ablate", {}).get("keep_improvements")),
    "pruner": lambda file: file.values.get("pruner", "none") != "none",
    "early_terminate": _has("early_terminate"),
    "two metrics": lambda d: (
        isinstance(d.values.get("metric"), list) and len(d.values["metric"]) > 1
    ),
}

APART: dict[tuple[str, str], str] = {
    ("ablate", "method random"): "names its configs itself, so there is nothing to draw",
    ("ablate", "method bayes"): "names its configs itself, so there is nothing to propose",
    ("ablate", "trials"): "has one baseline, and each trial would need its own",
    ("ablate", "parameters with several values"): (
        "has one baseline, and each value would need its own. Write the values as a change"
    ),
    ("ablate", "zip"): "changes one thing at a time",
    ("ablate", "promote"): "compares all its changes, and a promotion would drop some",
    ("ablate", "remedy"): "compares one change at a time, and a remedy would add another",
    ("seeds", "remedy"): "compare equal configs, and a remedy would change some of them",
    ("two metrics", "pruner"): f"leave nothing to judge by: a pruner {_ONE_METRIC}",
    ("two metrics", "early_terminate"): f"leave nothing to judge by: it {_ONE_METRIC}",
    ("two metrics", "promote by top or fraction"): f"leave no rank: it {_ONE_METRIC}. Use if",
    ("two metrics", "keep_improvements"): f"leave no gain to measure: it {_ONE_METRIC}",
}
"""Pairs of parts that exclude each other, with the reason as it follows the first one's name."""

_KEYS = {
    "method random": ("method",),
    "method bayes": ("method",),
    "parameters with several values": ("parameters",),
    "promote": ("stages",),
    "promote by top or fraction": ("stages",),
    "keep_improvements": ("ablate", "keep_improvements"),
    "two metrics": ("metric",),
}


def check_combinations(file: ParsedFile) -> None:
    """Check that the parts of a file go together."""
    there = {name for name, is_there in PARTS.items() if is_there(file)}
    for (first, second), reason in APART.items():
        if first in there and second in there:
            path = _KEYS.get(second, (second,))
            message = f"must not stand beside {first}: {_called(first)} {reason}."
            file.log.at(file.key_node(*path), ".".join(path), message)


def _called(name: str) -> str:
    articles = {"ablate": "an ablation", "two metrics": "two metrics", "seeds": "seeds"}
    return articles.get(name, name)
