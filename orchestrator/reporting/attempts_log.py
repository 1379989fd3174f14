"""Where and when the trials of a sweep ran, from its event log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.files import jsonl
from orchestrator.runs import SweepDir

_TOLD = {
    "out_of_memory": "out of memory",
    "fallback": "fallback",
    "growth": "more at once",
    "waiting": "waiting",
    "stopping": "stopping",
}
"""Events that a plot of the placement marks, and how it calls them."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of one trial. Times are seconds since the first start of the sweep."""

    trial: str
    number: int
    place: str  # "gpu 0", "cpu 1": device, and the slot on it
    start_s: float
    end_s: float
    state: str  # in which it ended; "" while it runs, or if the driver was killed
    given_mib: int | None  # the memory that it was admitted with
    attempt: int


@dataclass(frozen=True)
class Moment:
    """Something that the driver did or met."""

    at_s: float
    kind: str
    text: str


@dataclass(frozen=True)
class Occupancy:
    """All attempts of a sweep by start, and what happened between them."""

    attempts: tuple[Attempt, ...] = ()
    moments: tuple[Moment, ...] = ()


def occupancy(sweep: SweepDir) -> Occupancy:
    """Return the attempts in the event log of `sweep`; what cannot be read is left out."""
    origin: float | None = None
    last = 0.0
    running: dict[int, dict[str, Any]] = {}
    attempts: list[Attempt] = []
    moments: list[Moment] = []
    for event in jsonl.read(sweep.events_file):
        moment = _seconds(event.get("time"))
        if moment is None:
            continue
        origin = moment if origin is None else origin
        last = max(last, moment - origin)
        at_s = moment - origin
        kind, number = str(event.get("event")), event.get("number")
        if kind == "sweep_started":
            # A killed driver wrote no end for what it ran.
            attempts += [_attempt(begun, begun["seen_s"], "") for begun in running.values()]
            running.clear()
        elif kind == "trial_started" and isinstance(number, int):
            running[number] = {**event, "start_s": at_s, "seen_s": at_s}
        elif kind == "trial_ended" and isinstance(number, int) and number in running:
            attempts.append(_attempt(running.pop(number), at_s, str(event.get("state") or "")))
        elif kind in _TOLD:
            text = str(event.get("words") or event.get("reason") or "")
            moments.append(Moment(at_s, _TOLD[kind], text))
        for begun in running.values():
            begun["seen_s"] = at_s
    attempts += [_attempt(begun, last, "") for begun in running.values()]
    return Occupancy(tuple(sorted(attempts, key=lambda each: each.start_s)), tuple(moments))


def _attempt(begun: Mapping[str, Any], end_s: float, state: str) -> Attempt:
    slot = begun.get("slot")
    slot = slot if isinstance(slot, dict) else {}
    device, given = str(slot.get("device") or "cpu"), slot.get("memory_mib")
    shown = "CPU" if device == "cpu" else f"GPU {device}"
    node = str(slot.get("node") or "")
    place = f"{node} {shown}".strip()
    if isinstance(slot.get("index"), int):
        place += f", slot {slot['index']}"
    attempt = begun.get("attempt")
    return Attempt(
        trial=str(begun.get("name") or begun["number"]),
        number=begun["number"],
        place=place,
        start_s=begun["start_s"],
        end_s=end_s,
        state=state,
        given_mib=given if isinstance(given, int) else None,
        attempt=attempt if isinstance(attempt, int) else 1,
    )


def _seconds(time: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(str(time))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
