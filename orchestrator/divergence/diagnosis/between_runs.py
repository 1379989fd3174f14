"""What the runs of a sweep show together: which parameter separates the sound from the lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.series import number

LEAST_EACH = 2
"""Least number of runs on each side of a boundary."""


@dataclass(frozen=True)
class RunSummary:
    """One run of a sweep: its name in messages, its parameters, and whether it diverged."""

    label: str
    config: Mapping[str, Any]
    is_lost: bool


def compare_runs(runs: Sequence[RunSummary]) -> list[str]:
    """Return what the runs show together, in sentences; empty if they show nothing."""
    lost = [run for run in runs if run.is_lost]
    sound = [run for run in runs if not run.is_lost]
    if not lost:
        return []
    if not sound:
        text = f"All {len(lost)} runs diverged: the cause is what they have in common, not what "
        return [f"{text}the sweep varies."] if len(lost) >= LEAST_EACH else []
    names = dict.fromkeys(name for run in runs for name in run.config)
    varied = [name for name in names if len({_key(run, name) for run in runs}) > 1]
    boundaries: dict[str, str] = {}
    if min(len(lost), len(sound)) >= LEAST_EACH:
        found = {name: _boundary(name, lost, sound) for name in varied}
        boundaries = {name: text for name, text in found.items() if text is not None}
    texts = []
    if boundaries:
        text = (
            f"Stable only {' or '.join(boundaries.values())}: none of the {len(sound)} runs there "
            f"diverged, all {len(lost)} others did."
        )
        if len(boundaries) > 1:
            text += (
                f" {' and '.join(boundaries)} changed together, so neither is proven: hold one of "
                "them fixed."
            )
        texts.append(text)
    return texts + _pairs(lost, sound, varied)


def _key(run: RunSummary, name: str) -> str:
    """Return a parameter so that equal values are equal: 1 is 1.0, but not True."""
    value: Any = run.config.get(name)
    return repr(float(value)) if _is_number(value) else repr(value)


def _shown(run: RunSummary, name: str) -> str:
    value: Any = run.config.get(name)
    return number(value) if _is_number(value) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _boundary(name: str, lost: Sequence[RunSummary], sound: Sequence[RunSummary]) -> str | None:
    """Return for which values of `name` runs are sound, if that separates all of them."""
    bad: list[Any] = [run.config.get(name) for run in lost]
    good: list[Any] = [run.config.get(name) for run in sound]
    if all(_is_number(value) for value in (*bad, *good)):
        low, high = [float(value) for value in good], [float(value) for value in bad]
        if max(low) < min(high):
            return f"at {name} ≤ {number(max(low))}"
        if max(high) < min(low):
            return f"at {name} ≥ {number(min(low))}"
    shown = {_key(run, name): _shown(run, name) for run in sound}
    if len(shown) <= 3 and not any(_key(run, name) in shown for run in lost):
        return f"with {name} {' or '.join(shown.values())}"
    return None


def _pairs(
    lost: Sequence[RunSummary], sound: Sequence[RunSummary], varied: Sequence[str]
) -> list[str]:
    """Name the sound runs that differ least from lost ones; at most three sentences."""
    keys = [tuple(_key(run, name) for name in varied) for run in sound]
    # Of all sound runs with equal values but for one parameter, the first.
    but_one: dict[tuple[int, tuple[str, ...]], int] = {}
    for order, key in enumerate(keys):
        for index in range(len(varied)):
            but_one.setdefault((index, key[:index] + key[index + 1 :]), order)
    same = set(keys)
    found: list[str] = []
    proven: set[tuple[str, str, str]] = set()
    for run in lost:
        own = tuple(_key(run, name) for name in varied)
        if own in same:
            continue  # the same config, another seed
        near = [but_one.get((i, own[:i] + own[i + 1 :])) for i in range(len(varied))]
        place = min((one for one in near if one is not None), default=None)
        if place is None and len(lost) > 1:
            continue
        if place is None:
            distances = [sum(a != b for a, b in zip(own, key, strict=True)) for key in keys]
            place = distances.index(min(distances))
        nearest = sound[place]
        names = [name for name, a, b in zip(varied, own, keys[place], strict=True) if a != b]
        if len(names) == 1:
            name, good, bad = names[0], _shown(nearest, names[0]), _shown(run, names[0])
            if (name, good, bad) in proven:
                continue
            proven.add((name, good, bad))
            found.append(
                f"{nearest.label} differs from {run.label} only in {name} ({good}, not {bad}) and "
                f"did not diverge: {name} is the cause."
            )
        elif len(names) == 2:
            found.append(
                f"{nearest.label} did not diverge and differs from {run.label} in {names[0]} and "
                f"{names[1]}: they changed together, so neither is proven."
            )
    return found[:3]
