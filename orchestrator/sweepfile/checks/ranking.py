"""What ranks the trials: one metric, or two.

A loss that means another thing in each trial may not choose between them.

Who proposes configs, checked: the sampler with its options, and the metrics that it serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.metrics import kind_names, known_metrics
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results, term_of
from orchestrator.sweepfile.conditions.ast import Name
from orchestrator.sweepfile.conditions.condition import names, parse
from orchestrator.sweepfile.expand.names import WRITTEN
from orchestrator.sweepfile.expand.stages import for_stage
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.model.spec import Domain, Goal, MetricGoal, Spec
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.optuna_options import SAMPLERS, UNWRITABLE
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, resolve
from orchestrator.sweepfile.yaml.node import Node


def check_metrics(file: ParsedFile) -> tuple[MetricGoal, ...]:
    """Return what ranks the trials, the first of them first; by default what the trainer offers."""
    given = file.values.get("metric")
    if given is None:
        default = None if file.root.get("metric") is not None else _default_metric(file)
        return () if default is None else (default,)
    if not isinstance(given, list):
        only = _metric(file, given, ("metric",), file.node("metric"))
        return () if only is None else (only,)
    nodes = file.node("metric").value
    found = [
        _metric(file, entry, ("metric", str(place)), nodes[place])
        for place, entry in enumerate(given)
        if len(nodes) == len(given)
    ]
    good = tuple(metric for metric in found if metric is not None)
    where, names = file.node("metric"), [metric.name for metric in good]
    if len(nodes) > 2:
        file.log.at(where, "metric", f"must be one metric or two, but got {len(nodes)}.")
    if len(set(names)) < len(names):
        file.log.at(where, "metric", f"must name two metrics, but {names[0]} is repeated.")
    return good


def _metric(file: ParsedFile, given: Any, path: tuple[str, ...], node: Node) -> MetricGoal | None:
    """Return one metric that was read, or None where it is no good one."""
    entry: dict[str, Any] = {"name": given} if isinstance(given, str) else given
    name = entry.get("name")
    goal: Goal | None = entry.get("goal")
    key, where = join(*path, "name"), node.get("name") or node
    if name is None:
        return None
    schema, log = file.schema, file.log
    more = {word: entry.get(word) for word in ("target", "impute", "impute_while_running")}
    if schema is None:
        _check_patterns(file, name, where, key)
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


def _default_metric(file: ParsedFile) -> MetricGoal | None:
    name = file.schema.default_metric if file.schema is not None else None
    if file.schema is not None and name is not None:
        return MetricGoal(name, file.schema.metrics[name].goal)
    needing = [("method", "bayes")] if file.method == "bayes" else []
    pruner = file.values.get("pruner", "none")
    needing += [("pruner", pruner)] if pruner != "none" else []
    early = file.root.get("early_terminate")
    needing += [("early_terminate", "given")] if early is not None else []
    for key, value in needing:
        program = file.root.get("program") or file.root.get("command")
        if program is not None or file.schema is not None:
            file.log.at(
                file.node(key),
                "metric",
                f"must be given, since {key} is {value}. "
                "Write metric: {name: ..., goal: minimize}.",
            )
    return None


def _check_patterns(file: ParsedFile, name: str, where: Node, key: str) -> None:
    """Check that patterns which follow a program's output find its metric, or arrays may."""
    patterns = file.values.get("metrics", {}).get("pattern", ())
    texts = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    groups = {group for text in texts for group in re.compile(text).groupindex}
    if not groups or name in groups:
        return
    found = ", ".join(sorted(groups))
    if name.removeprefix("val_") in _of_arrays():
        file.log.warn(
            where,
            key,
            f"is '{name}', but metrics.pattern finds {found}; only saved "
            "arrays can give it, at the end of a trial.",
        )
        return
    file.log.at(
        where,
        key,
        f"must be found by metrics.pattern or be recomputed from arrays (mae, rmse, r2, …), but "
        f"got '{name}'.{file.log.hint(name, groups)} metrics.pattern finds {found}.",
    )


def _of_arrays() -> set[str]:
    """Return the metrics that predictions and targets of some known kind give."""
    return {name for kind in (None, *kind_names()) for name in known_metrics(kind)}


def check_expectations(file: ParsedFile, results: Results) -> None:
    """Warn where the expectations of a trial name no metric that will be there."""
    for trial, entry in file.values.get("trials", {}).items():
        for name in entry.get("expect", {}):
            if not results.has(name):
                path = ("trials", entry.get(WRITTEN, trial), "expect", name)
                message = f"is no metric of trainer '{file.values['trainer']}'."
                where = file.key_node(*path)
                file.log.warn(where, join(*path), message + results.hint(name))


def check_ranked(file: ParsedFile, metrics: tuple[MetricGoal, ...]) -> None:
    """Check that there is a metric where trials are chosen by rank."""
    if metrics or file.root.get("metric") is not None:
        return
    needing: list[tuple[str, ...]] = [
        ("stages", name, "promote", word)
        for name, entry in file.values.get("stages", {}).items()
        for word in ("top", "fraction")
        if word in entry.get("promote", {})
    ]
    if file.values.get("ablate", {}).get("keep_improvements"):
        needing.append(("ablate", "keep_improvements"))
    for path in needing:
        where = file.key_node(*path)
        message = "needs a metric to rank by. Write metric: {name: ..., goal: minimize}."
        file.log.at(where, join(*path), message)


def check_loss(file: ParsedFile, spec: Spec) -> None:
    """Check that what selects, promotes or judges trials means the same in all of them.

    A loss cannot rank trials that define it differently, so a sweep over a loss weight that ranks
    by the loss would choose the smallest weight and not the best model. The same holds for
    targets, gates, promotions and the sweep's success.
    """
    schema = file.schema
    if schema is None:
        return
    uses = [
        (path, name)
        for path, asked in _uses(file, spec)
        for name in sorted(asked)
        if name in schema.metrics and schema.metrics[name].is_loss
    ]
    altering = sorted(_varying(schema, spec)) if uses else []
    if not altering:
        return
    better = schema.default_metric
    for path, name in uses:
        message = f"must be comparable between trials, but {name} changes its meaning with"
        hint = f" Use {better}." if better else ""
        file.log.at(file.key_node(*path), join(*path), f"{message} {', '.join(altering)}.{hint}")


def _uses(file: ParsedFile, spec: Spec) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield where trials are chosen or judged, and the metrics that are asked there."""
    several = isinstance(file.node("metric").value, list)
    metrics = spec.objectives or ((spec.metric,) if spec.metric is not None else ())
    for place, metric in enumerate(metrics):
        yield ("metric", *([str(place)] if several else []), "name"), {metric.name}
    for name in spec.targets:
        yield ("targets", name), _of_term(name)
    for tier, bounds in spec.tiers.items():
        for name in bounds:
            yield ("targets", tier, name), _of_term(name)
    for condition in spec.success:
        yield ("success",), _of_condition(condition)
    for stage in spec.stages:
        if stage.promote is not None and stage.promote.condition is not None:
            path = ("stages", stage.name, "promote", "if")
            yield path, _of_condition(stage.promote.condition)
    if spec.ablate is not None:
        if spec.ablate.gate is not None:
            yield ("ablate", "gate"), _of_condition(spec.ablate.gate)
        changes = file.values["ablate"].get("changes", {})
        for name, change in spec.ablate.changes.items():
            written = changes.get(name, {}).get(WRITTEN, name)
            if change.gate is not None:
                yield ("ablate", "changes", written, "gate"), _of_condition(change.gate)


def _of_condition(text: str) -> set[str]:
    return {name.name for name in names(parse(text))}


def _of_term(text: str) -> set[str]:
    term = term_of(text)
    return {text, *({term.name} if isinstance(term, Name) else {term.above.name, term.below.name})}


def _varying(schema: TrainerSchema, spec: Spec) -> set[str]:
    """Return the parameters that alter the loss and differ between trials of one stage."""
    altering = [name for name, known in schema.parameters.items() if known.alters_loss]
    varying = {name for name in altering for remedy in spec.remedy.values() if name in remedy.set}
    if spec.stage is None and spec.stages:
        for stage in spec.stages:
            varying |= _varying_once(schema, for_stage(spec, stage.name), altering)
        return varying
    return varying | _varying_once(schema, spec, altering)


def _settings(spec: Spec) -> list[Mapping[str, Any]]:
    """Return what sets trials apart by hand: named trials, or a baseline and its changes."""
    if spec.ablate is not None:
        base = spec.ablate.baseline
        return [base, *({**base, **change.set} for change in spec.ablate.changes.values())]
    return [named.set for named in spec.trials.values()] or [{}]


def _varying_once(schema: TrainerSchema, spec: Spec, altering: list[str]) -> set[str]:
    varying: set[str] = set()
    seen: dict[str, set[str]] = {name: set() for name in altering}
    for settings in _settings(spec):
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


def check_sampler(file: ParsedFile) -> Sampler | None:
    """Return the sampler of ``bayes``; None where the file does not name a good one."""
    given = file.values.get("sampler")
    if given is None:
        return None
    entry: dict[str, Any] = {"name": given} if isinstance(given, str) else given
    name, log = entry.get("name"), file.log
    if name is None:
        return None
    where = file.key_node("sampler")
    if file.method != "bayes":
        message = f"goes with method bayes, whose configs it proposes, but method is {file.method}"
        log.at(where, "sampler", f"{message}. Write method: bayes, or remove it.")
    several = isinstance(file.values.get("metric"), list) and len(file.values["metric"]) > 1
    record = SAMPLERS[name]
    if several and not record.two_metrics:
        choices = ", ".join(other for other, known in SAMPLERS.items() if known.two_metrics)
        message = f"must be one of {choices} with two metrics, but got {name}."
        log.at(where, "sampler", message)
    options: dict[str, Node] = entry.get("options", {})
    known = record.options
    for option, node in options.items():
        key = f"sampler.options.{option}"
        if option in known:
            known[option].read(node, key, log)
        elif option in UNWRITABLE:
            log.at(node, key, f"must not stand in a file, since {UNWRITABLE[option]}.")
        else:
            hint = log.hint(option, known)
            listed = f" Choices: {', '.join(known) or 'none'}." if not hint else ""
            message = f"must be an option of {name}, but is none.{hint}{listed}"
            log.at(node, key, message)
    chosen = {option: node.plain() for option, node in options.items()}
    for group in record.exclusive:
        both = [option for option in group if chosen.get(option)]
        if len(both) > 1:
            log.at(where, "sampler.options", f"must have one of {' and '.join(both)} alone.")
    if name == "tpe" and chosen.get("group") and chosen.get("multivariate") is False:
        log.at(where, "sampler.options", "must not have group where multivariate is false.")
    return Sampler(name, chosen)
