"""The cards that a user speaks of: ``--gpu 24GB:"RTX 3090"`` and ``--gpus 0,2``."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.errors import UsageError
from orchestrator.files.units import parse_size
from orchestrator.placement.model import Device


def hypothetical(texts: Sequence[str]) -> list[Device]:
    """Return cards that need not exist, with all their memory free.

    Args:
        texts: one card each, ``SIZE`` or ``SIZE:NAME``, such as ``24GB:RTX 3090``.

    Raises:
        UsageError: a size cannot be read.
    """
    cards: list[Device] = []
    for text in texts:
        size, _, name = text.partition(":")
        try:
            total = parse_size(size)
        except ValueError as error:
            raise UsageError(f"--gpu {text}: {error}") from None
        cards.append(Device(str(len(cards)), name.strip().strip("\"'"), total, total))
    return cards


def choose(devices: Sequence[Device], wanted: str) -> list[Device]:
    """Return the devices that ``--gpus`` names, in its order.

    Args:
        devices: those that there are.
        wanted: ids or (beginnings of) UUIDs, separated by commas, such as ``0,2``.

    Raises:
        UsageError: an entry names no device, several, or one that is named already.
    """
    if not devices:
        raise UsageError(f"--gpus {wanted}: must name GPUs, but there is none to use here.")
    present = "Present: " + ", ".join(str(device) for device in devices) + "."
    chosen: list[Device] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        found = [device for device in devices if device.id == entry]
        if not found and entry.startswith("GPU-"):
            found = [device for device in devices if device.uuid.startswith(entry)]
        if len(found) != 1:
            what = "several GPUs share" if found else "there is no GPU"
            raise UsageError(
                f"--gpus {wanted}: must name GPUs by index or UUID, but {what} {entry!r}. {present}"
            )
        if found[0] in chosen:
            raise UsageError(f"--gpus {wanted}: must name each GPU once, but got {entry!r} again.")
        chosen.append(found[0])
    return chosen
