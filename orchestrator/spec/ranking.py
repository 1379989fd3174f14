"""What ranks the trials: the metric, targets and expectations, and that a loss may not always."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from orchestrator.spec.draft import Draft
from orchestrator.spec.kinds import join
from orchestrator.spec.model import Domain, Goal, MetricGoal, Spec
from orchestrator.spec.named import WRITTEN
from orchestrator.spec.trainers import (
    TrainerSchema,
    evaluated_metrics,
    resolve,
    trainer_names,
)

# Metrics of any predictions and targets, recomputed for every kind of data.
_REGRESSION = ("mae", "rmse", "r2")


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
    more = {word: entry.get(word) for word in ("target", "impute", "impute_while_running")}
    if schema is None:
        _check_patterns(draft, name)
        return MetricGoal(name, goal or "minimize", **more)
    if not schema.metrics:
        return MetricGoal(name, goal or "minimize", **more)
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


def _check_patterns(draft: Draft, name: str) -> None:
    """Check that patterns which follow a program's output find its metric, or arrays may."""
    patterns = draft.values.get("metrics", {}).get("pattern", ())
    texts = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    groups = {group for text in texts for group in re.compile(text).groupindex}
    if not groups or name in groups:
        return
    where, found = draft.node("metric", "name"), ", ".join(sorted(groups))
    if name.removeprefix("val_") in _of_arrays():
        draft.log.warn(
            where,
            "metric.name",
            f"is '{name}', but metrics.pattern finds {found}; only saved "
            "arrays can give it, at the end of a trial.",
        )
        return
    draft.log.at(
        where,
        "metric.name",
        f"must be found by metrics.pattern or be recomputed from arrays (mae, rmse, r2, …), but "
        f"got '{name}'.{draft.log.hint(name, groups)} metrics.pattern finds {found}.",
    )


def _of_arrays() -> set[str]:
    """Return the metrics that predictions and targets of some known kind give."""
    found = set(_REGRESSION)
    for name in trainer_names():
        found.update(evaluated_metrics(name))
    return found


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
        written = entry.get(WRITTEN, trial)
        named += [(("trials", written, "expect", name), name) for name in entry.get("expect", {})]
    if any(name not in known for _, name in named):
        evaluated = evaluated_metrics(schema.name, schema.data_kind)
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
    return len(domain.values) != 1
