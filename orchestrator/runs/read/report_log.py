"""Many reports in little memory: 8 bytes for each number, not a dictionary for each report."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FEW = 10_000
"""So many reports are simply kept."""


class ReportLog(Sequence[tuple[int, dict[str, float]]]):
    """Reports, each a step and its metrics, which are put together again when they are asked for.

    Args:
        reports: in the order of the log; steps below 2**63.
    """

    def __init__(self, reports: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        self._steps, self._values = array("q"), array("d")
        self._starts, self._kinds = array("q"), array("l")
        known: dict[tuple[str, ...], int] = {}  # the names that reports have, in their order
        for step, metrics in reports:
            self._steps.append(step)
            self._starts.append(len(self._values))
            self._kinds.append(known.setdefault(tuple(metrics), len(known)))
            self._values.extend(metrics.values())
        self._names = list(known)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        names, start = self._names[self._kinds[index]], self._starts[index]
        values = self._values[start : start + len(names)]
        return self._steps[index], dict(zip(names, values, strict=True))


def reports_of(
    reports: Iterable[tuple[int, Mapping[str, float]]],
) -> Sequence[tuple[int, dict[str, float]]]:
    """Return reports as a sequence, whose memory is small also if they are many."""
    found = ReportLog(reports)
    return found if len(found) > _FEW else found[:]
