"""What the keys of a sweep file must hold together.

The single keys were read by the table in `orchestrator.spec.keys`; here they meet the trainer's
parameters and each other. Every mistake goes to the log, so that all are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import Problem, SpecError, UsageError
from orchestrator.spec.domains import Declared
from orchestrator.spec.keys import PROGRAM_KEYS, SPEC, VERSION
from orchestrator.spec.kinds import join
from orchestrator.spec.model import Domain, Goal, MetricGoal, Spec
from orchestrator.spec.overrides import ORIGIN
from orchestrator.spec.problems import Log
from orchestrator.spec.reading import Node
from orchestrator.spec.trainers import (
    TrainerSchema,
    evaluated_metrics,
    resolve,
    trainer_names,
    trainer_schema,
)
from orchestrator.spec.values import check_domain, check_name, check_settings, check_value

# Metrics of any predictions and targets, recomputed for every kind of data.
_REGRESSION = ("mae", "rmse", "r2")


@dataclass
class Draft:
    """A sweep file whose single keys were read.

    Attributes:
        root: its tree, for lines.
        values: what its good keys hold, as the kinds of the table read them.
        strongest: what ``--set`` gave for parameters.
        named: the parameters that the file itself names.
        log: takes mistakes and warnings.
        stage: the stage that was asked for; after `check_stage` the one that runs.
        schema: the trainer's, once it is known.
    """

    root: Node
    values: Mapping[str, Any]
    strongest: Mapping[str, Node]
    named: Set[str]
    log: Log
    stage: str | None = None
    schema: TrainerSchema | None = None
    parameters: Mapping[str, Declared] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters = self.values.get("parameters", {})

    @property
    def method(self) -> str:
        """How parameters make configs."""
        return str(self.values.get("method", "grid"))

    def node(self, *path: str) -> Node:
        """Return the node at a path, or the one nearest above it."""
        node = self.root
        for key in path:
            below = node.get(key)
            if below is None:
                break
            node = below
        return node

    def key_node(self, *path: str) -> Node:
        """Return a node that stands where the last key of a path stands."""
        above = self.node(*path[:-1])
        node = above.get(path[-1]) or above
        return Node(None, above.key_lines.get(path[-1], node.line), node.origin)

    def settings(self) -> Iterator[tuple[tuple[str, ...], dict[str, Node]]]:
        """Yield every mapping from parameter to value, with its path."""
        yield ("fixed",), self.values.get("fixed", {})
        for group in ("stages", "trials"):
            for name, entry in self.values.get(group, {}).items():
                yield (group, name, "set"), entry.get("set", {})


def check_version(draft: Draft) -> None:
    """Check that the file is of a language that is known."""
    version = draft.values.get("version", VERSION)
    if version != VERSION:
        draft.log.at(
            draft.node("version"),
            "version",
            f"must be {VERSION}, but got {version}. Install the release that reads it.",
        )


def check_runner(draft: Draft) -> None:
    """Check that one thing runs the trials, and find the trainer's schema."""
    # A key whose value was refused already is not missing as well.
    trainer, program = draft.root.get("trainer"), draft.root.get("program")
    log = draft.log
    if trainer is None and program is None:
        known = ", ".join(_safe_names())
        log.at(draft.root, "trainer", f"must be given, or program. Trainers: {known}.")
    if trainer is not None and program is not None:
        log.at(draft.key_node("program"), "program", "must not stand beside trainer. Remove one.")
    if trainer is not None and program is None:
        for key in PROGRAM_KEYS:
            if draft.root.get(key) is not None:
                log.at(
                    draft.key_node(key),
                    key,
                    "must stand beside program, but this sweep has a trainer. Remove it.",
                )
    name = draft.values.get("trainer")
    if name is not None:
        try:
            draft.schema = trainer_schema(name)
        except UsageError as error:
            log.at(draft.node("trainer"), "trainer", str(error))


def _safe_names() -> list[str]:
    try:
        return trainer_names()
    except ImportError:
        return []


def check_parameters(draft: Draft) -> None:
    """Check names and values of all parameters against the trainer's."""
    schema, log = draft.schema, draft.log
    if schema is None:
        if draft.values.get("program"):
            _check_overrides_of_program(draft)
        return
    for path, settings in draft.settings():
        check_settings(settings, join(*path), schema, log)
    for name, declared in draft.parameters.items():
        check_domain(name, declared, join("parameters", name), schema, log)
    for name, node in draft.strongest.items():
        known = check_name(name, node, name, schema, log, others=SPEC.keys)
        if known is not None:
            check_value(known, node, name, log)
    seed = draft.root.get("seed")
    if seed is not None and "seed" in draft.values and "seed" in schema.parameters:
        check_value(schema.parameters["seed"], seed, "seed", log)


def _check_overrides_of_program(draft: Draft) -> None:
    """Warn where ``--set`` names what the file does not; a script's own names are unknown."""
    given = {name: declared.node for name, declared in draft.parameters.items()}
    for name, node in {**given, **draft.strongest}.items():
        if node.origin == ORIGIN and name not in draft.named:
            hint = draft.log.hint(name, [*draft.named, *SPEC.keys])
            draft.log.warn(node, name, f"is not named in the file; the program gets it.{hint}")


def check_stage(draft: Draft) -> None:
    """Check that the stage that was asked for is there; without one, take the last."""
    stages = draft.values.get("stages", {})
    if draft.stage is None:
        draft.stage = list(stages)[-1] if stages else None
    elif draft.stage not in stages:
        hint = draft.log.hint(draft.stage, stages)
        known = f"Stages: {', '.join(stages)}." if stages else "The file has no stages."
        message = f"must be a stage of the file, but got '{draft.stage}'.{hint} {known}"
        draft.log.add("", message, "--stage")
        draft.stage = None


def check_method(draft: Draft) -> None:
    """Check that the method can do with the parameters what it does."""
    searched = {n: d for n, d in draft.parameters.items() if not d.domain.is_constant}
    block = draft.root.get("parameters")
    written = block.value if block is not None and isinstance(block.value, dict) else {}
    if draft.method == "grid":
        for name, declared in searched.items():
            domain = declared.domain
            if domain.distribution in ("uniform", "log_uniform_values"):
                draft.log.at(
                    declared.node,
                    join("parameters", name),
                    f"must have values in a grid, but is {domain.distribution} from {domain.low} "
                    f"to {domain.high}. Write {{values: [...]}}, or method: random.",
                )
    elif not searched and len(written) == len(draft.parameters):  # a refused one is told already
        draft.log.at(
            draft.node("parameters") if draft.parameters else draft.node("method"),
            "parameters",
            f"must have one with several values at least, since method is {draft.method}. "
            "Add one, or write method: grid.",
        )


def check_metric(draft: Draft) -> MetricGoal | None:
    """Return what ranks the trials, by default what the trainer offers for it."""
    given = draft.values.get("metric")
    if given is None:
        return None if draft.root.get("metric") is not None else _default_metric(draft)
    entry: dict[str, Any] = {"name": given} if isinstance(given, str) else given
    name = entry.get("name")
    goal: Goal | None = entry.get("goal")
    if name is None:
        return None
    schema, log = draft.schema, draft.log
    if schema is None:
        _check_patterns(draft, name)
        return MetricGoal(name, goal or "minimize")
    if not schema.metrics:
        return MetricGoal(name, goal or "minimize")
    known = schema.metrics.get(name)
    where = draft.node("metric", "name")
    if known is None:
        better = f"val_{name}"
        hint = f" Did you mean '{better}'?" if better in schema.metrics else ""
        hint = hint or log.hint(name, schema.metrics)
        log.at(
            where,
            "metric.name",
            f"must be a metric that trainer '{schema.name}' reports, but got '{name}'.{hint} "
            f"Choices: {', '.join(schema.metrics)}.",
        )
        return None
    if goal is not None and goal != known.goal:
        message = f"is {goal}, though trainer '{schema.name}' would {known.goal} {name}."
        log.warn(draft.node("metric", "goal"), "metric.goal", message)
    return MetricGoal(name, goal or known.goal)


def _default_metric(draft: Draft) -> MetricGoal | None:
    if draft.schema is not None:
        name = draft.schema.default_metric
        return None if name is None else MetricGoal(name, draft.schema.metrics[name].goal)
    needing = [("method", "bayes")] if draft.method == "bayes" else []
    pruner = draft.values.get("pruner", "none")
    needing += [("pruner", pruner)] if pruner != "none" else []
    for key, value in needing:
        if draft.root.get("program") is not None:
            draft.log.at(
                draft.node(key),
                "metric",
                f"must be given, since {key} is {value}. "
                "Write metric: {name: ..., goal: minimize}.",
            )
    return None


def _check_patterns(draft: Draft, name: str) -> None:
    """Warn where patterns follow a program's output and none finds its metric."""
    patterns = draft.values.get("metrics", {}).get("pattern", ())
    texts = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    groups = {group for text in texts for group in re.compile(text).groupindex}
    if groups and name not in groups:
        draft.log.warn(
            draft.node("metric", "name"),
            "metric.name",
            f"is '{name}', but metrics.pattern finds {', '.join(sorted(groups))}.",
        )


def check_metric_names(draft: Draft) -> None:
    """Check that targets and expectations name metrics that will be there."""
    schema = draft.schema
    if schema is None or not schema.metrics:
        return
    known: set[str] = {*schema.metrics, *_REGRESSION, *(f"val_{name}" for name in _REGRESSION)}
    known |= {name.removeprefix("val_") for name in schema.metrics if name.startswith("val_")}
    named: list[tuple[tuple[str, ...], str]] = [
        (("targets", name), name) for name in draft.values.get("targets", {})
    ]
    for trial, entry in draft.values.get("trials", {}).items():
        named += [(("trials", trial, "expect", name), name) for name in entry.get("expect", {})]
    if any(name not in known for _, name in named):
        evaluated = evaluated_metrics(schema.name)
        known |= {*evaluated, *(f"val_{name}" for name in evaluated)}
    for path, name in named:
        if name in known:
            continue
        hint = draft.log.hint(name, known)
        where = draft.key_node(*path)
        if path[0] == "targets":
            listed = "" if hint else f" Choices: {', '.join(sorted(known))}."
            message = f"must be a metric of trainer '{schema.name}', but is not.{hint}{listed}"
            draft.log.at(where, join(*path), message)
        else:
            draft.log.warn(where, join(*path), f"is no metric of trainer '{schema.name}'.{hint}")


def check_loss(draft: Draft, spec: Spec) -> None:
    """Check that the metric means the same in all trials.

    A loss cannot rank trials that define it differently, so a sweep over a loss weight that ranks
    by the loss would choose the smallest weight and not the best model.
    """
    schema, metric = draft.schema, spec.metric
    if schema is None or metric is None or metric.name not in schema.metrics:
        return
    if not schema.metrics[metric.name].is_loss:
        return
    names = sorted(_varying(schema, spec))
    if names:
        better = schema.default_metric
        draft.log.at(
            draft.node("metric", "name"),
            "metric.name",
            f"must be comparable between trials, but {metric.name} changes its meaning with "
            f"{', '.join(names)}." + (f" Use {better}." if better else ""),
        )


def _varying(schema: TrainerSchema, spec: Spec) -> set[str]:
    """Return the parameters that alter the loss and differ between trials of `spec`."""
    altering = [name for name, known in schema.parameters.items() if known.alters_loss]
    trials = [named.set for named in spec.trials.values()] or [{}]
    varying: set[str] = set()
    seen: dict[str, set[str]] = {name: set() for name in altering}
    for settings in trials:
        pinned = {**settings, **spec.overrides}
        free = {name: domain for name, domain in spec.parameters.items() if name not in pinned}
        varying |= {name for name in altering if name in free and _chooses(free[name])}
        shared = {name: d.values[0] for name, d in free.items() if d.is_constant}
        base = {**spec.fixed, **spec.stage_set, **shared, **pinned}
        presets: Iterable[Any] = free["preset"].values if "preset" in free else (None,)
        for preset in presets:
            config = base if preset is None else {**base, "preset": preset}
            resolved = resolve(schema, config)
            for name in altering:
                if name not in free:
                    seen[name].add(repr(resolved[name]))
    return varying | {name for name, values in seen.items() if len(values) > 1}


def _chooses(domain: Domain) -> bool:
    return domain.low is not None or len(domain.values) > 1


def refuse_unbounded(spec: Spec) -> None:
    """Refuse a spec that would never end.

    Raises:
        SpecError: the method draws trials and nothing bounds how many.
    """
    if spec.method != "grid" and spec.run_cap is None:
        message = (
            f"must be given, since method {spec.method} never ends by itself. "
            "Write run_cap: 20, or use --set run_cap=20."
        )
        raise SpecError([Problem(None, "run_cap", message, str(spec.path))])
