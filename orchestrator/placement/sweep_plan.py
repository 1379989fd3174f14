"""The plan of a sweep on this machine, or on one that is described: what run and plan call.

How long a sweep would take on the slots of its plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestrator.errors import PlacementError
from orchestrator.files import format_size
from orchestrator.placement.hardware.cpu_slots import loader_workers
from orchestrator.placement.hardware.gpu_options import choose
from orchestrator.placement.hardware.gpus import survey
from orchestrator.placement.hardware.host import HostReader
from orchestrator.placement.hardware.neighbours import Ours, pids_comparable, who_computes
from orchestrator.placement.leases.leases import Leases
from orchestrator.placement.model import (
    Device,
    Host,
    Need,
    Placement,
    Plan,
    Policy,
    Share,
    declared,
    policy_of,
)
from orchestrator.placement.planner import plan
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec


def decide(
    spec: Spec,
    *,
    devices: Sequence[Device] | None = None,
    host: Host | None = None,
    max_parallel: int | None = None,
    gpus: str | None = None,
    placement: Placement = "auto",
    share: Share = "full",
    waits: bool = False,
    known: Callable[[Sequence[Device]], Need] = lambda devices: Need(),
) -> Plan:
    """Decide where the trials of `spec` run.

    Args:
        spec: what was asked.
        devices: GPUs; None reads those of this machine.
        host: cores and RAM; None reads those of this machine.
        max_parallel: greatest number of trials at once (``--max-parallel``).
        gpus: the devices to use, such as ``"0,2"`` (``--gpus``); None for all.
        placement: how many run at once (``--placement``).
        share: how a card is shared with others (``--share``).
        known: tells what such trials took on such devices before; it counts where that is more
            than what is declared, and is told where it is less.
        waits: plan for empty cards where a trial fits on one of them but not into what is free.

    Raises:
        PlacementError: no GPU holds one trial (with `waits`, not even an empty one).
        UsageError: `gpus` names a device that is not there, or `max_parallel` is below 1.
    """
    policy = policy_of(
        spec.resources,
        max_parallel,
        workers=loader_workers(spec),
        placement=placement,
        share=share,
    )
    note = ""
    if devices is None:
        # A sweep that stays off GPUs does not wake their driver.
        wants_gpu = policy.gpus_per_trial > 0 or gpus is not None
        devices, note = survey() if wants_gpu else ([], "")
        devices, promised = _less_promised(devices)
        note = "; ".join(words for words in (note, promised) if words)
    if gpus is not None:
        devices = choose(devices, gpus)
    if share == "polite":
        policy = replace(policy, busy=_busy(devices))
    tail = f" ({note})" if note else ""
    need, n_trials = declared(spec.resources), count_trials(spec)
    host = host or _look_at_host(devices, n_trials, policy)
    seen = known(devices) if devices and policy.gpus_per_trial > 0 else Need()
    if (seen.memory_bytes or 0) > (need.memory_bytes or 0):
        with suppress(PlacementError):  # what was seen before is no reason to refuse
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
    took = seen.memory_bytes or 0
    is_less = seen.source == "history" and took < (need.memory_bytes or 0)
    if is_less and decided.mode == "sequential" and n_trials != 1 and _tries_out(policy):
        tail = (
            f"; such trials took {format_size(took)} in an earlier sweep, so more are tried{tail}"
        )
    return replace(decided, reason=decided.reason + tail)


def _tries_out(policy: Policy) -> bool:
    """Tell whether a sweep of which not all fit tries out how many run at once."""
    return policy.placement in ("auto", "grow") and policy.max_parallel != 1


def _look_at_host(devices: Sequence[Device], n_trials: int | None, policy: Policy) -> Host:
    """Read cores and RAM, and where a trial on them would get several cores, how many are idle."""
    reader = HostReader()
    host = reader.read()
    if policy.gpus_per_trial == 0 or (policy.gpus_per_trial == 1 and not devices):
        first = plan([], host, Need(), n_trials, policy).slots[0]
        if first.threads > 1 and policy.cpus_per_trial is None:
            return replace(host, idle_cores=reader.idle_cores())
    return host


def _busy(devices: Sequence[Device]) -> frozenset[str]:
    """Return the keys of the devices on which somebody computes; nothing of ours runs yet."""
    comparable = pids_comparable()
    return frozenset(
        device.key for device in devices if who_computes(device, Ours(), comparable=comparable)
    )


def _less_promised(devices: Sequence[Device]) -> tuple[list[Device], str]:
    """Return devices without what other sweeps have promised to their trials, and it in words."""
    left = Leases().remaining(devices)
    taken = sum(device.free_bytes for device in devices) - sum(d.free_bytes for d in left)
    return left, f"other sweeps have promised {format_size(taken)} of what is free" if taken else ""


@dataclass(frozen=True)
class Forecast:
    """Bounds on the time from a sweep's start to its end.

    Attributes:
        trial_minutes: how long one trial takes.
        source: who says so, in words.
        best_minutes: where trials that run at once do not slow each other down; None for an
            unbounded sweep.
        worst_minutes: where running at once gains nothing; None for an unbounded sweep.
    """

    trial_minutes: float
    source: str
    best_minutes: float | None
    worst_minutes: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast in JSON types."""
        return asdict(self)


def forecast(plan: Plan, trial_minutes: float, source: str) -> Forecast:
    """Return how long the trials of a plan take, if each takes as long.

    Args:
        plan: where they run; all that fit at once are taken to do so in the best case.
        trial_minutes: above 0.
        source: who says so.
    """
    if plan.n_trials is None:
        return Forecast(trial_minutes, source, None, None)
    rounds = -(-plan.n_trials // plan.max_parallel)
    return Forecast(trial_minutes, source, rounds * trial_minutes, plan.n_trials * trial_minutes)
