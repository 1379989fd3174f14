"""What ranks the trials: one metric, or two."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.checks.result_conditions import REGRESSION, Results
from orchestrator.sweepfile.expand.named import WRITTEN
from orchestrator.sweepfile.model.spec import Goal, MetricGoal
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.trainer_schema import evaluated_metrics, trainer_names
from orchestrator.sweepfile.yaml.node import Node


def check_metrics(draft: Draft) -> tuple[MetricGoal, ...]:
    """Return what ranks the trials, the first of them first; by default what the trainer offers."""
    given = draft.values.get("metric")
    if given is None:
        default = None if draft.root.get("metric") is not None else _default_metric(draft)
        return () if default is None else (default,)
    if not isinstance(given, list):
        only = _metric(draft, given, ("metric",), draft.node("metric"))
        return () if only is None else (only,)
    nodes = draft.node("metric").value
    found = [
        _metric(draft, entry, ("metric", str(place)), nodes[place])
        for place, entry in enumerate(given)
        if len(nodes) == len(given)
    ]
    good = tuple(metric for metric in found if metric is not None)
    where, names = draft.node("metric"), [metric.name for metric in good]
    if len(nodes) > 2:
        draft.log.at(where, "metric", f"must be one metric or two, but got {len(nodes)}.")
    if len(set(names)) < len(names):
        draft.log.at(where, "metric", f"must name two metrics, but {names[0]} is repeated.")
    return good


def _metric(draft: Draft, given: Any, path: tuple[str, ...], node: Node) -> MetricGoal | None:
    """Return one metric that was read, or None where it is no good one."""
    entry: dict[str, Any] = {"name": given} if isinstance(given, str) else given
    name = entry.get("name")
    goal: Goal | None = entry.get("goal")
    key, where = join(*path, "name"), node.get("name") or node
    if name is None:
        return None
    schema, log = draft.schema, draft.log
    more = {word: entry.get(word) for word in ("target", "impute", "impute_while_running")}
    if schema is None:
        _check_patterns(draft, name, where, key)
        return MetricGoal(name, goal or "minimize", **more)
    if not schema.metrics:
        return MetricGoal(name, goal or "minimize", **more)
    known = schema.metrics.get(name)
    if known is None:
        better = f"val_{name}"
        hint = f" Did you mean '{better}'?" if better in schema.metrics else ""
        hint = hint or log.hint(name, schema.metrics)
        log.at(
            where,
            key,
            f"must be a metric that trainer '{schema.name}' reports, but got '{name}'.{hint} "
            f"Choices: {', '.join(schema.metrics)}.",
        )
        return None
    if goal is not None and goal != known.goal:
        message = f"is {goal}, though trainer '{schema.name}' would {known.goal} {name}."
        log.warn(node.get("goal") or node, join(*path, "goal"), message)
    return MetricGoal(name, goal or known.goal, **more)


def _default_metric(draft: Draft) -> MetricGoal | None:
    name = draft.schema.default_metric if draft.schema is not None else None
    if draft.schema is not None and name is not None:
        return MetricGoal(name, draft.schema.metrics[name].goal)
    needing = [("method", "bayes")] if draft.method == "bayes" else []
    pruner = draft.values.get("pruner", "none")
    needing += [("pruner", pruner)] if pruner != "none" else []
    early = draft.root.get("early_terminate")
    needing += [("early_terminate", "given")] if early is not None else []
    for key, value in needing:
        program = draft.root.get("program") or draft.root.get("command")
        if program is not None or draft.schema is not None:
            draft.log.at(
                draft.node(key),
                "metric",
                f"must be given, since {key} is {value}. "
                "Write metric: {name: ..., goal: minimize}.",
            )
    return None


def _check_patterns(draft: Draft, name: str, where: Node, key: str) -> None:
    """Check that patterns which follow a program's output find its metric, or arrays may."""
    patterns = draft.values.get("metrics", {}).get("pattern", ())
    texts = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    groups = {group for text in texts for group in re.compile(text).groupindex}
    if not groups or name in groups:
        return
    found = ", ".join(sorted(groups))
    if name.removeprefix("val_") in _of_arrays():
        draft.log.warn(
            where,
            key,
            f"is '{name}', but metrics.pattern finds {found}; only saved "
            "arrays can give it, at the end of a trial.",
        )
        return
    draft.log.at(
        where,
        key,
        f"must be found by metrics.pattern or be recomputed from arrays (mae, rmse, r2, …), but "
        f"got '{name}'.{draft.log.hint(name, groups)} metrics.pattern finds {found}.",
    )


def _of_arrays() -> set[str]:
    """Return the metrics that predictions and targets of some known kind give."""
    found = set(REGRESSION)
    for name in trainer_names():
        found.update(evaluated_metrics(name))
    return found


def check_expectations(draft: Draft, results: Results) -> None:
    """Warn where the expectations of a trial name no metric that will be there."""
    for trial, entry in draft.values.get("trials", {}).items():
        for name in entry.get("expect", {}):
            if not results.has(name):
                path = ("trials", entry.get(WRITTEN, trial), "expect", name)
                message = f"is no metric of trainer '{draft.values['trainer']}'."
                where = draft.key_node(*path)
                draft.log.warn(where, join(*path), message + results.hint(name))


def check_ranked(draft: Draft, metrics: tuple[MetricGoal, ...]) -> None:
    """Check that there is a metric where trials are chosen by rank."""
    if metrics or draft.root.get("metric") is not None:
        return
    needing: list[tuple[str, ...]] = [
        ("stages", name, "promote", word)
        for name, entry in draft.values.get("stages", {}).items()
        for word in ("top", "fraction")
        if word in entry.get("promote", {})
    ]
    if draft.values.get("ablate", {}).get("keep_improvements"):
        needing.append(("ablate", "keep_improvements"))
    for path in needing:
        where = draft.key_node(*path)
        message = "needs a metric to rank by. Write metric: {name: ..., goal: minimize}."
        draft.log.at(where, join(*path), message)
