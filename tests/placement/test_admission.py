from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.placement.admission import SlotPool
from orchestrator.placement.model import Device, Host, Need, Plan, Policy, Slot
from orchestrator.placement.plan import plan

GIB = 1 << 30


def make_plan(free_gib: int, n_trials: int = 5) -> Plan:
    device = Device("0", "Card", 64 * GIB, free_gib * GIB)
    return plan([device], Host(4, GIB, GIB), Need(8 * GIB, "declared"), n_trials, Policy())


def test_starts_with_what_the_plan_starts_with() -> None:
    pool = SlotPool(make_plan(16))
    assert pool.free() == 1
    slot = pool.take()
    assert slot is not None
    assert pool.take() is None
    pool.limit = 2
    other = pool.take()
    assert other is not None
    assert other.index != slot.index
    assert SlotPool(make_plan(40)).free() == 5
    assert SlotPool(make_plan(40), limit=3).free() == 3


def test_a_lower_limit_leaves_those_that_are_out() -> None:
    pool = SlotPool(make_plan(24), limit=3)
    out = [pool.take() for _ in range(3)]
    pool.limit = 1
    assert (pool.taken(), pool.free(), pool.take()) == (3, 0, None)
    for slot in out:
        assert slot is not None
        assert pool.free() == 0
        pool.give_back(slot)
    assert pool.free() == 1


def test_giving_back_what_is_not_out_is_an_error() -> None:
    pool = SlotPool(make_plan(16))
    slot = pool.take()
    assert slot is not None
    pool.give_back(slot)
    with pytest.raises(ValueError, match="slot 0 is not out"):
        pool.give_back(slot)


def test_a_limit_below_zero_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 0, but got -1"):
        SlotPool(make_plan(16), limit=-1)


class Pool(RuleBasedStateMachine):
    """Whatever is taken and given back, no slot is out twice and the limit holds."""

    @initialize(free_gib=st.integers(8, 60), n=st.integers(1, 9))
    def start(self, free_gib: int, n: int) -> None:
        self.plan = make_plan(free_gib, n)
        self.pool = SlotPool(self.plan)
        self.out: list[Slot] = []

    @rule()
    def take(self) -> None:
        free = self.pool.free()
        slot = self.pool.take()
        assert (slot is None) == (free == 0)
        if slot is not None:
            assert slot in self.plan.slots
            assert slot not in self.out
            self.out.append(slot)
            assert len(self.out) <= self.pool.limit

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        self.pool.give_back(self.out.pop(data.draw(st.integers(0, len(self.out) - 1))))

    @rule(limit=st.integers(0, 12))
    def set_limit(self, limit: int) -> None:
        self.pool.limit = limit

    @invariant()
    def counts(self) -> None:
        assert self.pool.taken() == len(self.out)


TestPool = Pool.TestCase
