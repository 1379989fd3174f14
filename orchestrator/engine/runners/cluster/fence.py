"""Let trials write only while the driver knows of it: leases that both sides count alike. Pure.

An agent that the driver does not reach any more may still run. So each call to it carries the time
at which it was sent, and renews the agent's lease from that time on; when it is over the agent
kills its trials. The driver starts them elsewhere only after it has sent nothing for longer than a
lease. Then a trial never runs twice, however late messages arrive: what counts is when they were
sent. The clocks of the two sides need not agree, only run equally fast.
"""

from __future__ import annotations

import math
import os
import time

LEASE_S = float(os.environ.get("SWEEP_LEASE_S") or 20.0)
"""How long trials continue when they are cut off from the driver."""

MARGIN_S = 3.0
"""For clocks that do not run equally fast, the delay of the fastest message, and killing."""


def clock() -> float:
    """Return seconds that never go back and do not stop while the machine sleeps."""
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(source)


class AgentLease:
    """The agent's side: until when its trials may write."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._offset = math.inf
        self._until = math.inf  # before the first call nothing runs

    def renew(self, sent_at: float, now: float) -> None:
        """Note a call that arrives `now`, by this side's clock, and was sent by the other's."""
        # The fastest message so far shows best how far the clocks differ.
        self._offset = min(self._offset, now - sent_at)
        until = sent_at + self._offset + self._lease_s
        self._until = until if self._until == math.inf else max(self._until, until)

    def is_over(self, now: float) -> bool:
        """Return whether the driver may have given up its trials."""
        return now >= self._until


class DriverLease:
    """The driver's side: when trials have ended that it lost sight of.

    Attributes:
        sent_at: when the last call was sent that renews the lease.
    """

    def __init__(self, lease_s: float, now: float) -> None:
        self._lease_s = lease_s
        self.sent_at = now

    def sent(self, now: float) -> float:
        """Note that a call is sent, and return its time, which travels with it."""
        self.sent_at = now
        return now

    def is_over(self, now: float) -> bool:
        """Return whether the agent's lease has certainly ended."""
        return now - self.sent_at >= self._lease_s + MARGIN_S
