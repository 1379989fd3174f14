"""A spec at one of its stages."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.sweepfile.model.spec import Spec


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
