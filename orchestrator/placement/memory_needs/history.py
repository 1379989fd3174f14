"""Keep for later sweeps what trials were seen to take, and how many at once were best.

::

    history = History(results / HISTORY_FILE)
    key = memory_key(runner, values, device, alters=names)
    history.record(key, peak_bytes)
    history.lookup(key)                    # Need(peak_bytes, "history"), or None

One JSON file serves all sweeps of a results folder. A torn or foreign file counts as empty: the
runs themselves are the truth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard

from orchestrator.errors import UsageError
from orchestrator.files import atomic, lock, to_mib
from orchestrator.placement.model import Device, Need

HISTORY_FILE = "placement.json"
_VERSION = 1
_LOCK_S = 5.0
_MOST_ENTRIES = 10_000
_RECENT = 8
_MOST_BYTES = 1 << 60

# Whole numbers and text that set how long, how often or where, not how much at a time. What is
# left out wrongly costs a wrong need; what is left in wrongly costs one more measurement.
_NO_MATTER = re.compile(
    r"""
      (?:.*_)?(?:seed|random_state|epochs?|patience|verbose|debug|resume)
    | (?:max|total|warmup|log|logging|save|eval|print)_
      (?:steps?|iters?|iterations?|every|interval|freq|frequency)
    | wandb(?:_.*)?
    | (?:run|trial|exp|experiment|job|project|group)(?:_?(?:name|id|number|tags?|notes?))?
    | (?:.*_)?(?:out|output|save|logs?|logging|results?|checkpoints?|ckpt)_?(?:dir|path|folder|file)
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class MemoryKey:
    """All that determines how much memory a trial takes, in full and as a short digest.

    Trials of other learning rates or seeds need no measurement of their own.
    """

    of: Mapping[str, Any]
    digest: str


def memory_key(
    runner: str,
    values: Mapping[str, Any],
    device: Device,
    *,
    alters: Collection[str] | None = None,
) -> MemoryKey:
    """Return the key of a trial's memory.

    Args:
        runner: the trainer's name, or the program's path.
        values: all parameter values of the trial, for a trainer with its defaults.
        device: where it runs; its name and size count, because kernels and context differ.
        alters: names of the parameters that alter the memory (`Parameter.alters_memory`); None for
            a program, for which they are unknown: then whole numbers, text and booleans count,
            except seeds, epochs, names of runs and the like; fractions do not.
    """
    if alters is None:
        chosen = {name: value for name, value in values.items() if _may_matter(name, value)}
    else:
        chosen = {name: values[name] for name in alters if name in values}
    of = {
        "runner": runner,
        "values": dict(sorted(atomic.plain(chosen).items())),
        "device": device.name or device.id,
        "device_mib": to_mib(device.total_bytes),
    }
    text = json.dumps(of, sort_keys=True, ensure_ascii=True)
    return MemoryKey(of, hashlib.sha256(text.encode()).hexdigest()[:16])


class History:
    """What was measured under one results folder; several sweeps may write at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lookup(self, key: MemoryKey) -> Need | None:
        """Return the need that was measured at `key`, or None."""
        greatest, _, _ = _peaks(_section(atomic.read_json(self._path), "needs").get(key.digest))
        return Need(greatest, "history") if greatest else None

    def record(self, key: MemoryKey, peak_bytes: int) -> bool:
        """Keep a peak, above 0, its context counted in; return whether that was possible.

        The greatest of the last few at the same key counts. So a wrong measurement, as while
        another user came to the device, is forgotten after some trials.
        """
        if not 0 < peak_bytes <= _MOST_BYTES:
            return False

        def entry(old: object) -> dict[str, Any]:
            _, recent, count = _peaks(old)
            recent = [*recent, peak_bytes][-_RECENT:]
            return {
                "memory_bytes": max(recent),
                "recent": recent,
                "source": "measured",
                "count": count + 1,
            }

        return self._change("needs", key, entry)

    def growth(self, key: MemoryKey) -> Mapping[str, Any] | None:
        """Return what `SearchUp.learned` gave at `key`, or None."""
        found = _section(atomic.read_json(self._path), "growth").get(key.digest)
        learned = found.get("learned") if isinstance(found, dict) else None
        return learned if isinstance(learned, dict) else None

    def record_growth(self, key: MemoryKey, learned: Mapping[str, Any]) -> bool:
        """Replace what `SearchUp.learned` gave at `key`; return whether that was possible."""
        return self._change("growth", key, lambda old: {"learned": dict(learned)})

    def _change(self, name: str, key: MemoryKey, entry: Callable[[object], dict[str, Any]]) -> bool:
        """Replace one entry while no other sweep writes."""
        try:
            held = lock.acquire(
                self._path.with_name(f".{self._path.name}.lock"),
                timeout_s=_LOCK_S,
                holder="the memory of earlier trials",
            )
        except (UsageError, OSError):
            return False
        try:
            atomic.remove_leftovers(self._path.parent, [self._path.name])
            content = atomic.read_json(self._path)
            sections = {part: _section(content, part) for part in ("needs", "growth")}
            section = sections[name]
            # What was changed last comes last; the oldest goes if there are too many.
            section[key.digest] = entry(section.pop(key.digest, None)) | {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "of": dict(key.of),
            }
            while len(section) > _MOST_ENTRIES:
                del section[next(iter(section))]
            atomic.write_json(self._path, {"version": _VERSION, **sections})
        except OSError:
            return False
        finally:
            held.release()
        return True


def _section(content: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    section = content.get(name) if content and content.get("version") == _VERSION else None
    return section if isinstance(section, dict) else {}


def _peaks(raw: object) -> tuple[int, list[int], int]:
    """Return the greatest peak of an entry, the last ones, and how many there were.

    All are 0 or empty if the entry makes no sense; last peaks that make none are left out.
    """
    memory = raw.get("memory_bytes") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or not _is_size(memory):
        return 0, [], 0
    peaks = raw.get("recent", [memory])  # an earlier version kept the greatest alone
    recent = [peak for peak in peaks if _is_size(peak)] if isinstance(peaks, list) else [memory]
    count = raw.get("count")
    return memory, recent, count if type(count) is int else 1


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= _MOST_BYTES


def _may_matter(name: str, value: object) -> bool:
    plain = re.sub(r"[.\-/]+", "_", name).strip("_")
    return not isinstance(value, float) and _NO_MATTER.fullmatch(plain) is None
