"""The rates that a log should show."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rate_log import RateLog


def expected_rates(
    points: Sequence[tuple[int, float]], configured: Declared, last_step: float | None = None
) -> list[tuple[int, float]]:
    """Return the declared rate at each reported step; [] if it depends on the losses.

    Args:
        points: (step of the report, rate that it shows).
        last_step: as for `audit`.
    """
    if not points or configured.schedule.follows_losses:
        return []
    log = RateLog(points, configured, last_step)
    # A step is reported when it is done, with the rate of its last batch.
    lag = min(1.0, log.ratio)
    return [
        (step, log.schedule.at(max(0.0, log.at(step) - lag)))
        for step, _ in points
        if step >= log.start
    ]
