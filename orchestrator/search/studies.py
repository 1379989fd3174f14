"""The searcher's memory: one Optuna study per stage, all in one journal file or database.

::

    study = Studies(path, name, spec).of(stage)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from optuna.storages import BaseStorage

from orchestrator.search.study import Study
from orchestrator.sweepfile.model import Spec


class Studies:
    """Opens the studies of a sweep when they are needed, and the first one at once.

    There is one per stage, as their metrics are not comparable. Raises as `Study` does.

    Args:
        storage: of all of them, as for `Study`.
        is_shared: other drivers of the sweep have trials in them too.
    """

    def __init__(
        self, storage: Path | BaseStorage, name: str, spec: Spec, *, is_shared: bool = False
    ) -> None:
        self._storage = storage
        self._is_shared = is_shared
        self._name = name
        self._spec = spec
        self._first = spec.stages[0].name if spec.stage is None and spec.stages else spec.stage
        self._open: dict[str | None, Study] = {}
        self.of(self._first)

    def of(self, stage: str | None) -> Study:
        """Return the study of a stage; None for the first one."""
        if stage is None:
            stage = self._first
        if stage not in self._open:
            name = self._name if stage == self._first else f"{self._name}/{stage}"
            self._open[stage] = Study(self._storage, name, self._spec, is_shared=self._is_shared)
        return self._open[stage]

    def __iter__(self) -> Iterator[Study]:
        return iter(list(self._open.values()))
