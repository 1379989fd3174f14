from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.placement.admission.admission import Admission, AdmissionLimits
from orchestrator.placement.admission.device_choice import Holding, outstanding
from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.leases.leases import Leases
from orchestrator.placement.model import Device, Host, Need, Policy, Slot
from orchestrator.placement.planner import plan

GIB = 1 << 30
HOST = Host(cores=8, free_bytes=32 * GIB, total_bytes=64 * GIB)
NAMES = itertools.count()


class Machine:
    """Devices whose memory the test gives and takes, and a clock that it moves."""

    def __init__(self, *free_gib: float, total_gib: float = 24, uuid: str = "") -> None:
        # Keys of their own, so that leases of other tests do not count.
        self.devices = [
            Device(str(index), "Card", int(total_gib * GIB), int(free * GIB), uuid=uuid and uuid)
            for index, free in enumerate(free_gib)
        ]
        self.host: Host | None = None
        self.now = 1_000_000.0
        self.reads = 0

    def read(self) -> Sequence[Device] | Host:
        self.reads += 1
        return self.host or self.devices

    def free(self, gib: float, index: int = 0) -> None:
        self.devices[index] = dataclasses.replace(self.devices[index], free_bytes=int(gib * GIB))

    def admission(
        self,
        need: Need | None = None,
        policy: Policy | None = None,
        at_once: int = 99,
        recheck_s: float = 0.0,
        **options: object,
    ) -> Admission:
        policy = policy or Policy()
        if self.host is not None:
            decided = plan([], self.host, need or Need(), None, policy)
            cores = self.host.cores
        else:
            decided = plan(self.devices, HOST, need or Need(GIB), None, policy)
            cores = HOST.cores
        return Admission(
            decided,
            policy,
            AdmissionLimits(cores, at_once, recheck_s=recheck_s),
            read=self.read,
            clock=lambda: self.now,
            **options,  # type: ignore[arg-type]
        )


def need(gib: float) -> Need:
    return Need(int(gib * GIB), "measured")


def taken(slot: Slot | None) -> Slot:
    assert slot is not None
    return slot


def test_what_is_promised_and_not_yet_taken_is_not_given_twice() -> None:
    machine = Machine(20)
    admission = machine.admission()
    first = taken(admission.take(need(8)))
    second = taken(admission.take(need(8)))
    # 20 GiB look free, of which 16 are promised.
    assert admission.take(need(8)) is None
    machine.free(12)
    admission.observe(first, 8 * GIB)
    assert admission.take(need(8)) is None
    assert taken(admission.take(need(4))).memory_bytes == 4 * GIB
    assert (first.index, second.index) == (0, 1)


def test_what_a_trial_does_not_tell_counts_as_not_taken() -> None:
    machine = Machine(20)
    admission = machine.admission()
    admission.take(need(8))
    machine.free(12)
    assert admission.take(need(5)) is None
    assert admission.take(need(4)) is not None


def test_old_news_of_what_trials_hold_gives_nothing_away() -> None:
    machine = Machine(24)
    admission = machine.admission()
    slot = taken(admission.take(need(10)))
    machine.free(14)
    admission.observe(slot, 10 * GIB)
    # It let go of its memory for a moment, and has not said so.
    machine.free(24)
    assert admission.take(need(15)) is None


def test_a_trial_that_took_more_than_promised_is_counted_once() -> None:
    machine = Machine(24)
    admission = machine.admission()
    slot = taken(admission.take(need(8)))
    machine.free(12)
    admission.observe(slot, 12 * GIB)
    assert admission.take(need(12)) is not None


def test_slots_say_where_and_how_much() -> None:
    machine = Machine(20, uuid="GPU-a")
    slot = taken(machine.admission().take(need(8)))
    assert slot.to_dict() == {
        "index": 0,
        "node": "",
        "device": "0",
        "memory_mib": 8192,
        "threads": 1,
        "visible": "GPU-a",
    }


def test_cards_of_their_own_first_then_the_gap_that_fits_best() -> None:
    machine = Machine(10, 24, 16)
    admission = machine.admission()
    assert [taken(admission.take(need(6))).device for _ in range(3)] == ["0", "2", "1"]
    # 4, 10 and 18 GiB are left.
    assert taken(admission.take(need(8))).device == "2"
    assert taken(admission.take(need(4))).device == "0"
    assert taken(admission.take(need(12))).device == "1"


def test_an_unknown_need_gets_a_card_to_itself_until_it_is_measured() -> None:
    machine = Machine(20, 12)
    admission = machine.admission(Need())
    first = taken(admission.take(Need()))
    second = taken(admission.take(Need()))
    assert [(slot.device, slot.memory_bytes) for slot in (first, second)] == [
        ("0", 20 * GIB),
        ("1", 12 * GIB),
    ]
    assert admission.take(need(1)) is None
    admission.observe(first, 5 * GIB)
    machine.free(15)
    assert admission.take(need(1)) is None
    first = admission.shrink(first, 6 * GIB)
    assert first.memory_bytes == 6 * GIB
    third = taken(admission.take(need(6)))
    assert third.device == "0"
    assert not admission.was_alone(first)
    assert admission.was_alone(second)
    # 15 - 6 - (6 - 5) GiB are left.
    assert admission.take(need(8.5)) is None
    assert admission.take(need(8)) is not None


def test_an_unknown_need_is_not_tried_where_next_to_nothing_is_free() -> None:
    machine = Machine(20, 0.3)
    admission = machine.admission(Need())
    assert taken(admission.take(Need())).device == "0"
    assert admission.take(Need()) is None
    machine.free(1.1, index=1)
    assert taken(admission.take(Need())).device == "1"


def test_slots_only_shrink() -> None:
    admission = Machine(20).admission()
    slot = taken(admission.take(need(8)))
    with pytest.raises(ValueError, match="can only shrink"):
        admission.shrink(slot, 9 * GIB)
    admission.give_back(slot)
    for call in (admission.give_back, admission.was_alone, lambda slot: admission.shrink(slot, 1)):
        with pytest.raises(ValueError, match="slot 0 is not out"):
            call(slot)


def test_a_trial_that_must_be_alone_waits_for_an_empty_card() -> None:
    machine = Machine(20)
    admission = machine.admission()
    first = taken(admission.take(need(4)))
    assert admission.take(need(4), alone=True) is None
    assert admission.waiting is None
    admission.give_back(first)
    alone = taken(admission.take(need(4), alone=True))
    assert alone.memory_bytes == 20 * GIB
    machine.free(23)
    assert admission.take(need(1)) is None


def test_waiting_gives_how_much_is_missing_where_and_since_when() -> None:
    machine = Machine(20, 18)
    admission = machine.admission()
    machine.free(5.9)
    machine.free(3, index=1)
    assert admission.take(need(8)) is None
    waiting = admission.waiting
    assert waiting is not None
    assert waiting.reason == "waits for 2.1 GiB on GPU 0"
    assert (waiting.device, waiting.since) == ("0", machine.now)
    assert waiting.to_dict()["missing_mib"] == 2151
    machine.now += 100
    machine.free(7.5)
    assert admission.take(need(8)) is None
    later = admission.waiting
    assert later is not None
    assert later.reason == "waits for 512 MiB on GPU 0"
    assert later.waited_s(machine.now) == 100
    assert later.is_over(machine.now, 100)
    assert not later.is_over(machine.now, 101)
    assert not later.is_over(machine.now, None)
    assert "--wait-timeout 1m 40s" in later.timeout_message(100)
    assert "waits for 512 MiB on GPU 0, since" in later.timeout_message(100)
    machine.free(8)
    assert admission.take(need(8)) is not None
    assert admission.waiting is None


def test_waiting_for_what_no_file_declares_names_its_source() -> None:
    machine = Machine(20)
    admission = machine.admission()
    machine.free(4)
    assert admission.take(Need(5 * GIB, "history")) is None
    words = "waits for 1.0 GiB on GPU 0 (one trial takes 5.0 GiB, measured in an earlier sweep)"
    assert admission.waiting is not None
    assert admission.waiting.reason == words


def test_waiting_for_trials_of_ones_own_is_no_waiting() -> None:
    machine = Machine(20)
    admission = machine.admission()
    slot = taken(admission.take(need(12)))
    assert admission.take(need(12)) is None
    assert admission.waiting is None
    machine.free(6)
    admission.observe(slot, 12 * GIB)
    assert admission.take(need(12)) is None
    assert admission.waiting is None
    # Somebody took 2 GiB more, so the end of that trial will not do.
    machine.free(4)
    assert admission.take(need(18)) is None
    assert admission.waiting is not None
    assert admission.waiting.missing_bytes == 2 * GIB
    admission.limit_all(1)
    assert admission.take(need(18)) is None
    assert admission.waiting is None


def test_no_device_is_something_to_wait_for() -> None:
    machine = Machine(20)
    admission = machine.admission()
    machine.devices = []
    assert admission.take(need(2)) is None
    assert admission.waiting is not None
    assert str(admission.waiting).startswith("waits for a GPU")
    assert admission.greatest() == 0


def test_after_a_refusal_nothing_is_read_until_something_may_have_changed() -> None:
    machine = Machine(20)
    admission = machine.admission(recheck_s=1.0)
    slot = taken(admission.take(need(12)))
    reads = machine.reads
    for _ in range(5):
        assert admission.take(need(12)) is None
        assert admission.choose([Want(need(12))]) is None
    assert machine.reads == reads + 1
    admission.observe(slot, GIB)
    assert admission.take(need(12)) is None
    machine.now += 1.0
    assert admission.take(need(12)) is None
    assert machine.reads == reads + 3
    admission.give_back(slot)
    assert admission.take(need(12)) is not None


def test_limits_of_the_sweep_of_a_device_and_of_the_policy() -> None:
    machine = Machine(20, 20)
    admission = machine.admission(at_once=3)
    with pytest.raises(ValueError, match="at least 0"):
        admission.limit_all(-1)
    admission.limit_device("0", 1)
    assert [taken(admission.take(need(1))).device for _ in range(3)] == ["0", "1", "1"]
    assert admission.take(need(1)) is None
    admission.limit_all(9)
    admission.limit_device("1", 2)
    assert admission.take(need(1)) is None
    admission.limit_device("0", None)
    assert taken(admission.take(need(1))).device == "0"
    assert len(admission.out) == 4
    one = machine.admission(policy=Policy(max_parallel=1))
    assert [one.take(need(1)) is None for _ in range(2)] == [False, True]
    sequential = machine.admission(policy=Policy(placement="sequential"))
    assert [sequential.take(need(1)) is None for _ in range(2)] == [False, True]


def test_polite_runs_one_trial_beside_somebody_elses() -> None:
    machine = Machine(20, 20)
    busy = {"0"}
    admission = machine.admission(
        policy=Policy(share="polite"), busy=lambda device: device.id in busy
    )
    assert [taken(admission.take(need(2))).device for _ in range(4)] == ["0", "1", "1", "1"]
    busy.clear()
    assert taken(admission.take(need(2))).device == "0"
    full = machine.admission(busy=lambda device: True)
    assert [taken(full.take(need(2))).device for _ in range(4)] == ["0", "1", "0", "1"]


def test_trials_of_several_gpus() -> None:
    machine = Machine(20, 6, 20)
    admission = machine.admission(policy=Policy(gpus_per_trial=2))
    slot = taken(admission.take(need(8)))
    assert (slot.device, slot.memory_bytes) == ("0,2", 8 * GIB)
    assert taken(admission.take(need(6))).device in ("0,1", "1,2")
    assert admission.take(need(12)) is None
    assert machine.admission(policy=Policy(gpus_per_trial=2)).greatest() == 20 * GIB
    assert machine.admission(policy=Policy(gpus_per_trial=3)).greatest() == 6 * GIB


def test_leases_of_other_sweeps_are_heeded_and_ones_own_are_left(tmp_path: Path) -> None:
    machine = Machine(20)
    ours, theirs = Leases(tmp_path), Leases(tmp_path)
    admission = machine.admission(leases=ours)
    other = theirs.claim("0", 10 * GIB)
    assert admission.take(need(11)) is None
    assert admission.waiting is not None
    assert admission.waiting.missing_bytes == GIB
    slot = taken(admission.take(need(8)))
    assert theirs.pending().get("0", 0) == 8 * GIB
    machine.free(14)
    admission.observe(slot, 6 * GIB)
    assert theirs.pending().get("0", 0) == 2 * GIB
    admission.shrink(slot, 7 * GIB)
    assert theirs.pending().get("0", 0) == GIB
    assert admission.take(need(4)) is None
    other.release()
    assert admission.take(need(13)) is not None
    admission.give_back(slot)
    assert theirs.pending().get("0", 0) == 13 * GIB
    ours.release()


def test_no_other_sweep_decides_between_the_look_and_the_claim(tmp_path: Path) -> None:
    machine = Machine(20)
    ours, theirs = Leases(tmp_path), Leases(tmp_path)
    seen: list[bool] = []
    read = machine.read

    def watched() -> Sequence[Device] | Host:
        with theirs.deciding(timeout_s=0) as alone:
            seen.append(alone)
        return read()

    machine.read = watched  # type: ignore[method-assign]
    admission = machine.admission(leases=ours)
    assert admission.choose([Want(need(8))]) == 0
    taken(admission.take(need(8)))
    assert seen == [True, False], "a look holds nobody up, a start does"
    ours.release()


def test_cores_and_ram_on_the_cpu() -> None:
    machine = Machine()
    machine.host = Host(cores=8, free_bytes=6 * GIB, total_bytes=16 * GIB)
    policy = Policy(gpus_per_trial=0, cpus_per_trial=3)
    admission = machine.admission(policy=policy, at_once=2)
    # A declared need is memory of a GPU: it does not count here.
    slots = [taken(admission.take(Need(40 * GIB, "declared"))) for _ in range(2)]
    assert [(slot.device, slot.threads, slot.memory_bytes) for slot in slots] == [
        ("cpu", 3, GIB),
        ("cpu", 3, GIB),
    ]
    admission.limit_all(3)
    assert taken(admission.take(Need())).threads == 2
    assert admission.take(Need()) is None


def test_a_level_of_more_trials_waits_until_cores_are_free() -> None:
    machine = Machine()
    machine.host = Host(cores=8, free_bytes=60 * GIB, total_bytes=64 * GIB)
    admission = machine.admission(policy=Policy(gpus_per_trial=0, workers_per_trial=2), at_once=1)
    first = taken(admission.take(Need()))
    assert first.threads == 6
    admission.limit_all(2)
    assert admission.take(Need()) is None
    assert admission.waiting is None
    admission.give_back(first)
    second, third = (taken(admission.take(Need())) for _ in range(2))
    assert (second.threads, third.threads) == (2, 2)
    admission.limit_all(1)
    admission.give_back(second)
    assert admission.take(Need()) is None
    admission.give_back(third)
    assert taken(admission.take(Need())).threads == 6


def test_ram_is_waited_for_but_the_first_trial_starts() -> None:
    machine = Machine()
    machine.host = Host(cores=8, free_bytes=GIB // 2, total_bytes=16 * GIB)
    admission = machine.admission(policy=Policy(gpus_per_trial=0))
    assert taken(admission.take(Need())).memory_bytes == GIB // 2
    other = machine.admission(policy=Policy(gpus_per_trial=0))
    assert other.take(need(2)) is None
    assert other.waiting is not None
    assert other.waiting.reason == "waits for 1.5 GiB of RAM"


def test_choose_takes_the_largest_that_fits_and_names_the_least_that_is_missing() -> None:
    machine = Machine(10)
    admission = machine.admission()
    wants = [Want(need(2)), Want(need(12)), Want(need(7)), Want(need(3))]
    assert admission.choose(wants) == 2
    machine.free(1)
    assert admission.choose(wants) is None
    assert admission.waiting is not None
    assert admission.waiting.reason == "waits for 1.0 GiB on GPU 0"
    assert admission.choose([]) is None


BYTES = st.integers(0, 12)


@given(
    st.lists(st.tuples(BYTES, st.none() | BYTES), max_size=4),
    st.integers(0, 40),
)
def test_the_unused_part_of_promises(parts: list[tuple[int, int | None]], held: int) -> None:
    slot = Slot(0, "", "0", 1, 1)
    holdings = [Holding(slot, ("0",), promised, 1, used=used) for promised, used in parts]
    found = outstanding(holdings, held)
    promised = sum(one.promised for one in holdings)
    assert max(0, promised - held) <= found <= promised
    assert outstanding(holdings, held + 1) <= found <= outstanding(holdings, held + 1) + 1


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["take", "alone", "observe", "back", "limit"]), st.integers(1, 12)),
    max_size=12,
)


@given(
    free=st.lists(st.integers(0, 24), min_size=1, max_size=3),
    operations=OPERATIONS,
    asked=st.none() | st.integers(1, 24),
    alone=st.booleans(),
    place=st.integers(0, 2),
    more=st.integers(0, 12),
    share=st.sampled_from(["full", "polite"]),
)
def test_more_memory_never_refuses_what_less_admitted(
    free: list[int],
    operations: list[tuple[str, int]],
    asked: int | None,
    alone: bool,
    place: int,
    more: int,
    share: str,
) -> None:
    answers = []
    for extra in (0, more):
        machine = Machine(*(24 for _ in free), total_gib=48)
        policy = Policy(share=share)  # type: ignore[arg-type]
        admission = machine.admission(policy=policy, busy=lambda device: device.id == "0")
        for index, gib in enumerate(free):
            machine.free(gib, index)
        for operation, number in operations:
            out = admission.out
            if operation in ("take", "alone"):
                admission.take(need(number), alone=operation == "alone")
            elif operation == "limit":
                admission.limit_device(str(number % 3), number // 3)
            elif out and operation == "observe":
                admission.observe(out[number % len(out)], number * GIB)
            elif out:
                admission.give_back(out[number % len(out)])
        index = place % len(free)
        machine.free(free[index] + extra, index)
        wanted = Need() if asked is None else need(asked)
        answers.append(admission.take(wanted, alone=alone) is not None)
    assert answers[1] >= answers[0]


class World(RuleBasedStateMachine):
    """Whatever trials and others do, what is promised was free when it was promised."""

    @initialize(
        totals=st.lists(st.integers(4, 24), min_size=1, max_size=3),
        width=st.sampled_from([1, 1, 2]),
    )
    def start(self, totals: list[int], width: int) -> None:
        self.totals = totals
        self.theirs = [0] * len(totals)
        self.out: dict[int, Slot] = {}
        self.held: dict[int, int] = {}
        policy = Policy(gpus_per_trial=min(width, len(totals)))
        decided = plan(self.read_free(), HOST, Need(1), None, policy)
        self.admission = Admission(
            decided,
            policy,
            AdmissionLimits(cores=8, at_once=9, unknown_bytes=1, recheck_s=0.0),
            read=self.read_free,
            clock=lambda: 0.0,
        )

    def places(self, slot: Slot) -> list[int]:
        return [int(part) for part in slot.device.split(",")]

    def ours(self, place: int) -> int:
        return sum(
            self.held.get(index, 0)
            for index, slot in self.out.items()
            if place in self.places(slot)
        )

    def read_free(self) -> list[Device]:
        return [
            Device(str(place), "", total, total - self.theirs[place] - self.ours(place))
            for place, total in enumerate(self.totals)
        ]

    @rule(asked=st.none() | st.integers(1, 24), alone=st.booleans())
    def take(self, asked: int | None, alone: bool) -> None:
        asked_need = Need() if asked is None else Need(asked, "measured")
        slot = self.admission.take(asked_need, alone=alone)
        if slot is None:
            return
        assert slot.index not in self.out
        self.out[slot.index] = slot
        for place in self.places(slot):
            there = [one for one in self.out.values() if place in self.places(one)]
            promised = sum(max(one.memory_bytes, self.held.get(one.index, 0)) for one in there)
            assert promised + self.theirs[place] <= self.totals[place]
            if alone or asked is None:
                assert there == [slot]

    @precondition(lambda self: self.out)
    @rule(data=st.data(), reports=st.booleans())
    def load(self, data: st.DataObject, reports: bool) -> None:
        slot = data.draw(st.sampled_from(list(self.out.values())))
        before = self.held.get(slot.index, 0)
        self.held[slot.index] = 0
        room = min(self.read_free()[place].free_bytes for place in self.places(slot))
        self.held[slot.index] = data.draw(st.integers(0, min(room, slot.memory_bytes)))
        if reports or self.held[slot.index] < before:
            self.admission.observe(slot, self.held[slot.index])

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(list(self.out.values())))
        del self.out[slot.index]
        self.held.pop(slot.index, None)
        self.admission.give_back(slot)

    @rule(data=st.data())
    def others(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.totals) - 1))
        self.theirs[place] = data.draw(st.integers(0, self.totals[place] - self.ours(place)))

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "admission"):
            assert {slot.index for slot in self.admission.out} == set(self.out)


TestWorld = pytest.mark.slow(World.TestCase)
