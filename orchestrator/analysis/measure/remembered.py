"""Readings of runs from before, so that a table of runs that have not changed is there at once.

They are in the user's cache folder: the folders of runs may be read-only, and nothing that a tool
does not expect appears in them. A reading counts only for the same files, as `fingerprint` knows
them, settings and source code.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.measure.in_processes import read_all
from orchestrator.analysis.measure.logged import Rule
from orchestrator.analysis.measure.measuring import Reading, read
from orchestrator.analysis.measure.row import Incomplete, Interval, Row
from orchestrator.files import atomic, caching
from orchestrator.metrics import OWN
from orchestrator.runs.read import StoredRun

_MOST_ENTRIES = 50_000
_KEPT_S = 90 * 24 * 3600.0
_DATA = frozenset(("rate_hz", OWN))  # what a reading may depend on besides files

Judged = tuple[list[Row], list[str], tuple[float, float] | None]


class Remembered:
    """What is known of the runs below some paths.

    Args:
        paths: as of `compare`; each choice of paths has a file of its own.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._file = _cache_file(paths)
        self._entries: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}  # that were used or added
        self._keys: dict[Path, str | None] = {}  # from before a run is read
        self._read: dict[Path, Reading | Incomplete] = {}
        self._added = False
        self._code = ""
        if self._file is not None:
            self._code = _code()
            self._entries = atomic.read_json(self._file) or {}

    def read(
        self, run: StoredRun, kind: str | None, data: Mapping[str, Any] | None, rule: Rule
    ) -> Reading | Incomplete:
        """Return what `read` returns, without reading files that have not changed."""
        if run.path not in self._keys:
            self._keys[run.path] = self._key(run, kind, data, rule)
        key = self._keys[run.path]
        known = None if key is None else self._entries.get(key)
        if key is not None and known is not None:
            with suppress(TypeError, KeyError):
                self._kept[key] = known
                return Reading(**{**known, "warnings": tuple(known["warnings"])})
        found = self._read.pop(run.path, None) or read(run, kind, data, rule)
        if key is not None and isinstance(found, Reading):
            self._add(key, {**vars(found), "warnings": list(found.warnings)})
        return found

    def prepare(
        self,
        runs: Sequence[StoredRun],
        kind: str | None,
        data: Mapping[str, Any] | None,
        rule: Rule,
        on_read: Callable[[int], object],
    ) -> None:
        """Read what is not known in several processes, if that is worth it; see `read_all`."""
        self._keys = {run.path: self._key(run, kind, data, rule) for run in runs}
        unknown = [run for run in runs if self._keys[run.path] not in self._entries]
        self._read = read_all(unknown, (kind, data, rule), on_read)

    def _key(
        self, run: StoredRun, kind: str | None, data: Mapping[str, Any] | None, rule: Rule
    ) -> str | None:
        """Return what a reading is remembered by; None if its files may change unnoticed."""
        data = data or {}
        if self._file is None or run.error is not None or not _DATA.issuperset(data):
            return None
        if not all(data.get(OWN, {"": True}).values()):
            return None  # a function whose source is unknown
        mark = caching.fingerprint(run.path)
        if mark is None:
            return None
        return _digest(self._code, mark, kind, data, rule.at, rule.goals, _context(run))

    def judged(
        self,
        judge: Callable[[], Judged],
        rows: Sequence[Row],
        everything: Sequence[Row],
        *settings: Any,
    ) -> Judged:
        """Return what `judge` makes of `rows` (intervals and ties), and what else it returns.

        Args:
            everything: all rows that its result depends on.
            settings: what else it depends on.
        """
        members = [one for row in everything for one in (row, *row.members)]
        marks = [self._keys.get(row.path) for row in members]
        # Groups may be in a file outside of the run.
        if None in marks or any(map(_leads_out, members)):
            return judge()
        names = [(row.trial, row.lineage.stage, row.split) for row in members]
        key = _digest(self._code, marks, names, settings)
        known = self._entries.get(key)
        if known is not None:
            with suppress(TypeError, ValueError, KeyError):
                self._kept[key] = known
                shown = [
                    replace(row, interval=None if each is None else Interval(*each), tied=tied)
                    for row, (each, tied) in zip(rows, known["marks"], strict=True)
                ]
                low, high = known["expected"] or (math.nan, math.nan)
                expected = None if math.isnan(low) else (low, high)
                return shown, list(known["sentences"]), expected
        shown, sentences, expected = judge()
        found = [
            (None if row.interval is None else list(vars(row.interval).values()), row.tied)
            for row in shown
        ]
        marked = [list(each) for each in found]
        between = None if expected is None else list(expected)
        self._add(key, {"marks": marked, "sentences": sentences, "expected": between})
        return shown, sentences, expected

    def _add(self, key: str, value: Mapping[str, Any]) -> None:
        if _is_json(value):
            self._kept[key] = value
            self._added = True

    def save(self) -> None:
        """Write what is new, if the user has a folder for it that can be written."""
        if not self._added or self._file is None:
            return
        # Those of other settings stay, as long as there is room.
        for key in list(self._entries)[: max(0, _MOST_ENTRIES - len(self._kept))]:
            self._kept.setdefault(key, self._entries[key])
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for other in self._file.parent.glob("compare-*.json"):
                if other.stat().st_mtime < time.time() - _KEPT_S:
                    other.unlink(missing_ok=True)
            atomic.write_text(self._file, json.dumps(self._kept), private=True)


def _cache_file(paths: Sequence[Path]) -> Path | None:
    with suppress(RuntimeError):  # no home
        whole = sorted(os.path.realpath(path) for path in paths)
        return caching.cache_folder() / f"compare-{_digest(whole)}.json"
    return None


def _context(run: StoredRun) -> list[Any]:
    """Return what a reading depends on that is not below the run's folder."""
    found: list[Any] = [run.state, run.reason, sorted(map(repr, run.places.items()))]
    found += [run.tool and run.tool.name, run.manifest and repr(run.manifest)]
    if run.sweep is not None:
        sweep = run.sweep
        found += [sweep.metric, sweep.goal, sweep.second, sweep.arrays, sweep.is_program]
        found += [sweep.lr_schedule, sorted(sweep.varied)]
    return found


def _leads_out(row: Row) -> bool:
    files = [Path(str(name)) for key, name in row.data.items() if key.endswith("groups")]
    return any(file.is_absolute() or ".." in file.parts for file in files)


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _code() -> str:
    """Return what changes with the source code of metrics and readers, trainers' included."""
    packages = map(importlib.import_module, ("orchestrator", "trainers"))
    folders = [folder for package in packages for folder in package.__path__]
    return _digest(sorted(file for folder in folders for file in _sources(folder)))


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                at = entry.stat()
                yield entry.path, at.st_size, at.st_mtime_ns
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _sources(entry.path)


def _is_json(value: Any) -> bool:
    """Return whether a value is the same after it was written as JSON and read."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)
