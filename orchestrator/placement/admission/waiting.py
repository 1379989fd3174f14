"""Waiting for memory that others hold: how much is missing, where, since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.files import GIB, MIB, format_duration, format_size
from orchestrator.placement.model import CPU, Device, Need


@dataclass(frozen=True)
class Waiting:
    """Why the next trial does not start though slots are left.

    Attributes:
        reason: for people ("waits for 2.1 GiB on GPU 0").
        missing_bytes: what must come free there; 0 if it is not memory that is missing.
        since: when the waiting began, seconds since 1970.
        device: id of the device; "" if there is none.
    """

    reason: str
    missing_bytes: int
    since: float
    device: str = ""

    def waited_s(self, now: float) -> float:
        """Return for how long it has waited, in seconds."""
        return max(0.0, now - self.since)

    def is_over(self, now: float, timeout_s: float | None) -> bool:
        """Return whether it has waited for `timeout_s`; None waits for ever."""
        return timeout_s is not None and self.waited_s(now) >= timeout_s

    def timeout_message(self, timeout_s: float) -> str:
        """Return the message with which ``--wait-timeout`` ends the waiting."""
        what, tools = ("memory", "nvidia-smi or top") if self.device else ("room", "`ray status`")
        return (
            f"--wait-timeout {format_duration(timeout_s)}: {what} did not come free in that time, "
            f"and the next trial still {self}. See with {tools} who holds it; the same "
            "command continues from here, a longer --wait-timeout waits longer."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON types, for events and status."""
        return {
            "reason": self.reason,
            "missing_mib": -(-self.missing_bytes // MIB),
            "since": self.since,
            "device": self.device,
        }

    def __str__(self) -> str:
        return f"{self.reason}, since {datetime.fromtimestamp(self.since):%H:%M}"


def waiting_for(
    missing_bytes: int, device: Device | None, since: float, need: Need | None = None
) -> Waiting:
    """Return the waiting for memory on `device`, or for a device if it is None.

    Less than one MiB is called one. The `need` of the trial that waits is mentioned if it comes
    from an earlier sweep, because no file shows it.
    """
    if device is None:
        return Waiting("waits for a GPU: too few can be read", missing_bytes, since)
    size = missing_bytes if missing_bytes >= GIB else -(-missing_bytes // MIB) * MIB
    place = "of RAM" if device.id == CPU else f"on GPU {device.id}"
    reason = f"waits for {format_size(size)} {place}"
    if need is not None and need.memory_bytes is not None and need.source == "history":
        took = format_size(need.memory_bytes)
        reason += f" (one trial takes {took}, measured in an earlier sweep)"
    return Waiting(reason, missing_bytes, since, device.id)
