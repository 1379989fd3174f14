"""What the trials of a sweep show each other: whether the loss can fall at all.

A loss that only rises may be the fault of the task or of the config. Once another trial has come
down by a fifth of its first value, it is the config's.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.divergence.rule import DivergenceRule
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, read_reports

MOST_READ = 64
"""Trials of earlier drivers whose logs are read for it at most, the newest first."""


class Siblings:
    """Knows which trials of a sweep have shown that the loss can fall.

    Args:
        sweep: the sweep's folder.
        records: its trials by earlier drivers.
        metric: the reported name that ranks, or None.
        goal: which way it is better.
    """

    def __init__(
        self,
        sweep: SweepDir,
        records: Iterable[TrialRecord],
        metric: str | None,
        goal: str,
    ) -> None:
        self._sweep = sweep
        self._unread = [record for record in records if record.attempt][-MOST_READ:]
        self._judged_by = metric, goal
        self._fallen: set[int] = set()

    def fell(self, number: int) -> None:
        """Note that the loss of trial `number` came down."""
        self._fallen.add(number)

    def another_fell(self, number: int, *, look: bool) -> bool:
        """Tell whether the loss of another trial than `number` has come down.

        Args:
            number: the trial that asks.
            look: whether logs of earlier drivers are worth reading for it.
        """
        while not self._fallen - {number} and look and self._unread:
            record = self._unread.pop()
            run = self._sweep.run_dir(record.number, record.name)
            rule = DivergenceRule(*self._judged_by)
            for step, metrics in read_reports(run):
                rule.update(step, metrics)
                if rule.has_fallen:
                    self._fallen.add(record.number)
                    break
        return bool(self._fallen - {number})
