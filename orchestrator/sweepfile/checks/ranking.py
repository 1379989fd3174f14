"""What ranks the trials, and the sampler that proposes them by that rank.

A loss whose definition differs between trials cannot choose between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.metrics import goal as named_goal, kind_names, known_metrics
from orchestrator.sweepfile.checks.parsed_file import WRITTEN, ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.expand.build import for_stage
from orchestrator.sweepfile.model.spec import Goal, MetricGoal, Spec
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, resolve
from orchestrator.sweepfile.yaml.node import Node

_WRITE_METRIC = "Write metric: {name: ..., goal: minimize}."
_JUDGING = ("targets", "success", "stages", "ablate")
"""The keys whose bounds and conditions choose or judge trials."""


def read_metrics(file: ParsedFile) -> tuple[MetricGoal, ...]:
    """Return the metrics that rank the trials; by default the one that the trainer declares."""
    if not file.has("metric"):
        default = _default_metric(file)
        return () if default is None else (default,)
    given, where = file.metrics, file.node("metric")
    read = [_metric(file, *item) for item in file.items("metric", given)]
    metrics = tuple(metric for metric in read if metric is not None)
    if len(given) > 2:
        file.error(f"needs one metric or two (found {len(given)}).", "metric", at=where)
    if len({metric.name for metric in metrics}) < len(metrics):
        file.error(f"{metrics[0].name} is listed twice.", "metric", at=where)
    return metrics


def _metric(
    file: ParsedFile, entry: Mapping[str, Any], path: tuple[str, ...], node: Node
) -> MetricGoal | None:
    """Return one metric; None if the trainer does not report it."""
    name, goal, schema = entry.get("name"), entry.get("goal"), file.schema
    if name is None:
        return None
    where = node.get("name") or node
    if schema is None:
        _check_patterns(file, name, (*path, "name"), where)
    elif schema.metrics:
        known = schema.metrics.get(name)
        if known is None:
            better = f"val_{name}"
            hint = f" Did you mean '{better}'?" if better in schema.metrics else ""
            hint = hint or file.log.hint(name, schema.metrics)
            message = f"trainer '{schema.name}' does not report '{name}'.{hint} "
            message += f"Choices: {', '.join(schema.metrics)}."
            file.error(message, *path, "name", at=where)
            return None
        if goal not in (None, known.goal):
            message = f"{goal}, although trainer '{schema.name}' would {known.goal} {name}."
            file.warn(message, *path, "goal", at=node.get("goal") or node)
        goal = goal or known.goal
    if goal and schema is None:
        _check_goal(file, name, goal, (*path, "goal"), node.get("goal") or node)
    goal = goal or _named_goal(file, name, path, node)
    more = {word: entry.get(word) for word in ("target", "impute", "impute_while_running")}
    return MetricGoal(name, goal, **more)


def _check_goal(file: ParsedFile, name: str, goal: Goal, path: tuple[str, ...], at: Node) -> None:
    """Warn of a goal that is contrary to what the name of the metric means."""
    better = {"maximize": "more", "minimize": "less"}
    named = named_goal(name, file.values.get("arrays", {}).get("kind"))
    if named not in (None, goal):
        message = f"{goal}, although the name '{name}' means {better[named]} is better."
        file.warn(f"{message} Write goal: {named} if it is.", *path, at=at)


def _named_goal(file: ParsedFile, name: str, path: tuple[str, ...], node: Node) -> Goal:
    """Return the goal that the name of a metric shows, with a line about it."""
    arrays = file.values.get("arrays", {}).get("kind")
    found = named_goal(name, arrays if file.schema is None else file.schema.data_kind)
    if found == "maximize":
        message = f"without goal, and the name '{name}' means more is better: maximized."
        file.warn(message, *path, at=node)
    elif found is None:
        steered = [".".join(place) for place in _steered_by_rank(file)]
        message = f"the name '{name}' does not show which way is better"
        ways = "Write goal: minimize or goal: maximize."
        if steered:
            file.error(f"{message}, but {steered[0]} depends on it. {ways}", *path, at=node)
        else:
            file.warn(f"{message}, so the lowest is first. {ways}", *path, at=node)
    return found or "minimize"


def _steered_by_rank(file: ParsedFile) -> list[tuple[str, ...]]:
    """Return the paths of what chooses, stops or promotes trials by their rank."""
    found: list[tuple[str, ...]] = []
    if file.method == "bayes":
        found.append(("method",))
    if file.pruner != "none":
        found.append(("pruner",))
    if file.has("early_terminate"):
        found.append(("early_terminate",))
    return found + _promoting_by_rank(file)


def _promoting_by_rank(file: ParsedFile) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [
        ("stages", name, "promote", word)
        for name, entry in file.mapping("stages").items()
        for word in ("top", "fraction")
        if word in entry.get("promote", {})
    ]
    if file.mapping("ablate").get("keep_improvements"):
        found.append(("ablate", "keep_improvements"))
    return found


def _default_metric(file: ParsedFile) -> MetricGoal | None:
    schema = file.schema
    if schema is not None and schema.default_metric is not None:
        return MetricGoal(schema.default_metric, schema.metrics[schema.default_metric].goal)
    if schema is not None or file.has("program") or file.has("command"):
        needing = {
            "method": "method bayes" if file.method == "bayes" else None,
            "pruner": f"pruner {file.pruner}" if file.pruner != "none" else None,
            "early_terminate": "early_terminate" if file.has("early_terminate") else None,
        }
        for key, text in needing.items():
            if text is not None:
                message = f"missing, but {text} needs one. {_WRITE_METRIC}"
                file.error(message, "metric", at=file.node(key))
    return None


def _check_patterns(file: ParsedFile, name: str, path: tuple[str, ...], where: Node) -> None:
    """Check that the patterns for a program's output find its metric, or that arrays may."""
    sources = file.values.get("metrics", {})
    patterns = sources.get("pattern", ())
    texts = (patterns,) if isinstance(patterns, str) else patterns
    groups = {group for text in texts for group in re.compile(text).groupindex}
    if not groups or name in groups or sources.keys() - {"pattern"}:
        return
    message = f"metrics.pattern does not find '{name}' (it finds: {', '.join(sorted(groups))})"
    recomputed = {metric for kind in (None, *kind_names()) for metric in known_metrics(kind)}
    if name.removeprefix("val_") in recomputed:
        message += "; only saved arrays can give it, at the end of a trial."
        file.warn(message, *path, at=where)
    else:
        message += ", and it is not recomputed from arrays (mae, rmse, r2, …)."
        file.error(f"{message}{file.log.hint(name, groups)}", *path, at=where)


def check_expectations(file: ParsedFile, results: Results) -> None:
    """Warn if a named trial expects something of a metric that does not exist."""
    for trial, entry in file.mapping("trials").items():
        for name in entry.get("expect", {}):
            if not results.has(name):
                path = ("trials", entry.get(WRITTEN, trial), "expect", name)
                file.warn(results.unknown(name), *path)


def check_ranked(file: ParsedFile, metrics: tuple[MetricGoal, ...]) -> None:
    """Check that there is a metric if trials are chosen by rank."""
    if metrics or file.has("metric"):
        return
    for path in _promoting_by_rank(file):
        file.error(f"needs a metric to rank by. {_WRITE_METRIC}", *path)


def check_loss(file: ParsedFile, spec: Spec, results: Results) -> None:
    """Check that what selects, promotes or judges trials means the same in all of them.

    A loss cannot rank trials that define it differently: a sweep over a loss weight that ranks by
    the loss would choose the smallest weight and not the best model. The same is true of targets,
    gates, promotions and the sweep's success.
    """
    schema = file.schema
    if schema is None:
        return
    metrics = spec.metrics
    uses = [((*path, "name"), {item.name}) for item, path, _ in file.items("metric", metrics)]
    uses += [(path, used) for path, used in results.used if path[0] in _JUDGING]
    losses = {name for name, metric in schema.metrics.items() if metric.is_loss}
    if not any(used & losses for _, used in uses):
        return
    altering = ", ".join(sorted(_varying(schema, spec)))
    better = f" Use {schema.default_metric}." if schema.default_metric else ""
    for path, used in uses if altering else ():
        for name in sorted(used & losses):
            message = f"{name} cannot compare trials, since {altering} changes what it means."
            file.error(f"{message}{better}", *path)


def _varying(schema: TrainerSchema, spec: Spec) -> set[str]:
    """Return the parameters that alter the loss and differ between trials of one stage."""
    altering = [name for name, known in schema.parameters.items() if known.alters_loss]
    varying = {name for name in altering for remedy in spec.remedy.values() if name in remedy.set}
    all_run = spec.stage is None and spec.stages
    for at in [for_stage(spec, stage.name) for stage in spec.stages] if all_run else [spec]:
        varying |= _varying_once(schema, at, altering)
    return varying


def _varying_once(schema: TrainerSchema, spec: Spec, altering: list[str]) -> set[str]:
    varying: set[str] = set()
    seen: dict[str, set[str]] = {name: set() for name in altering}
    by_hand = [named.set for named in spec.trials.values()] or [{}]
    if spec.ablate is not None:
        base = spec.ablate.baseline
        by_hand = [base, *({**base, **change.set} for change in spec.ablate.changes.values())]
    for settings in by_hand:
        pinned = {**settings, **spec.overrides}
        free = {name: domain for name, domain in spec.parameters.items() if name not in pinned}
        varying |= {name for name in altering if name in free and len(free[name].values) != 1}
        shared = {name: d.values[0] for name, d in free.items() if d.is_constant}
        config = {**spec.fixed, **spec.stage_set, **shared, **pinned}
        presets = (
            [{"preset": value} for value in free["preset"].values] if "preset" in free else [{}]
        )
        for preset in presets:
            resolved = resolve(schema, {**config, **preset})
            for name in altering:
                if name not in free:
                    seen[name].add(repr(resolved[name]))
    return varying | {name for name, values in seen.items() if len(values) > 1}
