"""A run without an engine, which records everything a trainer reports."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Arrays = dict[str, tuple[Any, Any]]

SPLITS = ("test", "val", "train")

ENDS_WITHIN_S = 5.0
"""Time limit for worker processes to end after their training."""


class Broken(Exception):  # noqa: N818  (a finding, not an error)
    """A promise is broken; the message describes what happened."""


class RecordingRun:
    """Record a trainer's output in memory; checkpoints are serialized to bytes.

    Args:
        directory: the run directory.
        saved: a checkpoint to continue from.
        without: keys of it that are left out.
        stop_at: number of the `should_stop` call from which it returns True; None for never.
        data_fraction: share of the training data.
    """

    def __init__(
        self,
        directory: Path,
        *,
        saved: bytes | None = None,
        without: tuple[str, ...] = (),
        stop_at: int | None = None,
        data_fraction: float = 1.0,
    ) -> None:
        self.directory = directory
        self.device = "cpu"
        self.threads = 1
        self.data_fraction = data_fraction
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.arrays: Arrays = {}
        self.groups: dict[str, NDArray[Any]] = {}
        self.facts: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.checkpoints: list[bytes] = []
        self.looks = 0
        self.reports_after_stop = 0
        self._saved = saved
        self._without = without
        self._stop_at = stop_at

    @property
    def should_stop(self) -> bool:
        """Return True from call number `stop_at` on."""
        self.looks += 1
        return self._stopped

    @property
    def _stopped(self) -> bool:
        return self._stop_at is not None and self.looks >= self._stop_at

    def report(self, step: int, **metrics: float) -> None:
        """Record one report."""
        self.reports_after_stop += self._stopped
        self.reports.append((int(step), {name: float(value) for name, value in metrics.items()}))

    def progress(self, text: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Record a warning."""
        self.warnings.append(text)

    def describe(self, **facts: Any) -> None:
        """Record facts."""
        for name, value in facts.items():
            present = self.facts.get(name)
            if isinstance(value, Mapping) and isinstance(present, dict):
                present.update(value)
            else:
                self.facts[name] = dict(value) if isinstance(value, Mapping) else value

    def save_predictions(
        self, predictions: Any, targets: Any, split: str = "test", groups: Any = None
    ) -> None:
        """Record copies of both."""
        if split not in SPLITS:
            raise Broken(f"predictions must be of {', '.join(SPLITS)} (found {split!r})")
        if groups is not None and np.shape(groups) != (len(targets),):
            raise Broken(
                f"groups must be one number for each of the {len(targets)} samples "
                f"(found shape {np.shape(groups)})"
            )
        self.arrays[split] = (_copied(predictions), _copied(targets))
        if groups is not None:
            self.groups[split] = np.asarray(groups)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Record the bytes that would be written to disk."""
        stream = io.BytesIO()
        torch.save(dict(state), stream)
        self.checkpoints.append(stream.getvalue())

    def restore(self) -> dict[str, Any] | None:
        """Return the checkpoint to continue from, read as the engine reads it."""
        if self._saved is None:
            return None
        try:
            state = torch.load(io.BytesIO(self._saved), map_location="cpu", weights_only=True)
        except Exception as error:  # pickle raises many kinds of errors
            found = re.search(r"GLOBAL (\S+)", str(error))
            what = (
                f"holds {found[1]}" if found else f"reading it fails: {str(error).splitlines()[0]}"
            )
            raise Broken(
                "a checkpoint may contain only tensors, numbers, strings and nested maps of "
                f"them ({what})"
            ) from error
        return {name: value for name, value in state.items() if name not in self._without}


@contextmanager
def no_process_left() -> Iterator[None]:
    """Check that the block leaves no process behind, including workers of a data loader."""
    before = _children()
    yield
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := _children() - before) and time.monotonic() < deadline:
        time.sleep(0.05)  # workers need a moment to end
    if left:
        raise Broken(f"it left {len(left)} processes behind ({sorted(left)[0]})")


def _children() -> set[int]:
    """Return the living children of this process (Linux only; empty elsewhere)."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(word) for word in path.read_text(encoding="ascii").split()]
        except OSError:
            continue
        found |= {pid for pid in pids if not _is_zombie(pid)}
    return found


def _is_zombie(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


def _copied(values: Any) -> Any:
    """Return copies as arrays of an array, a tensor or a list of these."""
    if isinstance(values, list | tuple):
        return [np.array(_array(item)) for item in values]
    return np.array(_array(values))


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
