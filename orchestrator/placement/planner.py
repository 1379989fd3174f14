"""Deciding how many trials run at once, and where. Pure: what is asked of values is answered.

::

    plan(devices, host, need, n_trials=3, policy=Policy())

Three trials of 8 GB run in parallel in 24 GB of free memory; in 16 GB there is room for two, but
the sweep starts with one; 8 GB holds one at a time; a card of 4 GB is refused.

Packing equal trials onto unequal devices.

Every trial takes the same memory on each of `width` distinct devices, so a device is described by
how many trials it has room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.errors import PlacementError
from orchestrator.files import GIB, MIB, format_size
from orchestrator.placement.hardware.cpu_slots import at_once_of_unknown_need, plan_cpu
from orchestrator.placement.model import (
    Device,
    Host,
    Need,
    Plan,
    Policy,
    Slot,
    limit_words,
    trials_words,
)

LEAST_BYTES = GIB
"""What must be free on a card for a trial of unknown need to be tried there."""


def plan(
    devices: Sequence[Device], host: Host, need: Need, n_trials: int | None, policy: Policy
) -> Plan:
    """Decide where the trials of a sweep run.

    Args:
        devices: GPUs that may be used, with what is free on each; none means the CPU.
        host: cores and RAM beside them.
        need: memory of one trial on each of its GPUs.
        n_trials: None where unbounded.
        policy: what limits beside memory.

    Returns:
        ``parallel`` where all trials fit at once (those that ``max_parallel`` lets run at once),
        else ``sequential``, which starts with one on each device. No device's slots sum to more
        than it has free.

    Raises:
        PlacementError: no GPU holds one trial, or there are fewer GPUs than one trial takes.
    """
    if policy.placement == "sequential":
        policy = replace(policy, max_parallel=1)
    if policy.gpus_per_trial == 0 or (policy.gpus_per_trial == 1 and not devices):
        return plan_cpu(host, need, n_trials, policy)
    whole = devices
    if policy.gpus_per_trial > 1:
        # CUDA gives a process one MIG instance and no more.
        whole = [device for device in devices if not device.is_instance]
    if len(whole) < policy.gpus_per_trial:
        divided = "" if len(whole) == len(devices) else " whole (MIG instances serve one each)"
        raise PlacementError(
            f"resources.gpus: one trial takes {policy.gpus_per_trial} GPUs, but "
            f"{_count(len(whole))} to use{divided}. Lower resources.gpus, or let it see more GPUs."
        )
    devices = whole
    if need.memory_bytes is None:
        return _plan_unknown(devices, host, need, n_trials, policy)
    return _plan_known(devices, host, need, n_trials, policy, need_bytes=need.memory_bytes)


def _plan_known(
    devices: Sequence[Device],
    host: Host,
    need: Need,
    n_trials: int | None,
    policy: Policy,
    *,
    need_bytes: int,
) -> Plan:
    rooms = [
        min(device.free_bytes // need_bytes, 1 if device.key in policy.busy else device.total_bytes)
        for device in devices
    ]
    room = capacity(rooms, policy.gpus_per_trial)
    if room == 0:
        raise _too_small(devices, need_bytes, policy.gpus_per_trial)
    at_once = _at_once(n_trials, policy)
    count = room if at_once is None else min(room, at_once)
    grows = policy.placement == "grow" and count > 1
    threads = _threads(host, count, policy)
    placed = pack(rooms, policy.gpus_per_trial, count)
    # One of several trials at a time is sequential, also where --max-parallel 1 asks for it.
    parallel = count == at_once and (count > 1 or n_trials in (0, 1)) and not grows
    forced = policy.placement == "parallel" and count > 1 and not parallel
    parallel = parallel or forced
    first = count if parallel else _on_devices_of_their_own(placed)
    each = format_size(need_bytes) + ("" if n_trials == 1 else " each")
    each += " (measured in an earlier sweep)" if need.source == "history" else ""
    if policy.gpus_per_trial > 1:
        each += f" on {policy.gpus_per_trial} GPUs"
    holds = f"{_free_words(devices)} {'hold' if len(devices) > 1 else 'holds'} {room} at once"
    if parallel:
        start = "all run at once" if n_trials == count > 1 else f"{count} run at once"
        start = "it runs" if count == 1 else start
        start += " (--placement parallel)" if forced else ""
    else:
        start = "one after another" if count == 1 else "starting with one"
        start += f" on each of {_each(first, policy)}" if first > 1 else ""
        start += " (--placement grow)" if grows else ""
    start += limit_words(count, room if n_trials is None else min(room, n_trials), policy)
    return Plan(
        mode="parallel" if parallel else "sequential",
        start_parallel=first,
        max_parallel=count,
        slots=tuple(
            slot_on([devices[place] for place in places], index, need_bytes, threads)
            for index, places in enumerate(placed)
        ),
        n_trials=n_trials,
        need=need,
        reason=f"{trials_words(n_trials)} of {each}: {holds}, {start}"
        + _polite_words(devices, policy),
    )


def _plan_unknown(
    devices: Sequence[Device], host: Host, need: Need, n_trials: int | None, policy: Policy
) -> Plan:
    """Give the slots that are sure: each has its cards to itself, with all that is free there."""
    width = policy.gpus_per_trial
    order = sorted(devices, key=lambda device: -device.free_bytes)
    if order[width - 1].free_bytes <= 0:
        raise PlacementError(
            f"placement: one trial takes memory of a GPU, but {_have_none(devices)} free."
            " See with nvidia-smi who holds it; end that or wait, or keep the trials off GPUs with"
            " --set resources.gpus=0."
        )
    # Cards on which hardly anything is free get none at first; the best one is tried anyway.
    wide = [device for device in order if device.free_bytes >= LEAST_BYTES]
    at_once = _at_once(n_trials, policy)
    count = max(1, len(wide) // width)
    count = count if at_once is None else min(count, at_once)
    teams = [order[place * width : (place + 1) * width] for place in range(count)]
    shared_out = at_once_of_unknown_need(n_trials, policy, len(devices))
    slots = tuple(
        slot_on(
            sorted(team, key=devices.index),
            index,
            min(device.free_bytes for device in team),
            _threads(host, shared_out, policy),
        )
        for index, team in enumerate(teams)
    )
    parallel = count == at_once and (count > 1 or n_trials in (0, 1))
    return Plan(
        mode="parallel" if parallel else "sequential",
        start_parallel=count,
        max_parallel=count,
        slots=slots,
        n_trials=n_trials,
        need=need,
        reason=(
            f"{trials_words(n_trials)} whose memory is unknown (resources.gpu_memory is not "
            f"declared): {_start_words(slots, devices, policy, is_whole=parallel)}"
            + limit_words(count, len(devices) // width, policy)
            + _polite_words([device for team in teams for device in team], policy)
        ),
    )


def _polite_words(devices: Sequence[Device], policy: Policy) -> str:
    """Return where sharing politely holds the number down; "" for nowhere."""
    shared = [f"GPU {device.id}" for device in devices if device.key in policy.busy]
    if not shared:
        return ""
    return f"; somebody else computes on {', '.join(shared)}: one at a time there (--share polite)"


def _start_words(
    slots: Sequence[Slot], devices: Sequence[Device], policy: Policy, *, is_whole: bool
) -> str:
    """Return where trials of unknown need start, for people."""
    if len(slots) > 1:
        verb = "one starts" if is_whole else "starting with one"
        free = [format_size(slot.memory_bytes) for slot in slots]
        return f"{verb} on each of {_each(len(slots), policy)}, {', '.join(free)} free"
    (slot,) = slots
    where = " and ".join(f"GPU {name}" for name in slot.device.split(","))
    why = ", which has most free memory" if len(devices) > policy.gpus_per_trial == 1 else ""
    verb = "it runs" if is_whole else "starting with one"
    return f"{verb} on {where}{why}, {format_size(slot.memory_bytes)} free"


def _each(count: int, policy: Policy) -> str:
    width = policy.gpus_per_trial
    return f"{count} GPUs" if width == 1 else f"{count} groups of {width} GPUs"


def _on_devices_of_their_own(placed: Sequence[tuple[int, ...]]) -> int:
    """Return how many of the first trials share no device with one before."""
    taken: set[int] = set()
    for count, places in enumerate(placed):
        if not taken.isdisjoint(places):
            return count
        taken.update(places)
    return len(placed)


def _at_once(n_trials: int | None, policy: Policy) -> int | None:
    """Return how many trials would run at once if memory were no object; None for no bound."""
    bounds = [bound for bound in (n_trials, policy.max_parallel) if bound is not None]
    # A sweep without trials still gets the plan that one would have.
    return max(1, min(bounds)) if bounds else None


def _threads(host: Host, count: int, policy: Policy) -> int:
    """Return the CPU threads of each of `count` trials: its share, at most what it asks for.

    The workers of its data loader take theirs of that.
    """
    share = max(1, host.cores // count)
    return max(1, min(share, policy.cpus_per_trial or share) - policy.workers_per_trial)


def slot_on(devices: Sequence[Device], index: int, memory_bytes: int, threads: int) -> Slot:
    """Return room for one trial on `devices`, with so many bytes on each of them."""
    # One list is of one kind: CUDA stops reading at an index among UUIDs.
    named = all(device.uuid for device in devices)
    return Slot(
        index=index,
        node=devices[0].node,
        device=",".join(device.id for device in devices),
        memory_bytes=memory_bytes,
        threads=threads,
        visible=",".join(device.uuid if named else device.id for device in devices),
    )


def _too_small(devices: Sequence[Device], need_bytes: int, width: int) -> PlacementError:
    """Say how much is missing: on the card where least is, and whether somebody could free it."""
    each = "" if width == 1 else f" on each of {width} GPUs"
    head = f"resources.gpu_memory: one trial takes {format_size(need_bytes)}{each}"
    advice = "Ask for less memory (a smaller model or batch and a lower resources.gpu_memory)"
    large = [device for device in devices if device.total_bytes >= need_bytes]
    if len(large) < width:
        device = sorted(devices, key=lambda device: -device.total_bytes)[width - 1]
        missing = need_bytes - device.total_bytes
        which = "" if len(devices) == 1 else f"the {_ordinal(width)}largest, "
        return PlacementError(
            f"{head}, but {which}{device} has {format_size(device.total_bytes)} in all: "
            f"{_missing_words(missing)} are missing. {advice}, or keep the "
            "trials off GPUs with --set resources.gpus=0."
        )
    device = sorted(large, key=lambda device: -device.free_bytes)[width - 1]
    missing = need_bytes - device.free_bytes
    return PlacementError(
        f"{head}, but {device} has {format_size(device.free_bytes)} of its "
        f"{format_size(device.total_bytes)} free: {_missing_words(missing)} "
        "are missing. Other processes hold them: see which with nvidia-smi, end them or wait. Or "
        f"{advice[0].lower()}{advice[1:]}."
    )


def _missing_words(size_bytes: int) -> str:
    """Return ``2.5 GiB (2560 MiB)``, or MiB alone below one GiB; a byte that is missing is one."""
    mib = f"{-(-size_bytes // MIB)} MiB"
    return f"{format_size(size_bytes)} ({mib})" if size_bytes >= GIB else mib


def _ordinal(place: int) -> str:
    return {1: "", 2: "second ", 3: "third "}.get(place, f"{place}th ")


def _count(number: int) -> str:
    return "there is none" if number == 0 else f"there {'is' if number == 1 else 'are'} {number}"


def _have_none(devices: Sequence[Device]) -> str:
    names = ", ".join(map(str, devices))
    return f"{names} {'has' if len(devices) == 1 else 'have'} none"


def _free_words(devices: Sequence[Device]) -> str:
    """Return the devices with what is free on each, as ``GPU 0 (RTX 3090) with 22.1 GiB free``."""
    return ", ".join(f"{device} with {format_size(device.free_bytes)} free" for device in devices)


def capacity(rooms: Sequence[int], width: int) -> int:
    """Return the greatest number of trials that fit at once.

    `k` trials fit exactly when ``sum(min(room, k)) >= k * width``, because no device can serve one
    trial twice. The left side is concave in `k`: once this fails it fails for all greater `k`, so
    bisection finds the end.

    Args:
        rooms: for each device, how many trials it has room for.
        width: devices that one trial takes, at least 1.
    """
    low, high = 0, sum(rooms) // width
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(room, middle) for room in rooms) >= middle * width:
            low = middle
        else:
            high = middle - 1
    return low


def pack(rooms: Sequence[int], width: int, count: int) -> list[tuple[int, ...]]:
    """Return, for each of `count` trials, the places of its devices in `rooms`.

    The trials are spread: no device serves more of them than it must, and those that share one
    come last, so that the first to start have devices of their own.

    Args:
        rooms: for each device, how many trials it has room for.
        width: devices that one trial takes.
        count: trials to place, at most ``capacity(rooms, width)``.
    """
    left = _shares(rooms, width * count)
    used = [0] * len(left)
    placed: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(count):
        # Those that must still serve most come first: one that must serve all that remain cannot
        # be passed over, and there are never more than `width` of these.
        chosen = sorted(range(len(left)), key=lambda i: (-left[i], used[i], rooms[i], i))[:width]
        shared = max(used[place] for place in chosen)
        for place in chosen:
            left[place] -= 1
            used[place] += 1
        placed.append((shared, tuple(sorted(chosen))))
    return [chosen for _, chosen in sorted(placed, key=lambda entry: entry[0])]


def _shares(rooms: Sequence[int], total: int) -> list[int]:
    """Return how many of `total` places each device gives, the greatest share being least.

    Devices fill up to one level; where the last layer is not full, those with least room serve in
    it, as admission does (`rules.Rules.places`): the wide ones stay wide.
    """
    low, high = 0, max(rooms, default=0)
    while low < high:
        level = (low + high) // 2
        if sum(min(room, level) for room in rooms) >= total:
            high = level
        else:
            low = level + 1
    shares = [min(room, low) for room in rooms]
    top = sorted(
        (i for i, share in enumerate(shares) if share == low), key=lambda i: (-rooms[i], -i)
    )
    for place in top[: sum(shares) - total]:
        shares[place] -= 1
    return shares
