"""The schedule of one trial: declared in the sweep file, or described by its trainer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.divergence.advice import rate_of
from orchestrator.divergence.schedule.declared import Declared, declared_for


def schedule_of_trial(
    raw: object,
    *,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    change: Mapping[str, Any],
    varied: Collection[str],
    last_step: float | None,
) -> Declared | None:
    """Return the schedule that a trial's rate is held against; None where there is none to hold.

    Args:
        raw: the sweep file's ``lr_schedule``; empty where it has none.
        config: the trial's parameters.
        metadata: its ``metadata.json``: the config that was built, and what the trainer describes.
        change: what sets it apart from the trial that it follows; {} where it follows none.
        varied: the parameters that the sweep sets for its trials.
        last_step: its last step; None where unknown.

    Raises:
        UsageError: the schedule cannot be.
    """
    chosen = raw or metadata.get("lr_schedule")
    if not isinstance(chosen, Mapping) or not chosen or change.get("new_schedule"):
        return None  # of a schedule that begins anew in midst of a run nobody knows its first step
    built = metadata.get("config")
    known = rate_of({**(built if isinstance(built, Mapping) else {}), **config})
    # What is set for this trial is stronger than what is declared for all of them.
    own = {*varied, *(change.get("set") or {})}
    return declared_for(
        chosen,
        rate=known[1] if known else None,
        is_rate_stronger=known is not None and known[0] in own,
        last_step=last_step,
    )
