"""The `Run` that a trainer or a script's runner receives: its only connection to the outside."""

from __future__ import annotations

import importlib.metadata
import math
import operator
import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from orchestrator.divergence import fatal_value
from orchestrator.engine.child import memory, saving
from orchestrator.engine.child.process import Attempt, Channel
from orchestrator.errors import TrialError
from orchestrator.files import atomic, jsonl
from orchestrator.files.series_names import Rank, best_training_name
from orchestrator.runs import now
from orchestrator.sweepfile import Private

# How often a trainer's memory is measured, and the growth that is worth a message.
MEMORY_EVERY_S = 2.0
_GREW = 1.02

# Keys of a checkpoint: which trial wrote it, and what `sweep resume --new-schedule` leaves out.
_OWNER = "_trial"
SCHEDULER = "scheduler"

# What of the metadata may hold texts that must not be written down.
_PRIVATE = {"config", "set", "program", "command", "effective"}

# Packages that affect results.
_PACKAGES = ("sweep-orchestrator", "torch", "numpy", "ray", "optuna", "pyroomacoustics")


class TrialRun:
    """Writes what a trial reports into its run directory, and passes reports on.

    It satisfies `trainers.base.Run`, which describes the methods. Each file has this one writer.

    Attributes:
        goes_on: an earlier attempt, or the trial that this one follows, may have left a state.
        cap: what it may hold on its GPU, and all memory of that, bytes; None for no cap.
        masked: returns a record without texts that must not be written down.
    """

    def __init__(self, attempt: Attempt, channel: Channel, *, echo: TextIO | None = None) -> None:
        self.directory = attempt.run_dir.path
        self.device = attempt.device
        self.threads = attempt.threads
        self.data_fraction = float(attempt.config.get("data_fraction", 1.0))
        self.goes_on = attempt.attempt > 1 or attempt.from_checkpoint
        self.cap: tuple[int, int] | None = None
        if attempt.cap_bytes is not None and attempt.gpu_bytes is not None:
            self.cap = attempt.cap_bytes, attempt.gpu_bytes
        self._attempt = attempt
        self.masked = Private.of_process(attempt.private).masked
        self._files = attempt.run_dir
        self._channel = channel
        self._echo = echo
        self._started = time.monotonic()
        self._first_step: int | None = None
        self._last = 0, self._started  # step and time of the last report
        self._reports = 0
        self._restored = False
        self._checked = False
        self._loss = TrainingLoss()
        self._sent_bytes = 0
        self._next_measurement = 0.0
        self._metadata: dict[str, Any] = {
            "number": attempt.number,
            "name": attempt.name,
            "attempt": attempt.attempt,
            "status": "running",
            "trainer": attempt.trainer,
            "program": attempt.program,
            "stage": attempt.stage,
            "config": dict(attempt.config),
            "started_at": now(),
            "threads": attempt.threads,
            "slot": attempt.slot,
            "commit": attempt.commit,
            "versions": versions(),
            "warnings": [],
        }
        declared = (attempt.program or {}).get("arrays")
        if declared:
            self._metadata["data"] = declared
        self._write()

    @property
    def should_stop(self) -> bool:
        """True once the trial should save what it has and return."""
        return self._is_lost or self._channel.should_stop

    @property
    def _is_lost(self) -> bool:
        return self._attempt.stops_at_non_finite and self._loss.fatal is not None

    def report(self, step: int, **metrics: Any) -> None:
        """Log one report and send it to be judged.

        Raises a `TrialError` if the step is not a whole number from 0, or a metric is not a number.
        """
        step = _step(step)
        values = {name: _number(name, value) for name, value in metrics.items()}
        self._loss.update(step, values)
        self._last = step, time.monotonic()
        self._reports += 1
        if self._first_step is None:
            self._first_step = step
            self._metadata.pop("progress", None)
            self._write()
            self._start_log()
        record = {"step": step, "time": round(time.time(), 3), "metrics": values}
        jsonl.append(self._files.metrics_file, record)
        if self._echo is not None:
            numbers = "  ".join(f"{name} {value:.5g}" for name, value in values.items())
            print(f"{now()}  step {step}  {numbers}", file=self._echo)
        self._channel.send(["report", step, values])
        self._send_memory()

    def progress(self, text: str) -> None:
        """Describe in a few words what happens before the first report."""
        text = self.masked(text)
        if text != self._metadata.get("progress"):
            self.describe(progress=text)
            self._channel.send(["progress", text])

    def describe(self, **known: Any) -> None:
        """Merge facts into ``metadata.json``; maps are merged one level deep."""
        for name, value in known.items():
            present = self._metadata.get(name)
            if isinstance(value, Mapping) and isinstance(present, dict):
                present.update(value)
            else:
                self._metadata[name] = dict(value) if isinstance(value, Mapping) else value
        if known.get("total_steps") is not None:
            self._channel.send(["total_steps", int(known["total_steps"])])
        self._write()

    def warn(self, text: str) -> None:
        """Record a warning, once; shown in status and below the table."""
        text = self.masked(text)
        if text not in self._metadata["warnings"]:
            self._metadata["warnings"].append(text)
            self._write()
            self._channel.send(["warn", text])

    def continues(self) -> None:
        """Append the reports of a script that resumes to those of the attempt before."""
        self._restored = True

    def adopted(self, path: str) -> None:
        """Report that the folder in which a script keeps its output has appeared."""
        self._channel.send(["adopted", path])

    def save_predictions(
        self, predictions: Any, targets: Any, split: str = "test", groups: Any = None
    ) -> None:
        """Save arrays of one shape, or lists of sequences; see `saving.save_pair`."""
        saving.save_pair(self._files, predictions, targets, split)
        saving.save_groups(self._files, groups, len(targets), split)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint by `state`: tensors, numbers, strings, nested maps.

        The first one is read back, so that other objects are refused now and not when it is needed.
        A state whose loss is not finite is not saved: the one before is worth more.
        """
        if self._is_lost:
            return
        import torch

        with atomic.replacing(self._files.checkpoint_file) as stream:
            torch.save({**state, _OWNER: self._attempt.number}, stream)
        if not self._checked:
            saving.check_checkpoint(self._files.checkpoint_file)
            self._checked = True
        if self._loss.is_best:
            saving.copy_file(self._files.checkpoint_file, self._files.best_checkpoint_file)

    def restore(self) -> dict[str, Any] | None:
        """Return the checkpoint of an earlier attempt or of the trial that this one follows."""
        if not self.goes_on or not self._files.checkpoint_file.exists():
            return None
        import torch

        state = torch.load(self._files.checkpoint_file, map_location="cpu", weights_only=True)
        self._restored = True
        owner = state.pop(_OWNER, None)
        if self._attempt.new_schedule and owner != self._attempt.number:
            state.pop(SCHEDULER, None)
        return dict(state)

    def finish(self, status: str, **known: Any) -> None:
        """Close the metadata: how the attempt ended, its duration, its memory."""
        self._metadata.pop("progress", None)
        if self._is_lost:
            self._metadata["lost"] = self._loss.fatal
        if self._first_step is not None:
            step, at = self._last
            steps = max(1, step - self._first_step + 1)
            # A trainer whose steps are batches records itself what an epoch was.
            counts_from_0 = self._first_step == 0 and self._reports == step + 1
            self._metadata.setdefault("epochs_done", step + counts_from_0)
            self._metadata.setdefault("seconds_per_epoch", round((at - self._started) / steps, 4))
        self._metadata.update(
            status=status,
            ended_at=now(),
            duration_s=round(time.monotonic() - self._started, 3),
            device=self.device,
            device_name=_device_name(self.device),
            host=platform.node(),
            **memory.peaks_mib(),
            **known,
        )
        self._write()

    def _send_memory(self) -> None:
        # The driver measures a script itself.
        if self._attempt.program is not None or time.monotonic() < self._next_measurement:
            return
        held = memory.reserved_bytes() if self.device == "cuda" else memory.tree_bytes(os.getpid())
        if held > self._sent_bytes * _GREW:
            self._sent_bytes = held
            self._channel.send(["memory", held, os.getpid()])
        self._next_measurement = time.monotonic() + MEMORY_EVERY_S

    def _start_log(self) -> None:
        # An attempt that starts over keeps the reports of the one before under another name; one
        # that continues from a checkpoint appends to them.
        log = self._files.metrics_file
        if log.exists() and not self._restored:
            log.replace(log.with_name(f"metrics.{self._attempt.attempt - 1}.jsonl"))

    def _write(self) -> None:
        shown = {
            name: self.masked(self._metadata[name]) for name in _PRIVATE & self._metadata.keys()
        }
        # Of an attempt that a power cut ends, nothing is lost that the next one does not write.
        durable = "ended_at" in self._metadata
        atomic.write_json(self._files.metadata_file, {**self._metadata, **shown}, durable=durable)


class TrainingLoss:
    """Follows the training loss, the series that the divergence rule would choose.

    The driver judges the same reports some tenths of a second later and by all rules; here a loop
    that reports its steps ends at the step.

    Attributes:
        fatal: why the run is lost, as text; None while it is not.
        is_best: True if the last report is the best, or has no training loss.
    """

    def __init__(self) -> None:
        self.fatal: str | None = None
        self.is_best = True
        self._best = math.inf
        self._chosen: tuple[Rank, str] | None = None

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Take in one report."""
        found = best_training_name(values)
        if found is not None and (self._chosen is None or found[0] < self._chosen[0]):
            self._chosen, self._best = found, math.inf
        if self._chosen is None or self._chosen[1] not in values:
            return
        name = self._chosen[1]
        value = values[name]
        self.is_best = value <= self._best
        if self.is_best:
            self._best = value
        if self.fatal is None and not math.isfinite(value):
            self.fatal = fatal_value(name, value, step)


def _step(step: Any) -> int:
    try:
        whole = operator.index(step)
    except TypeError:
        whole = int(step) if isinstance(step, float) and step.is_integer() else -1
    if whole < 0:
        raise TrialError(f"report: step {step!r} is not a whole number from 0.")
    return whole


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        kind = type(value).__name__
        raise TrialError(f"report: metric '{name}' is not a number (found {kind}).") from None


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _device_name(device: str) -> str:
    if device == "cuda":
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            return str(torch.cuda.get_device_name())
        return f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
