"""Find out on CPUs whether fewer trials at once get as much done. A state machine, as `SearchUp`.

A card's speed is shared by whoever runs there, so the search on a card begins with one trial. Cores
are handed out: one that nobody was given idles, and measuring one trial alone would cost a short
sweep more than it could ever bring back. So on CPUs it goes the other way:

1. All the slots that cores and RAM make start at once, and their combined speed is measured while
   they run, which costs nothing.
2. Fewer are tried only if that pays: if the sweep is so long that leaving slots empty for one
   measurement costs at most a twentieth of what is left (`Pays`, which the engine answers from how
   long trials take), or if nothing waits any more, so that slots empty by themselves.
3. The rule is that of `SearchUp`: the higher number stays only if it makes at least 15 % more steps
   per second. If two cores are halves of one, others compute on them, or memory is the limit, it
   does not, and the sweep continues with fewer, each of which ends sooner.

Trials that run keep their threads, and those that follow get as many: cores that bring nothing when
a trial runs there would only slow one down that waits for them at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from orchestrator.placement.concurrency.search_up import (
    GAIN,
    Measurement,
    SearchUp,
    above,
    parse_learned,
)
from orchestrator.placement.concurrency.throughput import Window

Pays = Callable[[int, int], Literal["yes", "free", "no"]]
"""Whether it pays to measure so many (the second) at once while so many (the first) run.
``free``: slots empty by themselves."""


def below(at_once: int) -> int:
    """Return the number to try after `at_once`, from which `above` leads back to it; at least 1."""
    return max((k for k in range(1, at_once) if above(k) <= at_once), default=1)


class SearchDown(SearchUp):
    """How many trials run at once on the CPU, beginning with all that it serves.

    Args:
        most: that cores and RAM serve.
        pays: asked before slots are left empty for a measurement.
        gain: what the higher number must bring, as a ratio to the lower.
        learned: what `learned` returned in an earlier sweep. That all at once were best is
            believed; that fewer were, only if these got more done than all, because who else
            computes here changes from day to day.
        window: how much is measured before it is believed.
    """

    def __init__(
        self,
        most: int,
        *,
        pays: Pays,
        gain: float = GAIN,
        learned: Mapping[str, Any] | None = None,
        window: Window | None = None,
    ) -> None:
        self._pays = pays
        self._is_free = False  # nothing waits, so slots have emptied by themselves
        super().__init__(most, start=most, gain=gain, learned=learned, window=window)

    def limit_within(self, most: int) -> int:
        """Return `limit`, asked for because a trial waits."""
        if self._is_free and not self._is_settled:
            # There are more after all (another stage, a remedy): slots are not empty for nothing.
            self._is_free, self._is_waiting, self._target = False, True, self._best
        return super().limit_within(most)

    def _judge(self) -> Measurement | None:
        is_first = not self._ratios
        found = super()._judge()
        if is_first and found is not None and found.decision == "stay":
            return None  # that all run decides nothing
        self._is_settled = self._is_settled or (not is_first and self._best == 1)
        return found

    def _is_better(self, ratio: float) -> bool:
        return ratio * self._gain > 1

    def _try_next(self) -> Measurement | None:
        """Let fewer run if the best was measured and that pays by now."""
        if not self._is_waiting or self._is_settled or self._best == 1:
            return None
        fewer = below(self._best)
        answer = self._pays(self._best, fewer)
        if answer == "no":
            return None
        self._measure(fewer)
        self._is_free = answer == "free"
        # That the last trials run out is no decision.
        return None if self._is_free else Measurement(self._best, self._ratios[self._best], "fewer")

    def _in_order(self, levels: Mapping[int, float]) -> list[int]:
        return sorted(levels, reverse=True)

    def _outlook(self) -> str:
        if self._is_waiting and not self._is_settled:
            return f"staying at {self._best}" if len(self._ratios) > 1 else ""
        return "" if self._is_free and not self._is_settled else super()._outlook()

    def _take_over(self, learned: Mapping[str, Any]) -> None:
        at_once, ratios = parse_learned(learned)
        if at_once is None or at_once > self._start or learned.get("settled") is False:
            return
        if self._start not in ratios or ratios[at_once] < ratios[self._start]:
            return
        # They may be multiples of the speed of one (`SearchUp`).
        whole = ratios[self._start]
        self._ratios = {level: ratio / whole for level, ratio in ratios.items()}
        self._target = self._best = at_once
        self._is_settled = self._from_before = True
