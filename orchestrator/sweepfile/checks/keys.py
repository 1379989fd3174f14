"""Which keys a sweep file needs, and which of them cannot be combined.

The table in docs/sweep-file.md shows the combinations; a test tries each of its cells.
"""

from __future__ import annotations

from orchestrator.errors import Problem, SpecError, UsageError
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.program.paths import folder_of
from orchestrator.sweepfile.schema.sweep import PROGRAM_KEYS, PROGRAMS, VERSION
from orchestrator.sweepfile.space.distributions import DISTRIBUTIONS
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, trainer_names, trainer_schema

_BOUNDS = "Write run_cap: 20 or budget: {hours: 8}, or pass --count 20."


def check_version(file: ParsedFile) -> None:
    """Check that this release can read the file."""
    extends = file.root.get("extends")
    if extends is not None:  # one in a file was followed and removed
        file.error("cannot be set here. Write a file that extends this one.", "extends", at=extends)
    version = file.values.get("version", VERSION)
    if version != VERSION:
        message = f"version {version} is unknown (this release reads {VERSION}). Update sweep."
        file.error(message, "version", at=file.node("version"))


def read_trainer(file: ParsedFile, need: bool) -> TrainerSchema | None:
    """Check that one thing runs the trials, and return the trainer's schema.

    Without `need`, a W&B file need not name a program: one that is meant for a function in a
    notebook does not, and its search space can be inspected all the same.
    """
    trainer = file.root.get("trainer")
    programs = [key for key in PROGRAMS if file.has(key)]
    is_extended = any(problem.key == "extends" for problem in file.log.problems)
    if trainer is None and not programs and not is_extended:
        try:
            known = trainer_names()
        except ImportError:
            known = []
        message = f"missing. Write trainer or program (trainers: {', '.join(known)})."
        is_sweep = file.is_wandb and file.has("parameters") and file.has("method")
        (file.warn if is_sweep and not need else file.error)(message, "trainer", at=file.root)
    if trainer is not None:
        for key in programs:
            file.error("cannot be combined with trainer. Remove one.", key)
        for key in PROGRAM_KEYS if not programs else ():
            if file.has(key):
                file.error("needs program, but the sweep has a trainer. Remove it.", key)
    name = file.values.get("trainer")
    if name is None:
        return None
    try:
        return trainer_schema(name, folder_of(file.root))
    except UsageError as error:
        file.error(str(error), "trainer", at=trainer)
        return None


def range_text(domain: Domain) -> str:
    """Return " from 0 to 1" for a domain with bounds; "" without."""
    return "" if domain.low is None else f" from {domain.low} to {domain.high}"


def check_method(file: ParsedFile) -> None:
    """Check that the method can search the parameters, and that something ends it."""
    searched = {n: d for n, d in file.parameters.items() if not d.domain.is_constant}
    if file.method == "grid":
        for name, declared in searched.items():
            domain = declared.domain
            if DISTRIBUTIONS[domain.distribution].in_a_grid:
                continue
            if domain.probabilities:
                message = "probabilities have no effect in a grid. Remove them"
            else:
                message = f"a grid needs values (found {domain.distribution}{range_text(domain)}). "
                message += "Write {values: [...]}"
            message += ", or method: random."
            file.error(message, *file.key_of(name), at=declared.node)
        return
    written = file.node("parameters").value if file.has("parameters") else {}
    count = len(written) if isinstance(written, dict) else 0
    # A parameter that was refused is reported already.
    if not searched and count == len(file.values.get("parameters", {})):
        where = file.node("parameters" if file.parameters else "method")
        message = f"method {file.method} needs a parameter with several values. "
        file.error(f"{message}Add one, or write method: grid.", "parameters", at=where)
    budget = file.node("budget")
    bounded = any(budget.get(key) is not None for key in ("trials", "hours"))
    if not (bounded or file.has("run_cap") or file.count is not None):
        message = f"missing: method {file.method} has no end, so `sweep run` refuses it. {_BOUNDS}"
        file.warn(message, "run_cap", at=file.key_node("method"))


def refuse_unbounded(spec: Spec) -> None:
    """Refuse a spec that would never end.

    Raises:
        SpecError: the method draws trials and nothing limits their number.
    """
    budget = spec.budget
    unbounded = spec.run_cap is None and budget.trials is None and budget.hours is None
    if spec.method != "grid" and unbounded:
        message = f"missing: method {spec.method} has no end. {_BOUNDS}"
        raise SpecError([Problem(None, "run_cap", message, str(spec.path))])


def parts_of(file: ParsedFile) -> dict[str, tuple[str, ...]]:
    """Return the parts of a file that exclude others, to the key of a conflict."""
    keys = ("ablate", "trials", "zip", "remedy", "seeds", "early_terminate", "start")
    parts: dict[str, tuple[str, ...]] = {key: (key,) for key in keys if file.has(key)}
    if file.method != "grid":
        parts[f"method {file.method}"] = ("method",)
    if any(not declared.domain.is_constant for declared in file.parameters.values()):
        parts["parameters with several values"] = ("parameters",)
    rules = [entry.get("promote") for entry in file.mapping("stages").values()]
    if any(rule is not None for rule in rules):
        parts["promote"] = ("stages",)
    if any(rule and {"top", "fraction"} & rule.keys() for rule in rules):
        parts["promote by top or fraction"] = ("stages",)
    if file.mapping("ablate").get("keep_improvements"):
        parts["keep_improvements"] = ("ablate", "keep_improvements")
    if file.pruner != "none":
        parts["pruner"] = ("pruner",)
    if len(file.metrics) > 1:
        parts["two metrics"] = ("metric",)
    return parts


APART: dict[tuple[str, str], str] = {
    ("ablate", "method random"): "an ablation names its configs, so nothing is drawn",
    ("ablate", "method bayes"): "an ablation names its configs, so nothing is proposed",
    ("ablate", "trials"): "an ablation has one baseline, and each trial would need its own",
    ("ablate", "parameters with several values"): (
        "an ablation has one baseline, and each value would need its own. "
        "Write the values as a change"
    ),
    ("ablate", "zip"): "an ablation changes one thing at a time",
    ("ablate", "promote"): "an ablation compares all changes, and a promotion would drop some",
    ("ablate", "remedy"): "an ablation makes one change at a time, and a remedy adds another",
    ("trials", "start"): "a start config is one trial, and each named trial would need its own",
    ("seeds", "remedy"): "seeds compare equal configs, and a remedy would change some of them",
    ("two metrics", "pruner"): "a pruner compares trials by one metric",
    ("two metrics", "early_terminate"): "early_terminate compares trials by one metric",
    ("two metrics", "promote by top or fraction"): (
        "top and fraction rank trials by one metric. Use if"
    ),
    ("two metrics", "keep_improvements"): "an improvement is measured by one metric",
}
"""Pairs of parts that exclude each other, and why."""


def check_combinations(file: ParsedFile) -> None:
    """Check that the parts of a file can be combined."""
    parts = parts_of(file)
    for (first, second), reason in APART.items():
        if first in parts and second in parts:
            file.error(f"cannot be combined with {first}: {reason}.", *parts[second])
    for name, node in file.values.get("fixed", {}).items():
        declared = file.parameters.get(name)
        # A file that extends another may vary what that one fixes.
        if declared is None or declared.domain.when or declared.node.origin != node.origin:
            continue
        message = f"has no effect, since the values of parameters.{name} win. Remove one."
        file.warn(message, "fixed", name)
