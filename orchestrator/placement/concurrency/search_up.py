"""Trying out whether more trials at once get more done. A state machine; it reads no clock.

::

    growth = SearchUp(most=3)
    growth.started("a", now)
    event = growth.reported("a", step, now)      # an Event where something was decided
    admission.limit_device(key, growth.limit)

It starts with one trial and measures the combined steps per second, then admits one more and keeps
the higher number only where that brought at least 15 %; else the better number stands. Trials that
run are never ended for it: the limit falls, and the next to end is not replaced. One card is tried
out by itself (``SearchUp`` for each device): cards differ, and one more of nine trials would not
bring 15 % even if it cost the others nothing. For the same reason more than one is added where many
run already (`above`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.placement.concurrency.throughput import Stopwatch, Window, speed_ratio

GAIN = 1.15
"""What one step more must bring at least."""

Decision = Literal["grow", "fewer", "stay", "back"]


@dataclass(frozen=True)
class Event:
    """One level that was measured.

    Attributes:
        at_once: how many trials ran.
        ratio: their combined speed, as a multiple of that of the first level.
        decision: ``grow``: try more; ``fewer``: try fewer (`SearchDown`); ``stay``: this is the
            number; ``back``: the level before was better.
    """

    at_once: int
    ratio: float
    decision: Decision

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types, for the event log."""
        return {
            "at_once": self.at_once,
            "ratio": round(self.ratio, 3),
            "decision": self.decision,
        }


def above(at_once: int) -> int:
    """Return the number to try after `at_once`: one more up to 5, then a quarter more.

    At each step there is more to gain than `GAIN`: 20 % or more, if trials cost each other nothing.
    """
    return at_once + (1 if at_once < 5 else -(-at_once // 4))


class SearchUp:
    """How many trials run at once on one device, or on the CPU.

    Args:
        most: greatest number that memory (or cores) and the trials that are left allow; it may be
            set anew at any time.
        start: number to begin with.
        gain: what one more must bring, as a ratio to the best so far; 0 takes all that fit, as
            ``--placement parallel`` asks.
        learned: what `learned` returned in an earlier sweep: it begins with the number found then,
            and tries out more only if there was no room for more.
        window: how much is measured before it is believed.
    """

    def __init__(
        self,
        most: int,
        *,
        start: int = 1,
        gain: float = GAIN,
        learned: Mapping[str, Any] | None = None,
        window: Window | None = None,
    ) -> None:
        self.most = most
        self._start = max(1, start)
        self._gain = gain
        self._window = window
        self._running: dict[str, bool] = {}
        self._ratios: dict[int, float] = {}
        self._best = self._start
        self._best_rates: dict[str, float] = {}
        self._target = self._start
        self._ceiling: int | None = None
        self._is_settled = False
        self._waits = False
        self._from_before = False
        self._watch = Stopwatch(self._start, window)
        self._take_over(learned or {})

    def asked(self, most: int) -> int:
        """Return `limit`, asked for because a trial waits.

        Args:
            most: greatest number that memory (or cores) and the trials that are left allow now.
        """
        self.most = most
        return self.limit

    @property
    def limit(self) -> int:
        """How many trials may run at once now; at least 1, also where `most` is 0."""
        bounds = [self._target, self.most]
        bounds += [] if self._ceiling is None else [self._ceiling]
        return max(1, min(bounds))

    @property
    def is_settled(self) -> bool:
        """True once nothing more is tried out."""
        return self._is_settled

    def started(self, trial: str, now: float) -> Event | None:
        """Note that a trial runs.

        Args:
            trial: its name, of this attempt.
            now: seconds of any clock that never goes back, as in all calls.
        """
        self._watch.interrupt()
        self._running[trial] = False
        return self._go_on()

    def ended(self, trial: str, now: float) -> Event | None:
        """Note that a trial runs no more, however it ended."""
        if trial in self._running:
            self._watch.interrupt()
            del self._running[trial]
        return self._go_on()

    def reported(self, trial: str, step: float, now: float) -> Event | None:
        """Note a report of a running trial; returns what that decides.

        Args:
            trial: its name.
            step: how far it is.
            now: when.
        """
        if trial not in self._running:
            return None
        self._running[trial] = True
        if self._is_settled or self._waits:
            return self._go_on()
        self._watch.report(trial, step, now, self._running)
        return self._judge() if self._watch.is_enough else None

    def out_of_memory(self, at_once: int) -> None:
        """Lower the limit for good: so many were too many.

        Args:
            at_once: how many trials ran on the device when one ran out of memory.
        """
        ceiling = max(1, at_once - 1)
        self._ceiling = ceiling if self._ceiling is None else min(self._ceiling, ceiling)
        if self._target > self._ceiling:
            self._target = self._ceiling
            self._is_settled = True

    def learned(self) -> dict[str, Any] | None:
        """Return what the next sweep need not try out again, in JSON types; None for nothing."""
        if not self._ratios:
            return None
        ratios = {str(level): round(ratio, 4) for level, ratio in sorted(self._ratios.items())}
        return {
            "at_once": self._target if self._is_settled else self._best,
            "start": self._start,
            "ratios": ratios,
            "settled": self._is_settled,
        }

    def words(self) -> str:
        """Return what was tried out in one sentence, "" for nothing yet.

        For example "2 at once: 1.62 × the speed of 1; 3 at once: 1.59 ×, staying at 2".
        """
        tried = [level for level in self._order(self._ratios) if level != self._start]
        parts = [f"{level} at once: {self._ratios[level]:.2f} ×" for level in tried]
        if parts:
            parts[0] += f" the speed of {self._start}"
        text = ", ".join(part for part in ("; ".join(parts), self._tail()) if part)
        return text + (" (from an earlier sweep)" if text and self._from_before else "")

    def _order(self, levels: Iterable[int]) -> list[int]:
        """Return levels in the order in which they are tried."""
        return sorted(levels)

    def _tail(self) -> str:
        """Return in words how it goes on from here."""
        if self._is_settled:
            # Not `limit`: that few trials are left decides nothing.
            return f"staying at {self._target}"
        if self._waits:
            return f"no room for {self._target + 1}"
        if not self._ratios or self._target in self._ratios:
            return ""
        return f"trying {self._target}" + (" at once" if len(self._ratios) == 1 else "")

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
        elif level != self._best:
            ratio = speed_ratio(rates, level, self._best_rates, self._best)
            self._ratios[level] = ratio * self._ratios[self._best]
            if ratio < self._gain:
                self._target, self._is_settled = self._best, True
                return Event(level, self._ratios[level], "back")
        self._best, self._best_rates = level, rates
        self._waits = True
        return self._go_on() or Event(level, self._ratios[level], "stay")

    def _go_on(self) -> Event | None:
        """Try one more where there is room for it by now."""
        if not self._waits or self._is_settled:
            return None
        bound = self.most if self._ceiling is None else min(self.most, self._ceiling)
        if self._best >= bound:
            return None
        self._waits = False
        self._target = min(bound, above(self._best))
        self._watch = Stopwatch(self._target, self._window)
        return Event(self._best, self._ratios[self._best], "grow")

    def _take_over(self, learned: Mapping[str, Any]) -> None:
        at_once, found = what_was_learned(learned)
        if at_once is None:
            return
        self._ratios = found
        start = learned.get("start")
        self._start = start if isinstance(start, int) and start >= 1 else self._start
        self._target = self._best = at_once
        self._watch = Stopwatch(at_once, self._window)
        # Where only room was missing then, more is tried out now.
        self._is_settled = learned.get("settled") is not False
        self._from_before = True


def what_was_learned(learned: Mapping[str, Any]) -> tuple[int | None, dict[int, float]]:
    """Return the number that an earlier sweep found, and the ratios; None where it makes no sense.

    Args:
        learned: what `SearchUp.learned` returned then, read from a file that anybody may have edited.
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
