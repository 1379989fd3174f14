"""How a trial that ran out of memory goes on, in numbers and words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.files.units import format_size
from orchestrator.placement.model import Need
from orchestrator.placement.oom import MOST_RETRIES, Kind, Retry, classify, figures, retry


@dataclass(frozen=True)
class Recovery:
    """What comes of an out-of-memory.

    Attributes:
        retry: how the trial runs again; None where it failed for good.
        words: why, for people: the trial's reason.
        peak_bytes: what it was seen to hold or to ask for; 0 where nobody knows.
    """

    retry: Retry | None
    words: str
    peak_bytes: int


def ran_out(message: str, log: str, oom_kills: int) -> Kind | None:
    """Tell of what memory a trial ran out, or None for another failure.

    Args:
        message: as the attempt gave it.
        log: the end of what this attempt printed.
        oom_kills: how many processes the host's memory guard killed meanwhile.
    """
    killed = "SIGKILL" in message.partition("\n")[0]
    return classify(message, sigkill=killed, oom_kills=oom_kills) or classify(log)


def recovery(
    kind: Kind,
    text: str,
    *,
    place: str,
    given_bytes: int,
    is_capped: bool,
    peak_bytes: int,
    greatest_bytes: int,
    total_bytes: int,
    was_alone: bool,
    counts_here: bool,
    others: int,
    retries: int,
    declared_bytes: int = 0,
) -> Recovery:
    """Return how a trial goes on that ran out of memory.

    Args:
        kind: of what memory.
        text: the failure's message and the end of the log.
        place: its devices, for people.
        given_bytes: what its slot held.
        is_capped: whether it was held to that; else it had all that was free.
        peak_bytes: what it was seen to hold; 0 where nobody knows.
        greatest_bytes: what one trial can have at most.
        total_bytes: all memory of its smallest device; 0 where it cannot be read.
        was_alone: True where nothing else ran on its devices, ours or anybody's.
        counts_here: True where the memory that ran out is what slots are counted in: RAM on CPUs.
        others: how many trials of ours run on.
        retries: how often it was tried again for this already.
        declared_bytes: what its file declares, which is tried before anything beyond it where it
            was given less because less was measured; 0 for nothing.
    """
    said = figures(text)
    peak = max(peak_bytes if counts_here else 0, said.peak_bytes or 0)
    if not counts_here:
        # RAM beside a GPU: nobody counts it, so fewer at once is all that can be done.
        again = None
        if others and retries < MOST_RETRIES:
            again = Retry(Need(), alone=False)
        words = "the host ran out of memory" if kind == "host" else "out of GPU memory"
        words += (
            f" while {others} other trial{'s' * (others > 1)} ran"
            if others
            else ", with no other trial running"
        )
        return Recovery(again, words + ("; waits to run again" if again else ""), peak)
    had_all = was_alone and not is_capped
    again = retry(
        None if had_all else given_bytes,
        max(peak, declared_bytes if declared_bytes > given_bytes else 0) or None,
        greatest_bytes=greatest_bytes,
        was_alone=was_alone,
        retries=retries,
    )
    facts = []
    if said.held_bytes:
        facts.append(f"held {format_size(said.held_bytes)}")
    elif peak_bytes:
        facts.append(f"was seen with {format_size(peak_bytes)}")
    if said.asked_bytes:
        facts.append(f"asked for {format_size(said.asked_bytes)} more")
    tail = f" ({', '.join(facts)})" if facts else ""
    if again is not None:
        with_ = format_size(again.need.memory_bytes or 0)
        alone = ", alone" if again.alone else ""
        words = (
            f"out of memory with {format_size(given_bytes)} on {place}{tail}; "
            f"waits to run again with {with_}{alone}"
        )
        return Recovery(again, words, peak)
    room = greatest_bytes if had_all else given_bytes
    of = f" of its {format_size(total_bytes)}" if total_bytes else ""
    how = f"alone on {place}" if was_alone else f"on {place} after {retries} more tries"
    words = (
        f"out of memory {how} with {format_size(room)}{of}{tail}: ask for less memory (a smaller "
        "model or batch), or use a larger device"
    )
    return Recovery(None, words, peak)
