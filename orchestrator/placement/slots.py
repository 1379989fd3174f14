"""Handing out the slots of a plan, and taking them back."""

from __future__ import annotations

from orchestrator.placement.model import Plan, Slot


class SlotPool:
    """The slots of a plan, of which at most `limit` are out at once.

    ::

        pool = SlotPool(plan)
        slot = pool.take()        # None while there is no room
        pool.give_back(slot)
        pool.limit = 3            # more, or fewer: those that are out stay out

    It belongs to the one thread that admits trials.

    Args:
        plan: what was decided.
        limit: how many may be out at once; None for what the plan starts with.
    """

    def __init__(self, plan: Plan, limit: int | None = None) -> None:
        self._slots = plan.slots
        self._taken: set[int] = set()
        self.limit = plan.start_parallel if limit is None else limit

    @property
    def limit(self) -> int:
        """Greatest number of slots that are out at once; 0 holds all trials back."""
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"limit must be at least 0, but got {value}")
        self._limit = value

    def taken(self) -> int:
        """Return how many slots are out."""
        return len(self._taken)

    def free(self) -> int:
        """Return how many slots `take` would hand out now."""
        return max(0, min(self._limit, len(self._slots)) - len(self._taken))

    def take(self) -> Slot | None:
        """Return the first slot that is in, or None while there is no room."""
        if not self.free():
            return None
        slot = next(slot for slot in self._slots if slot.index not in self._taken)
        self._taken.add(slot.index)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Take back a slot that `take` handed out.

        Raises:
            ValueError: the slot is not out.
        """
        if slot.index not in self._taken:
            raise ValueError(f"slot {slot.index} is not out, so it cannot be given back")
        self._taken.remove(slot.index)
