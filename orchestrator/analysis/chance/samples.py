"""The metric of a run by groups of its samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.chance.confidence import Grouped, grouped
from orchestrator.analysis.chance.doubts import is_squared
from orchestrator.metrics import ArrayProblem
from orchestrator.metrics.resampling import resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.runs.read import StoredRun

    Samples = NDArray[Any] | list[NDArray[Any]]

MOST_ELEMENTS = 2_000_000
"""Of the targets; of larger arrays a table shows no interval: it must not take long."""


def split_of(metric: str) -> tuple[str, str]:
    """Return the split and the bare name of a recomputed metric."""
    for split in ("val", "train"):
        if metric.startswith(f"{split}_"):
            return split, metric.removeprefix(f"{split}_")
    return "test", metric


class SampledRun:
    """The samples of one split of a run, and its metrics by groups of them.

    Attributes:
        problem: why arrays that are there are not drawn; "" if they are, or are none.
        groups: [N] number of the group of each sample; None if each is its own.
    """

    def __init__(
        self,
        run: StoredRun | None,
        split: str,
        *,
        most_elements: int,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.problem = ""
        self.groups: NDArray[Any] | None = None
        self._targets: Samples | None = None
        self._metrics: dict[str, Any] = {}
        if run is None:
            return
        try:
            predictions, targets = run.load_pair(split)
        except ArrayProblem:
            return  # the table states it
        try:
            self.groups = run.load_groups(split, len(targets))
        except ArrayProblem as error:
            self.problem = str(error)
            return
        size = sum(map(len, targets)) if isinstance(targets, list) else targets.size
        if size > most_elements:
            self.problem = f"its arrays are large ({size:,} numbers)"
            return
        self._targets = targets
        known = run.data if data is None else data
        self._metrics = resampled(known.get("kind"), predictions, targets, known)

    @property
    def n_samples(self) -> int:
        """How many samples there are; 0 without arrays."""
        return 0 if self._targets is None else len(self._targets)

    @property
    def names(self) -> list[str]:
        """The metrics, without a split before their names."""
        return list(self._metrics)

    def metric(self, name: str) -> Grouped | None:
        """Return a metric by groups; None if it is not known for any choice of samples."""
        of = self._metrics.get(name)
        return None if of is None else grouped(of, self.groups, squared=is_squared(name))

    def has_samples_of(self, other: SampledRun) -> bool:
        """Return whether two runs predicted the same samples, grouped alike."""
        import numpy as np

        ours, theirs = self._targets, other._targets
        if ours is None or theirs is None or len(ours) != len(theirs):
            return False
        if (self.groups is None) != (other.groups is None):
            return False
        if self.groups is not None and not np.array_equal(self.groups, other.groups):  # type: ignore[arg-type]
            return False
        if isinstance(ours, list) or isinstance(theirs, list):
            return all(np.array_equal(one, two) for one, two in zip(ours, theirs, strict=True))
        return bool(np.array_equal(ours, theirs))
