"""The rules of thumb by which people stop runs, to hold the rule against what it replaces."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

JUMP = 1.2
SWING = 0.3
OVER_BEST = 1.61
_WINDOW = 5
_TURNS = 3

WORDS = "a jump of 20 %, swings of ± 30 %, 61 % over the best"


class ByHand:
    """Judges a loss as people do who watch it: at the first sign.

    A value that is not finite, one 61 % over the best or 20 % over the one before, or three turns
    in five values that span 30 % of their level end the run. Losses that are not positive have no
    such shares; of them only what is not finite ends.
    """

    def __init__(self) -> None:
        self._best = math.inf
        self._last: deque[float] = deque(maxlen=_WINDOW)

    def ends(self, value: float) -> bool:
        """Take in one report and tell whether the run would have been ended at it."""
        if not math.isfinite(value):
            return True
        before = self._last[-1] if self._last else None
        self._last.append(value)
        self._best = min(self._best, value)
        if self._best <= 0:
            return False
        jumps = before is not None and value > JUMP * before
        return value > OVER_BEST * self._best or jumps or self._swings()

    def _swings(self) -> bool:
        if len(self._last) < _WINDOW:
            return False
        level = sum(self._last) / _WINDOW
        steps = [after - before for before, after in pairwise(self._last)]
        turns = sum(one * other < 0 for one, other in pairwise(steps))
        return turns >= _TURNS and max(self._last) - min(self._last) > SWING * level
