"""How a sweep uses the machine, as its user asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.placement.concurrency.throughput import Window
from orchestrator.placement.model import Policy


@dataclass(frozen=True)
class Terms:
    """How a sweep uses the machine.

    Attributes:
        policy: what limits beside memory.
        gpus: the GPUs to use (``--gpus``); None for all.
        wait_timeout_s: how long it waits for memory of others; None for ever.
        window: how much growth measures before it believes it.
    """

    policy: Policy = field(default_factory=Policy)
    gpus: str | None = None
    wait_timeout_s: float | None = None
    window: Window | None = None
