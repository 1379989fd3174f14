"""Whether two runs of a trainer are the same, and what their arrays show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trainers.recording import Broken, RecordingRun

_CLOSE = 1e-4
"""Allowed relative difference between a reported metric and one computed from saved arrays."""


def check_equal(whole: RecordingRun, other: RecordingRun, what: str) -> None:
    """Check that two runs have the same reports and arrays."""
    if [step for step, _ in whole.reports] != [step for step, _ in other.reports]:
        raise Broken(
            f"{what} reports steps {shortened([step for step, _ in other.reports])} instead of "
            f"{shortened([step for step, _ in whole.reports])}"
        )
    for (step, wanted), (_, got) in zip(whole.reports, other.reports, strict=True):
        for name, value in wanted.items():
            if not np.array_equal(value, got.get(name, math.nan), equal_nan=True):
                raise Broken(
                    f"{what} reports {name} {got.get(name)!r} at step {step} instead of {value!r}"
                )
    for split, (predictions, targets) in whole.arrays.items():
        if split not in other.arrays:
            raise Broken(f"{what} saves no arrays of {split}")
        for which, wanted_array, got_array in zip(
            ("predictions", "targets"), (predictions, targets), other.arrays[split], strict=True
        ):
            if not equal_values(wanted_array, got_array):
                raise Broken(f"{what} saves other {which} of {split}")


def same_metric(reported: float, recomputed: float) -> bool:
    """Return whether a metric is the one that was reported, up to rounding."""
    return bool(np.isclose(reported, recomputed, rtol=_CLOSE, atol=1e-7, equal_nan=True))


def equal_values(left: Any, right: Any) -> bool:
    """Return whether two arrays, or two lists of sequences, are the same."""
    if isinstance(left, list) or isinstance(right, list):
        both = isinstance(left, list) and isinstance(right, list) and len(left) == len(right)
        return both and all(map(equal_values, left, right))
    if left is None or right is None:
        return left is right
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))


def is_part(some: Any, all_of_it: Any) -> bool:
    """Return whether `some` is part of `all_of_it`: its beginning in time, or rows of it."""
    if isinstance(some, list) or isinstance(all_of_it, list):
        known = {np.asarray(item).tobytes() for item in all_of_it}
        return all(np.asarray(item).tobytes() in known for item in some)
    if some.shape[:-1] == all_of_it.shape[:-1]:
        return equal_values(some, all_of_it[..., : some.shape[-1]])
    rows = {row.tobytes() for row in np.ascontiguousarray(all_of_it)}
    return all(row.tobytes() in rows for row in np.ascontiguousarray(some))


def shortened(steps: list[int]) -> str:
    """Return the first steps and the last."""
    text = ", ".join(map(str, steps[:6]))
    return f"{text}, … {steps[-1]}" if len(steps) > 6 else text or "none"
