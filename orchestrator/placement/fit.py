"""Whether trials of one need fit into the memory that is free now, for scripts and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.files import format_size, to_mib
from orchestrator.placement.model import Device, trials_text
from orchestrator.placement.planner import capacity

ALL_FIT, TIGHT, SEQUENTIAL, NONE_FITS = range(4)
"""Exit codes of ``sweep gpu``."""

_NAMES = ("parallel", "tight", "sequential", "none")

TIGHT_NUMERATOR, TIGHT_DENOMINATOR = 5, 6
"""A declared need has a margin; it is often too high by as much as this."""


@dataclass(frozen=True)
class Verdict:
    """What one can do with the memory that is free.

    Attributes:
        code: 0 all fit at once; 1 all would at five sixths of the need; 2 one after another;
            3 there is no GPU, or none holds one trial.
        room: how many fit at once, even if there are fewer trials.
        need_bytes: of one trial.
        reason: why, for people.
    """

    code: int
    room: int
    need_bytes: int
    n_trials: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict in JSON types."""
        return {
            "code": self.code,
            "verdict": _NAMES[self.code],
            "room": self.room,
            "need_mib": to_mib(self.need_bytes),
            "n_trials": self.n_trials,
            "reason": self.reason,
        }


def judge(devices: Sequence[Device], need_bytes: int, n_trials: int, note: str = "") -> Verdict:
    """Judge whether `n_trials`, each on one GPU, fit at once. Several GPUs count together.

    Args:
        need_bytes: memory of one trial, above 0.
        note: why there are no more GPUs, if that is known.
    """
    room = capacity([device.free_bytes // need_bytes for device in devices], 1)
    if room == 0:
        return Verdict(NONE_FITS, room, need_bytes, n_trials, _none(devices, need_bytes, note))
    each = format_size(need_bytes) + (" each" if n_trials > 1 else "")
    have = ", ".join(f"{device}: {format_size(device.free_bytes)} free" for device in devices)
    trials = f"{trials_text(n_trials)} of {each}"
    lean = [
        device.free_bytes * TIGHT_DENOMINATOR // (need_bytes * TIGHT_NUMERATOR)
        for device in devices
    ]
    if room >= n_trials:
        fit = "fits" if n_trials == 1 else "fit at once"
        code, reason = ALL_FIT, f"{trials} {fit} ({have}; room for {room})."
    elif capacity(lean, 1) >= n_trials:
        less = format_size(need_bytes * TIGHT_NUMERATOR // TIGHT_DENOMINATOR)
        code = TIGHT
        reason = (
            f"Tight: room for {room} of {trials} ({have}). All would fit at once if each took "
            f"{less}, five sixths of that: measure one, or run {room} at a time."
        )
    else:
        code = SEQUENTIAL
        turn = "one after another" if room == 1 else f"one after another, or {room} at a time"
        reason = f"Use sequential: room for {room} of {trials} ({have}). Run them {turn}."
    return Verdict(code, room, need_bytes, n_trials, reason)


def _none(devices: Sequence[Device], need_bytes: int, note: str) -> str:
    tail = f" ({note})" if note else ""
    if not devices:
        return f"No GPU to use on this machine{tail}."
    # A card that could hold it if it were free is more use than the one with most free memory.
    best = max(devices, key=lambda device: device.free_bytes)
    largest = max(devices, key=lambda device: device.total_bytes)
    if best.total_bytes < need_bytes <= largest.total_bytes:
        best = largest
    return (
        f"No GPU holds one trial of {format_size(need_bytes)}: {best} has "
        f"{format_size(best.free_bytes)} of its {format_size(best.total_bytes)} free, "
        f"{format_size(need_bytes - best.free_bytes)} short{tail}."
    )
