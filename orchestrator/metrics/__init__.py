"""Metrics: what each is called, which way it is better, its unit, and how arrays give it.

In goes the kind of the data (``"decay_curve"``, or the trainer's name ``"edc"``) with predictions
and targets; out come numbers by name. A metric of any arrays is a module in `regression`; those of
one kind are declared by the trainer whose ``config.py`` has that ``DATA_KIND``.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.metrics.metric import Metric as Metric
    from orchestrator.metrics.registry import (
        evaluate as evaluate,
        goal as goal,
        is_known_kind as is_known_kind,
        kind_names as kind_names,
        known_metrics as known_metrics,
        regression_metrics as regression_metrics,
        resolve_kind as resolve_kind,
        unit as unit,
    )
    from orchestrator.metrics.samples import (
        ArrayProblem as ArrayProblem,
        check_pair as check_pair,
        check_sequences as check_sequences,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "metric": ["Metric"],
        "registry": [
            "evaluate",
            "goal",
            "is_known_kind",
            "kind_names",
            "known_metrics",
            "regression_metrics",
            "resolve_kind",
            "unit",
        ],
        "samples": ["ArrayProblem", "check_pair", "check_sequences"],
    },
)
