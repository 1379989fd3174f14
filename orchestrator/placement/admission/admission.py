"""Deciding each start from what is free at that moment, and taking slots back.

::

    admission = Admission(plan, policy, read=read_devices, cores=host.cores)
    place = admission.choose(wants)            # which of the waiting trials starts; None: none now
    slot = admission.take(wants[place].need)   # None where the memory has gone in the meantime
    admission.observe(slot, used_bytes)        # as often as the trial tells what it holds
    admission.give_back(slot)
    admission.waiting                          # why nothing starts, where others hold the memory
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.placement.admission.device_choice import Rules, Shortage
from orchestrator.placement.admission.free_memory import Account, Holding, accounts
from orchestrator.placement.admission.ordering import Want, choose
from orchestrator.placement.admission.waiting import Waiting, waiting_for
from orchestrator.placement.hardware.cpu_slots import at_once_on_gpus, share_of
from orchestrator.placement.leases.leases import Claims, Leases
from orchestrator.placement.model import CPU, Device, Host, Need, Plan, Policy, Slot
from orchestrator.placement.planner import LEAST_BYTES, slot_on

RECHECK_S = 1.0


class Admission:
    """Gives a trial room when there is room, and remembers what it gave.

    What was promised to trials that have not taken it yet is never given out twice. It belongs to
    the one thread that admits trials.

    Args:
        plan: what was decided at the start; its slots say what was free then, not now.
        policy: what limits beside memory.
        read: the devices that the sweep may use as they are now, or the host for trials on CPUs.
        cores: that all trials together may use.
        clock: seconds since 1970.
        leases: where other sweeps on this machine say what they promised; None heeds none.
        busy: tells whether somebody else computes on a device; asked where sharing is polite.
        limit: how many may be out at once; None for what the plan starts with.
        unknown_bytes: what a trial of unknown need must find free on a GPU at least.
        recheck_s: after a refusal, how long nothing is read while nothing else has changed.
    """

    def __init__(
        self,
        plan: Plan,
        policy: Policy,
        *,
        read: Callable[[], Sequence[Device] | Host],
        cores: int,
        clock: Callable[[], float] = time.time,
        leases: Leases | None = None,
        busy: Callable[[Device], bool] = lambda device: False,
        limit: int | None = None,
        unknown_bytes: int = LEAST_BYTES,
        recheck_s: float = RECHECK_S,
    ) -> None:
        self._plan = plan
        self._policy = policy
        self._read = read
        self._cores = max(1, cores)
        self._clock = clock
        self._claims = Claims(leases)
        self._busy = busy
        self._unknown_bytes = unknown_bytes
        self._recheck_s = recheck_s
        self._holdings: dict[int, Holding] = {}
        self._per_device: dict[str, int] = {}
        self._waiting: Waiting | None = None
        self._refused: tuple[float, tuple[Want, ...]] | None = None
        self._on_cpu = False
        self._limit = 0
        self.limit = plan.start_parallel if limit is None else limit

    @property
    def limit(self) -> int:
        """Greatest number of slots that are out at once; 0 holds all trials back."""
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"limit must be at least 0, but got {value}")
        self._limit, self._refused = value, None

    @property
    def waiting(self) -> Waiting | None:
        """Why the trial that was asked for last must wait for others; None where it need not.

        Waiting for trials of one's own is none: they end.
        """
        return self._waiting

    @property
    def out(self) -> list[Slot]:
        """The slots that are out."""
        return [holding.slot for holding in self._holdings.values()]

    def limit_device(self, key: str, at_once: int | None) -> None:
        """Let at most `at_once` trials run on a device; None for no limit of its own."""
        self._refused = None
        if at_once is None:
            self._per_device.pop(key, None)
        else:
            self._per_device[key] = max(0, at_once)

    def choose(self, waiting: Sequence[Want]) -> int | None:
        """Return the place of the trial that should start now, or None while there is no room.

        Args:
            waiting: in the order of the queue, as far as it is known.
        """
        if not waiting or not self._may_look(tuple(waiting)):
            return None
        view = self._view()
        rules = self._rules()
        place = choose(
            waiting,
            fits=lambda want: self._find(want, view, rules) is not None,
            could=lambda want: rules.shortage(want, view) is None,
        )
        if place is None:
            self._refuse(tuple(waiting), view)
        return place

    def take(self, need: Need, *, alone: bool = False) -> Slot | None:
        """Hand out room for a trial, or None where there is none now.

        Args:
            need: memory on each of its devices. Where it is unknown the trial gets a device on
                which none of ours runs, with all that is free there. On the CPU it is RAM; what is
                declared there is meant for GPUs and does not count.
            alone: the same for a known need: nothing else of ours starts on its devices.
        """
        want = Want(need, alone=alone)
        if not self._may_look((want,)):
            return None
        with self._claims.deciding():
            view = self._view()
            chosen = self._find(want, view, self._rules())
            if chosen is None:
                self._refuse((want,), view)
                return None
            self._waiting = self._refused = None
            return self._hand_out(want, chosen, len(view))

    def give_back(self, slot: Slot) -> None:
        """Take back a slot that `take` handed out, once its process is gone.

        Raises:
            ValueError: the slot is not out.
        """
        self._claims.release(self._of(slot))
        del self._holdings[slot.index]
        self._refused = None

    def observe(self, slot: Slot, used_bytes: int) -> None:
        """Note what a running trial holds on each of its devices now, its context counted in.

        A trial that never tells is counted as if it held nothing yet; one that lets go of memory
        must tell, or what it let go of may be promised to another.
        """
        holding = self._of(slot)
        if holding.used != max(0, used_bytes):
            holding.used, self._refused = max(0, used_bytes), None
        self._claims.used(holding)

    def resize(
        self, slot: Slot, *, memory_bytes: int | None = None, threads: int | None = None
    ) -> Slot:
        """Change what a running trial may take, and return its slot as it is from now on.

        A trial whose need was unknown is given everything; once it was measured, it may share.

        Args:
            slot: that is out.
            memory_bytes: what the trial keeps to from now on; more than it was promised is refused.
            threads: what the trial keeps to from now on; more than it had is refused.

        Raises:
            ValueError: the slot is not out, or would grow.
        """
        holding = self._of(slot)
        memory = holding.promised if memory_bytes is None else memory_bytes
        fewer = holding.slot.threads if threads is None else threads
        if memory > holding.promised or not 1 <= fewer <= holding.slot.threads:
            raise ValueError(f"slot {slot.index} may only shrink, but got {memory}, {fewer}")
        if memory_bytes is not None:
            holding.promised, holding.alone = memory, False
            self._claims.hold(holding)
        holding.cores -= holding.slot.threads - fewer
        holding.slot = replace(holding.slot, memory_bytes=memory, threads=fewer)
        self._refused = None
        return holding.slot

    def was_alone(self, slot: Slot) -> bool:
        """Tell whether no other trial of ours has been on the devices of a slot that is out."""
        return not self._of(slot).shared

    def greatest(self) -> int:
        """Return the bytes that one trial could have on each device if none of ours ran."""
        view = self._view()  # which tells whether it is the CPU's
        return self._rules().greatest(view)

    def _view(self) -> list[Account]:
        read = self._read()
        self._on_cpu = isinstance(read, Host)
        devices = [read.device()] if isinstance(read, Host) else list(read)
        return accounts(devices, self._holdings.values(), self._claims.of_others(devices))

    def _rules(self) -> Rules:
        return Rules(
            width=1 if self._on_cpu else max(1, self._policy.gpus_per_trial),
            on_cpu=self._on_cpu,
            unknown_bytes=self._unknown_bytes,
            per_device=self._per_device,
            is_shut=self._busy if self._policy.share == "polite" else lambda device: False,
        )

    def _most(self) -> int:
        bound = 1 if self._policy.placement == "sequential" else self._policy.max_parallel
        return self._limit if bound is None else min(self._limit, bound)

    def _cores_left(self) -> int:
        return self._cores - sum(holding.cores for holding in self._holdings.values())

    def _cores_each(self, devices: int) -> int:
        """Return the cores of the next trial, the workers of its loader counted in."""
        if self._on_cpu:
            return share_of(self._cores, self._most(), self._policy)
        return share_of(
            self._cores, at_once_on_gpus(self._plan, self._policy, devices), self._policy
        )

    def _find(self, want: Want, view: Sequence[Account], rules: Rules) -> list[Account] | None:
        if self._on_cpu and self._holdings and self._cores_left() < self._cores_each(1):
            return None
        return rules.places(want, view)

    def _hand_out(self, want: Want, chosen: Sequence[Account], devices: int) -> Slot:
        index = next(i for i in range(len(self._holdings) + 1) if i not in self._holdings)
        promised = self._rules().promise(want, chosen)
        cores = max(1, min(self._cores_each(devices), self._cores_left()))
        threads = max(1, cores - self._policy.workers_per_trial)
        keys = tuple(account.device.key for account in chosen)
        for holding in self._holdings.values():
            holding.shared = holding.shared or not set(keys).isdisjoint(holding.keys)
        if self._on_cpu:
            slot = Slot(index, "", CPU, promised, threads)
        else:
            slot = slot_on([account.device for account in chosen], index, promised, threads)
        holding = Holding(
            slot,
            keys,
            promised,
            cores,
            alone=self._rules().is_alone(want),
            shared=any(account.ours for account in chosen),
        )
        self._holdings[index] = holding
        self._claims.hold(holding)
        return slot

    def _refuse(self, wants: tuple[Want, ...], view: Sequence[Account]) -> None:
        now = self._clock()
        self._refused = (now, wants)
        rules = self._rules()
        least: Shortage | None = None
        need: Need | None = None
        for want in wants:
            shortage = rules.shortage(want, view)
            if shortage is None:
                self._waiting = None  # it has room as soon as trials of ours end
                return
            if least is None or shortage.missing_bytes < least.missing_bytes:
                least, need = shortage, want.need
        assert least is not None, "somebody was refused"
        since = self._waiting.since if self._waiting else now
        self._waiting = waiting_for(least.missing_bytes, least.device, since, need)

    def _may_look(self, wants: tuple[Want, ...]) -> bool:
        """Tell whether it is worth reading the devices: neither full nor refused just now."""
        if len(self._holdings) >= self._most():
            self._waiting = None
            return False
        if self._refused is None or self._refused[1] != wants:
            return True
        return not 0 <= self._clock() - self._refused[0] < self._recheck_s

    def _of(self, slot: Slot) -> Holding:
        if slot.index not in self._holdings:
            raise ValueError(f"slot {slot.index} is not out")
        return self._holdings[slot.index]
