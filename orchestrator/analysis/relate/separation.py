"""Where two curves separate for good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CLEAR = 2.0  # noises that curves are apart, on average, once they are separate
_SHARE = 0.05  # of the common steps that must come after they separate
_MAD = 1.4826  # from a median absolute deviation to a standard deviation of normal noise


@dataclass(frozen=True)
class Separation:
    """How two curves of one metric relate at the steps that both have.

    Attributes:
        common: number of those steps.
        same_until: the last step up to which they are equal; None if they never were.
        step: the first step from which one stays above the other, further than both scatter;
            None if they do not separate.
        values: both values there; None without `step`.
        last: the last common step with both values; None without common steps.
        crossing: the last step before which they cross; None if they never do.
    """

    common: int
    same_until: int | None = None
    step: int | None = None
    values: tuple[float, float] | None = None
    last: tuple[int, float, float] | None = None
    crossing: int | None = None

    @property
    def lower(self) -> str:
        """The curve that is below the other at the end: ``"a"``, ``"b"``, or "" for neither."""
        if self.last is None:
            return ""
        _, one, two = self.last
        finite = math.isfinite(one), math.isfinite(two)
        if all(finite):
            return "a" if one < two else ("b" if two < one else "")
        return ""


def separate(first: Mapping[int, float], second: Mapping[int, float]) -> Separation:
    """Compare two curves, step to value. A value that is not finite is unlike any other."""
    steps = sorted(first.keys() & second.keys())
    if not steps:
        return Separation(0)
    pairs = [(first[step], second[step]) for step in steps]
    signs = [_sign(*pair) for pair in pairs]
    equal = next((index for index, sign in enumerate(signs) if sign), len(signs))
    # The stretch at the end in which one of them is always above.
    start = len(signs)
    while start > equal and signs[start - 1] == signs[-1]:
        start -= 1
    noise = math.hypot(*(_scatter([pair[side] for pair in pairs]) for side in (0, 1)))
    gaps = [_gap(*pair) for pair in pairs]
    apart = next((index for index in range(start, len(gaps)) if gaps[index] > noise), None)
    place = None
    if apart is not None:
        rest = gaps[apart:]
        is_long = math.isinf(gaps[apart]) or len(rest) >= min(2, 1 + _SHARE * len(gaps))
        if is_long and math.fsum(rest) / len(rest) > _CLEAR * noise:
            place = apart
    return Separation(
        common=len(steps),
        same_until=steps[equal - 1] if equal else None,
        step=None if place is None else steps[place],
        values=None if place is None else pairs[place],
        last=(steps[-1], *pairs[-1]),
        crossing=steps[start] if equal < start < len(steps) else None,
    )


def _sign(one: float, two: float) -> int:
    if one == two or (math.isnan(one) and math.isnan(two)):
        return 0
    if not math.isfinite(one) or not math.isfinite(two):
        return 2 if math.isfinite(one) else -2
    return 1 if two > one else -1


def _gap(one: float, two: float) -> float:
    if _sign(one, two) == 0:
        return 0.0
    both = math.isfinite(one) and math.isfinite(two)
    return abs(two - one) if both else math.inf


def _scatter(values: Sequence[float]) -> float:
    """Return the standard deviation of a curve's noise, from its second differences.

    Those are 0 on a straight line, and of white noise have 6 times its variance.
    """
    triples = zip(values, values[1:], values[2:], strict=False)
    bends = sorted(abs(a - 2 * b + c) for a, b, c in triples if math.isfinite(a + b + c))
    return _MAD * bends[len(bends) // 2] / math.sqrt(6.0) if len(bends) > 2 else 0.0
