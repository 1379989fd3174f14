"""A spec at one of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.spec.choices import canonical
from orchestrator.spec.model import Spec


def for_stage(spec: Spec, name: str) -> Spec:
    """Return the spec in which the stage `name` runs.

    Raises:
        ValueError: there is no such stage.
    """
    for stage in spec.stages:
        if stage.name == name:
            return replace(spec, stage=stage.name, stage_set=stage.set)
    raise ValueError(f"no stage {name}")


def at_first(spec: Spec) -> Spec:
    """Return the spec at its first stage where all stages run in order; else as it is."""
    if spec.stage is None and spec.stages:
        return for_stage(spec, spec.stages[0].name)
    return spec


def at_stage(spec: Spec, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a trial of an earlier stage has at the stage `name`.

    What the earlier stage set goes, and what this one sets comes, as far as nothing stronger has
    chosen the value: parameters, a named trial, or ``--set``.

    Args:
        spec: the spec, at the stage of `config`.
        name: the stage at which the trial runs again.
        config: the trial's config.

    Raises:
        ValueError: there is no such stage.
    """
    before = at_first(spec).stage_set
    after = for_stage(spec, name).stage_set
    found = dict(config)
    for key in {**before, **after}:
        if key in spec.parameters or key in spec.overrides:
            continue
        shared = before.get(key, spec.fixed.get(key, _ABSENT))
        if canonical(found.get(key, _ABSENT)) != canonical(shared):
            continue  # a named trial's own
        value = after.get(key, spec.fixed.get(key, _ABSENT))
        if value is _ABSENT:
            found.pop(key, None)
        else:
            found[key] = value
    return found


_ABSENT = object()
