"""A loss that means another thing in each trial may not choose between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.checks.result_conditions import term_of
from orchestrator.sweepfile.conditions.ast import Name
from orchestrator.sweepfile.conditions.condition import names, parse
from orchestrator.sweepfile.expand.named import WRITTEN
from orchestrator.sweepfile.expand.stages import for_stage
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.trainer_schema import TrainerSchema, resolve


def check_loss(draft: Draft, spec: Spec) -> None:
    """Check that what selects, promotes or judges trials means the same in all of them.

    A loss cannot rank trials that define it differently, so a sweep over a loss weight that ranks
    by the loss would choose the smallest weight and not the best model. The same holds for
    targets, gates, promotions and the sweep's success.
    """
    schema = draft.schema
    if schema is None:
        return
    uses = [
        (path, name)
        for path, asked in _uses(draft, spec)
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
        draft.log.at(draft.key_node(*path), join(*path), f"{message} {', '.join(altering)}.{hint}")


def _uses(draft: Draft, spec: Spec) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield where trials are chosen or judged, and the metrics that are asked there."""
    several = isinstance(draft.node("metric").value, list)
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
        changes = draft.values["ablate"].get("changes", {})
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
