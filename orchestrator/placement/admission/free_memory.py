"""Whose memory is whose: what is free on a device less what is promised and not yet taken. Pure.

A trial that has just started holds nothing yet; what it was promised still counts as free on the
device and must not be given out a second time. Once it holds its memory, the device no longer
counts that as free, and the promise must not be subtracted again. So of every promise the part
that is not yet used is subtracted. Where nobody tells what a trial uses it counts as nothing,
which wastes memory but gives none away twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.placement.model import Device, Slot


@dataclass
class Holding:
    """A slot that is out, and what its trial does with it.

    Attributes:
        slot: as it was handed out.
        keys: of its devices.
        promised: bytes that it may take on each of them.
        cores: that it may use, the workers of its data loader counted in.
        used: bytes that it holds on each of them; None where nobody has told.
        alone: True while nothing else of ours may start on its devices.
        shared: True once another trial of ours was on one of its devices.
    """

    slot: Slot
    keys: tuple[str, ...]
    promised: int
    cores: int
    used: int | None = None
    alone: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Account:
    """One device as admission sees it.

    Attributes:
        device: as it was read.
        available: bytes that may be promised now; below 0 where too much is promised.
        prospect: bytes that would be available once all trials of ours there had ended; where
            nobody tells what they hold, what they were promised.
        ours: how many trials of ours are there.
        closed: True where one of them must stay alone.
    """

    device: Device
    available: int
    prospect: int
    ours: int
    closed: bool


def accounts(
    devices: Sequence[Device], holdings: Iterable[Holding], leased: Mapping[str, int]
) -> list[Account]:
    """Return what is available on each device.

    Args:
        devices: as they are now.
        holdings: the slots that are out.
        leased: by key of a device, bytes that other sweeps promised there and that are not used.
    """
    there: dict[str, list[Holding]] = {device.key: [] for device in devices}
    for holding in holdings:
        for key in holding.keys:
            if key in there:
                there[key].append(holding)
    return [_account(device, there[device.key], leased.get(device.key, 0)) for device in devices]


def outstanding(holdings: Sequence[Holding], held_bytes: int) -> int:
    """Return the bytes that are promised on a device and not yet used.

    Args:
        holdings: of that device.
        held_bytes: what is not free on it. Trials cannot use more than that together: what they
            said before may be more than they hold now.
    """
    used = sum(holding.used or 0 for holding in holdings)
    missing = sum(max(0, holding.promised - (holding.used or 0)) for holding in holdings)
    promised = sum(holding.promised for holding in holdings)
    return min(promised, missing + max(0, used - held_bytes))


def _account(device: Device, holdings: Sequence[Holding], leased: int) -> Account:
    free = device.free_bytes - leased
    returned = sum(h.promised if h.used is None else h.used for h in holdings)
    return Account(
        device=device,
        available=free - outstanding(holdings, device.used_bytes),
        prospect=min(device.total_bytes - leased, free + returned),
        ours=len(holdings),
        closed=any(holding.alone for holding in holdings),
    )
