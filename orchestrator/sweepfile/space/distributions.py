"""Values of a domain by the share of probability below them, and back.

A random draw is a uniform number put through `quantile`; a sampler that knows no such distribution
chooses the uniform number itself. The distributions are W&B's: the name says how a value is drawn,
``q_`` in front that it is rounded to multiples of q (halves to even), so that it may lie half a
step outside its range. All of it is pure Python, since a sweep file is planned without scipy.
"""

from __future__ import annotations

import math
import sys
from statistics import NormalDist

from orchestrator.sweepfile.model.spec import Domain

_STANDARD = NormalDist()
_EDGE = 2.0**-54  # the ends of an unbounded distribution are never drawn
_MOST = sys.float_info.max
_LOG_MOST = math.log(_MOST)


def quantile(domain: Domain, share: float) -> object:
    """Return the value of `domain` below which lies `share` of the probability.

    Args:
        domain: the values that may be drawn.
        share: from 0 to 1; below 1 for choices.
    """
    kind = domain.distribution
    if kind in ("constant", "categorical"):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    if kind == "categorical_w_probabilities":
        return domain.values[_place(domain.probabilities, share)]
    if kind == "int_uniform":
        low, high = limits(domain)
        return min(int(low) + int(share * (int(high) - int(low) + 1)), int(high))
    drawn = _drawn(domain, share)
    return drawn if domain.q is None else rounded(drawn, domain.q)


def share_of(domain: Domain, value: float) -> float:
    """Return the share of probability below a number of a distribution that has a density.

    The way back by `quantile` gives the same number within rounding; for choices use
    `share_of_choice`.
    """
    kind = domain.distribution.removeprefix("q_")
    if kind == "normal":
        return _normal_share(domain, value)
    if kind == "log_normal":
        return _normal_share(domain, math.log(value)) if value > 0 else 0.0
    if kind == "beta":
        return beta_share(_or(domain.a, 1.0), _or(domain.b, 1.0), min(max(value, 0.0), 1.0))
    low, high = limits(domain)
    if is_logarithmic(domain):
        if value <= 0:
            return 0.0
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


def is_logarithmic(domain: Domain) -> bool:
    """Tell whether a range is drawn evenly on a logarithmic scale."""
    return "log_uniform" in domain.distribution


def limits(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest value of a range, before it is rounded.

    ``log_uniform`` and ``q_log_uniform`` hold exponents of e, ``inv_log_uniform`` negated ones.
    """
    assert domain.low is not None
    assert domain.high is not None
    if domain.distribution in ("log_uniform", "q_log_uniform"):
        return _exp(domain.low), _exp(domain.high)
    if domain.distribution == "inv_log_uniform":
        return _exp(-domain.high), _exp(-domain.low)
    return domain.low, domain.high


def support(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest number that may be drawn, infinite where nothing bounds it."""
    kind = domain.distribution.removeprefix("q_")
    if kind in ("normal", "log_normal"):
        mu, spread = _or(domain.mu, 0.0), _or(domain.sigma, 1.0)
        low, high = (-math.inf, math.inf) if spread else (mu, mu)
        if kind == "log_normal":
            low, high = (0.0, math.inf) if spread else (_exp(mu), _exp(mu))
    elif kind == "beta":
        low, high = 0.0, 1.0
    else:
        low, high = limits(domain)
    if domain.q is None:
        return low, high
    return rounded(low, domain.q), rounded(high, domain.q)


def rounded(number: float, q: float) -> float:
    """Return the multiple of q nearest to `number`, halves to even; an int where q is one."""
    if not math.isfinite(number / q):
        return number
    return round(number / q) * q


def _drawn(domain: Domain, share: float) -> float:
    kind = domain.distribution.removeprefix("q_")
    if kind in ("normal", "log_normal"):
        score = _STANDARD.inv_cdf(min(max(share, _EDGE), 1.0 - 2.0**-53))
        number = _or(domain.mu, 0.0) + score * _or(domain.sigma, 1.0)
        return number if kind == "normal" else _exp(number)
    if kind == "beta":
        return beta_quantile(_or(domain.a, 1.0), _or(domain.b, 1.0), share)
    low, high = limits(domain)
    if is_logarithmic(domain):
        drawn = _exp(math.log(low) + share * (math.log(high) - math.log(low)))
        return min(max(drawn, float(low)), float(high))
    # Both halves are weighed, since high - low may be beyond all floats.
    drawn = (1.0 - share) * low + share * high
    return drawn if domain.q is not None else min(max(drawn, float(low)), float(high))


def _place(probabilities: tuple[float, ...], share: float) -> int:
    """Return the first place whose running sum of probabilities is above `share`."""
    total = 0.0
    last = 0
    for place, probability in enumerate(probabilities):
        total += probability
        if probability > 0:
            last = place
            if share < total:
                return place
    return last


def _normal_share(domain: Domain, number: float) -> float:
    spread = _or(domain.sigma, 1.0)
    if not spread:
        return 0.5
    return _STANDARD.cdf((number - _or(domain.mu, 0.0)) / spread)


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < _LOG_MOST else _MOST


def beta_share(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), the share of Beta(a, b) below x.

    The continued fraction is DLMF 8.17.22, evaluated by Lentz's method on the side of the mean
    where it converges fast.

    Args:
        a: above 0.
        b: above 0.
        x: from 0 to 1.
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
