"""The memory that one trial takes, and what the spec says beside it."""

from __future__ import annotations

from orchestrator.errors import UsageError
from orchestrator.placement.model import Need, Placement, Policy, Share
from orchestrator.sweepfile.model.spec import Resources


def declared(resources: Resources) -> Need:
    """Return the need that the spec declares; unknown where it declares none."""
    if resources.gpu_memory_bytes is None:
        return Need()
    return Need(resources.gpu_memory_bytes, "declared")


def policy_of(
    resources: Resources,
    max_parallel: int | None = None,
    *,
    workers: int = 0,
    placement: Placement = "auto",
    share: Share = "full",
) -> Policy:
    """Return what limits the plan beside memory.

    Args:
        resources: of the spec.
        max_parallel: greatest number of trials at once (``--max-parallel``); None for no limit.
        workers: processes that load a trial's data beside it (`loaders.loader_workers`).
        placement: how many run at once (``--placement``).
        share: how a card is shared with others (``--share``).

    Raises:
        UsageError: `max_parallel` is below 1.
    """
    if max_parallel is not None and max_parallel < 1:
        raise UsageError(f"--max-parallel: must be at least 1, but got {max_parallel}.")
    return Policy(
        max_parallel=max_parallel,
        gpus_per_trial=1 if resources.gpus is None else resources.gpus,
        cpus_per_trial=resources.cpus,
        workers_per_trial=workers,
        placement=placement,
        share=share,
    )
