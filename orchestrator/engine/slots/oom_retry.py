"""Decide how a trial continues that ran out of memory, in numbers and for people. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.files import format_size
from orchestrator.placement import Need
from orchestrator.placement.memory_needs import MOST_RETRIES, Kind, Retry, classify, figures, retry


@dataclass(frozen=True)
class OutOfMemory:
    """An attempt that ran out of memory.

    Attributes:
        kind: of what memory.
        text: the failure's message and the end of the log.
        place: its devices, for people.
        given_bytes: what its slot held.
        is_capped: whether it was held to that; else it had all that was free.
        peak_bytes: what it was seen to hold; 0 if nobody knows.
        greatest_bytes: what one trial can have at most.
        total_bytes: all memory of its smallest device; 0 if it cannot be read.
        was_alone: True if nothing else ran on its devices, ours or another user's.
        counts_here: True if the memory that ran out is what slots are counted in: RAM on CPUs.
        others: how many trials of ours still run.
        retries: how often it was tried again for this already.
        declared_bytes: what its file declares, which is tried before anything beyond it if it was
            given less because less was measured; 0 for nothing.
    """

    kind: Kind
    text: str
    place: str
    given_bytes: int
    is_capped: bool
    peak_bytes: int
    greatest_bytes: int
    total_bytes: int
    was_alone: bool
    counts_here: bool
    others: int
    retries: int
    declared_bytes: int


@dataclass(frozen=True)
class Recovery:
    """What comes of an out-of-memory.

    Attributes:
        retry: how the trial runs again; None if it failed for good.
        reason: why, for people: the trial's reason.
        peak_bytes: what it was seen to hold or to ask for; 0 if nobody knows.
    """

    retry: Retry | None
    reason: str
    peak_bytes: int


def ran_out(message: str, log: str, oom_kills: int) -> Kind | None:
    """Return of what memory a trial ran out, or None for another failure.

    Args:
        message: as the attempt gave it.
        log: the end of what this attempt printed.
        oom_kills: how many processes the host's memory guard killed meanwhile.
    """
    killed = "SIGKILL" in message.partition("\n")[0]
    return classify(message, sigkill=killed, oom_kills=oom_kills) or classify(log)


def recovery(failed: OutOfMemory) -> Recovery:
    """Return how a trial continues that ran out of memory."""
    found = figures(failed.text)
    if not failed.counts_here:
        return _fewer_at_once(failed, found.peak_bytes or 0)
    peak = max(failed.peak_bytes, found.peak_bytes or 0)
    given, greatest = failed.given_bytes, failed.greatest_bytes
    had_all = failed.was_alone and not failed.is_capped
    again = retry(
        None if had_all else given,
        max(peak, failed.declared_bytes if failed.declared_bytes > given else 0) or None,
        greatest_bytes=greatest,
        was_alone=failed.was_alone,
        retries=failed.retries,
    )
    facts = []
    if found.held_bytes:
        facts.append(f"held {format_size(found.held_bytes)}")
    elif failed.peak_bytes:
        facts.append(f"was seen with {format_size(failed.peak_bytes)}")
    if found.asked_bytes:
        facts.append(f"asked for {format_size(found.asked_bytes)} more")
    tail = f" ({', '.join(facts)})" if facts else ""
    if again is not None:
        more = format_size(again.need.memory_bytes or 0) + (", alone" if again.alone else "")
        reason = f"out of memory with {format_size(given)} on {failed.place}{tail}"
        return Recovery(again, f"{reason}; waits to run again with {more}", peak)
    room = format_size(greatest if had_all else given)
    room += f" of its {format_size(failed.total_bytes)}" if failed.total_bytes else ""
    how = f"on {failed.place} after {failed.retries} more tries"
    reason = (
        f"out of memory {f'alone on {failed.place}' if failed.was_alone else how} with {room}"
        f"{tail}: ask for less memory (a smaller model or batch), or use a larger device"
    )
    return Recovery(None, reason, peak)


def _fewer_at_once(failed: OutOfMemory, peak_bytes: int) -> Recovery:
    """Return how a trial continues that ran out of memory nobody counts, as RAM beside a GPU.

    Fewer at once is all that can be done.
    """
    reason = "the host ran out of memory" if failed.kind == "host" else "out of GPU memory"
    if not failed.others:
        return Recovery(None, f"{reason}, with no other trial running", peak_bytes)
    reason += f" while {failed.others} other trial{'s' * (failed.others > 1)} ran"
    if failed.retries >= MOST_RETRIES:
        return Recovery(None, reason, peak_bytes)
    return Recovery(Retry(Need(), alone=False), f"{reason}; waits to run again", peak_bytes)
