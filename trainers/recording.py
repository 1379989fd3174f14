"""A run without an engine: what a trainer hands over is kept, to be looked at."""

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
"""Time that worker processes have to end after the training they belong to."""


class Broken(Exception):  # noqa: N818  (it is a finding, shown as one)
    """A promise is not kept; the message says what was seen."""


class RecordingRun:
    """Keeps what a trainer hands over in memory; checkpoints go through real bytes.

    Args:
        directory: the run directory.
        saved: a checkpoint to go on from.
        stop_at: the look at `should_stop` from which on it is True; None for never.
        data_fraction: share of the training data.
    """

    def __init__(
        self,
        directory: Path,
        *,
        saved: bytes | None = None,
        stop_at: int | None = None,
        data_fraction: float = 1.0,
    ) -> None:
        self.directory = directory
        self.device = "cpu"
        self.threads = 1
        self.data_fraction = data_fraction
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.arrays: Arrays = {}
        self.facts: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.checkpoints: list[bytes] = []
        self.looks = 0
        self.reports_after_stop = 0
        self._saved = saved
        self._stop_at = stop_at

    @property
    def should_stop(self) -> bool:
        """True from look number `stop_at` on."""
        self.looks += 1
        return self._stopped

    @property
    def _stopped(self) -> bool:
        return self._stop_at is not None and self.looks >= self._stop_at

    def report(self, step: int, **metrics: float) -> None:
        """Keep one report."""
        self.reports_after_stop += self._stopped
        self.reports.append((int(step), {name: float(value) for name, value in metrics.items()}))

    def progress(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Keep what the user should know."""
        self.warnings.append(text)

    def describe(self, **facts: Any) -> None:
        """Keep facts."""
        for name, value in facts.items():
            present = self.facts.get(name)
            if isinstance(value, Mapping) and isinstance(present, dict):
                present.update(value)
            else:
                self.facts[name] = dict(value) if isinstance(value, Mapping) else value

    def save_predictions(self, predictions: Any, targets: Any, split: str = "test") -> None:
        """Keep copies of both."""
        if split not in SPLITS:
            raise Broken(f"predictions must be of {', '.join(SPLITS)} (found {split!r})")
        self.arrays[split] = (_copied(predictions), _copied(targets))

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep the bytes that would be on disk."""
        stream = io.BytesIO()
        torch.save(dict(state), stream)
        self.checkpoints.append(stream.getvalue())

    def restore(self) -> dict[str, Any] | None:
        """Return the checkpoint to go on from, read as the engine reads it."""
        if self._saved is None:
            return None
        try:
            state = torch.load(io.BytesIO(self._saved), map_location="cpu", weights_only=True)
        except Exception as error:  # pickle names what it refuses in many ways
            found = re.search(r"GLOBAL (\S+)", str(error))
            what = (
                f"holds {found[1]}" if found else f"reading it fails: {str(error).splitlines()[0]}"
            )
            raise Broken(
                "a checkpoint may contain only tensors, numbers, strings and nested maps of "
                f"them ({what})"
            ) from error
        return dict(state)


@contextmanager
def no_process_left() -> Iterator[None]:
    """Hold the code within to leaving no process behind, worker processes of a loader included."""
    before = _children()
    yield
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := _children() - before) and time.monotonic() < deadline:
        time.sleep(0.05)  # workers end a moment after they were told to
    if left:
        raise Broken(f"it left {len(left)} processes behind ({sorted(left)[0]})")


def _children() -> set[int]:
    """Return the children of this process that live (Linux; elsewhere nothing is seen)."""
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
    """Return arrays of what may be arrays, tensors or lists of such."""
    if isinstance(values, list | tuple):
        return [np.array(_array(item)) for item in values]
    return np.array(_array(values))


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)
