"""Decide how a trial continues that ran out of memory, in numbers and for people. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engine.slots.occupancy import OccupiedSlot
from orchestrator.files import format_size
from orchestrator.placement import Need
from orchestrator.placement.admission import Want
from orchestrator.placement.memory_needs import MOST_RETRIES, Kind, classify, figures, retry


@dataclass(frozen=True)
class Recovery:
    """What comes of an out-of-memory.

    Attributes:
        again: what the trial asks for next; None if it failed for good.
        reason: for people: the trial's reason.
        peak_bytes: what it was seen to hold or to ask for; 0 if nobody knows.
    """

    again: Want | None
    reason: str
    peak_bytes: int


def ran_out(message: str, log: str, oom_kills: int) -> Kind | None:
    """Return of what memory a trial ran out, or None for another failure.

    `log` is the end of what the attempt printed, and `oom_kills` how many processes the host's
    memory guard killed meanwhile.
    """
    killed = "SIGKILL" in message.partition("\n")[0]
    return classify(message, sigkill=killed, oom_kills=oom_kills) or classify(log)


def recover_counted(
    occupied: OccupiedSlot,
    text: str,
    *,
    place: str,
    is_capped: bool,
    was_alone: bool,
    greatest_bytes: int,
    declared_bytes: int,
) -> Recovery:
    """Return how a trial continues that ran out of the memory in which slots are measured.

    Args:
        text: the failure's message and the end of the log.
        place: its devices, for people.
        is_capped: whether it was held to its slot; else it had all that was free.
        was_alone: True if nothing else ran on its devices, ours or another user's.
        greatest_bytes: what one trial can have at most.
        declared_bytes: what its file declares; 0 for nothing. It is tried before anything beyond it
            if the slot had less because less was measured.
    """
    found, given = figures(text), occupied.slot.memory_bytes
    peak = max(occupied.peak, found.peak_bytes)
    had_all = was_alone and not is_capped
    again = retry(
        None if had_all else given,
        max(peak, declared_bytes if declared_bytes > given else 0),
        greatest_bytes=greatest_bytes,
        was_alone=was_alone,
        retries=occupied.retries,
    )
    facts = []
    if found.held_bytes:
        facts.append(f"held {format_size(found.held_bytes)}")
    elif occupied.peak:
        facts.append(f"was seen with {format_size(occupied.peak)}")
    if found.asked_bytes:
        facts.append(f"asked for {format_size(found.asked_bytes)} more")
    tail = f" ({', '.join(facts)})" if facts else ""
    if again is not None:
        more = format_size(again.need.memory_bytes or 0) + (", alone" if again.alone else "")
        reason = f"out of memory with {format_size(given)} on {place}{tail}"
        return Recovery(again, f"{reason}; waits to run again with {more}", peak)
    room = format_size(greatest_bytes if had_all else given)
    if occupied.total_bytes:
        room += f" of its {format_size(occupied.total_bytes)}"
    how = f"alone on {place}" if was_alone else f"on {place} after {occupied.retries} more tries"
    advice = "ask for less memory (a smaller model or batch), or use a larger device"
    return Recovery(None, f"out of memory {how} with {room}{tail}: {advice}", peak)


def recover_uncounted(kind: Kind, text: str, *, others: int, retries: int) -> Recovery:
    """Return how a trial continues that ran out of other memory, such as RAM next to a GPU.

    Running fewer at once is the only remedy; `others` is how many trials of ours still run.
    """
    peak = figures(text).peak_bytes
    reason = "the host ran out of memory" if kind == "host" else "out of GPU memory"
    if not others:
        return Recovery(None, f"{reason}, with no other trial running", peak)
    reason += f" while {others} other trial{'s' * (others > 1)} ran"
    if retries >= MOST_RETRIES:
        return Recovery(None, reason, peak)
    return Recovery(Want(Need()), f"{reason}; waits to run again", peak)
