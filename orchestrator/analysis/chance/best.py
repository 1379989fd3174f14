"""Which runs chance alone may separate from the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.analysis.chance.confidence import Estimate
from orchestrator.analysis.chance.permutation import least_p_value
from orchestrator.analysis.chance.replicates import SEEDS, Replicates
from orchestrator.analysis.chance.student import LEVEL, holm
from orchestrator.analysis.measure.row import Interval, Row
from orchestrator.metrics import unit

MOST_ROWS = 40
"""Later rows get no interval: a table must not take long."""


def against_the_best(
    rows: Sequence[Row], replicates: Mapping[int, Replicates]
) -> tuple[list[Row], list[str]]:
    """Return rows with their intervals and whether they are tied with the first, and a sentence.

    Rows are compared with the first one sample by sample, if both predicted the same samples, and
    by the means of their seeds, if both ran with several. The comparisons are corrected by Holm's
    method.

    Args:
        rows: ranked, best first; all that are shown.
        replicates: rank to the metric of a row, for all rows: the best was chosen among them.
    """
    rows = list(rows)
    first = rows[0] if rows else None
    if first is None or not math.isfinite(replicates[first.rank].value):
        return rows, []
    compared = [replicates[row.rank] for row in rows[:MOST_ROWS]]
    best = compared[0]
    n_pairs = len(replicates) * (len(replicates) - 1) // 2  # the best was chosen by the data
    found = {}
    for place, own in enumerate(compared[1:], 1):
        same_stage = own.row.lineage.stage == best.row.lineage.stage
        difference = own.minus(best) if same_stage else None
        if difference is None:
            continue
        is_exact = math.isnan(difference[0].low)
        if not is_exact or least_p_value(best.n_groups) * n_pairs <= 1.0 - LEVEL:
            found[place] = difference
    p_values = {place: estimate.p_value for place, (estimate, _) in found.items()}
    distinct = holm(p_values, n_pairs)
    elsewhere = [
        each.row.trial
        for place, each in enumerate(compared)
        if place not in found and best.n_groups and each.n_groups and not each.has_samples_of(best)
    ]
    shown = []
    for place, row in enumerate(rows):
        known = compared[place].interval() if place < len(compared) else None
        interval = None if known is None else Interval(known[0].low, known[0].high, known[1])
        tied = place not in distinct if place in found else None
        shown.append(replace(row, interval=interval, tied=tied))
    notes = [*_sentence(shown, found, compared), *_problems(compared)]
    if elsewhere:
        notes.append(
            f"{_names(elsewhere)} predicted other samples than {first.trial}, or in another order "
            "or other groups, so what chance explains is unknown."
        )
    return shown, notes


def _names(trials: Sequence[str]) -> str:
    return f"{trials[0]}{f' and {len(trials) - 1} more' if len(trials) > 1 else ''}"


def _problems(compared: Sequence[Replicates]) -> list[str]:
    """Return which rows have arrays that cannot be drawn, for each reason."""
    rows: dict[str, list[str]] = {}
    for each in compared:
        for problem in dict.fromkeys(run.problem for run in each.runs if run.problem):
            rows.setdefault(problem, []).append(each.row.trial)
    return [
        f"No 95 % interval over samples of {_names(names)}: {problem}."
        for problem, names in rows.items()
    ]


def _sentence(
    rows: Sequence[Row],
    found: Mapping[int, tuple[Estimate, str]],
    compared: Sequence[Replicates],
) -> list[str]:
    """Return what the marks mean, with the difference of the first two rows as an example."""
    best = compared[0]
    no_interval = f"No 95 % interval over {best.what}: {best.doubt}." if best.doubt else ""
    if not found:
        return (
            [f"{no_interval} Differences are not judged."] if best.doubt and len(rows) > 1 else []
        )
    place = min(found)
    (each, basis), leader, other = found[place], rows[0], rows[place]
    metric, of = best.metric, unit(best.metric, leader.kind)
    of = f" {of}" if of else ""
    most_seeds = max(len(one.values) for one in (best, compared[place]))
    how, caveat = _scope(best, basis, most_seeds)
    span = f"95 % {each.low:.2g} to {each.high:.2g}, {how}"
    if math.isnan(each.low):
        span = f"exact test of {2**best.n_groups} swaps, p = {each.p_value:.2g}, {how}"
    # The interval is that of one comparison; the mark is corrected for all.
    is_corrected = other.tied and (each.low > 0 or each.high < 0 or each.p_value <= 1 - LEVEL)
    all_pairs = "; after correction for all pairs" if is_corrected else ""
    numbers = f"difference {each.value:.2g}{of}, {span}{all_pairs}"
    n_tied = sum(row.tied is True for row in rows)
    if other.tied:
        more = f" The same is true of {n_tied - 1} more (≈)." if n_tied > 1 else ""
        text = f"{leader.trial} and {other.trial} cannot be told apart by {metric} ({numbers})."
        return [f"{text}{more}{caveat}", *filter(None, [no_interval])]
    rest = f" {n_tied} later ones (≈) cannot be distinguished from the best." if n_tied else ""
    text = f"{leader.trial} is better than {other.trial} by more than chance ({numbers})."
    return [f"{text}{rest}{caveat}", *filter(None, [no_interval])]


def _scope(best: Replicates, basis: str, most_seeds: int) -> tuple[str, str]:
    """Return what an interval is over, and what it does not cover, as a sentence or ""."""
    seeds = f"{most_seeds} seeds"
    if basis == SEEDS:
        return f"over {seeds}", " Other samples may change more than that."
    samples = f"{best.n_groups} {best.what}"
    if basis.startswith(SEEDS):
        return f"over {seeds} and {samples}", ""
    return f"paired over {samples}", " Another seed may change more than that."
