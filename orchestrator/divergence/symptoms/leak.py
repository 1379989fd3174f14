"""What the reports tell of the process behind them: memory that grows, a log that starts anew."""

from __future__ import annotations

import math

from orchestrator.divergence.verdict import Verdict

GROWTH = 0.2
"""Memory has grown by this part since it settled."""

SETTLED = 5
"""Reports after which memory should have settled."""

LEAST_GROWING = 10
SHARE_GROWING = 0.8


class MemoryGrowth:
    """Notes memory that goes up report by report.

    Caches fill in steps and rest then; a leak grows in most reports.
    """

    def __init__(self) -> None:
        self._count = 0
        self._settled = math.nan
        self._settled_step = 0
        self._last = math.nan
        self._grown = 0
        self._told = False

    def feed(
        self, name: str, step: int, memory_mib: float, limit_mib: float | None = None
    ) -> Verdict | None:
        """Take in one finite reading and return a note once it has grown for long.

        Args:
            name: what was read.
            step: the step of the report.
            memory_mib: the reading.
            limit_mib: the memory that the trial may take, for the words.
        """
        self._count += 1
        if self._count == SETTLED:
            self._settled, self._settled_step = memory_mib, step
        grows = self._count > SETTLED and memory_mib > self._last
        self._grown += grows
        self._last = memory_mib
        seen = self._count - SETTLED
        if self._told or seen < LEAST_GROWING or self._grown < SHARE_GROWING * seen:
            return None
        if not self._settled > 0 or memory_mib < (1 + GROWTH) * self._settled:
            return None
        self._told = True
        pace = (memory_mib - self._settled) / max(1, step - self._settled_step)
        full = ""
        if limit_mib is not None and pace > 0:
            at = step + max(0.0, limit_mib - memory_mib) / pace
            full = f", and reaches its limit of {limit_mib:.0f} MiB at step {at:.0f}"
        return Verdict(
            "warn",
            "growing memory",
            self._settled_step,
            f"{name} grew from {self._settled:.0f} MiB at step {self._settled_step} to "
            f"{memory_mib:.0f} MiB at step {step}, {pace:.3g} MiB a step{full}",
            {"from_mib": self._settled, "to_mib": memory_mib, "mib_per_step": pace},
        )


class Restart:
    """Notes steps that go back: the run was started again into the same log."""

    def __init__(self) -> None:
        self._last: int | None = None

    def feed(self, step: int) -> Verdict | None:
        """Take in the step of one report; one that repeats is no restart."""
        last, self._last = self._last, step
        if last is None or step >= last:
            return None
        return Verdict(
            "warn",
            "restart",
            step,
            f"the log starts again: step {step} comes after step {last}",
            {"before": float(last), "after": float(step)},
        )
