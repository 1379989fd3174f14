"""The incomplete beta function and its inverse, in pure Python."""

from __future__ import annotations

import math
import sys


def beta_share(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), the share of Beta(a, b) below x.

    The continued fraction is DLMF 8.17.22, evaluated by Lentz's method on the side of the mean
    on which it converges fast.

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
