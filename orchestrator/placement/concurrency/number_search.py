"""Find out how many trials at once get the most done. State machines that read no clock.

::

    search = SearchUp(most=3)
    search.started("a")
    found = search.reported("a", step, now)      # a Measurement if something was decided
    admission.limit_device(key, search.limit)

Trials that run are never ended for it: the limit falls, and the next to end is not replaced. Each
card is searched by itself: cards differ, and one more of ten trials would not bring 10 % even if
it cost the others nothing. So more than one is added if many run already (`above`), and twice as
many are tried while trials hardly slow each other down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.placement.concurrency.throughput import Stopwatch, Window, speed_ratio

GAIN = 1.10
"""How much more the higher of two numbers must get done, as a ratio to the lower."""

FREE = 0.9
"""Twice as many are tried next if the last step brought this part of what it could at most."""

Decision = Literal["grow", "fewer", "stay", "back"]

Pays = Callable[[int, int], Literal["yes", "free", "no"]]
"""Whether it pays to measure so many (the second) at once while so many (the first) run.
``free``: slots empty by themselves."""


@dataclass(frozen=True)
class Measurement:
    """One number of trials that was measured.

    Attributes:
        ratio: the combined speed, as a multiple of that of the first number.
        decision: ``grow``: try more; ``fewer``: try fewer (`SearchDown`); ``stay``: this is the
            number; ``back``: the number before was better.
    """

    at_once: int
    ratio: float
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types, for the event log."""
        ratio = round(self.ratio, 3)
        return {"at_once": self.at_once, "ratio": ratio, "decision": self.decision}


def above(at_once: int) -> int:
    """Return the number to try after `at_once`: one more up to 5, then a quarter more.

    Each step can gain more than `GAIN`: 20 % or more, if trials cost each other nothing.
    """
    return at_once + (1 if at_once < 5 else -(-at_once // 4))


def below(at_once: int) -> int:
    """Return the number to try after `at_once`, from which `above` leads back to it; at least 1."""
    return max((k for k in range(1, at_once) if above(k) <= at_once), default=1)


class SearchUp:
    """How many trials run at once on one device, beginning with one.

    It measures the combined steps per second, then admits one more and keeps the higher number only
    if that gets `GAIN` times as much done.

    Args:
        most: greatest number that memory (or cores) and the trials that are left allow.
        learned: what `learned` returned in an earlier sweep: it begins with the number found then,
            and tries out more only if there was no room for more.

    Attributes:
        is_settled: True once nothing more is tried out.
    """

    def __init__(
        self,
        most: int,
        *,
        learned: Mapping[str, Any] | None = None,
        window: Window | None = None,
    ) -> None:
        self._most = most
        self._start = self._first_of(most)
        self._window = window
        self._has_reported: dict[str, bool] = {}  # by name, for the trials that run
        self._ratios: dict[int, float] = {}
        self._best = self._start
        self._best_rates: dict[str, float] = {}
        self._target = self._start
        self._ceiling = sys.maxsize
        self.is_settled = False
        self._is_waiting = False  # to try the next number, which is not possible yet
        self._from_before = False
        self._watch = Stopwatch(self._start, window)
        self._restore(learned or {})

    def limit_within(self, most: int) -> int:
        """Return `limit` because a trial waits and at most `most` have room now."""
        self._most = most
        return self.limit

    @property
    def limit(self) -> int:
        """How many trials may run at once now; at least 1, even if nothing has room."""
        return max(1, min(self._target, self._most, self._ceiling))

    def started(self, trial: str) -> Measurement | None:
        """Note that a trial runs, named for this attempt."""
        self._watch.interrupt()
        self._has_reported[trial] = False
        return self._try_next()

    def ended(self, trial: str) -> Measurement | None:
        """Note that a trial no longer runs, however it ended."""
        if trial in self._has_reported:
            self._watch.interrupt()
            del self._has_reported[trial]
        return self._try_next()

    def reported(self, trial: str, step: float, now: float) -> Measurement | None:
        """Note how far a running trial is, by any clock in seconds that never goes back."""
        if trial not in self._has_reported:
            return None
        self._has_reported[trial] = True
        if self.is_settled or self._is_waiting:
            return self._try_next()
        self._watch.report(trial, step, now, self._has_reported)
        return self._judge() if self._watch.is_enough else None

    def out_of_memory(self, at_once: int) -> None:
        """Lower the limit for good: one of `at_once` trials ran out of memory."""
        self._ceiling = min(self._ceiling, max(1, at_once - 1))
        if self._target > self._ceiling:
            self._target, self.is_settled = self._ceiling, True

    def learned(self) -> dict[str, Any] | None:
        """Return what the next sweep need not try out again, in JSON types; None for nothing."""
        if not self._ratios:
            return None
        return {
            "at_once": self._target if self.is_settled else self._best,
            "start": self._start,
            "ratios": {str(level): round(self._ratios[level], 4) for level in sorted(self._ratios)},
            "settled": self.is_settled,
        }

    def summary(self) -> str:
        """Return what was tried out in one sentence, "" for nothing yet.

        For example "2 at once: 1.62 × the speed of 1; 3 at once: 1.59 ×, staying at 2".
        """
        tried = [level for level in self._in_order() if level != self._start]
        parts = [f"{level} at once: {self._ratios[level]:.2f} ×" for level in tried]
        if parts:
            parts[0] += f" the speed of {self._start}"
        text = ", ".join(part for part in ("; ".join(parts), self._outlook()) if part)
        return text + (" (from an earlier sweep)" if text and self._from_before else "")

    def _first_of(self, most: int) -> int:
        """Return the number that is measured first."""
        return 1

    def _in_order(self) -> list[int]:
        return sorted(self._ratios)

    def _outlook(self) -> str:
        """Return for people how the search continues."""
        if self.is_settled:
            # Not `limit`: that few trials are left decides nothing.
            return f"staying at {self._target}"
        if self._is_waiting:
            return f"{self._target + 1} at once when there is room"
        if not self._ratios or self._target in self._ratios:
            return ""
        return f"trying {self._target}" + (" at once" if len(self._ratios) == 1 else "")

    def _judge(self) -> Measurement | None:
        """Decide on the number that was just measured."""
        rates, level = self._watch.rates(), self._watch.at_once
        if not rates:
            # Steps that do not rise show no speed; measure again.
            self._watch = Stopwatch(level, self._window)
            return None
        if not self._ratios:
            self._ratios[level] = 1.0
        elif level != self._best:
            ratio = speed_ratio(rates, level, self._best_rates, self._best)
            self._ratios[level] = ratio * self._ratios[self._best]
            if not self._is_better(ratio):
                self._target, self.is_settled = self._best, True
                return Measurement(level, self._ratios[level], "back")
        self._best, self._best_rates = level, rates
        self._is_waiting = True
        return self._try_next() or Measurement(level, self._ratios[level], "stay")

    def _is_better(self, ratio: float) -> bool:
        """Return whether a number that has `ratio` times the speed of the best replaces it."""
        return ratio >= GAIN

    def _try_next(self) -> Measurement | None:
        """Let one more run if the best was measured and there is room for it by now."""
        most = min(self._most, self._ceiling)
        if not self._is_waiting or self.is_settled or self._best >= most:
            return None
        before = max((level for level in self._ratios if level < self._best), default=None)
        gained = self._ratios[self._best] / self._ratios[before] if before else 0.0
        is_free = before is not None and gained >= FREE * self._best / before
        self._measure(min(most, 2 * self._best if is_free else above(self._best)))
        return Measurement(self._best, self._ratios[self._best], "grow")

    def _measure(self, level: int) -> None:
        self._is_waiting, self._target = False, level
        self._watch = Stopwatch(level, self._window)

    def _restore(self, learned: Mapping[str, Any]) -> None:
        at_once, ratios = _parse_learned(learned)
        if at_once is None:
            return
        self._ratios = ratios
        start = learned.get("start")
        self._start = start if isinstance(start, int) and start >= 1 else self._start
        self._best = at_once
        self._measure(at_once)
        # If only room was missing then, more is tried out now.
        self.is_settled = learned.get("settled") is not False
        self._from_before = True


class SearchDown(SearchUp):
    """How many trials run at once on the CPU, beginning with all that it serves.

    The trials on a card share its speed, so the search on a card begins with one. A core that no
    trial was given idles, and measuring one trial alone would cost a short sweep more than it could
    ever bring back. So all slots start at once, and fewer are tried only if that `pays`.

    As in `SearchUp`, the higher number stays only if it brings `GAIN`. If two cores are halves of
    one, others compute on them, or memory is the limit, it does not. Trials keep their threads, and
    those that follow get as many: cores that bring nothing when a trial runs there would only slow
    one down that waits for them at every step.

    Args:
        pays: asked before slots are left empty for a measurement.
        learned: what `learned` returned in an earlier sweep. That all at once were best is
            believed; that fewer were, only if these got more done than all, because who else
            computes here changes from day to day.
    """

    def __init__(
        self,
        most: int,
        *,
        pays: Pays,
        learned: Mapping[str, Any] | None = None,
        window: Window | None = None,
    ) -> None:
        self._pays = pays
        self._is_free = False  # nothing waits, so slots have emptied by themselves
        super().__init__(most, learned=learned, window=window)

    def limit_within(self, most: int) -> int:
        """Return `limit` because a trial waits and at most `most` have room now."""
        if self._is_free and not self.is_settled:
            # There are more after all (another stage, a remedy): slots are not empty for nothing.
            self._is_free, self._is_waiting, self._target = False, True, self._best
        return super().limit_within(most)

    def _first_of(self, most: int) -> int:
        return max(1, most)

    def _judge(self) -> Measurement | None:
        is_first = not self._ratios
        found = super()._judge()
        if is_first and found is not None and found.decision == "stay":
            return None  # that all run decides nothing
        self.is_settled = self.is_settled or (not is_first and self._best == 1)
        return found

    def _is_better(self, ratio: float) -> bool:
        return ratio * GAIN > 1

    def _try_next(self) -> Measurement | None:
        """Let fewer run if the best was measured and that pays by now."""
        if not self._is_waiting or self.is_settled or self._best == 1:
            return None
        fewer = below(self._best)
        answer = self._pays(self._best, fewer)
        if answer == "no":
            return None
        self._measure(fewer)
        self._is_free = answer == "free"
        # That the last trials run out is no decision.
        return None if self._is_free else Measurement(self._best, self._ratios[self._best], "fewer")

    def _in_order(self) -> list[int]:
        return sorted(self._ratios, reverse=True)

    def _outlook(self) -> str:
        if self._is_waiting and not self.is_settled:
            return f"staying at {self._best}" if len(self._ratios) > 1 else ""
        return "" if self._is_free and not self.is_settled else super()._outlook()

    def _restore(self, learned: Mapping[str, Any]) -> None:
        at_once, ratios = _parse_learned(learned)
        if at_once is None or at_once > self._start or learned.get("settled") is False:
            return
        if self._start not in ratios or ratios[at_once] < ratios[self._start]:
            return
        # They may be multiples of the speed of one (`SearchUp`).
        whole = ratios[self._start]
        self._ratios = {level: ratio / whole for level, ratio in ratios.items()}
        self._target = self._best = at_once
        self.is_settled = self._from_before = True


def _parse_learned(learned: Mapping[str, Any]) -> tuple[int | None, dict[int, float]]:
    """Return the number that `learned` named then, and the ratios; None if it makes no sense.

    It comes from a file that anybody may have edited.
    """
    at_once, ratios = learned.get("at_once"), learned.get("ratios")
    if not isinstance(at_once, int) or at_once < 1 or not isinstance(ratios, Mapping):
        return None, {}
    try:
        found = {int(level): float(ratio) for level, ratio in ratios.items()}
    except (TypeError, ValueError):
        return None, {}
    if at_once not in found or not all(ratio > 0 for ratio in found.values()):
        return None, {}
    return at_once, found
