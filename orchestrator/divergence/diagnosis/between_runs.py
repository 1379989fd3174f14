"""What the runs of a sweep show together: which parameter separates the sound from the lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.verdict import number

LEAST_EACH = 2
"""Least number of runs on each side of a boundary."""


@dataclass(frozen=True)
class RunSummary:
    """One run of a sweep.

    Attributes:
        label: its name in messages.
        config: its parameters.
        is_lost: True if it diverged.
    """

    label: str
    config: Mapping[str, Any]
    is_lost: bool


def compare_runs(runs: Sequence[RunSummary]) -> list[str]:
    """Return what the runs show together, in sentences; empty if they show nothing."""
    lost = [run for run in runs if run.is_lost]
    sound = [run for run in runs if not run.is_lost]
    if not lost or not sound:
        if len(lost) >= LEAST_EACH:
            return [
                f"All {len(lost)} runs diverged: the cause is what they have in common, not "
                "what the sweep varies."
            ]
        return []
    varied = _varied(runs)
    boundaries = {
        name: text
        for name in varied
        if (text := _boundary(name, lost, sound)) is not None
        and min(len(lost), len(sound)) >= LEAST_EACH
    }
    found = []
    if len(boundaries) == 1:
        (text,) = boundaries.values()
        found.append(f"Stable only {text}: {_counts(lost, sound)}.")
    elif boundaries:
        names = " and ".join(boundaries)
        ways = " or ".join(boundaries.values())
        found.append(
            f"Stable only {ways}: {_counts(lost, sound)}. {names} changed together, so neither "
            "is proven: hold one of them fixed."
        )
    found += _pairs(lost, sound, varied)
    return found


def _varied(runs: Sequence[RunSummary]) -> list[str]:
    names: dict[str, None] = {}
    for run in runs:
        names.update(dict.fromkeys(run.config))
    return [name for name in names if len({_key(run.config.get(name)) for run in runs}) > 1]


def _key(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boundary(name: str, lost: Sequence[RunSummary], sound: Sequence[RunSummary]) -> str | None:
    """Return for which values of `name` runs are sound, if that separates all of them."""
    bad = [run.config.get(name) for run in lost]
    good = [run.config.get(name) for run in sound]
    if all(_is_number(value) for value in (*bad, *good)):
        low, high = (
            [float(v) for v in good if v is not None],
            [float(v) for v in bad if v is not None],
        )
        if max(low) < min(high):
            return f"at {name} ≤ {number(max(low))}"
        if max(high) < min(low):
            return f"at {name} ≥ {number(min(low))}"
    if not {_key(value) for value in bad} & {_key(value) for value in good}:
        shown = list({_key(value): value for value in good}.values())
        if len(shown) <= 3:
            return f"with {name} {' or '.join(_shown(value) for value in shown)}"
    return None


def _shown(value: Any) -> str:
    return number(value) if _is_number(value) else str(value)


def _counts(lost: Sequence[RunSummary], sound: Sequence[RunSummary]) -> str:
    return f"all {len(sound)} runs there are sound, all {len(lost)} others diverged"


def _pairs(
    lost: Sequence[RunSummary], sound: Sequence[RunSummary], varied: Sequence[str]
) -> list[str]:
    """Name the sound runs that differ least from lost ones; at most three sentences."""
    found: list[str] = []
    proven: set[tuple[str, str, str]] = set()
    for run in lost:
        nearest = min(sound, key=lambda other: len(_different(run, other, varied)))
        names = _different(run, nearest, varied)
        if len(names) == 1:
            name = names[0]
            values = _shown(nearest.config.get(name)), _shown(run.config.get(name))
            if (name, *values) in proven:
                continue
            proven.add((name, *values))
            found.append(
                f"{nearest.label} differs from {run.label} only in {name} ({values[0]}, not "
                f"{values[1]}) and is sound: {name} is the cause."
            )
        elif len(names) == 2 and not found and len(lost) == 1:
            found.append(
                f"{nearest.label} is sound and differs from {run.label} in {names[0]} and "
                f"{names[1]}: they changed together, so neither is proven."
            )
    return found[:3]


def _different(one: RunSummary, other: RunSummary, varied: Sequence[str]) -> list[str]:
    return [name for name in varied if _key(one.config.get(name)) != _key(other.config.get(name))]
