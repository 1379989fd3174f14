"""Metrics of one run, recomputed from the arrays that it left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.metrics import ArrayProblem, evaluate, is_known_kind, regression_metrics
from orchestrator.runs.foreign import ROLES, SPLITS
from orchestrator.runs.read import StoredRun, open_run

_SPLIT_NAMES = {"val": "validation", "train": "training"}


@dataclass(frozen=True)
class Evaluation:
    """The metrics that the arrays of one run give.

    Attributes:
        metrics: bare names from the test arrays (``mae``, ``t20_mae``), ``val_`` names from the
            validation arrays and ``train_`` names from the training arrays, if there are any.
        kind: what the arrays are, or None if nothing states it.
        problems: what could not be computed though the test arrays are good: validation arrays
            that cannot be used, metrics of a kind that the arrays do not fit.
    """

    metrics: Mapping[str, float]
    kind: str | None = None
    problems: tuple[str, ...] = ()


def evaluate_run(
    path: Path, *, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Return the metrics of the run folder `path`; see `evaluation_of`."""
    return dict(evaluation_of(open_run(path), kind=kind, data=data).metrics)


def evaluation_of(
    run: StoredRun, *, kind: str | None = None, data: Mapping[str, Any] | None = None
) -> Evaluation:
    """Recompute the metrics of a run.

    Args:
        run: one with predictions and targets, of ours or of another tool.
        kind: what the arrays are if the run itself does not state it, as ``"decay_curve"``; None
            for the metrics of any arrays only.
        data: what else is known about arrays of that `kind`, as ``{"rate_hz": 48000}``; what the
            run states is stronger.

    Raises:
        ArrayProblem: the test arrays are missing or unreadable, their shapes differ, they hold
            values that are not finite, or are sequences of a kind that has no metrics for them.
    """
    known = run.data
    declared = known.get("kind")
    problems = []
    if declared is not None and not is_known_kind(declared) and declared != "regression":
        problems.append(f"its arrays are of the kind '{declared}', which has no metrics here")
    kind = kind if declared is None else declared
    places = run.folder.places
    splits = [split for split in SPLITS if any((split, role) in places for role in ROLES)]
    metrics: dict[str, float] = {}
    for split in splits or ["test"]:
        prefix = "" if split == "test" else f"{split}_"
        try:
            found = _evaluate_pair(run, split, kind, {**(data or {}), **known}, problems)
        except ArrayProblem as error:
            # Without test arrays others may be alone; next to good ones they are a remark.
            if split == "test" or len(splits) == 1:
                raise
            problems.append(f"{_SPLIT_NAMES[split]} arrays: {error}")
        else:
            metrics.update({f"{prefix}{name}": value for name, value in found.items()})
    return Evaluation(metrics, kind, tuple(dict.fromkeys(problems)))


def _evaluate_pair(
    run: StoredRun, split: str, kind: str | None, data: Mapping[str, Any], problems: list[str]
) -> dict[str, float]:
    predictions, targets = run.load_pair(split)
    try:
        return evaluate(kind, predictions, targets, data)
    except ArrayProblem as error:
        if isinstance(predictions, list) or isinstance(targets, list):
            raise
        # The pair is good, so it is only the kind that does not fit: an array of one dimension
        # called a decay curve. It can still be ranked by its errors.
        problems.append(str(error))
        return regression_metrics(predictions, targets, kind)
