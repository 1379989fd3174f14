"""All studies of a sweep, in one journal: one per stage, as their metrics are not comparable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.search.study import Study
from orchestrator.sweepfile.model import Spec


class Studies:
    """Opens the studies of a sweep when they are needed.

    Args:
        path: the journal.
        name: of the sweep, and of its first study.
        spec: the sweep file's content.

    Raises:
        UsageError: the existing study has another goal, or the sampler cannot be made.
        SweepError: the file is not a journal.
    """

    def __init__(self, path: Path, name: str, spec: Spec) -> None:
        self._path = path
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
            spec, name = self._spec, self._name
            self._open[stage] = Study.open(
                self._path,
                name=name if stage == self._first else f"{name}/{stage}",
                goal=spec.metric.goal if spec.metric else "minimize",
                method=spec.method,
                seed=spec.seed,
                pruner=spec.pruner,
                metric=spec.metric.name if spec.metric else "",
                sampler=spec.sampler,
                second_goal=spec.objectives[1].goal if len(spec.objectives) > 1 else None,
            )
        return self._open[stage]

    def __iter__(self) -> Iterator[tuple[str | None, Study]]:
        return iter(list(self._open.items()))
