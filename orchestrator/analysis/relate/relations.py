"""How ranked trials compare with the baseline, with references and with earlier stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.analysis.chance import Replicates, against_the_best
from orchestrator.analysis.chance.best import MOST_ROWS
from orchestrator.analysis.chance.choice import (
    Overtuning,
    cheapest_of_the_best,
    expected_range,
    overtuning,
    overtuning_note,
)
from orchestrator.analysis.chance.power import power_notes
from orchestrator.analysis.chance.samples import MOST_ELEMENTS
from orchestrator.analysis.measure.row import NO_SWEEP, Comparison, Difference, Row
from orchestrator.analysis.relate.interaction import interaction
from orchestrator.analysis.relate.noise import between_runs, rank_correlation
from orchestrator.analysis.relate.references import default_row, reference_rows, to_references
from orchestrator.metrics import unit as metric_unit

BASELINE = "baseline"
_LEAST_COST = 0.005  # of a value, that choosing it is worth a note
_MOST_TRIALS = 500  # whose parameters are examined

Judged = tuple[list[Row], list[str], tuple[float, float] | None]
"""Rows with intervals and ties, sentences, and where the best is expected on other samples."""

_Numbered = Mapping[tuple[Path, int], Row]
"""Folder of a sweep and number of a trial to the row that the trial is in."""


def relate(
    ranked: Comparison,
    *,
    top: int | None = None,
    select: str | None = None,
    power: float | None = None,
    judged: Callable[..., Judged] | None = None,
) -> Comparison:
    """Return the best `top` rows (None: all) with differences and earlier stages, and notes.

    `judged` is for a caller that remembers runs: it is called with a function that judges the
    rows by chance, the rows that it returns, all rows, and what else the result depends on.
    """
    rows, metric = ranked.rows, ranked.sort_by
    references, problems = reference_rows(rows)
    numbered = {
        (row.info.path, member.lineage.number): row
        for row in rows
        if row.info is not NO_SWEEP
        for member in (row, *row.members)
        if member.lineage.number is not None
    }
    baselines = {
        row.info.path: row for row in rows if row.info.has_baseline and not row.lineage.change
    }
    replicates = {row.rank: Replicates(row, metric) for row in rows}
    related = []
    # What is selected may come after the rows that are shown.
    for row in rows if top is None or select else rows[:top]:
        differences = dict(to_references(row, references))
        base = baselines.get(row.info.path)
        if base is not None and base is not row and row.lineage.stage == base.lineage.stage:
            found = _to_baseline(replicates[row.rank], replicates[base.rank])
            if found is not None:
                unit = metric_unit(metric, row.kind)
                differences[BASELINE] = {metric: replace(found, unit=unit)}
        earlier = _earlier(row, numbered, metric)
        related.append(replace(row, differences=differences, earlier=earlier))
    course = overtuning(rows, metric, ranked.goal)

    def judge() -> Judged:
        shown, sentences = against_the_best(related, replicates)
        expected = expected_range(list(replicates.values())[:MOST_ROWS], ranked.goal)
        sentences += filter(None, _choice_notes(ranked, replicates, expected, course))
        sentences += _interaction_note(rows, metric)
        return shown, sentences, expected

    settings = metric, ranked.goal, len(related)
    related, sentences, expected = (
        judge() if judged is None else judged(judge, related, rows, *settings)
    )
    selected, why = _selected(related, select, metric)
    notes = [
        *sentences,
        *why,
        *(power_notes(replicates, power, MOST_ROWS) if power is not None else ()),
        *_noise_note(related, ranked.goal),
        *_stage_notes(rows, numbered, metric),
        *problems,
    ]
    return replace(
        ranked,
        rows=tuple(related[:top]),
        references=references + default_row(rows, metric),
        notes=(*ranked.notes, *notes),
        expected=expected,
        overtuning=course,
        selected=selected,
    )


def _interaction_note(rows: Sequence[Row], metric: str) -> Iterator[str]:
    last = [row for row in rows if row.lineage.stage == rows[0].lineage.stage]
    last = last[:: max(1, len(last) // _MOST_TRIALS)]  # evenly over the ranks
    if len({row.info.path for row in last}) == 1 and (found := interaction(last, metric)):
        one, two = found.names
        yield (
            f"The best {one} depends on {two}: only together they explain "
            f"{100 * found.share:.0f} % of the variance of {metric} over {found.n_trials} trials."
        )


def _choice_notes(
    ranked: Comparison,
    replicates: Mapping[int, Replicates],
    expected: tuple[float, float] | None,
    course: Overtuning | None,
) -> Iterator[str]:
    """Yield what choosing the best of many costs, and whether the search was overtuned."""
    if expected is not None:
        best = replicates[1]
        cost = max(abs(each - best.value) for each in expected)
        if cost > _LEAST_COST * abs(best.value):
            low, high, value = (f"{each:.3g}" for each in (*expected, best.value))
            span = low if low == high else f"{low} to {high}"
            of = metric_unit(ranked.sort_by, best.row.kind)
            yield (
                f"{best.row.trial} was picked as the best of {len(replicates)}: expect {span}"
                f"{f' {of}' if of else ''} on other {best.what}, not {value}."
            )
    if course is not None:
        yield overtuning_note(course, replicates)


def _selected(rows: Sequence[Row], select: str | None, metric: str) -> tuple[str, list[str]]:
    """Return the trial that a rule selects, "" for none, and why."""
    if select is None or not rows:
        return "", []
    best = rows[0]
    found = cheapest_of_the_best(rows)
    if found is None:
        return best.trial, [f"Selected {best.trial}: nothing states what the trials cost."]
    row, fact = found
    if row is best:
        others = sum(bool(other.tied) for other in rows)
        why = "no other is as good" if not others else f"none of {others} as good is cheaper"
        return best.trial, [f"Selected {best.trial}: {why} by {metric}."]
    amounts = f"{row.facts[fact]:,.4g} instead of {best.facts[fact]:,.4g}"
    what = "parameters" if fact == "parameters" else "seconds"
    return row.trial, [
        f"Selected {row.trial} (rank {row.rank}): cannot be distinguished from {best.trial} "
        f"by {metric}, and has {amounts} {what}."
    ]


def _to_baseline(ours: Replicates, theirs: Replicates) -> Difference | None:
    found = ours.minus(theirs)
    if found is not None:
        estimate, basis = found
        return Difference(estimate.value, estimate.low, estimate.high, basis)
    row, base, metric = ours.row, theirs.row, ours.metric
    if metric not in row.metrics or metric not in base.metrics:
        return None
    paired = None
    if row.run is not None and base.run is not None and not row.members and not base.members:
        paired = between_runs(row.run, base.run, metric, most_elements=MOST_ELEMENTS)
    return paired or Difference(row.metrics[metric] - base.metrics[metric])


def _promoted_from(row: Row, numbered: _Numbered) -> Row | None:
    """Return the row of the trial that was promoted to this one; None if none was."""
    if row.lineage.link != "promoted" or row.lineage.origin is None:
        return None
    return numbered.get((row.info.path, row.lineage.origin))


def _earlier(row: Row, numbered: _Numbered, metric: str) -> dict[str, float]:
    """Return what a promoted trial reached at the stages before, the first stage first."""
    found: dict[str, float] = {}
    seen = set()
    before = _promoted_from(row, numbered)
    while before is not None and before.path not in seen:
        seen.add(before.path)
        if metric in before.metrics and before.lineage.stage is not None:
            found[before.lineage.stage] = before.metrics[metric]
        before = _promoted_from(before, numbered)
    return dict(reversed(found.items()))


def _noise_note(rows: Sequence[Row], goal: str) -> Iterator[str]:
    found = [row.differences[BASELINE] for row in rows if BASELINE in row.differences]
    bases = {difference.basis for item in found for difference in item.values()}
    if not found:
        return
    better = "above" if goal == "maximize" else "below"
    sources = {
        "seeds": "the seeds (95 % interval; other samples may change more)",
        "samples": "the choice of samples (paired 95 % interval; another seed may change more)",
        "seeds and samples": "seeds and samples (95 % interval)",
    }
    bases = {basis.replace("groups", "samples") for basis in bases}
    shown = [text for basis, text in sources.items() if basis in bases]
    yield (
        f"Differences to the baseline are better {better} 0"
        + (f"; ~ marks those within the noise of {' or '.join(shown)}." if shown else ".")
    )


def _stage_notes(rows: Sequence[Row], numbered: _Numbered, metric: str) -> Iterator[str]:
    """Yield a sentence for each step between stages: whether the first foretold the second."""
    pairs: dict[tuple[Path, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        before = _promoted_from(row, numbered)
        if before is None:
            continue
        values = before.metrics.get(metric, math.nan), row.metrics.get(metric, math.nan)
        if all(map(math.isfinite, values)):
            key = row.info.path, before.lineage.stage or "", row.lineage.stage or ""
            pairs.setdefault(key, []).append(values)
    for (_, first, second), found in pairs.items():
        value, low, high = rank_correlation(*zip(*found, strict=True))
        trials = "1 trial" if len(found) == 1 else f"{len(found)} trials"
        foretold = f"{first} foretold {second} with rank correlation {value:.2f}"
        if math.isnan(value):
            yield f"Whether {first} foretold {second} cannot be told from {trials}."
        elif math.isnan(low):
            yield f"{foretold}, but {trials} are too few to trust it."
        else:
            yield f"{foretold} [{low:.2f}, {high:.2f}] over {trials}."
