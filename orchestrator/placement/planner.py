"""Decide how many trials run at once, and where. Pure: values in, a plan out.

::

    plan(devices, host, need, n_trials=3, policy=Policy())

Three trials of 8 GB run in parallel in 24 GB of free memory; in 16 GB there is room for two, but
the sweep starts with one; 8 GB holds one at a time; a card of 4 GB is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.errors import PlacementError
from orchestrator.files import GIB, MIB, format_size
from orchestrator.placement.hardware.cpu_slots import (
    at_once_of_unknown_need,
    plan_cpu,
    share_of,
)
from orchestrator.placement.model import (
    Device,
    Host,
    Need,
    Plan,
    Policy,
    Slot,
    limit_text,
    trials_text,
)

LEAST_BYTES = GIB
"""What must be free on a card for a trial of unknown need to be tried there."""


def plan(
    devices: Sequence[Device], host: Host, need: Need, n_trials: int | None, policy: Policy
) -> Plan:
    """Decide where the trials of a sweep run.

    Args:
        devices: GPUs that may be used, with what is free on each; empty means the CPU.
        n_trials: None if unbounded.

    Returns:
        ``parallel`` if all trials (or the ``max_parallel`` that may run) fit at once, else
        ``sequential``, which starts with one on each device. No device's slots sum to more than it
        has free.

    Raises:
        PlacementError: no GPU holds one trial, or there are fewer GPUs than one trial takes.
    """
    if policy.placement == "sequential":
        policy = replace(policy, max_parallel=1)
    width = policy.gpus_per_trial
    if width == 0 or (width == 1 and not devices):
        return plan_cpu(host, need, n_trials, policy)
    # CUDA gives a process only one MIG instance.
    usable = [device for device in devices if width == 1 or not device.is_instance]
    if len(usable) < width:
        whole = "" if len(usable) == len(devices) else ", MIG instances serve one trial each"
        raise PlacementError(
            f"resources.gpus: one trial takes {width} GPUs ({len(usable) or 'none'} available"
            f"{whole}). Lower resources.gpus, or make more GPUs visible."
        )
    if need.memory_bytes is None:
        return _plan_unknown(usable, host, need, n_trials, policy)
    return _plan_known(usable, host, need, n_trials, policy, need_bytes=need.memory_bytes)


def _plan_known(
    devices: Sequence[Device],
    host: Host,
    need: Need,
    n_trials: int | None,
    policy: Policy,
    *,
    need_bytes: int,
) -> Plan:
    width = policy.gpus_per_trial
    rooms = [
        min(device.free_bytes // need_bytes, 1 if device.key in policy.busy else device.total_bytes)
        for device in devices
    ]
    room = capacity(rooms, width)
    if room == 0:
        raise _too_small(devices, need_bytes, width)
    at_once = _at_once(n_trials, policy)
    count = room if at_once is None else min(room, at_once)
    grows = policy.placement == "grow" and count > 1
    placed = pack(rooms, width, count)
    # One of several trials at a time is sequential, also if --max-parallel is 1.
    parallel = count == at_once and (count > 1 or n_trials in (0, 1)) and not grows
    forced = policy.placement == "parallel" and count > 1 and not parallel
    parallel = parallel or forced
    first = count if parallel else _on_distinct_devices(placed)
    each = format_size(need_bytes) + ("" if n_trials == 1 else " each")
    each += " (measured in an earlier sweep)" if need.source == "history" else ""
    if width > 1:
        each += f" on {width} GPUs"
    free = ", ".join(f"{device} with {format_size(device.free_bytes)} free" for device in devices)
    holds = f"{free} {'hold' if len(devices) > 1 else 'holds'} {room} at once"
    if parallel:
        start = "all run at once" if n_trials == count > 1 else f"{count} run at once"
        start = "it runs" if count == 1 else start
        start += " (--placement parallel)" if forced else ""
    else:
        start = "one after another" if count == 1 else "starting with one"
        start += f" on each of {_groups(first, width)}" if first > 1 else ""
        start += " (--placement grow)" if grows else ""
    start += limit_text(count, room if n_trials is None else min(room, n_trials), policy)
    threads = _threads(host, count, policy)
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
        reason=f"{trials_text(n_trials)} of {each}: {holds}, {start}{_shared(devices, policy)}",
    )


def _plan_unknown(
    devices: Sequence[Device], host: Host, need: Need, n_trials: int | None, policy: Policy
) -> Plan:
    """Return only slots that are certain: each has its cards, and all that is free there, alone."""
    width = policy.gpus_per_trial
    order = sorted(devices, key=lambda device: -device.free_bytes)
    if order[width - 1].free_bytes <= 0:
        names, have = ", ".join(map(str, devices)), "has" if len(devices) == 1 else "have"
        raise PlacementError(
            f"placement: {names} {have} no free memory. See with nvidia-smi which processes hold "
            "it; end them or wait, or keep the trials off GPUs with --set resources.gpus=0."
        )
    # Cards with hardly anything free get no trial at first; the best one is tried anyway.
    wide = [device for device in order if device.free_bytes >= LEAST_BYTES]
    at_once = _at_once(n_trials, policy)
    count = max(1, len(wide) // width)
    count = count if at_once is None else min(count, at_once)
    teams = [order[place * width : (place + 1) * width] for place in range(count)]
    threads = _threads(host, at_once_of_unknown_need(n_trials, policy, len(devices)), policy)
    slots = tuple(
        slot_on(
            sorted(team, key=devices.index),
            index,
            min(device.free_bytes for device in team),
            threads,
        )
        for index, team in enumerate(teams)
    )
    parallel = count == at_once and (count > 1 or n_trials in (0, 1))
    free = ", ".join(format_size(slot.memory_bytes) for slot in slots)
    if count > 1:
        verb = "one starts" if parallel else "starting with one"
        start = f"{verb} on each of {_groups(count, width)}"
    else:
        verb = "it runs" if parallel else "starting with one"
        names = " and ".join(f"GPU {name}" for name in slots[0].device.split(","))
        why = ", which has most free memory" if len(devices) > width == 1 else ""
        start = f"{verb} on {names}{why}"
    return Plan(
        mode="parallel" if parallel else "sequential",
        start_parallel=count,
        max_parallel=count,
        slots=slots,
        n_trials=n_trials,
        need=need,
        reason=f"{trials_text(n_trials)} whose memory is unknown (resources.gpu_memory is not "
        f"declared): {start}, {free} free"
        + limit_text(count, len(devices) // width, policy)
        + _shared([device for team in teams for device in team], policy),
    )


def _shared(devices: Sequence[Device], policy: Policy) -> str:
    """Describe which devices run one trial at a time because of ``--share polite``."""
    shared = [f"GPU {device.id}" for device in devices if device.key in policy.busy]
    if not shared:
        return ""
    return f"; another user computes on {', '.join(shared)}: one at a time there (--share polite)"


def _groups(count: int, width: int) -> str:
    return f"{count} GPUs" if width == 1 else f"{count} groups of {width} GPUs"


def _on_distinct_devices(placed: Sequence[tuple[int, ...]]) -> int:
    """Return how many of the first trials share no device with an earlier one."""
    taken: set[int] = set()
    for count, places in enumerate(placed):
        if not taken.isdisjoint(places):
            return count
        taken.update(places)
    return len(placed)


def _at_once(n_trials: int | None, policy: Policy) -> int | None:
    """Return how many trials would run at once with unlimited memory; None for no bound."""
    bounds = [bound for bound in (n_trials, policy.max_parallel) if bound is not None]
    # A sweep without trials gets the plan of a sweep with one.
    return max(1, min(bounds)) if bounds else None


def _threads(host: Host, count: int, policy: Policy) -> int:
    """Return the CPU threads of each of `count` trials, its loader's workers subtracted."""
    return max(1, share_of(host.cores, count, policy) - policy.workers_per_trial)


def slot_on(devices: Sequence[Device], index: int, memory_bytes: int, threads: int) -> Slot:
    """Return room for one trial on `devices`, with `memory_bytes` on each of them."""
    # A list is either of UUIDs or of indices: CUDA stops reading at an index among UUIDs.
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
    """Return the error that names the card with the smallest shortage, and a remedy."""
    each = "" if width == 1 else f" on each of {width} GPUs"
    head = f"resources.gpu_memory: one trial takes {format_size(need_bytes)}{each}"
    less = "less memory (a smaller model or batch and a lower resources.gpu_memory)"
    large = [device for device in devices if device.total_bytes >= need_bytes]
    if len(large) < width:
        device = sorted(devices, key=lambda device: -device.total_bytes)[width - 1]
        rank = {1: "", 2: "second ", 3: "third "}.get(width, f"{width}th ")
        which = "" if len(devices) == 1 else f"the {rank}largest, "
        return PlacementError(
            f"{head}, but {which}{device} has {format_size(device.total_bytes)} in all: "
            f"{_with_mib(need_bytes - device.total_bytes)} short. Ask for {less}, or keep "
            "the trials off GPUs with --set resources.gpus=0."
        )
    device = sorted(large, key=lambda device: -device.free_bytes)[width - 1]
    return PlacementError(
        f"{head}, but {device} has {format_size(device.free_bytes)} of its "
        f"{format_size(device.total_bytes)} free: {_with_mib(need_bytes - device.free_bytes)} "
        "short. Other processes hold that: see which with nvidia-smi, end them or wait. Or "
        f"ask for {less}."
    )


def _with_mib(size_bytes: int) -> str:
    """Return ``2.5 GiB (2560 MiB)``, or MiB alone below one GiB; rounded up to a whole MiB."""
    mib = f"{-(-size_bytes // MIB)} MiB"
    return f"{format_size(size_bytes)} ({mib})" if size_bytes >= GIB else mib


def capacity(rooms: Sequence[int], width: int) -> int:
    """Return the greatest number of trials that fit at once.

    `k` trials fit exactly if ``sum(min(room, k)) >= k * width``, because no device can serve one
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
    """Return, for each of `count` trials, the positions of its devices in `rooms`.

    The trials are spread: no device serves more of them than it must, and those that share one
    come last, so that the first to start have devices to themselves.

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
    """Return how many of `total` places each device gives, with the smallest greatest share.

    Devices fill up to one level; if the last layer is not full, those with least room serve in
    it, as admission does, so that wide devices stay wide.
    """
    low, high = 0, max(rooms, default=0)
    while low < high:
        level = (low + high) // 2
        if sum(min(room, level) for room in rooms) >= total:
            high = level
        else:
            low = level + 1
    shares = [min(room, low) for room in rooms]
    top = [i for i, share in enumerate(shares) if share == low]
    for place in sorted(top, key=lambda i: (-rooms[i], -i))[: sum(shares) - total]:
        shares[place] -= 1
    return shares
