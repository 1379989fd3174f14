"""Which metrics of a run can be computed for any choice of its samples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.metrics.own import own_metrics
from orchestrator.metrics.registry import regression_records, trainer_of
from orchestrator.metrics.resampling.per_sample import Called, Resampled, Sums, Weighted, error_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[Any] | list[NDArray[Any]]


def resampled(
    kind: str | None, predictions: Samples, targets: Samples, data: Mapping[str, Any]
) -> dict[str, Resampled]:
    """Return the metrics that can be computed for any choice of samples; arguments as `evaluate`.

    The ``resampled`` of a trainer's ``metrics.py`` takes what its ``evaluate`` takes, and returns
    for each metric per-sample statistics [N, K] with the function of their sums, or a function of
    weights [B, N].
    """
    trainer = trainer_of(kind)
    found = _own(predictions, targets, data)
    if not isinstance(predictions, list) and not isinstance(targets, list):
        statistics = error_sums(predictions, targets)
        for metric in regression_records():
            if metric.of_sums is not None:
                found[metric.name] = Sums(statistics, metric.of_sums)
    function = getattr(trainer.module, "resampled", None) if trainer is not None else None
    if function is None:
        return found
    wanted = inspect.signature(function).parameters
    try:
        of_kind = function(predictions, targets, **{n: data[n] for n in wanted if n in data})
    except (ValueError, TypeError):
        return found  # `evaluate` reports it
    for name, how in of_kind.items():
        found[name] = Weighted(len(targets), how) if callable(how) else Sums(*how)
    return found


def _own(predictions: Samples, targets: Samples, data: Mapping[str, Any]) -> dict[str, Resampled]:
    def called(function: Any) -> Called:
        def value(kept: NDArray[Any]) -> float:
            return float(function(_some(predictions, kept), _some(targets, kept)))

        return Called(len(targets), value)

    return {metric.name: called(metric.function) for metric in own_metrics(data)}


def _some(samples: Samples, kept: NDArray[Any]) -> Samples:
    return [samples[index] for index in kept] if isinstance(samples, list) else samples[kept]
