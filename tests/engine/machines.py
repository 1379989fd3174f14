"""A machine that tests script: its devices, its clock, and what its processes hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.engine.slots.machine import Machine
from orchestrator.files.units import GIB
from orchestrator.placement.model import Device, Host, Process


class FakeMachine(Machine):
    """Cards, or RAM where there are none, with the memory that trials and others hold.

    Attributes:
        held: bytes by process id and key of the device.
        others: bytes that others hold, by key of the device; for RAM the key is ``cpu``.
        now: the clock, s.
        kills: of the host's memory guard.
        ram: bytes of RAM by process id, for `tree_bytes`.
        lists: whether the driver lists processes.
    """

    def __init__(
        self,
        cards: Sequence[int] = (),
        *,
        cores: int = 4,
        ram_bytes: int = 64 * GIB,
        idle_cores: float | None = None,
    ) -> None:
        self.cards = [Device(str(n), "Card", size, size) for n, size in enumerate(cards)]
        self.on_cpu = not cards
        self.cores = cores
        self.comparable = True
        self.lists = True
        self.held: dict[tuple[int, str], int] = {}
        self.others: dict[str, int] = {}
        self.now = 1_000.0
        self.kills = 0
        self.ram: dict[int, int] = {}
        self.ram_bytes = ram_bytes
        self.idle_cores = idle_cores

    def clock(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def read(self) -> list[Device] | Host:
        if self.on_cpu:
            free = self.ram_bytes - sum(self.ram.values()) - self.others.get("cpu", 0)
            return Host(self.cores, free, self.ram_bytes, self.idle_cores)
        return [self._with(card) for card in self.cards]

    def oom_kills(self) -> int:
        return self.kills

    def family(self, pid: int | None = None) -> frozenset[int]:
        return frozenset(held for held, _ in self.held) if pid is None else frozenset([pid])

    def tree_bytes(self, pid: int) -> int:
        return self.ram.get(pid, 0)

    def _with(self, card: Device) -> Device:
        here = {pid: size for (pid, key), size in self.held.items() if key == card.key}
        theirs = self.others.get(card.key, 0)
        processes = [Process(pid, size) for pid, size in here.items()]
        processes += [Process(99_999, theirs)] if theirs else []
        free = card.total_bytes - sum(here.values()) - theirs
        listed = tuple(processes) if self.lists else ()
        return replace(card, free_bytes=free, processes=listed)
