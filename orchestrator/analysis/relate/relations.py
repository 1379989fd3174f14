"""How ranked trials compare with the baseline, with references and with earlier stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.analysis.chance import Replicates, against_the_best
from orchestrator.analysis.chance.samples import MOST_ELEMENTS
from orchestrator.analysis.measure.measuring import evaluate_run
from orchestrator.analysis.measure.row import NO_SWEEP, Comparison, Difference, Row
from orchestrator.analysis.measure.targets import measured
from orchestrator.analysis.relate.noise import between_runs, rank_correlation
from orchestrator.metrics import ArrayProblem, unit as metric_unit
from orchestrator.runs.foreign import metadata

BASELINE = "baseline"
_Numbered = Mapping[tuple[Path, int], Row]
"""Folder of a sweep and number of a trial to the row that the trial is in."""


def relate(
    ranked: Comparison,
    *,
    top: int | None = None,
    judged: Callable[..., tuple[list[Row], list[str]]] | None = None,
) -> Comparison:
    """Return the best `top` rows (None: all) with differences and earlier stages, and notes.

    `judged` is for a caller that remembers runs: it is called with a function that judges the
    rows by chance, the rows, and what else the result depends on.
    """
    rows, metric = ranked.rows, ranked.sort_by
    references, problems = _reference_rows(rows)
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
    for row in rows if top is None else rows[:top]:
        differences = dict(_to_references(row, references))
        base = baselines.get(row.info.path)
        if base is not None and base is not row and row.lineage.stage == base.lineage.stage:
            found = _to_baseline(replicates[row.rank], replicates[base.rank])
            if found is not None:
                unit = metric_unit(metric, row.kind)
                differences[BASELINE] = {metric: replace(found, unit=unit)}
        earlier = _earlier(row, numbered, metric)
        related.append(replace(row, differences=differences, earlier=earlier))
    judge = partial(against_the_best, related, replicates)
    related, sentences = (
        judge() if judged is None else judged(judge, related, metric, len(replicates))
    )
    notes = [
        *sentences,
        *_noise_note(related, ranked.goal),
        *_stage_notes(rows, numbered, metric),
        *problems,
    ]
    return replace(
        ranked, rows=tuple(related), references=references, notes=(*ranked.notes, *notes)
    )


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


def _reference_rows(rows: Sequence[Row]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return the references of the sweeps of `rows`, and what could not be read.

    References of the same name and numbers in several sweeps are one.
    """
    found: dict[tuple[str, tuple[tuple[str, float], ...]], Row] = {}
    problems: dict[str, None] = {}
    sweeps = {row.info.path: row.info for row in rows}
    for path in sorted(sweeps, key=str):
        for name, reference in sweeps[path].references.items():
            metrics, problem = _reference_metrics(reference)
            if problem:
                problems[f"Reference {name}: {problem}."] = None
            if metrics:
                row = Row(trial=name, path=path, sweep=sweeps[path].name, metrics=metrics)
                found[name, tuple(metrics.items())] = row
    return tuple(found.values()), tuple(problems)


def _reference_metrics(reference: Any) -> tuple[dict[str, float], str]:
    """Return the metrics of a reference, those stated in the file first, and a problem or ""."""
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
