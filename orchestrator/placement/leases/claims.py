"""The leases of the slots that are out, so that other sweeps do not count their memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from orchestrator.placement.admission.free_memory import Holding
from orchestrator.placement.leases.leases import Lease, Leases
from orchestrator.placement.model import Device


class Claims:
    """What this sweep tells others of its slots; nothing where nobody is to be told.

    Args:
        leases: where sweeps meet; None for a sweep that is alone.
    """

    def __init__(self, leases: Leases | None) -> None:
        self._leases = leases
        self._held: dict[int, list[Lease]] = {}

    def deciding(self) -> AbstractContextManager[object]:
        """Keep other sweeps from counting the same memory between our look at it and our claim."""
        return nullcontext() if self._leases is None else self._leases.deciding()

    def of_others(self, devices: Sequence[Device]) -> dict[str, int]:
        """Return what others promised and their trials do not use yet, by device key."""
        if self._leases is None:
            return {}
        return {device.key: self._leases.others(device.key) for device in devices}

    def hold(self, holding: Holding) -> None:
        """Claim what a trial was promised, in place of what was claimed for it before."""
        if self._leases is None:
            return
        claims = [self._leases.claim(key, holding.promised) for key in holding.keys]
        for claim in claims:
            claim.used(holding.used or 0)
        self.release(holding)
        self._held[holding.slot.index] = claims

    def used(self, holding: Holding) -> None:
        """Say what a trial holds by now."""
        for claim in self._held.get(holding.slot.index, []):
            claim.used(holding.used or 0)

    def release(self, holding: Holding) -> None:
        """Give up what was claimed for a trial."""
        for claim in self._held.pop(holding.slot.index, []):
            claim.release()
