"""JSON files that are written whole, again and again, and MLflow's file store while it fills."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.curve import number
from orchestrator.runs.curves.tail import GrowingLines

LARGEST_BYTES = 32 << 20
_MOST_METRICS = 5_000  # files of one MLflow run


class RewrittenJson:
    """A JSON file that is written anew with each change.

    Args:
        path: the file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._version: tuple[int, int, int] | None = None

    def read(self) -> Any:
        """Return the content where it has changed since the last call and is whole, else None."""
        version = self._state()
        if version is None or version == self._version or version[1] > LARGEST_BYTES:
            return None
        try:
            content = json.loads(self.path.read_bytes().decode("utf-8-sig", "replace"))
        except (OSError, ValueError, RecursionError):
            return None  # torn; it is read again at the next look
        self._version = version
        return content

    def _state(self) -> tuple[int, int, int] | None:
        try:
            state = os.stat(self.path)
        except OSError:
            return None
        return state.st_ino, state.st_size, state.st_mtime_ns


class MlflowRun:
    """The metrics of one run folder of MLflow's file store, one file each: time, value, step."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._files: dict[Path, GrowingLines] = {}

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and metrics that came since the last call, in the order of the steps."""
        found: list[tuple[int, int, str, float]] = []
        for path in self._metric_files():
            lines = self._files.setdefault(path, GrowingLines(path))
            name = path.relative_to(self.path / "metrics").as_posix()
            for line in lines.read()[0]:
                words = line.decode("utf-8", "replace").split()
                if len(words) < 2:
                    continue
                value, time = number(words[1]), number(words[0])
                step = number(words[2]) if len(words) > 2 else 0.0
                if value is not None and step is not None and math.isfinite(step):
                    found.append(
                        (
                            int(step),
                            int(time) if time is not None and math.isfinite(time) else 0,
                            name,
                            value,
                        )
                    )
        found.sort(key=lambda item: item[:2])
        return [(step, {name: value}) for step, _, name, value in found]

    def _metric_files(self) -> Iterator[Path]:
        count = 0
        for folder, _, names in os.walk(self.path / "metrics"):
            for name in sorted(names):
                count += 1
                if count > _MOST_METRICS:
                    return
                yield Path(folder) / name
