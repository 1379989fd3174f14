"""GPUs as users name them: ``--gpu 24GB:"RTX 3090"``, ``--gpu a:24GB`` and ``--gpus 0,2``."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.errors import UsageError
from orchestrator.files import parse_size
from orchestrator.placement.hardware.gpus import UUID_PREFIXES, named
from orchestrator.placement.model import Device


def hypothetical(texts: Sequence[str]) -> list[Device]:
    """Return cards that need not exist, with all their memory free.

    Args:
        texts: one card each: ``SIZE``, ``SIZE:NAME`` such as ``24GB:RTX 3090``, both after a host
            and a colon, such as ``a:24GB``. A host may be named several times.

    Raises:
        UsageError: a size is not valid, or some cards have a host and others have none.
    """
    cards: list[Device] = []
    for text in texts:
        first, _, rest = text.partition(":")
        has_host = not _is_size(first) and _is_size(rest.partition(":")[0])
        node, card = (first.strip(), rest) if has_host else ("", text)
        size, _, name = card.partition(":")
        try:
            total = parse_size(size)
        except ValueError as error:
            raise UsageError(f"--gpu {text}: {error}") from None
        place = sum(other.node == node for other in cards)
        cards.append(Device(str(place), name.strip().strip("\"'"), total, total, node))
    if len({bool(card.node) for card in cards}) > 1:
        raise UsageError("--gpu: some GPUs name a host and others do not. Name one for each.")
    return cards


def _is_size(text: str) -> bool:
    try:
        parse_size(text)
    except ValueError:
        return False
    return True


def choose(devices: Sequence[Device], wanted: str) -> list[Device]:
    """Return those of `devices` that ``--gpus`` names, in its order.

    Args:
        wanted: ids or (beginnings of) UUIDs, separated by commas, such as ``0,2``. A MIG instance
            is ``0:1``, and ``0`` names all those of that GPU.

    Raises:
        UsageError: an entry names no device, several, or one that is named already.
    """
    if not devices:
        raise UsageError(f"--gpus {wanted}: there is no GPU to use here.")
    present = ", ".join(str(device) for device in devices)
    chosen: list[Device] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        found = named(devices, entry)
        is_shared = len(found) > 1 and entry.startswith(UUID_PREFIXES)
        if not found or is_shared:
            problem = "several GPUs share" if is_shared else "no GPU"
            raise UsageError(
                f"--gpus {wanted}: {problem} {entry!r} (found: {present}). Give indices or UUIDs."
            )
        if any(device in chosen for device in found):
            raise UsageError(f"--gpus {wanted}: {entry!r} is named twice. Name each GPU once.")
        chosen += found
    return chosen
