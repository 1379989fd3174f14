"""Trials that ran out of memory: what they ask for next, and that fewer run beside them.

How a trial that ran out of memory goes on, in numbers and words. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.engine.slots.concurrency import Levels
from orchestrator.engine.slots.device_state import Occupancy, Tell, cap_of, note_need
from orchestrator.engine.slots.needs import TrialNeeds
from orchestrator.engine.slots.running_slot import OccupiedSlot
from orchestrator.files import MIB, format_size, to_mib
from orchestrator.placement import Need
from orchestrator.placement.admission import Admission, Want
from orchestrator.placement.memory_needs import MOST_RETRIES, Kind, Retry, classify, figures, retry
from orchestrator.runs import TrialRecord


class OomRetry:
    """Decides how a trial goes on that ran out of memory, and lets fewer run at once.

    Args:
        ground: devices and attempts.
        admission: knows what there is at most, and who was alone.
        needs: told what is asked for from now on.
        levels: told how many were too many.
        is_script: True where trials are not held to their memory.
        tell: told of every event.
    """

    def __init__(
        self,
        ground: Occupancy,
        admission: Admission,
        needs: TrialNeeds,
        levels: Levels,
        *,
        is_script: bool,
        tell: Tell,
    ) -> None:
        self._ground = ground
        self._admission = admission
        self._needs = needs
        self._levels = levels
        self._is_script = is_script
        self._tell = tell

    def restore(self, records: Iterable[TrialRecord]) -> dict[int, Want]:
        """Return what trials of an interrupted sweep ask for after an out-of-memory, by number."""
        found = {}
        for record in records:
            memory, retries = record.need.get("memory_mib"), record.need.get("retries")
            if not record.state.is_finished and retries and isinstance(memory, int):
                need = Need(memory * MIB, "measured")
                self._needs.raised(record.number, record.config, need)
                found[record.number] = Want(need, alone=bool(record.need.get("alone")))
        return found

    def recover(
        self, live: OccupiedSlot, kind: Kind, text: str, end: Callable[[], None]
    ) -> Recovery:
        """Return how a trial goes on, with its record and all limits set to that.

        Args:
            live: its attempt, still counted among those that run; its process is gone.
            kind: of what memory it ran out.
            text: the failure's message and the end of the log.
            end: gives its room back.
        """
        ground, record = self._ground, live.record
        on_cpu = ground.machine.on_cpu
        ours_alone = self._admission.was_alone(live.slot)
        at_once = {key: sum(key in o.keys for o in ground.live.values()) for key in live.keys}
        end()
        ground.read()
        mine = [device for device in ground.reading if device.key in live.keys]
        counts_here = (kind == "host") == on_cpu
        # A card that is lost for the moment is taken to come back whole.
        is_lost = len(mine) < len(live.devices)
        greatest = min((device.total_bytes for device in live.devices), default=0)
        found = recovery(
            kind,
            text,
            place=", ".join(map(str, mine or live.devices)),
            given_bytes=live.slot.memory_bytes,
            is_capped=cap_of(live, on_cpu=on_cpu) is not None and not self._is_script,
            peak_bytes=live.peak,
            greatest_bytes=greatest if is_lost else self._admission.greatest(),
            total_bytes=greatest,
            was_alone=ours_alone and not is_lost and not any(map(ground.is_busy, mine)),
            counts_here=counts_here,
            others=len(ground.live),
            retries=int(record.need.get("retries", 0)),
            declared_bytes=self._needs.declared_bytes,
        )
        before = self._levels.fallback
        place = f"GPU {live.slot.device}" if len(ground.reading) > 1 else ""
        self._levels.ran_out(at_once, record.number, place)
        if found.retry is not None:
            record.need["retries"] = int(record.need.get("retries", 0)) + 1
            if counts_here:
                self._needs.raised(record.number, record.config, found.retry.need)
                note_need(live, found.retry.need)
                record.need["alone"] = found.retry.alone
        self._tell(
            "out_of_memory",
            number=record.number,
            name=record.name,
            kind=kind,
            given_mib=to_mib(live.slot.memory_bytes),
            peak_mib=to_mib(found.peak_bytes) if found.peak_bytes else None,
            again_with_mib=record.need["memory_mib"] if found.retry else None,
            words=found.words,
        )
        if self._levels.fallback != before:
            self._tell("fallback", words=self._levels.fallback)
        return found

    def wants_again(self, found: Recovery, kind: Kind) -> Want | None:
        """Return what a recovered trial asks for where that is more than before; else None."""
        if found.retry is None or (kind == "host") != self._ground.machine.on_cpu:
            return None
        return Want(found.retry.need, alone=found.retry.alone)


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
