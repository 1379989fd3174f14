"""The plan of a sweep on this machine, or on one that is described: what run and plan call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.errors import PlacementError
from orchestrator.files.units import format_size
from orchestrator.placement.cards import choose
from orchestrator.placement.devices import survey
from orchestrator.placement.host import read_host
from orchestrator.placement.leases import Leases
from orchestrator.placement.loaders import loader_workers
from orchestrator.placement.model import Device, Host, Plan
from orchestrator.placement.need import declared, policy_of
from orchestrator.placement.plan import plan
from orchestrator.spec.expand import count_trials
from orchestrator.spec.model import Spec


def decide(
    spec: Spec,
    *,
    devices: Sequence[Device] | None = None,
    host: Host | None = None,
    max_parallel: int | None = None,
    gpus: str | None = None,
) -> Plan:
    """Decide where the trials of `spec` run.

    Args:
        spec: what was asked.
        devices: GPUs; None reads those of this machine.
        host: cores and RAM; None reads those of this machine.
        max_parallel: greatest number of trials at once (``--max-parallel``).
        gpus: the devices to use, such as ``"0,2"`` (``--gpus``); None for all.

    Raises:
        PlacementError: no GPU holds one trial.
        UsageError: `gpus` names a device that is not there, or `max_parallel` is below 1.
    """
    policy = policy_of(spec.resources, max_parallel, workers=loader_workers(spec))
    note = ""
    if devices is None:
        # A sweep that stays off GPUs does not wake their driver.
        wants_gpu = policy.gpus_per_trial > 0 or gpus is not None
        devices, note = survey() if wants_gpu else ([], "")
        devices, promised = _less_promised(devices)
        note = "; ".join(words for words in (note, promised) if words)
    if gpus is not None:
        devices = choose(devices, gpus)
    tail = f" ({note})" if note else ""
    try:
        decided = plan(
            devices, host or read_host(), declared(spec.resources), count_trials(spec), policy
        )
    except PlacementError as error:
        raise PlacementError(f"{error}{tail}") from None
    return replace(decided, reason=decided.reason + tail)


def _less_promised(devices: Sequence[Device]) -> tuple[list[Device], str]:
    """Return devices without what other sweeps have promised to their trials, and it in words."""
    left = Leases().remaining(devices)
    taken = sum(device.free_bytes for device in devices) - sum(d.free_bytes for d in left)
    return left, f"other sweeps have promised {format_size(taken)} of what is free" if taken else ""
