"""The sentences in which the rule gives its reasons, with the numbers behind them."""

from __future__ import annotations

import math

from orchestrator.divergence.lost_levels import Finding


def number(value: float) -> str:
    """Return `value` with four significant digits: ``"0.2847"``, ``"41.2"``, ``"1.3e+20"``."""
    return f"{value:.4g}"


def kind_of(value: float) -> str:
    """Return ``"nan"``, ``"inf"`` or ``"-inf"``."""
    if math.isnan(value):
        return "nan"
    return "inf" if value > 0 else "-inf"


def fatal_value(name: str, value: float, step: int) -> str:
    """Word a training loss that is not a number any more."""
    return f"{name} is {kind_of(value)} since step {step}"


def passing_value(name: str, value: float, since: int) -> str:
    """Word a non-finite value that may pass."""
    return f"{name} is {kind_of(value)} at step {since}, which may pass"


def lasting_value(name: str, value: float, since: int, reports: int) -> str:
    """Word a non-finite value that lasted, in a run that reports no training loss."""
    return (
        f"{name} is {kind_of(value)} since step {since}, {reports} reports running, "
        "and no training loss is reported that could tell that the run is well"
    )


def finding(name: str, found: Finding, *, sign: float) -> str:
    """Word a condition that has held long enough.

    Args:
        name: the series.
        found: the condition; its numbers are oriented.
        sign: 1.0, or -1.0 where the series is maximised and was negated.
    """
    standing = found.standing
    value, first, best = (
        number(sign * item) for item in (standing.value, standing.first, standing.best)
    )
    since = f"{_running(found.reports)} since step {found.since}"
    if found.symptom == "explosion":
        times = "ten times" if found.is_steep else "twice"
        return (
            f"{name} {value} is more than {times} its first value {first} and its best {best}"
            f"{since}"
        )
    if found.symptom == "rising":
        above = (standing.value - standing.first) / (abs(standing.first) or 1.0)
        share = f"{above:.0%}" if standing.first else number(above)
        verb = "below" if sign > 0 else "above"
        return (
            f"{name} {value} was never {verb} its first value {first} "
            f"and is {share} worse than it{since}"
        )
    return (
        f"{name} {value} has lost {min(standing.lost, 99.0):.0%} of its progress "
        f"from {first} to {best}{since}"
    )


def numbers(found: Finding, *, sign: float) -> dict[str, float]:
    """Return the numbers behind a condition, as they were reported."""
    standing = found.standing
    return {
        "value": sign * standing.value,
        "first": sign * standing.first,
        "best": sign * standing.best,
        "lost": standing.lost,
        "noise": standing.noise,
        "reports": float(found.reports),
    }


def _running(reports: int) -> str:
    return f", {reports} reports running" if reports > 1 else ""
