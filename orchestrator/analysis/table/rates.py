"""The learning rates that a run reported: the first, the greatest and the last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.divergence.schedule.rates import Rates
from orchestrator.divergence.watch import is_rate
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import read_reports


def rates_in(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Return ``first``, ``peak`` and ``last`` of the learning rate; {} where none was reported.

    Where groups of parameters have rates of their own, the group that is reported first counts.
    """
    rates, name = Rates(), None
    for step, metrics in reports:
        name = name or next((key for key in metrics if is_rate(key)), None)
        if name is not None and name in metrics:
            rates.add(step, metrics[name])
    if rates.first is None or rates.peak is None or rates.last is None:
        return {}
    return {"first": rates.first, "peak": rates.peak, "last": rates.last}


def learning_rates(run: Path) -> dict[str, float]:
    """Return the same of a run folder of ours, from its metrics log alone."""
    return rates_in(read_reports(RunDir(run)))
