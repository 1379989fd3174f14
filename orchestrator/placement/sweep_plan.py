"""The plan of a sweep on this machine, or on one that is described. Reads the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from orchestrator.errors import PlacementError, UsageError
from orchestrator.files import format_size
from orchestrator.placement.hardware.cpu_slots import loader_workers
from orchestrator.placement.hardware.gpu_options import choose
from orchestrator.placement.hardware.gpus import survey
from orchestrator.placement.hardware.host import HostReader
from orchestrator.placement.hardware.neighbours import Ours, pids_comparable, who_computes
from orchestrator.placement.leases.leases import Leases
from orchestrator.placement.model import Device, Host, Need, Placement, Plan, Policy, Share
from orchestrator.placement.planner import plan
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec


def policy_of(
    spec: Spec,
    max_parallel: int | None = None,
    placement: Placement = "auto",
    share: Share = "full",
) -> Policy:
    """Return the limits of a sweep's plan other than memory; see `Policy`.

    Raises:
        UsageError: `max_parallel` is below 1.
    """
    if max_parallel is not None and max_parallel < 1:
        raise UsageError(f"--max-parallel: {max_parallel} is below 1.")
    resources = spec.resources
    return Policy(
        max_parallel=max_parallel,
        gpus_per_trial=1 if resources.gpus is None else resources.gpus,
        cpus_per_trial=resources.cpus,
        workers_per_trial=loader_workers(spec),
        placement=placement,
        share=share,
    )


def decide(
    spec: Spec,
    policy: Policy | None = None,
    *,
    devices: Sequence[Device] | None = None,
    host: Host | None = None,
    gpus: str | None = None,
    waits: bool = False,
    known: Callable[[Sequence[Device]], Need] = lambda devices: Need(),
) -> Plan:
    """Decide where the trials of `spec` run.

    Args:
        policy: limits other than memory; None for ``policy_of(spec)``.
        devices: GPUs; None reads those of this machine.
        host: cores and RAM; None reads those of this machine.
        gpus: the devices to use, such as ``"0,2"`` (``--gpus``); None for all.
        waits: plan for empty cards if a trial fits on one of them but not into what is free.
        known: returns what such trials took on such devices before. It replaces a declared need
            that is lower; if the declared one is higher, the reason mentions it.

    Raises:
        PlacementError: no GPU holds one trial (with `waits`, not even an empty one).
        UsageError: `gpus` names a device that does not exist.
    """
    policy = policy or policy_of(spec)
    note = ""
    if devices is None:
        # A sweep that stays off GPUs does not wake their driver.
        wants_gpu = policy.gpus_per_trial > 0 or gpus is not None
        devices, note = _read_unpromised() if wants_gpu else ([], "")
    if gpus is not None:
        devices = choose(devices, gpus)
    if policy.share == "polite":
        comparable = pids_comparable()
        busy = (d.key for d in devices if who_computes(d, Ours(), comparable=comparable))
        policy = replace(policy, busy=frozenset(busy))
    tail = f" ({note})" if note else ""
    need, n_trials = Need.declared(spec.resources.gpu_memory_bytes), count_trials(spec)
    host = host or _read_host(devices, n_trials, policy)
    seen = known(devices) if devices and policy.gpus_per_trial > 0 else Need()
    declared_bytes, seen_bytes = need.memory_bytes or 0, seen.memory_bytes or 0
    if seen_bytes > declared_bytes:
        with suppress(PlacementError):  # an earlier measurement is no reason to refuse
            decided = plan(devices, host, seen, n_trials, policy)
            return replace(decided, reason=decided.reason + tail)
    try:
        decided = plan(devices, host, need, n_trials, policy)
    except PlacementError as error:
        if waits:
            empty = [replace(device, free_bytes=device.total_bytes) for device in devices]
            with suppress(PlacementError):
                decided = plan(empty, host, need, n_trials, policy)
                return replace(decided, reason=f"waits for memory; {error}{tail}")
        raise PlacementError(f"{error}{tail}") from None
    took_less = seen.source == "history" and seen_bytes < declared_bytes
    grows = policy.placement in ("auto", "grow") and policy.max_parallel != 1
    if took_less and grows and decided.mode == "sequential" and n_trials != 1:
        took = format_size(seen_bytes)
        tail = f"; such trials took {took} in an earlier sweep, so more are tried{tail}"
    return replace(decided, reason=decided.reason + tail)


def _read_host(devices: Sequence[Device], n_trials: int | None, policy: Policy) -> Host:
    """Read cores and RAM; and how many cores are idle, if a trial on them would get several."""
    reader = HostReader()
    host = reader.read()
    if policy.gpus_per_trial == 0 or (policy.gpus_per_trial == 1 and not devices):
        first = plan([], host, Need(), n_trials, policy).slots[0]
        if first.threads > 1 and policy.cpus_per_trial is None:
            return replace(host, idle_cores=reader.idle_cores())
    return host


def _read_unpromised() -> tuple[list[Device], str]:
    """Read the GPUs without what other sweeps have promised to their trials, and explain it."""
    devices, note = survey()
    left = Leases().remaining(devices)
    taken = sum(device.free_bytes for device in devices) - sum(d.free_bytes for d in left)
    promised = f"other sweeps have promised {format_size(taken)} of what is free" if taken else ""
    return left, "; ".join(text for text in (note, promised) if text)
