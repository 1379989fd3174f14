"""Which runs chance alone may separate from the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.analysis.chance.confidence import FEWEST_GROUPS, Estimate, estimate, holm
from orchestrator.analysis.chance.samples import MOST_ELEMENTS, SampledRun, split_of
from orchestrator.analysis.chance.seeds import between_means, interval_of_mean
from orchestrator.analysis.measure.row import Interval, Row
from orchestrator.metrics import unit

MOST_ROWS = 40
"""Later rows get no interval: a table must not take long."""


def against_the_best(
    rows: Sequence[Row], metric: str, n_trials: int | None = None
) -> tuple[list[Row], list[str]]:
    """Return rows with their intervals and whether they are tied with the first, and a sentence.

    Rows are compared with the first one sample by sample, if both predicted the same samples; rows
    of several seeds by their means. The comparisons are corrected by Holm's method.

    Args:
        rows: ranked, best first.
        metric: that ranks them.
        n_trials: among how many the first was chosen; None for all in `rows`.
    """
    rows = list(rows)
    if not rows or not math.isfinite(rows[0].metrics.get(metric, math.nan)):
        return rows, []
    n_trials = len(rows) if n_trials is None else n_trials
    if rows[0].members:
        return _by_seeds(rows, metric, n_trials)
    return _by_samples(rows, metric, n_trials)


def _by_seeds(rows: list[Row], metric: str, n_trials: int) -> tuple[list[Row], list[str]]:
    values = [[m.metrics[metric] for m in row.members if metric in m.metrics] for row in rows]
    found: dict[int, Estimate] = {}
    for place, own in enumerate(values[1:MOST_ROWS], 1):
        same_stage = rows[place].lineage.stage == rows[0].lineage.stage
        difference = between_means(own, values[0]) if same_stage else None
        if difference is not None:
            found[place] = difference
    shown = []
    distinct = _distinct(found, n_trials)
    for place, row in enumerate(rows):
        mean = interval_of_mean(values[place]) if place < MOST_ROWS else None
        interval = None if mean is None else Interval(mean.low, mean.high, "seeds")
        shown.append(replace(row, interval=interval, tied=_tied(place, found, distinct)))
    n_seeds = len(values[0])
    return shown, _sentence(shown, metric, found, f"Welch's over {n_seeds} seeds", "")


def _by_samples(rows: list[Row], metric: str, n_trials: int) -> tuple[list[Row], list[str]]:
    split, name = split_of(metric)
    samples = [
        SampledRun(row.run, split, most_elements=MOST_ELEMENTS, data={**row.data, "kind": row.kind})
        for row in rows[:MOST_ROWS]
    ]
    best = samples[0]
    of_best = best.metric(name)
    if of_best is None:
        return rows, []
    if of_best.n_groups < FEWEST_GROUPS:
        kind = "samples" if best.groups is None else "groups of samples"
        text = f"Differences are not judged: {of_best.n_groups} {kind} are too few for an interval."
        return rows, [text] if len(rows) > 1 else []
    found: dict[int, Estimate] = {}
    intervals: list[Interval | None] = []
    for place, own in enumerate(samples):
        of_own = own.metric(name)
        known = None if of_own is None else estimate(of_own)
        basis = "samples" if own.groups is None else "groups"
        intervals.append(None if known is None else Interval(known.low, known.high, basis))
        is_same_stage = rows[place].lineage.stage == rows[0].lineage.stage
        if place and of_own is not None and is_same_stage and own.has_samples_of(best):
            difference = estimate(of_own.minus(of_best))
            if difference is not None:
                found[place] = difference
    distinct = _distinct(found, n_trials)
    shown = [
        replace(
            row,
            interval=intervals[place] if place < len(intervals) else None,
            tied=_tied(place, found, distinct),
        )
        for place, row in enumerate(rows)
    ]
    is_each = best.groups is None and of_best.n_groups == best.n_samples
    what = "samples" if is_each else "groups of samples"
    return shown, _sentence(
        shown,
        metric,
        found,
        f"paired over {of_best.n_groups} {what}",
        " Another seed may change more than that.",
    )


def _distinct(found: Mapping[int, Estimate], n_trials: int) -> set[int]:
    """Return the places that differ from the best, corrected for all pairs: it was chosen."""
    p_values = {place: each.p_value for place, each in found.items()}
    return holm(p_values, n_trials * (n_trials - 1) // 2)


def _tied(place: int, found: dict[int, Estimate], distinct: set[int]) -> bool | None:
    return place not in distinct if place in found else None


def _sentence(
    rows: Sequence[Row], metric: str, found: dict[int, Estimate], how: str, caveat: str
) -> list[str]:
    """Return what the marks mean, with the difference of the first two rows as an example."""
    if not found:
        return []
    place = min(found)
    each, best, other = found[place], rows[0], rows[place]
    of = unit(metric, best.kind)
    of = f" {of}" if of else ""
    numbers = f"difference {each.value:.2g}{of}, 95 % {each.low:.2g} to {each.high:.2g}, {how}"
    if other.tied:
        n_tied = sum(row.tied is True for row in rows)
        more = f" So are {n_tied - 1} more (≈)." if n_tied > 1 else ""
        return [
            f"{best.trial} and {other.trial} cannot be told apart by {metric} ({numbers})."
            f"{more}{caveat}"
        ]
    n_tied = sum(row.tied is True for row in rows)
    rest = f" {n_tied} later ones (≈) cannot be told from the best." if n_tied else ""
    return [
        f"{best.trial} is better than {other.trial} by more than chance ({numbers}).{rest}{caveat}"
    ]
