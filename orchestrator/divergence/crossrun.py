"""What the runs of one sweep say together: which parameter parts the sound from the lost.

One run never tells a cause. Several do where they differ in one thing alone; where two parameters
changed together, neither is proven, and that is said as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.wording import number

LEAST_EACH = 2
"""Sound and lost runs that a boundary needs on each side of it."""


@dataclass(frozen=True)
class Seen:
    """One run of a sweep.

    Attributes:
        label: what people call it.
        config: its parameters.
        is_lost: True where it diverged.
    """

    label: str
    config: Mapping[str, Any]
    is_lost: bool


def compare_runs(runs: Sequence[Seen]) -> list[str]:
    """Return what the runs say together, in sentences; empty where they say nothing."""
    lost = [run for run in runs if run.is_lost]
    sound = [run for run in runs if not run.is_lost]
    if not lost or not sound:
        if len(lost) >= LEAST_EACH:
            return [
                f"All {len(lost)} runs diverged: what they have in common is at fault, not what "
                "the sweep varies."
            ]
        return []
    varied = _varied(runs)
    boundaries = {
        name: text
        for name in varied
        if (text := _boundary(name, lost, sound)) is not None
        and min(len(lost), len(sound)) >= LEAST_EACH
    }
    told = []
    if len(boundaries) == 1:
        (text,) = boundaries.values()
        told.append(f"Stable only {text}: {_counts(lost, sound)}.")
    elif boundaries:
        names = " and ".join(boundaries)
        ways = " or ".join(boundaries.values())
        told.append(
            f"Stable only {ways}: {_counts(lost, sound)}. {names} changed together, so neither "
            "is proven: hold one of them fixed."
        )
    told += _pairs(lost, sound, varied)
    return told


def _varied(runs: Sequence[Seen]) -> list[str]:
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


def _boundary(name: str, lost: Sequence[Seen], sound: Sequence[Seen]) -> str | None:
    """Return for which values of `name` runs are sound, where that parts all of them."""
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


def _counts(lost: Sequence[Seen], sound: Sequence[Seen]) -> str:
    return f"all {len(sound)} runs there are sound, all {len(lost)} others diverged"


def _pairs(lost: Sequence[Seen], sound: Sequence[Seen], varied: Sequence[str]) -> list[str]:
    """Name the sound runs that differ least from lost ones."""
    told: list[str] = []
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
            told.append(
                f"{nearest.label} differs from {run.label} only in {name} ({values[0]}, not "
                f"{values[1]}) and is sound: {name} is the cause."
            )
        elif len(names) == 2 and not told and len(lost) == 1:
            told.append(
                f"{nearest.label} is sound and differs from {run.label} in {names[0]} and "
                f"{names[1]}: they changed together, so neither is proven."
            )
    return told[:3]


def _different(one: Seen, other: Seen, varied: Sequence[str]) -> list[str]:
    return [name for name in varied if _key(one.config.get(name)) != _key(other.config.get(name))]
