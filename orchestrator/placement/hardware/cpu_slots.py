"""Slots on the CPU, and how trials share cores and loader workers. Pure.

Together trials never use more cores than there are; each process that loads a trial's data takes
one.
"""

from __future__ import annotations

from orchestrator.files import GIB, format_size
from orchestrator.placement.model import (
    CPU,
    Host,
    Need,
    Plan,
    Policy,
    Slot,
    limit_text,
    trials_text,
)
from orchestrator.sweepfile import resolve, trainer_schema
from orchestrator.sweepfile.expand import make_config
from orchestrator.sweepfile.model import Domain, Spec

RAM_PER_TRIAL_BYTES = GIB
"""Least RAM of one trial: Python with torch takes about half of it before any data."""

TRIALS_PER_DEVICE = 4
"""For how many trials a card's cores are shared out if nobody knows how many it will run."""

WORKERS = "num_workers"
"""Parameter that sets the number of loader workers, as torch's DataLoader calls it. Of a dotted or
hyphenated parameter of a script (``data.num-workers``) the last part counts."""


def plan_cpu(host: Host, need: Need, n_trials: int | None, policy: Policy) -> Plan:
    """Share cores and RAM out to as many trials as they serve; all of them start at once.

    Unlike the speed of a GPU, cores can be shared out, so nothing has to be measured: only
    ``--placement grow`` starts with one trial, on its share of the cores.

    The declared GPU memory is reported but limits nothing here. All slots get the same number of
    threads, and together, including the workers of their data loaders, no more than there are
    cores; only if one trial's workers alone take them all, it has one more thread. On cores that
    others keep busy a trial gets no more threads than idle ones: threads wait for each other at
    every step, so that one more on a busy core makes a trial slower, not faster. They do not
    reduce the number of slots, because trials do not wait for each other.
    """
    cores = max(1, host.cores)
    by_cores = cores // _least_cores(policy)
    by_ram = host.free_bytes // RAM_PER_TRIAL_BYTES
    room = max(1, min(by_cores, by_ram))
    if n_trials is not None:
        room = max(1, min(room, n_trials))
    count = room if policy.max_parallel is None else min(room, policy.max_parallel)
    threads = max(1, share_of(cores, count, policy) - policy.workers_per_trial)
    if host.idle_cores is not None and policy.cpus_per_trial is None:
        idle = round(host.idle_cores / count) - policy.workers_per_trial
        threads = max(1, min(threads, idle))
    grows = policy.placement == "grow" and count > 1
    parallel = count > 1 or (n_trials is not None and n_trials <= 1)
    memory = host.free_bytes // count
    reason = _reason(host, need, n_trials, policy, count=count, threads=threads, room=room)
    return Plan(
        mode="parallel" if parallel and not grows else "sequential",
        start_parallel=1 if grows else count,
        max_parallel=count,
        slots=tuple(Slot(index, host.node, CPU, memory, threads) for index in range(count)),
        n_trials=n_trials,
        need=need,
        reason=reason + (", starting with one (--placement grow)" if grows else ""),
    )


def _least_cores(policy: Policy) -> int:
    """Return the cores without which a trial does not share the machine with another."""
    return max(policy.cpus_per_trial or 1, 1 + policy.workers_per_trial)


def _reason(
    host: Host,
    need: Need,
    n_trials: int | None,
    policy: Policy,
    *,
    count: int,
    threads: int,
    room: int,
) -> str:
    cores, workers, asked = max(1, host.cores), policy.workers_per_trial, policy.cpus_per_trial
    why = "resources.gpus is 0" if policy.gpus_per_trial == 0 else "no GPU"
    loaders = f" and {_plural(workers, 'loader worker')}" if workers else ""
    text = (
        f"{why}: {_plural(cores, 'core')} {'makes' if cores == 1 else 'make'} "
        f"{_plural(count, 'slot')} of {_plural(threads, 'thread')}{loaders}"
        f"{' each' if count > 1 else ''} for {trials_text(n_trials)}"
    )
    if threads + workers > cores:
        text += f"; {WORKERS} is {workers}, for which there are not enough cores"
    if threads < max(1, cores // count - workers) and not asked:
        text += f"; others keep cores busy, {max(0.0, host.idle_cores or 0.0):.1f} are idle"
    if asked and asked > cores:
        text += f"; resources.cpus is {asked}, more than the machine has"
    by_cores = max(1, cores // _least_cores(policy))
    if room < (by_cores if n_trials is None else min(by_cores, n_trials)):
        text += (
            f"; RAM allows no more: {format_size(host.free_bytes)} free, "
            f"at least {format_size(RAM_PER_TRIAL_BYTES)} for each trial"
        )
    text += limit_text(count, room, policy)
    if need.memory_bytes is not None:
        text += f"; the need of {format_size(need.memory_bytes)} of GPU memory limits nothing here"
    return text


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def share_of(cores: int, at_once: int, policy: Policy) -> int:
    """Return the cores of one of `at_once` trials, including the workers of its loader.

    Together they get no more than `cores`, each no more than it asks for.
    """
    share = max(1, cores // max(1, at_once))
    return min(share, policy.cpus_per_trial or share)


def at_once_on_gpus(plan: Plan, policy: Policy, devices: int) -> int:
    """Return for how many trials on `devices` GPUs the cores are shared out."""
    if plan.need.memory_bytes is not None:
        return plan.max_parallel
    return at_once_of_unknown_need(plan.n_trials, policy, devices)


def at_once_of_unknown_need(n_trials: int | None, policy: Policy, devices: int) -> int:
    """Return for how many trials cores are shared out while nobody knows how many will run.

    A running trial cannot give cores to those that are added later, so some are kept back from the
    start.
    """
    bounds = (policy.max_parallel or TRIALS_PER_DEVICE * devices, n_trials)
    return max(1, min(bound for bound in bounds if bound is not None))


def loader_workers(spec: Spec) -> int:
    """Return the greatest number of loader processes that a trial of `spec` starts.

    Defaults of a trainer count; those of a script are not known. The greatest, because a plan's
    slots are for any of its trials.
    """
    schema = None if spec.trainer is None else trainer_schema(spec.trainer, spec.path.parent)
    values: list[object] = []
    for number in range(max(1, len(spec.trials))):
        config = make_config(spec, number, {}).config
        known = config if schema is None else resolve(schema, config)
        # A searched parameter is in no config yet, and its default will not be used.
        searched = {
            name: _greatest(domain)
            for name, domain in spec.parameters.items()
            if name not in config
        }
        values += [value for name, value in {**known, **searched}.items() if _sets_workers(name)]
    return max((value for value in values if type(value) is int and value > 0), default=0)


def _sets_workers(name: str) -> bool:
    return name.replace("-", "_").rpartition(".")[2] == WORKERS


def _greatest(domain: Domain) -> int:
    if domain.high is not None:
        return int(domain.high)
    return max((value for value in domain.values if type(value) is int), default=0)
