"""The distributions of W&B, one record each, and values by the share of probability below them.

A random draw is a uniform number put through `quantile`; a sampler that has no such distribution
chooses the uniform number itself. ``q_`` in front of a name means that values are rounded to
multiples of q (halves to even), so that they may lie half a step outside the range. All of it is
pure Python, since a sweep file is planned without scipy.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal, Protocol

from orchestrator.sweepfile.model.spec import Domain
from orchestrator.sweepfile.space.beta import beta_quantile, beta_share

_STANDARD = NormalDist()
_EDGE = 2.0**-54  # the ends of an unbounded distribution are never drawn
_MOST = sys.float_info.max
_LOG_MOST = math.log(_MOST)


class Scale(Protocol):
    """How the numbers of a distribution with a density are spread, before they are rounded."""

    def draw(self, domain: Domain, share: float) -> float:
        """Return the number below which lies `share` of the probability."""

    def share(self, domain: Domain, value: float) -> float:
        """Return the share of probability below a number."""

    def support(self, domain: Domain) -> tuple[float, float]:
        """Return the least and greatest number, infinite if nothing bounds it."""


@dataclass(frozen=True)
class Range:
    """Evenly spread between two bounds, as they are or on a logarithmic scale.

    Attributes:
        logarithmic: True for a logarithmic scale.
        exponent: sign of the exponents of e that the bounds are; None for bounds as they are.
    """

    logarithmic: bool = False
    exponent: Literal[1, -1] | None = None

    def draw(self, domain: Domain, share: float) -> float:
        """Return the number below which lies `share` of the probability."""
        low, high = self.support(domain)
        if self.logarithmic:
            drawn = _exp(math.log(low) + share * (math.log(high) - math.log(low)))
            return min(max(drawn, float(low)), float(high))
        # Both halves are weighed, since high - low may be beyond all floats.
        drawn = (1.0 - share) * low + share * high
        return drawn if domain.q is not None else min(max(drawn, float(low)), float(high))

    def share(self, domain: Domain, value: float) -> float:
        """Return the share of probability below a number."""
        low, high = self.support(domain)
        if self.logarithmic:
            if value <= 0:
                return 0.0
            part = (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        else:
            # Halves, since high - low may be beyond all floats.
            part = (value / 2 - low / 2) / (high / 2 - low / 2)
        return min(max(part, 0.0), 1.0)

    def support(self, domain: Domain) -> tuple[float, float]:
        """Return the least and greatest number."""
        assert domain.low is not None
        assert domain.high is not None
        if self.exponent is None:
            return domain.low, domain.high
        if self.exponent == 1:
            return _exp(domain.low), _exp(domain.high)
        return _exp(-domain.high), _exp(-domain.low)


@dataclass(frozen=True)
class Normal:
    """A normal distribution of the number, or of its logarithm."""

    logarithmic: bool = False

    def draw(self, domain: Domain, share: float) -> float:
        """Return the number below which lies `share` of the probability."""
        mu, sigma = _or(domain.mu, 0.0), _or(domain.sigma, 1.0)
        score = _STANDARD.inv_cdf(min(max(share, _EDGE), 1.0 - 2.0**-53))
        number = mu + score * sigma
        return _exp(number) if self.logarithmic else number

    def share(self, domain: Domain, value: float) -> float:
        """Return the share of probability below a number."""
        mu, sigma = _or(domain.mu, 0.0), _or(domain.sigma, 1.0)
        if self.logarithmic:
            if value <= 0:
                return 0.0
            value = math.log(value)
        return _STANDARD.cdf((value - mu) / sigma) if sigma else 0.5

    def support(self, domain: Domain) -> tuple[float, float]:
        """Return the least and greatest number."""
        mu, sigma = _or(domain.mu, 0.0), _or(domain.sigma, 1.0)
        if not sigma:
            only = _exp(mu) if self.logarithmic else mu
            return only, only
        return (0.0 if self.logarithmic else -math.inf), math.inf


class Beta:
    """A beta distribution, from 0 to 1."""

    def draw(self, domain: Domain, share: float) -> float:
        """Return the number below which lies `share` of the probability."""
        return beta_quantile(_or(domain.a, 1.0), _or(domain.b, 1.0), share)

    def share(self, domain: Domain, value: float) -> float:
        """Return the share of probability below a number."""
        return beta_share(_or(domain.a, 1.0), _or(domain.b, 1.0), min(max(value, 0.0), 1.0))

    def support(self, domain: Domain) -> tuple[float, float]:
        """Return the least and greatest number."""
        return 0.0, 1.0


HeldAs = Literal["constant", "choice", "weighed", "whole", "quantised", "real", "share"]


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
    held_as: HeldAs
    defaults: dict[str, float] = field(default_factory=dict)
    scale: Scale | None = None
    in_a_grid: bool = False


_MIN_MAX = ("min", "max")
_Q = {"q": 1.0}
_BELL = {"mu": 0.0, "sigma": 1.0}
_SHAPE = {"a": 1.0, "b": 1.0}
_EVEN, _LOG, _EXP, _INVERSE = Range(), Range(True), Range(True, 1), Range(True, -1)
_NORMAL, _LOG_NORMAL, _BETA = Normal(), Normal(True), Beta()

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

    Args:
        domain: the values that may be drawn.
        share: from 0 to 1; below 1 for choices.
    """
    kind = DISTRIBUTIONS[domain.distribution]
    if kind.held_as == "weighed":
        return domain.values[_place(domain.probabilities, share)]
    if kind.scale is None:
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    if kind.held_as == "whole":
        low, high = limits(domain)
        return min(int(low) + int(share * (int(high) - int(low) + 1)), int(high))
    drawn = kind.scale.draw(domain, share)
    return drawn if domain.q is None else _rounded(drawn, domain.q)


def share_of(domain: Domain, value: float) -> float:
    """Return the share of probability below a number of a distribution that has a density.

    The way back by `quantile` gives the same number within rounding; for choices use
    `share_of_choice`.
    """
    return _scale(domain).share(domain, value)


def share_of_choice(domain: Domain, index: int) -> float:
    """Return the middle of the shares of the choice at `index` of weighed choices."""
    before = math.fsum(domain.probabilities[:index])
    total = math.fsum(domain.probabilities)
    return (before + domain.probabilities[index] / 2) / total


def limits(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest value of a range, before it is rounded."""
    assert domain.low is not None
    return _scale(domain).support(domain)


def support(domain: Domain) -> tuple[float, float]:
    """Return the least and greatest number that may be drawn, infinite if nothing bounds it."""
    low, high = _scale(domain).support(domain)
    if domain.q is None:
        return low, high
    return _rounded(low, domain.q), _rounded(high, domain.q)


def _scale(domain: Domain) -> Scale:
    scale = DISTRIBUTIONS[domain.distribution].scale
    assert scale is not None
    return scale


def _rounded(number: float, q: float) -> float:
    """Return the multiple of q nearest to `number`, halves to even; an int if q is one."""
    if not math.isfinite(number / q):
        return number
    return round(number / q) * q


def _place(probabilities: tuple[float, ...], share: float) -> int:
    """Return the first place at which the running sum of probabilities is above `share`."""
    total = 0.0
    last = 0
    for place, probability in enumerate(probabilities):
        total += probability
        if probability > 0:
            last = place
            if share < total:
                return place
    return last


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < _LOG_MOST else _MOST
