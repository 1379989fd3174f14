"""Two runs, or two sweep files, side by side as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli.render.text import (
    LONGEST_CELL,
    Column,
    clean,
    draw,
    filled,
    number,
    numbers,
    plural,
    short_path,
    terminal_width,
    wrapped,
)

if TYPE_CHECKING:
    from orchestrator.analysis.relate import MetricPair, RunDiff, Separation
    from orchestrator.runs.read import StoredRun

LISTED = 12
"""Metrics, curves and effective values that are shown at most without ``--all``."""


def render_runs(found: RunDiff, *, everything: bool = False) -> str:
    """Return two runs side by side as text."""
    lines = [f"{side}: {_about(run)}" for side, run in (("A", found.a), ("B", found.b))]
    one = len(found.config) == 1
    differ = f"{plural(len(found.config), 'parameter')} {'differs' if one else 'differ'}"
    same = f"{found.n_same} {'is' if found.n_same == 1 else 'are'} the same"
    lines += ["", f"Config: {differ}, {same}."]
    if found.config:
        names = [clean(pair.name, LONGEST_CELL) for pair in found.config]
        cells = [
            [_value(getattr(pair, side), pair.only_in not in (None, side)) for pair in found.config]
            for side in ("a", "b")
        ]
        lines.append(_table(Column("parameter", names), cells))
    if found.metrics:
        lines += _metrics(found, everything)
    if found.curves:
        lines += _curves(found, everything)
    if found.effective:
        kept, more = _kept(found.effective, everything)
        sides = [
            numbers(
                f"{side} {kind}",
                [number(getattr(one, f"{side.lower()}_{kind}"), 6) for one in kept],
            )
            for side in "AB"
            for kind in ("requested", "effective")
        ]
        head = Column("value", [clean(one.name, LONGEST_CELL) for one in kept])
        lines += ["", "Effective values that differ, or are not as requested:"]
        lines += [draw([head, *filled(*sides)]), *more]
    if found.facts:
        cells = [[number(getattr(pair, side)) for pair in found.facts] for side in ("a", "b")]
        lines += ["", _table(Column("run", [pair.name for pair in found.facts]), cells)]
    lines += ["", *(clean(f"Note: {note}") for note in found.notes)] if found.notes else []
    return "\n".join(lines)


def render_files(names: Sequence[str], rows: Sequence[tuple[str, str | None, str | None]]) -> str:
    """Return the differences of two sweep files, rows of key and both values, as text."""
    lines = [f"{side}: {clean(name)}" for side, name in zip("AB", names, strict=True)]
    if not rows:
        return "\n".join([*lines, "", "They mean the same."])
    keys = Column("key", [clean(key, LONGEST_CELL) for key, *_ in rows])
    room = max(20, (terminal_width() - keys.width) // 2 - 2)
    cells = [[clean(row[side] or "-", room) for row in rows] for side in (1, 2)]
    sides = [Column(side, shown) for side, shown in zip("AB", cells, strict=True)]
    differ = plural(len(rows), "key")
    return "\n".join([*lines, "", f"{differ} differ.", draw([keys, *sides])])


def _about(run: StoredRun) -> str:
    state = f" ({run.state})" if run.state else ""
    return clean(f"{short_path(run.path)}{state}")


def _value(value: Any, is_missing: bool = False) -> str:
    if is_missing:
        return "-"
    return "null" if value is None else clean(number(value, 6), LONGEST_CELL)


def _table(head: Column, cells: Sequence[Sequence[str]]) -> str:
    return draw([head, *(numbers(side, shown) for side, shown in zip("AB", cells, strict=True))])


def _kept(items: Sequence[Any], everything: bool) -> tuple[Sequence[Any], list[str]]:
    """Return the items that are shown, and a line on the others."""
    kept = items if everything else items[:LISTED]
    more = len(items) - len(kept)
    return kept, [f"… and {more} more: --all, or --json."] if more else []


def _metrics(found: RunDiff, everything: bool) -> list[str]:
    metrics, more = _kept(found.metrics, everything)
    at = f"step {found.at[5:]}" if found.at.startswith("step:") else f"{found.at} report"
    lines = ["", f"Metrics (of logged ones the {at}):", _metric_table(metrics), *more]
    if any(pair.difference and pair.difference.is_noise is not None for pair in metrics):
        lines.append("Intervals: paired, over the choice of samples; another seed may change more.")
    if found.seeds:
        seeds, more = _kept(found.seeds, everything)
        counts = " and ".join(map(str, found.n_seeds))
        lines += ["", f"Means over the seeds of both configs ({counts}):", _metric_table(seeds)]
        lines += more
    return lines


def _metric_table(metrics: Sequence[MetricPair]) -> str:
    intervals = []
    for pair in metrics:
        one = pair.difference
        is_known = one is not None and one.is_noise is not None
        intervals.append(f"[{one.low:+.3g}, {one.high:+.3g}]" if one and is_known else "-")
    shown = [
        "-" if pair.difference is None else f"{pair.difference.value:+.3g}" for pair in metrics
    ]
    better = [
        pair.better.upper()
        if pair.better
        else ("~" if pair.difference is not None and pair.difference.is_noise else "-")
        for pair in metrics
    ]
    columns = [
        Column("metric", [clean(pair.name, LONGEST_CELL) for pair in metrics]),
        numbers("A", [number(pair.a, padded=True) for pair in metrics]),
        numbers("B", [number(pair.b, padded=True) for pair in metrics]),
        numbers("B - A", shown),
        *filled(numbers("95 % interval", intervals)),
        *filled(Column("better", better)),
    ]
    return draw(columns)


def _curves(found: RunDiff, everything: bool) -> list[str]:
    names, more = _kept(list(found.curves), everything)
    width = terminal_width()
    shown = [wrapped(f"{clean(n)}: {_separated(found.curves[n])}.", width, "  ") for n in names]
    return ["", "Curves:", *shown, *more]


def _separated(one: Separation) -> str:
    """Return where two curves separate, as text."""
    if one.last is None:
        return "no step is in both"
    last, *ends = one.last
    end = f"{number(ends[0])} and {number(ends[1])} at step {last}"
    if one.same_until == last:
        return f"the same at all {plural(one.common, 'common step')}"
    parts = [] if one.same_until is None else [f"the same until step {one.same_until}"]
    if one.step is None or one.values is None:
        crossing = "" if one.crossing is None else f", they cross before step {one.crossing}"
        return "; ".join([*parts, f"they do not separate beyond their scatter{crossing} ({end})"])
    broken = [
        side for side, value in zip("AB", one.values, strict=True) if not math.isfinite(value)
    ]
    if broken:
        return "; ".join([*parts, f"{broken[0]} is not finite from step {one.step} on"])
    first = f"{number(one.values[0])} and {number(one.values[1])}"
    at = "" if one.step == last else f"{first} there, "
    return "; ".join([*parts, f"{one.lower.upper()} is lower from step {one.step} on ({at}{end})"])
