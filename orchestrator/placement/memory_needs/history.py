"""What trials were seen to take and how many at once were best, kept for later sweeps.

::

    history = History(results / HISTORY_FILE)
    key = memory_key(runner, values, device, alters=names)
    history.record(key, peak_bytes)
    history.lookup(key)                    # Need(peak_bytes, "history"), or None

One JSON file for all sweeps of a results folder. A key names all that determines a trial's memory;
what does not is left out, so that trials of other learning rates or seeds need no measurement of
their own. A torn or foreign file is as good as none: it is a memory, not a truth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.files import atomic, lock, to_mib
from orchestrator.placement.model import Device, Need

HISTORY_FILE = "placement.json"
_VERSION = 1
_LOCK_S = 5.0
_MOST_ENTRIES = 10_000
_RECENT = 8
_MOST_BYTES = 1 << 60

# Whole numbers and words that say how long, how often or where, not how much at a time. What is
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
    """All that determines how much memory a trial takes.

    Attributes:
        of: it in words, for people who read the file.
        digest: short name of it, the same on every machine.
    """

    of: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Seen:
    """What the file says of one key.

    Attributes:
        memory_bytes: the greatest of the last peaks.
        count: how many trials were measured.
        at: when the last was, ISO 8601, UTC.
    """

    memory_bytes: int
    count: int
    at: str


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
            a program, of which nobody tells: then whole numbers, words and booleans count, but
            not seeds, epochs, names of runs and the like; fractions do not.
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
    """What was measured under one results folder; several sweeps may write at a time.

    Args:
        path: the file; its folder is made where it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def seen(self, key: MemoryKey) -> Seen | None:
        """Return what was measured at `key`, or None."""
        return _seen(self._section("needs").get(key.digest))

    def lookup(self, key: MemoryKey) -> Need | None:
        """Return the need that was measured at `key`, or None."""
        found = self.seen(key)
        return None if found is None else Need(found.memory_bytes, "history")

    def record(self, key: MemoryKey, peak_bytes: int) -> bool:
        """Keep a peak. The greatest of the last few at the same key counts.

        So what was measured wrongly once, as while somebody else came to the device, is forgotten
        after some trials.

        Args:
            key: of the trial.
            peak_bytes: most memory that it held on a device, its context counted in; above 0.

        Returns:
            False where it could not be kept: the folder is not writable, or the file is busy.
        """
        if not 0 < peak_bytes <= _MOST_BYTES:
            return False

        def entry(old: object) -> dict[str, Any]:
            found = _seen(old)
            recent = [*_recent(old), peak_bytes][-_RECENT:]
            return {
                "memory_bytes": max(recent),
                "recent": recent,
                "source": "measured",
                "count": (found.count if found else 0) + 1,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "of": dict(key.of),
            }

        return self._change("needs", key, entry)

    def growth(self, key: MemoryKey) -> Mapping[str, Any] | None:
        """Return what `SearchUp.learned` gave at `key`, or None."""
        found = self._section("growth").get(key.digest)
        learned = found.get("learned") if isinstance(found, dict) else None
        return learned if isinstance(learned, dict) else None

    def record_growth(self, key: MemoryKey, learned: Mapping[str, Any]) -> bool:
        """Keep what `SearchUp.learned` gave instead of what was kept; False if it cannot be."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        value = {"learned": dict(learned), "at": at, "of": dict(key.of)}
        return self._change("growth", key, lambda old: value)

    def _section(self, name: str) -> dict[str, Any]:
        return _section(atomic.read_json(self._path) or {}, name)

    def _change(self, name: str, key: MemoryKey, entry: Callable[[object], Any]) -> bool:
        """Replace one entry while nobody else writes."""
        try:
            held = lock.acquire(
                self._path.with_name(f".{self._path.name}.lock"),
                timeout_s=_LOCK_S,
                holder="the memory of earlier trials",
            )
        except (UsageError, OSError):
            return False
        try:
            content = atomic.read_json(self._path) or {}
            sections = {part: _section(content, part) for part in ("needs", "growth")}
            section = sections[name]
            # What was changed last stands last; the oldest goes where there are too many.
            section[key.digest] = entry(section.pop(key.digest, None))
            while len(section) > _MOST_ENTRIES:
                del section[next(iter(section))]
            atomic.write_json(self._path, {"version": _VERSION, **sections})
        except OSError:
            return False
        finally:
            held.release()
        return True


def _section(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name) if content.get("version") == _VERSION else None
    return section if isinstance(section, dict) else {}


def _seen(raw: object) -> Seen | None:
    """Return an entry, or None where it makes no sense."""
    if not isinstance(raw, dict):
        return None
    memory, count, at = raw.get("memory_bytes"), raw.get("count"), raw.get("at")
    if type(memory) is not int or not 0 < memory <= _MOST_BYTES:
        return None
    return Seen(memory, count if type(count) is int else 1, at if isinstance(at, str) else "")


def _recent(raw: object) -> list[int]:
    """Return the last peaks of an entry; those that make no sense are left out."""
    found = _seen(raw)
    peaks = raw.get("recent") if isinstance(raw, dict) else None
    if found is None:
        return []
    if not isinstance(peaks, list):
        return [found.memory_bytes]  # as an earlier version wrote it
    return [peak for peak in peaks if type(peak) is int and 0 < peak <= _MOST_BYTES]


def _may_matter(name: str, value: object) -> bool:
    words = re.sub(r"[.\-/]+", "_", name).strip("_")
    return not isinstance(value, float) and _NO_MATTER.fullmatch(words) is None
