"""Placement on the CPU: slots by cores and RAM, and the threads of each."""

from __future__ import annotations

from orchestrator.files.units import GIB, format_size
from orchestrator.placement.model import Host, Need, Plan, Policy, Slot
from orchestrator.placement.words import limit_words, trials_words

RAM_PER_TRIAL_BYTES = GIB
"""RAM that one trial gets at least: Python with torch takes about half of it before any data."""


def plan_cpu(host: Host, need: Need, n_trials: int | None, policy: Policy) -> Plan:
    """Share cores and RAM out to as many trials as they serve; all of them start at once.

    The declared GPU memory is reported but limits nothing here. All slots get the same number of
    threads, and no more together than there are cores.

    Args:
        host: cores and RAM.
        need: of one trial on a GPU, for the report.
        n_trials: None where unbounded.
        policy: cores per trial and greatest number at once.
    """
    cores = max(1, host.cores)
    by_cores = cores // (policy.cpus_per_trial or 1)
    by_ram = host.free_bytes // RAM_PER_TRIAL_BYTES
    room = max(1, min(by_cores, by_ram))
    if n_trials is not None:
        room = max(1, min(room, n_trials))
    count = room if policy.max_parallel is None else min(room, policy.max_parallel)
    threads = cores // count
    if policy.cpus_per_trial:
        threads = min(threads, policy.cpus_per_trial)
    parallel = count > 1 or (n_trials is not None and n_trials <= 1)
    memory = host.free_bytes // count
    slots = tuple(Slot(index, "", "cpu", memory, threads) for index in range(count))
    return Plan(
        mode="parallel" if parallel else "sequential",
        start_parallel=count,
        max_parallel=count,
        slots=slots,
        n_trials=n_trials,
        need=need,
        reason=_reason(host, need, n_trials, policy, slots, room=room),
    )


def _reason(
    host: Host,
    need: Need,
    n_trials: int | None,
    policy: Policy,
    slots: tuple[Slot, ...],
    *,
    room: int,
) -> str:
    cores = max(1, host.cores)
    count, threads = len(slots), slots[0].threads
    why = "resources.gpus is 0" if policy.gpus_per_trial == 0 else "no GPU"
    have = f"{cores} core{'' if cores == 1 else 's'}"
    make = "makes" if cores == 1 else "make"
    each = " each" if count > 1 else ""
    text = (
        f"{why}: {have} {make} {count} slot{'' if count == 1 else 's'} of "
        f"{threads} thread{'' if threads == 1 else 's'}{each} for {trials_words(n_trials)}"
    )
    if policy.cpus_per_trial and policy.cpus_per_trial > cores:
        text += f"; resources.cpus asks for {policy.cpus_per_trial}, which are not there"
    by_cores = max(1, cores // (policy.cpus_per_trial or 1))
    if room < min(bound for bound in (by_cores, n_trials) if bound is not None):
        text += (
            f"; RAM allows no more: {format_size(host.free_bytes)} free, "
            f"at least {format_size(RAM_PER_TRIAL_BYTES)} for each trial"
        )
    text += limit_words(count, room, policy)
    if need.memory_bytes is not None:
        text += f"; the need of {format_size(need.memory_bytes)} of GPU memory limits nothing here"
    return text
