"""Decide each start from the memory that is free at that moment, and take slots back.

::

    limits = AdmissionLimits(cores=host.cores, at_once=9)
    admission = Admission(plan, policy, limits, read=read_devices)
    place = admission.choose(wants)            # which of the waiting trials starts; None: none now
    slot = admission.take(wants[place].need)   # None if the memory has gone in the meantime
    admission.observe(slot, used_bytes)        # as often as it is known what the trial holds
    admission.give_back(slot)
    admission.waiting                          # why nothing starts, if others hold the memory
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from orchestrator.placement.admission.device_choice import (
    DeviceAccount,
    DeviceView,
    Holding,
    account_of,
)
from orchestrator.placement.admission.ordering import Want, choose
from orchestrator.placement.admission.waiting import Waiting, waiting_for
from orchestrator.placement.hardware.cpu_slots import at_once_on_gpus, share_of
from orchestrator.placement.leases.leases import Leases
from orchestrator.placement.model import CPU, Device, Host, Need, Plan, Policy, Slot
from orchestrator.placement.planner import LEAST_BYTES, slot_on


@dataclass(frozen=True)
class AdmissionLimits:
    """What bounds admission beside memory and the user's policy.

    Attributes:
        cores: that all trials together may use.
        at_once: greatest number of slots that are out at once; 0 holds all trials back.
        unknown_bytes: what a trial of unknown need must find free on a GPU at least.
        recheck_s: after a refusal, how long nothing is read while nothing else has changed.
    """

    cores: int
    at_once: int
    unknown_bytes: int = LEAST_BYTES
    recheck_s: float = 1.0


_Request = tuple[Need, bool]
"""What decides whether a trial has room: its need, and whether it must be alone."""


class Admission:
    """Gives a trial room when there is room, and remembers what it gave.

    What was promised to trials that have not taken it yet is never given out twice. It belongs to
    the one thread that admits trials.

    Args:
        plan: what was decided at the start; its slots describe what was free then, not now.
        read: returns the devices that the sweep may use as they are now, or the host for trials on
            CPUs.
        busy: whether another user computes on a device; asked if sharing is polite.
        leases: where sweeps on this machine publish what they promised; None heeds none.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        plan: Plan,
        policy: Policy,
        limits: AdmissionLimits,
        *,
        read: Callable[[], Sequence[Device] | Host],
        busy: Callable[[Device], bool] = lambda device: False,
        leases: Leases | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._policy = policy
        self._limits = limits
        self._read = read
        self._is_shut = busy if policy.share == "polite" else lambda device: False
        self._leases = leases
        self._clock = clock
        self._at_once = limits.at_once
        self._per_device: dict[str, int] = {}
        self._holdings: dict[int, Holding] = {}
        self._waiting: Waiting | None = None
        self._refused: tuple[float, frozenset[_Request]] | None = None

    @property
    def waiting(self) -> Waiting | None:
        """Why the trial that was asked for last must wait for others; None if it need not.

        Waiting for the sweep's own trials is none: they end.
        """
        return self._waiting

    @property
    def out(self) -> list[Slot]:
        """The slots that are out."""
        return [holding.slot for holding in self._holdings.values()]

    def limit_all(self, at_once: int) -> None:
        """Let at most `at_once` trials run; 0 holds all back.

        Raises:
            ValueError: it is below 0.
        """
        if at_once < 0:
            raise ValueError(f"at_once must be at least 0 (got {at_once})")
        self._at_once, self._refused = at_once, None

    def limit_device(self, key: str, at_once: int | None) -> None:
        """Let at most `at_once` trials run on a device; None for no limit of its own."""
        if self._per_device.get(key) == at_once:
            return  # each change makes admission look again
        self.look_again()
        if at_once is None:
            self._per_device.pop(key, None)
        else:
            self._per_device[key] = max(0, at_once)

    def choose(self, waiting: Sequence[Want]) -> int | None:
        """Return the place of the trial that should start now, or None while there is no room."""
        if not waiting or not self._may_look(waiting):
            return None
        view = self._view()
        has_room: dict[_Request, bool] = {}  # most trials ask for the same

        def fits(want: Want) -> bool:
            request = _request(want)
            if request not in has_room:
                has_room[request] = self._find(want, view) is not None
            return has_room[request]

        place = choose(waiting, fits, could=lambda want: view.shortage(want) is None)
        if place is None:
            self._refuse(waiting, view, frozenset(has_room))
        return place

    def refuses(self, wants: Sequence[Want]) -> bool:
        """Return whether none of some trials had room a moment ago, and nothing has changed."""
        if self._refused is None:
            return False
        at, requests = self._refused
        is_recent = 0 <= self._clock() - at < self._limits.recheck_s
        return is_recent and all(_request(want) in requests for want in wants)

    def look_again(self) -> None:
        """Forget what was refused, because more may run at once."""
        self._refused = None

    def take(self, need: Need, *, alone: bool = False) -> Slot | None:
        """Hand out room for a trial, or None if there is none now.

        Args:
            need: memory on each of its devices. If it is unknown the trial gets a device on which
                none of ours runs, with all that is free there. On the CPU it is RAM; what is
                declared there is meant for GPUs and does not count.
            alone: the same for a known need: nothing else of ours starts on its devices.
        """
        want = Want(need, alone=alone)
        if not self._may_look([want]):
            return None
        with nullcontext() if self._leases is None else self._leases.deciding():
            view = self._view()
            chosen = self._find(want, view)
            if chosen is None:
                self._refuse([want], view, frozenset([_request(want)]))
                return None
            self._waiting = self._refused = None
            return self._hand_out(want, chosen, view)

    def give_back(self, slot: Slot) -> None:
        """Take back a slot that `take` handed out, once its process is gone.

        Raises:
            ValueError: the slot is not out.
        """
        for lease in self._of(slot).leases:
            lease.release()
        del self._holdings[slot.index]
        self._refused = None

    def observe(self, slot: Slot, used_bytes: int) -> None:
        """Note what a running trial holds on each of its devices now, its context counted in.

        A trial of which nothing is reported is counted as if it held nothing yet; what it lets go
        of must be reported too, or it may be promised to another.
        """
        holding = self._of(slot)
        used = max(0, used_bytes)
        if holding.used != used:
            holding.used, self._refused = used, None
        for lease in holding.leases:
            lease.used(used)

    def shrink(self, slot: Slot, memory_bytes: int) -> Slot:
        """Lower what a running trial may take, and return its slot as it is from now on.

        A trial whose need was unknown is given everything; once it was measured, it may share.

        Raises:
            ValueError: the slot is not out, or would grow.
        """
        holding = self._of(slot)
        if memory_bytes > holding.promised:
            raise ValueError(f"slot {slot.index} can only shrink (got {memory_bytes} bytes)")
        holding.promised, holding.alone = memory_bytes, False
        self._claim(holding)
        holding.slot = replace(holding.slot, memory_bytes=memory_bytes)
        self._refused = None
        return holding.slot

    def was_alone(self, slot: Slot) -> bool:
        """Return whether no other trial of ours has been on the devices of a slot that is out."""
        return not self._of(slot).shared

    def greatest(self) -> int:
        """Return the bytes that one trial could have on each device if none of ours ran."""
        return self._view().greatest()

    def _view(self) -> DeviceView:
        read = self._read()
        on_cpu = isinstance(read, Host)
        devices = [read.device()] if isinstance(read, Host) else read
        leased = {} if self._leases is None else self._leases.pending()
        there: dict[str, list[Holding]] = {}
        for holding in self._holdings.values():
            for key in holding.keys:
                there.setdefault(key, []).append(holding)
        return DeviceView(
            accounts=[
                account_of(device, there.get(device.key, []), leased.get(device.key, 0))
                for device in devices
            ],
            width=1 if on_cpu else max(1, self._policy.gpus_per_trial),
            unknown_bytes=self._limits.unknown_bytes,
            per_device=self._per_device,
            is_shut=self._is_shut,
        )

    def _most(self) -> int:
        bound = 1 if self._policy.placement == "sequential" else self._policy.max_parallel
        return self._at_once if bound is None else min(self._at_once, bound)

    def _cores_left(self) -> int:
        return max(1, self._limits.cores) - sum(h.cores for h in self._holdings.values())

    def _cores_each(self, view: DeviceView) -> int:
        """Return the cores of the next trial, the workers of its loader counted in."""
        if view.on_cpu:
            at_once = self._most()
        else:
            at_once = at_once_on_gpus(self._plan, self._policy, len(view.accounts))
        return share_of(max(1, self._limits.cores), at_once, self._policy)

    def _find(self, want: Want, view: DeviceView) -> list[DeviceAccount] | None:
        if view.on_cpu and self._holdings and self._cores_left() < self._cores_each(view):
            return None
        return view.choose(want)

    def _hand_out(self, want: Want, chosen: Sequence[DeviceAccount], view: DeviceView) -> Slot:
        index = next(i for i in range(len(self._holdings) + 1) if i not in self._holdings)
        promised = view.promise(want, chosen)
        cores = max(1, min(self._cores_each(view), self._cores_left()))
        threads = max(1, cores - self._policy.workers_per_trial)
        keys = tuple(account.device.key for account in chosen)
        for holding in self._holdings.values():
            holding.shared = holding.shared or not set(keys).isdisjoint(holding.keys)
        if view.on_cpu:
            slot = Slot(index, chosen[0].device.node, CPU, promised, threads)
        else:
            slot = slot_on([account.device for account in chosen], index, promised, threads)
        self._holdings[index] = Holding(
            slot,
            keys,
            promised,
            cores,
            alone=view.is_alone(want),
            shared=any(account.ours for account in chosen),
        )
        self._claim(self._holdings[index])
        return slot

    def _claim(self, holding: Holding) -> None:
        """Lease what a trial is promised now, instead of what was leased for it before."""
        if self._leases is None:
            return
        before = holding.leases
        holding.leases = [self._leases.claim(key, holding.promised) for key in holding.keys]
        for lease in holding.leases:
            lease.used(holding.used or 0)
        for lease in before:
            lease.release()

    def _refuse(
        self, wants: Sequence[Want], view: DeviceView, requests: frozenset[_Request]
    ) -> None:
        now = self._clock()
        self._refused = (now, requests)
        since = self._waiting.since if self._waiting else now
        found = []
        for want in {_request(want): want for want in wants}.values():
            shortage = view.shortage(want)
            if shortage is None:
                self._waiting = None  # it has room as soon as trials of ours end
                return
            found.append(waiting_for(*shortage, since, want.need))
        self._waiting = min(found, key=lambda waiting: waiting.missing_bytes)

    def _may_look(self, wants: Sequence[Want]) -> bool:
        """Return whether it is worth reading the devices: neither full nor refused just now."""
        if len(self._holdings) >= self._most():
            self._waiting = None
            return False
        return not self.refuses(wants)

    def _of(self, slot: Slot) -> Holding:
        if slot.index not in self._holdings:
            raise ValueError(f"slot {slot.index} is not out")
        return self._holdings[slot.index]


def _request(want: Want) -> _Request:
    return want.need, want.alone
