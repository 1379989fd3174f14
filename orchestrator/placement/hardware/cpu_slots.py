"""Placement on the CPU: slots by cores and RAM, and the threads of each.

Cores of trials, so that together they never use more than there are. Pure.

The processes that load a trial's data beside it; each of them takes a core.
"""

from __future__ import annotations

from typing import Any

from orchestrator.files import GIB, format_size
from orchestrator.placement.model import Host, Need, Plan, Policy, Slot, limit_words, trials_words
from orchestrator.sweepfile import resolve, trainer_schema
from orchestrator.sweepfile.expand import make_config
from orchestrator.sweepfile.model import Domain, Spec

RAM_PER_TRIAL_BYTES = GIB
"""RAM that one trial gets at least: Python with torch takes about half of it before any data."""


def plan_cpu(host: Host, need: Need, n_trials: int | None, policy: Policy) -> Plan:
    """Share cores and RAM out to as many trials as they serve; all of them start at once.

    Unlike the speed of a GPU, cores are shared out, so that nothing must be tried out: only
    ``--placement grow`` starts with one trial, on its share of the cores, and measures.

    The declared GPU memory is reported but limits nothing here. All slots get the same number of
    threads, and no more together, the workers of their data loaders counted in, than there are
    cores; only where one trial's workers alone take them all, it has one thread beside them. On
    cores that others keep busy a trial gets no more threads than idle ones: threads wait for each
    other at every step, so that one more on a busy core makes a trial slower, not faster. They do
    not make fewer slots: trials do not wait for each other.

    Args:
        host: cores and RAM; `Host.idle_cores` where somebody looked.
        need: of one trial on a GPU, for the report.
        n_trials: None where unbounded.
        policy: cores and loader workers per trial, and greatest number at once.
    """
    cores = max(1, host.cores)
    by_cores = cores // _least_cores(policy)
    by_ram = host.free_bytes // RAM_PER_TRIAL_BYTES
    room = max(1, min(by_cores, by_ram))
    if n_trials is not None:
        room = max(1, min(room, n_trials))
    count = room if policy.max_parallel is None else min(room, policy.max_parallel)
    each = min(cores // count, policy.cpus_per_trial or cores)
    threads = max(1, each - policy.workers_per_trial)
    if host.idle_cores is not None and policy.cpus_per_trial is None:
        idle = round(host.idle_cores / count) - policy.workers_per_trial
        threads = max(1, min(threads, idle))
    grows = policy.placement == "grow" and count > 1
    parallel = count > 1 or (n_trials is not None and n_trials <= 1)
    memory = host.free_bytes // count
    slots = tuple(Slot(index, "", "cpu", memory, threads) for index in range(count))
    return Plan(
        mode="parallel" if parallel and not grows else "sequential",
        start_parallel=1 if grows else count,
        max_parallel=count,
        slots=slots,
        n_trials=n_trials,
        need=need,
        reason=_reason(host, need, n_trials, policy, slots, room=room)
        + (", starting with one (--placement grow)" if grows else ""),
    )


def _least_cores(policy: Policy) -> int:
    """Return the cores without which a trial does not share the machine with another."""
    return max(policy.cpus_per_trial or 1, 1 + policy.workers_per_trial)


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
        f"{threads} thread{'' if threads == 1 else 's'}{_workers(policy)}{each} "
        f"for {trials_words(n_trials)}"
    )
    if threads + policy.workers_per_trial > cores:
        text += f"; {NAME} is {policy.workers_per_trial}, for which there are not enough cores"
    if threads < max(1, cores // count - policy.workers_per_trial) and not policy.cpus_per_trial:
        text += f"; others keep cores busy, {max(0.0, host.idle_cores or 0.0):.1f} are idle"
    if policy.cpus_per_trial and policy.cpus_per_trial > cores:
        text += f"; resources.cpus asks for {policy.cpus_per_trial}, which are not there"
    by_cores = max(1, cores // _least_cores(policy))
    if room < min(bound for bound in (by_cores, n_trials) if bound is not None):
        text += (
            f"; RAM allows no more: {format_size(host.free_bytes)} free, "
            f"at least {format_size(RAM_PER_TRIAL_BYTES)} for each trial"
        )
    text += limit_words(count, room, policy)
    if need.memory_bytes is not None:
        text += f"; the need of {format_size(need.memory_bytes)} of GPU memory limits nothing here"
    return text


def _workers(policy: Policy) -> str:
    count = policy.workers_per_trial
    return f" and {count} loader worker{'' if count == 1 else 's'}" if count else ""


TRIALS_PER_DEVICE = 4
"""Trials for which a card's cores are shared out where nobody knows how many it will run."""


def cores_each(cores: int, at_once: int) -> int:
    """Return the cores of each of `at_once` trials: together no more than there are."""
    return max(1, cores // max(1, at_once))


def share_of(cores: int, at_once: int, policy: Policy) -> int:
    """Return the cores of one trial, the workers of its loader counted in.

    Args:
        cores: that all trials together may use.
        at_once: how many run.
        policy: holds what one asks for; it gets no more than its share.
    """
    share = cores_each(cores, at_once)
    return min(share, policy.cpus_per_trial or share)


def at_once_on_gpus(plan: Plan, policy: Policy, devices: int) -> int:
    """Return for how many trials on GPUs the cores are shared out.

    Args:
        plan: what was decided.
        policy: what limits beside memory.
        devices: how many GPUs there are.
    """
    if plan.need.memory_bytes is not None:
        return plan.max_parallel
    return at_once_of_unknown_need(plan.n_trials, policy, devices)


def at_once_of_unknown_need(n_trials: int | None, policy: Policy, devices: int) -> int:
    """Return for how many trials cores are shared out while nobody knows how many will run.

    Trials that run cannot be told to leave cores to those that growth adds, so some are kept back
    from the start.
    """
    bounds = (policy.max_parallel or TRIALS_PER_DEVICE * devices, n_trials)
    return max(1, min(bound for bound in bounds if bound is not None))


NAME = "num_workers"
"""The parameter that says how many, as torch's DataLoader calls it. Of a dotted or hyphenated
parameter of a script (``data.num-workers``) the last part counts."""


def loader_workers(spec: Spec) -> int:
    """Return the greatest number of loader processes that a trial of `spec` starts.

    Defaults of a trainer count; those of a script are not known. The greatest, because a plan's
    slots are for any of its trials.
    """
    schema = None if spec.trainer is None else trainer_schema(spec.trainer, spec.path.parent)
    greatest = 0
    for number in range(max(1, len(spec.trials))):
        config = make_config(spec, number, {}).config
        known = config if schema is None else resolve(schema, config)
        # What is searched is in no config yet, and its default will not be used.
        searched = {
            name: _greatest(domain)
            for name, domain in spec.parameters.items()
            if name not in config
        }
        values = [value for name, value in {**known, **searched}.items() if _is_workers(name)]
        greatest = max([greatest, *(value for value in values if type(value) is int)])
    return greatest


def _is_workers(name: str) -> bool:
    return name.replace("-", "_").rpartition(".")[2] == NAME


def _greatest(domain: Domain) -> Any:
    if domain.high is not None:
        return int(domain.high)
    return max((value for value in domain.values if type(value) is int), default=0)
