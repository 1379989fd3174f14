"""The distributions of W&B, one record each, and values by the share of probability below them.

A random draw is a uniform number put through `quantile`; a sampler that has no such distribution
chooses the uniform number itself. ``q_`` in front of a name means that values are rounded to
multiples of q (halves to even) inside the range; in a W&B file they may lie half a step outside.
All of it is pure Python, since a sweep file is planned without scipy.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate
from statistics import NormalDist
from typing import Literal

from orchestrator.sweepfile.model.spec import Domain

_STANDARD = NormalDist()
_EDGE = 2.0**-54  # the ends of an unbounded distribution are never drawn
_MOST = sys.float_info.max
_LOG_MOST = math.log(_MOST)


@dataclass(frozen=True)
class Scale:
    """How the numbers of a distribution are spread, before they are rounded.

    Attributes:
        shape: evenly between two bounds, normally, or as a beta distribution from 0 to 1.
        logarithmic: True if the logarithms are spread so.
        exponent: sign of the exponents of e that the bounds are; None for bounds as they are.
    """

    shape: Literal["even", "normal", "beta"] = "even"
    logarithmic: bool = False
    exponent: Literal[1, -1] | None = None


@dataclass(frozen=True)
class Distribution:
    """A distribution that a parameter's block may mean.

    Attributes:
        needs: the keys that the block must have.
        held_as: how a sampler sees the parameter; ``share`` is the share of probability below.
        defaults: the keys that it may have, with their defaults.
        scale: how its numbers are spread; None for choices.
        in_a_grid: True if a grid can take its values in turn.
    """

    needs: tuple[str, ...]
    held_as: Literal["constant", "choice", "weighed", "whole", "quantised", "real", "share"]
    defaults: dict[str, float] = field(default_factory=dict)
    scale: Scale | None = None
    in_a_grid: bool = False


_MIN_MAX = ("min", "max")
_Q = {"q": 1.0}
_BELL = {"mu": 0.0, "sigma": 1.0}
_SHAPE = {"a": 1.0, "b": 1.0}
_EVEN, _LOG = Scale(), Scale(logarithmic=True)
_EXP, _INVERSE = Scale(logarithmic=True, exponent=1), Scale(logarithmic=True, exponent=-1)
_NORMAL, _LOG_NORMAL, _BETA = Scale("normal"), Scale("normal", logarithmic=True), Scale("beta")

DISTRIBUTIONS: dict[str, Distribution] = {
    "constant": Distribution(("value",), "constant", in_a_grid=True),
    "categorical": Distribution(("values",), "choice", in_a_grid=True),
    "categorical_w_probabilities": Distribution(("values", "probabilities"), "weighed"),
    "int_uniform": Distribution(_MIN_MAX, "whole", scale=_EVEN, in_a_grid=True),
    "uniform": Distribution(_MIN_MAX, "real", scale=_EVEN),
    "q_uniform": Distribution(_MIN_MAX, "quantised", _Q, _EVEN, in_a_grid=True),
    "log_uniform_values": Distribution(_MIN_MAX, "real", scale=_LOG),
    "q_log_uniform_values": Distribution(_MIN_MAX, "share", _Q, _LOG),
    "inv_log_uniform_values": Distribution(_MIN_MAX, "real", scale=_LOG),
    "log_uniform": Distribution(_MIN_MAX, "real", scale=_EXP),
    "q_log_uniform": Distribution(_MIN_MAX, "share", _Q, _EXP),
    "inv_log_uniform": Distribution(_MIN_MAX, "real", scale=_INVERSE),
    "normal": Distribution((), "share", _BELL, _NORMAL),
    "q_normal": Distribution((), "share", _BELL | _Q, _NORMAL),
    "log_normal": Distribution((), "share", _BELL, _LOG_NORMAL),
    "q_log_normal": Distribution((), "share", _BELL | _Q, _LOG_NORMAL),
    "beta": Distribution((), "share", _SHAPE, _BETA),
    "q_beta": Distribution((), "share", _SHAPE | _Q, _BETA),
}


def quantile(domain: Domain, share: float) -> object:
    """Return the value of `domain` below which lies `share` of the probability.

    `share` is from 0 to 1, and below 1 for choices.
    """
    kind = DISTRIBUTIONS[domain.distribution]
    if kind.held_as == "weighed":
        return domain.values[_place(domain.probabilities, share)]
    if kind.scale is None:
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    if kind.held_as == "whole":
        low, high = limits(domain)
        return min(int(low) + int(share * (int(high) - int(low) + 1)), int(high))
    return _rounded(domain, _drawn(domain, kind.scale, share))


def _drawn(domain: Domain, scale: Scale, share: float) -> float:
    """Return the number below which lies `share` of the probability, before rounding."""
    if scale.shape == "beta":
        return beta_quantile(*_shape_of(domain), share)
    if scale.shape == "normal":
        mu, sigma = _shape_of(domain)
        number = mu + _STANDARD.inv_cdf(min(max(share, _EDGE), 1.0 - 2.0**-53)) * sigma
        return _exp(number) if scale.logarithmic else number
    low, high = limits(domain)
    if scale.logarithmic:
        drawn = _exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        # Both halves are weighed, since high - low may be beyond all floats.
        drawn = (1.0 - share) * low + share * high
        if domain.q is not None:
            return drawn
    return min(max(drawn, float(low)), float(high))


def share_of(domain: Domain, value: float) -> float:
    """Return the share of probability below a number of a distribution that has a density.

    The way back by `quantile` gives the same number within rounding; for choices use
    `share_of_choice`.
    """
    scale = _scale(domain)
    if scale.shape == "beta":
        return beta_share(*_shape_of(domain), value)
    if scale.logarithmic and value <= 0:
        return 0.0
    if scale.shape == "normal":
        mu, sigma = _shape_of(domain)
        number = math.log(value) if scale.logarithmic else value
        return _STANDARD.cdf((number - mu) / sigma) if sigma else 0.5
    low, high = limits(domain)
    if scale.logarithmic:
        part = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    else:
        # Halves, since high - low may be beyond all floats.
        part = (value / 2 - low / 2) / (high / 2 - low / 2)
    return min(max(part, 0.0), 1.0)


def share_of_choice(domain: Domain, index: int) -> float:
    """Return the middle of the shares of the choice at `index` of weighed choices."""
    before = math.fsum(domain.probabilities[:index])
    total = math.fsum(domain.probabilities)
    return (before + domain.probabilities[index] / 2) / total


def limits(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest value before rounding, infinite if nothing bounds it."""
    scale = _scale(domain)
    if scale.shape == "beta":
        return 0.0, 1.0
    if scale.shape == "normal":
        mu, sigma = _shape_of(domain)
        if not sigma:
            only = _exp(mu) if scale.logarithmic else mu
            return only, only
        return (0.0 if scale.logarithmic else -math.inf), math.inf
    low, high = domain.low, domain.high
    assert low is not None
    assert high is not None
    if scale.exponent is None:
        return low, high
    return (_exp(low), _exp(high)) if scale.exponent == 1 else (_exp(-high), _exp(-low))


def support(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest number that may be drawn, infinite if nothing bounds it."""
    low, high = limits(domain)
    return _rounded(domain, low), _rounded(domain, high)


def _scale(domain: Domain) -> Scale:
    scale = DISTRIBUTIONS[domain.distribution].scale
    assert scale is not None
    return scale


def _shape_of(domain: Domain) -> tuple[float, float]:
    """Return mu and sigma of a normal distribution, or a and b of a beta distribution."""
    normal = _scale(domain).shape == "normal"
    first, second = (domain.mu, domain.sigma) if normal else (domain.a, domain.b)
    assert first is not None
    assert second is not None
    return float(first), float(second)


def multiple(count: int, q: float) -> float:
    """Return `count` times q in decimal: 3 times 0.1 is 0.3. It is an int if q is one."""
    return count * q if isinstance(q, int) else float(count * Decimal(repr(q)))


def whole_steps(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest number of times q that is drawn, infinite without a bound.

    The first is above the second if there is no multiple of q in the range.
    """
    assert domain.q is not None
    low, high = limits(domain)
    ends: list[float] = []
    for bound, inwards in ((low, math.ceil), (high, math.floor)):
        to_whole: Callable[[Decimal], int] = round if domain.as_wandb else inwards
        steps = Decimal(repr(bound)) / Decimal(repr(domain.q))
        ends.append(to_whole(steps) if math.isfinite(bound) else bound)
    return ends[0], ends[1]


def _rounded(domain: Domain, number: float) -> float:
    """Return the multiple of q nearest to `number`, halves to even, that is in the range."""
    q = domain.q
    if q is None or not math.isfinite(number / q):
        return number
    count = round(number / q)
    if not domain.as_wandb:
        least, most = whole_steps(domain)
        count = int(min(max(count, least), most))  # an infinite end is never the result
    return multiple(count, q)


def _place(probabilities: tuple[float, ...], share: float) -> int:
    """Return the first place at which the running sum of probabilities is above `share`."""
    last = max(place for place, probability in enumerate(probabilities) if probability > 0)
    return min(bisect_right(list(accumulate(probabilities)), share), last)


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < _LOG_MOST else _MOST


def beta_share(a: float, b: float, x: float) -> float:
    """Return the share of Beta(a, b) below x, the regularised incomplete beta function I_x(a, b).

    The continued fraction is DLMF 8.17.22, evaluated by Lentz's method on the side of the mean
    on which it converges fast. `a` and `b` are above 0.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_share(b, a, 1.0 - x) if 1.0 - x < 1.0 else 0.0
    log_front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    log_front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 2000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 + term * d
            c = 1.0 + term / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return math.exp(log_front) * fraction


def beta_quantile(a: float, b: float, share: float) -> float:
    """Return the x at which `beta_share` is `share`, by bisection down to neighbouring floats."""
    if share <= 0.0 or share >= 1.0:
        return 0.0 if share <= 0.0 else 1.0
    low, high = sys.float_info.min, 1.0
    if beta_share(a, b, low) >= share:
        return low
    while True:
        # A small a puts much of the probability next to 0: halve the exponent there.
        middle = math.sqrt(low * high) if high > 4.0 * low else (low + high) / 2.0
        if not low < middle < high:
            return high
        if beta_share(a, b, middle) < share:
            low = middle
        else:
            high = middle
