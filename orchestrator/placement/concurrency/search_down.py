"""Trying out on CPUs whether fewer trials at once get as much done. A state machine, as `SearchUp`.

A card's speed is shared by whoever runs there, so growth on a card begins with one trial. Cores are
handed out: one that nobody was given idles, and measuring one trial alone would cost a short sweep
more than it could ever bring back. So on CPUs it goes the other way:

1. All the slots that cores and RAM make start at once, and their combined speed is measured while
   they run, which costs nothing.
2. Fewer are tried only where that pays: where the sweep is so long that leaving slots empty for
   one measurement costs at most a twentieth of what is left (`Pays`, which the engine answers from
   how long trials take), or where nothing waits any more, so that slots empty by themselves.
3. The rule is the one of `SearchUp`: the higher number stays only if it makes at least 15 % more
   steps per second. Where two cores are halves of one, others compute on them, or memory is what
   limits, it does not, and the sweep goes on with fewer, each of which ends sooner.

Trials that run keep their threads, and those that follow get as many: cores that bring nothing when
a trial runs there would only slow one down that waits for them at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from orchestrator.placement.concurrency.search_up import (
    GAIN,
    Event,
    SearchUp,
    above,
    what_was_learned,
)
from orchestrator.placement.concurrency.throughput import Stopwatch, Window, speed_ratio

Pays = Callable[[int, int], Literal["yes", "free", "no"]]
"""Tells whether it pays to measure so many (the second) at once where so many (the first) run.
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
            believed; that fewer were, only where these got more done than all, because who else
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
        self._is_free = False
        super().__init__(most, start=most, gain=gain, learned=learned, window=window)

    def asked(self, most: int) -> int:
        """Return `limit`, asked for because a trial waits."""
        if self._is_free and not self._is_settled:
            # There are more after all (another stage, a remedy): slots are not empty for nothing.
            self._is_free, self._waits, self._target = False, True, self._best
        return super().asked(most)

    def _judge(self) -> Event | None:
        """Decide on the level that was just measured."""
        rates = self._watch.rates()
        level = self._watch.at_once
        if not rates:
            # Steps that do not rise tell nothing; look again.
            self._watch = Stopwatch(level, self._window)
            return None
        if not self._ratios:
            self._ratios[level] = 1.0
            self._best_rates, self._waits = rates, True
            return self._go_on()
        ratio = speed_ratio(rates, level, self._best_rates, self._best)
        self._ratios[level] = ratio * self._ratios[self._best]
        if ratio * self._gain <= 1:
            self._target, self._is_settled = self._best, True
            return Event(level, self._ratios[level], "back")
        self._best, self._best_rates = level, rates
        self._is_settled = level == 1
        self._waits = not self._is_settled
        return self._go_on() or Event(level, self._ratios[level], "stay")

    def _go_on(self) -> Event | None:
        """Try fewer where that pays by now."""
        if not self._waits or self._is_settled or self._best == 1:
            return None
        fewer = below(self._best)
        answer = self._pays(self._best, fewer)
        if answer == "no":
            return None
        self._waits, self._is_free = False, answer == "free"
        self._target = fewer
        self._watch = Stopwatch(fewer, self._window)
        # That the last trials run out is no decision.
        return None if self._is_free else Event(self._best, self._ratios[self._best], "fewer")

    def _order(self, levels: Iterable[int]) -> list[int]:
        return sorted(levels, reverse=True)

    def _tail(self) -> str:
        if self._waits and not self._is_settled:
            return f"staying at {self._best}" if len(self._ratios) > 1 else ""
        if self._is_free and not self._is_settled:
            return ""
        return super()._tail()

    def _take_over(self, learned: Mapping[str, Any]) -> None:
        at_once, ratios = what_was_learned(learned)
        if at_once is None or at_once > self._start or learned.get("settled") is False:
            return
        if self._start not in ratios or ratios[at_once] < ratios[self._start]:
            return
        # They may be multiples of the speed of one (`SearchUp`).
        whole = ratios[self._start]
        self._ratios = {level: ratio / whole for level, ratio in ratios.items()}
        self._target = self._best = at_once
        self._is_settled = self._from_before = True
