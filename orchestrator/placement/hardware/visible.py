"""``CUDA_VISIBLE_DEVICES`` as CUDA reads it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.placement.model import Device

VISIBLE = "CUDA_VISIBLE_DEVICES"
UUID_PREFIXES = ("GPU-", "MIG-")


def visible_devices(present: Sequence[Device], wanted: str) -> list[Device]:
    """Return those of `present` that a value of ``CUDA_VISIBLE_DEVICES`` shows, in its order.

    Args:
        present: all GPUs and MIG instances of the machine.
        wanted: indices or (beginnings of) UUIDs, separated by commas. The first entry that names
            no device, or a beginning that several share, ends the list; a device named twice hides
            all, as in CUDA. The index of a GPU that is divided names its first MIG instance, the
            only one that CUDA would use; the others are named by their UUIDs.
    """
    shown: list[Device] = []
    for entry in entries(wanted):
        found = _named(present, entry)
        if found is None:
            break
        if found in shown:
            return []
        shown.append(found)
    return shown


def entries(wanted: str) -> list[str]:
    """Split a value of ``CUDA_VISIBLE_DEVICES`` and cut it at its first senseless entry."""
    kept: list[str] = []
    for raw in wanted.split(","):
        entry = raw.strip()
        if not _is_index(entry) and not entry.startswith(UUID_PREFIXES):
            break
        # One list is of one kind: an index among UUIDs, or a UUID among indices, ends it.
        if kept and _is_index(entry) != _is_index(kept[0]):
            break
        kept.append(entry)
    return kept


def _named(present: Sequence[Device], entry: str) -> Device | None:
    """Return the one device that an entry names, or None."""
    if _is_index(entry):
        index = str(int(entry))
        found = [device for device in present if device.id.partition(":")[0] == index]
        return found[0] if found else None
    found = [device for device in present if device.uuid == entry]
    found = found or [device for device in present if device.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None


def _is_index(entry: str) -> bool:
    return entry.isascii() and entry.isdecimal()
