"""How ranked trials compare with each other: with the baseline, references and earlier stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.measure.measuring import evaluate_run
from orchestrator.analysis.measure.row import Comparison, Difference, Row
from orchestrator.analysis.measure.targets import measured
from orchestrator.analysis.relate.noise import between_runs, between_seeds
from orchestrator.metrics import ArrayProblem, unit as metric_unit
from orchestrator.runs.foreign import metadata

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BASELINE = "baseline"
MOST_ELEMENTS = 2_000_000
"""Larger arrays are not gone through again for an interval: a table must not take long."""

_Found = Mapping[tuple[Path, int], Row]


def relate(ranked: Comparison, *, top: int | None = None) -> Comparison:
    """Return the best `top` rows with their differences and earlier stages, and notes on them.

    Args:
        ranked: all ranked rows.
        top: how many rows to keep; None for all.
    """
    rows, metric = ranked.rows, ranked.sort_by
    references, problems = reference_rows(rows)
    numbered = {
        (row.info.path, member.lineage.number): row
        for row in rows
        if row.info is not None
        for member in (row, *row.members)
        if member.lineage.number is not None
    }
    baselines = {row.info.path: row for row in rows if row.info is not None and _is_baseline(row)}
    related = []
    for row in rows if top is None else rows[:top]:
        differences = dict(_to_references(row, references))
        base = baselines.get(row.info.path) if row.info is not None else None
        if base is not None and base is not row and row.lineage.stage == base.lineage.stage:
            found = _to_baseline(row, base, metric)
            differences |= {BASELINE: {metric: found}} if found is not None else {}
        earlier = _earlier(row, numbered, metric)
        related.append(replace(row, differences=differences, earlier=earlier))
    notes = [*_noise_note(related, ranked.goal), *_foretold(rows, numbered, metric)]
    return replace(
        ranked,
        rows=tuple(related),
        references=references,
        notes=(*ranked.notes, *notes, *problems),
    )


def _is_baseline(row: Row) -> bool:
    info = row.info
    return info is not None and info.has_baseline and not row.lineage.change


def _to_baseline(row: Row, base: Row, metric: str) -> Difference | None:
    ours, theirs = row.metrics.get(metric), base.metrics.get(metric)
    if ours is None or theirs is None:
        return None
    if row.members and base.members:
        # A replicate that was pruned, or that saved nothing, may lack the metric.
        values, before = (
            [member.metrics[metric] for member in one.members if metric in member.metrics]
            for one in (row, base)
        )
        if not values or not before:
            return None
        return _in_unit(between_seeds(values, before), metric, row)
    paired = None
    if row.run is not None and base.run is not None:
        paired = between_runs(row.run, base.run, metric, most_elements=MOST_ELEMENTS)
    return _in_unit(paired or Difference(ours - theirs), metric, row)


def _in_unit(found: Difference, metric: str, row: Row) -> Difference:
    return replace(found, unit=metric_unit(metric, row.kind))


def _to_references(
    row: Row, references: Sequence[Row]
) -> Iterator[tuple[str, dict[str, Difference]]]:
    values = {**row.logged, **row.metrics}
    for reference in references:
        found = {}
        for name, known in reference.metrics.items():
            value = measured(name, values)
            if value is not None:
                found[name] = Difference(value - known, unit=metric_unit(name, row.kind))
        if found and reference.sweep == row.sweep:
            yield reference.trial, found


def _earlier(row: Row, numbered: _Found, metric: str) -> dict[str, float]:
    """Return what a promoted trial reached at the stages before, the first stage first."""
    found: dict[str, float] = {}
    seen = set()
    info, lineage = row.info, row.lineage
    while info is not None and lineage.origin is not None and lineage.link == "promoted":
        before = numbered.get((info.path, lineage.origin))
        if before is None or lineage.origin in seen:
            break
        seen.add(lineage.origin)
        if metric in before.metrics and before.lineage.stage is not None:
            found[before.lineage.stage] = before.metrics[metric]
        lineage = before.lineage
    return dict(reversed(found.items()))


def _noise_note(rows: Sequence[Row], goal: str) -> Iterator[str]:
    found = [row.differences[BASELINE] for row in rows if BASELINE in row.differences]
    bases = {difference.basis for item in found for difference in item.values()}
    if not found:
        return
    better = "above" if goal == "maximize" else "below"
    words = {
        "seeds": "the seeds (Welch's 95 % interval)",
        "samples": "the choice of samples (paired 95 % interval; another seed may change more)",
    }
    told = [words[basis] for basis in ("seeds", "samples") if basis in bases]
    yield (
        f"Differences to the baseline are better {better} 0"
        + (f"; ~ marks those within the noise of {' or '.join(told)}." if told else ".")
    )


def _foretold(rows: Sequence[Row], numbered: _Found, metric: str) -> Iterator[str]:
    """Yield a sentence for each step between stages: whether the first foretold the second."""
    pairs: dict[tuple[Path, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        lineage, info = row.lineage, row.info
        if info is None or lineage.link != "promoted" or lineage.origin is None:
            continue
        before = numbered.get((info.path, lineage.origin))
        values = [one.metrics.get(metric, math.nan) for one in (before or row, row)]
        if before is None or not all(map(math.isfinite, values)):
            continue
        key = info.path, before.lineage.stage or "", lineage.stage or ""
        pairs.setdefault(key, []).append((values[0], values[1]))
    for (_, first, second), found in pairs.items():
        result = rank_correlation([one for one, _ in found], [two for _, two in found])
        if math.isnan(result.value):
            yield f"Whether {first} foretold {second} cannot be told from {_trials(result.n)}."
        elif math.isnan(result.low):
            yield (
                f"{first} foretold {second} with rank correlation {result.value:.2f}, "
                f"but {_trials(result.n)} are too few to trust it."
            )
        else:
            yield (
                f"{first} foretold {second} with rank correlation {result.value:.2f} "
                f"[{result.low:.2f}, {result.high:.2f}] over {_trials(result.n)}."
            )


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def reference_rows(rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the references of the sweeps that `rows` are of, and what could not be read.

    The metrics of a run folder are recomputed; numbers that the file states next to it are
    stronger. References of the same name and numbers in several sweeps are one.
    """
    found: dict[tuple[str, tuple[tuple[str, float], ...]], Row] = {}
    problems: dict[str, None] = {}
    seen: set[Path] = set()
    for row in sorted(rows, key=lambda row: str(row.info.path) if row.info is not None else ""):
        if row.info is None or row.info.path in seen:
            continue
        seen.add(row.info.path)
        for name, reference in row.info.references.items():
            metrics, problem = _metrics(reference)
            if problem:
                problems[f"Reference {name}: {problem}."] = None
            if metrics:
                key = name, tuple(metrics.items())
                found[key] = Row(trial=name, path=row.info.path, sweep=row.sweep, metrics=metrics)
    return tuple(found.values()), tuple(problems)


def _metrics(reference: Any) -> tuple[dict[str, float], str]:
    if not isinstance(reference, Mapping):
        return {}, "cannot be read"
    metrics: dict[str, float] = {}
    problem = ""
    path = reference.get("path")
    if path:
        try:
            metrics = evaluate_run(Path(path))
        except ArrayProblem as error:
            problem = f"{path}: {error}"
    stated = reference.get("metrics")
    metrics |= metadata.numbers(stated) if isinstance(stated, Mapping) else {}
    return metrics, problem


FEWEST = 4
"""Below this many pairs an interval would span everything."""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of two series.

    Attributes:
        value: in [-1, 1]; NaN for fewer than two pairs, or if one series does not vary.
        low: lower end of its 95 % interval; NaN below `FEWEST` pairs.
        high: upper end.
        n: how many pairs.
    """

    value: float
    low: float
    high: float
    n: int


def rank_correlation(
    first: Sequence[float], second: Sequence[float], *, level: float = 0.95
) -> RankCorrelation:
    """Return Spearman's rank correlation of pairs, tied values sharing their mean rank.

    The interval is Fisher's, with the variance (1 + r²/2)/(n − 3) of Bonett and Wright (2000).

    Args:
        first: one value per trial at one stage; finite.
        second: the same trials at the next, in the same order.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: the numbers of values differ.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs are needed, but there are {len(first)} and {len(second)} values")
    import numpy as np

    n = len(first)
    ranks = _ranks(first), _ranks(second)
    if n < 2 or any(float(np.ptp(one)) == 0.0 for one in ranks):
        return RankCorrelation(math.nan, math.nan, math.nan, n)
    value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1.0, 1.0))
    if n < FEWEST:
        return RankCorrelation(value, math.nan, math.nan, n)
    # An exact 1 has no finite z; the nearest correlation that n ranks can have replaces it.
    bounded = min(abs(value), 1.0 - 6.0 / (n * (n * n - 1.0)))
    z = math.copysign(math.atanh(bounded), value)
    width = NormalDist().inv_cdf(0.5 + level / 2)
    half = width * math.sqrt((1.0 + bounded**2 / 2.0) / (n - 3))
    low, high = math.tanh(z - half), math.tanh(z + half)
    return RankCorrelation(value, min(low, value), max(high, value), n)


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    _, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2.0
    return np.asarray(mean_rank[places], dtype=np.float64)
