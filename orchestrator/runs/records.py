"""The records that the driver keeps: of a sweep and of each trial."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.record_fields import checked, checked_spec

LARGEST_STEP = 1 << 53
"""Beyond it a float is not exact; no training gets there."""

_Record = TypeVar("_Record", "TrialRecord", "SweepRecord")


def now() -> str:
    """Return the present time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class TrialState(StrEnum):
    """State of a trial, as Optuna names it.

    WAITING trials have not started, were interrupted, or wait for memory: see the reason.
    """

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        """True for a state that a continued sweep keeps."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class SweepState(StrEnum):
    """State of a sweep. INTERRUPTED sweeps continue when they are run again."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"


@dataclass
class TrialRecord:
    """One trial: the content of its `state.json`. Times are ISO 8601, UTC."""

    number: int  # place in the sweep, from 0; it never changes
    name: str  # of a named trial, or the values that set it apart
    config: dict[str, Any]  # the parameter values that the sweep gave, without defaults
    state: TrialState = TrialState.WAITING
    reason: str | None = None  # of the state: "diverged: train_loss is nan since step 3"
    attempt: int = 0  # from 1; 0 before the first
    optuna_number: int | None = None  # of the present attempt in the study
    ray_id: str | None = None  # of the present attempt, for its driver
    slot: dict[str, Any] | None = None  # where it runs: node, device, memory_mib, threads
    stage: str | None = None
    note: dict[str, Any] = field(default_factory=dict)  # from the spec: note, risk, expect
    value: float | None = None  # the sweep's metric when it ended, as recorded in the study
    warnings: list[str] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    started_at: str | None = None  # start of the present attempt
    ended_at: str | None = None  # end of the last attempt
    total_steps: int | None = None  # how many steps it will report, if known
    # The memory that it takes on its device: memory_mib (None if unknown), source (declared,
    # measured, history, unknown), peak_mib that was seen; after an out-of-memory also retries and
    # alone.
    need: dict[str, Any] = field(default_factory=dict)
    origin: int | None = None  # number of the trial that it follows
    link: str | None = None  # how it follows: "promoted", "remedy" or "resumed"
    from_checkpoint: bool = False  # it starts from the checkpoint of `origin`
    # What sets it apart from its origin, or from the baseline: name and set.
    change: dict[str, Any] = field(default_factory=dict)
    group: int | None = None  # with several seeds, number of the first trial with this config
    replicate: int = 0  # place of its seed in the group, from 0
    symptom: str | None = None  # the symptom of its curve that ended it ("explosion")

    @property
    def node(self) -> str:
        """The machine of a cluster on which the last attempt ran; "" without a cluster."""
        return (self.slot or {}).get("node") or ""

    def warnings_now(self, *, runs: bool) -> list[str]:
        """Return its warnings; forecasts only of a trial that runs."""
        if runs or not self.warnings:
            return self.warnings
        from orchestrator.divergence import is_forecast  # few records have warnings

        return [text for text in self.warnings if not is_forecast(text)]

    def state_now(self, driver_lives: bool) -> tuple[TrialState, str | None]:
        """Return the state and its reason; a trial that a killed driver left RUNNING waits."""
        if self.state is TrialState.RUNNING and not driver_lives:
            return TrialState.WAITING, "interrupted"
        return self.state, self.reason

    def save(self, run: RunDir) -> None:
        """Write the record into `run`, making the folder if it is missing."""
        run.path.mkdir(parents=True, exist_ok=True)
        atomic.write_json(run.state_file, asdict(self))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> TrialRecord | None:
        """Return the record of which `raw` has the fields; None if it cannot be read."""
        return _made(cls, raw)[0]

    @classmethod
    def load(cls, run: RunDir, *, damaged: bool = False) -> TrialRecord | None:
        """Return the record in `run`, or None if there is none that can be read.

        Args:
            damaged: return a record that names the problem for one that cannot be read.
        """
        record, problems = _read(TrialRecord, run.state_file)
        if record is not None and record.number >= 0:
            record.warnings += [f"state.json: {problem}" for problem in problems]
            return record
        number = run.number
        if not damaged or number is None or not run.state_file.exists():
            return None
        reason = f"state.json: {problems[0] if problems else 'it cannot be read'}"
        name = run.path.name.partition("-")[2]
        return cls(number, name, {}, TrialState.WAITING, reason)


@dataclass
class SweepRecord:
    """A sweep: the content of its `state.json`. Times are ISO 8601, UTC."""

    sweep: str
    state: SweepState = SweepState.RUNNING  # as the driver left it; see `state_now`
    reason: str | None = None  # why it failed or was interrupted
    n_trials: int | None = None  # None if unbounded
    metric: str = ""  # the metric that ranks
    goal: str = "minimize"  # or "maximize"
    spec_path: str = ""  # absolute
    command: str = ""  # the command line that continues it, if it was started by one
    pid: int = field(default_factory=os.getpid)  # of the driver
    host: str = field(default_factory=socket.gethostname)  # of the driver
    started_at: str = field(default_factory=now)
    ended_at: str | None = None
    # waiting (for memory of others), growth (a sentence for each device), fallback (after an
    # out-of-memory).
    placement: dict[str, Any] = field(default_factory=dict)
    # What was decided: stages (who was promoted), gates and kept of an ablation, each with words;
    # ended (why it ended early), success (the verdict at its end), spent (hours of all its
    # drivers) and shifts (numbers that had to give way).
    course: dict[str, Any] = field(default_factory=dict)

    def state_now(self, sweep: SweepDir) -> SweepState:
        """Return the state; a sweep that a killed driver left RUNNING is INTERRUPTED."""
        if self.state is SweepState.RUNNING and not sweep.driver_lives():
            return SweepState.INTERRUPTED
        return self.state

    def save(self, sweep: SweepDir) -> None:
        """Write the record into the folder of `sweep`."""
        atomic.write_json(sweep.state_file, asdict(self))

    @classmethod
    def load(cls, sweep: SweepDir) -> SweepRecord | None:
        """Return the record in `sweep`, or None if there is none that can be read."""
        record = _read(SweepRecord, sweep.state_file)[0]
        if record is not None and record.goal not in ("minimize", "maximize"):
            record.goal = "minimize"
        return record

    @staticmethod
    def load_spec(sweep: SweepDir) -> dict[str, Any]:
        """Return the spec that the driver saved, for readers; {} if it cannot be read."""
        return checked_spec(atomic.read_json(sweep.spec_file) or {})


def _read(kind: type[_Record], file: Path) -> tuple[_Record | None, list[str]]:
    """Return the record in a `state.json`, None if it is damaged, and what is wrong with it."""
    raw = atomic.read_json(file)
    return (None, []) if raw is None else _made(kind, raw)


def _made(kind: type[_Record], raw: dict[str, Any]) -> tuple[_Record | None, list[str]]:
    found, problems = checked(kind, raw)
    if found is None:
        return None, problems
    record = kind(**found)
    record.state = type(kind.state)(record.state)
    return record, problems


def load_trials(sweep: SweepDir, *, damaged: bool = False) -> list[TrialRecord]:
    """Return the records of all trials of `sweep` that have one, by number.

    Args:
        damaged: see `TrialRecord.load`.
    """
    records = (TrialRecord.load(run, damaged=damaged) for run in sweep.run_dirs())
    return [record for record in records if record is not None]


def read_reports(run: RunDir) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield step and metrics of every report in the child's log, in its order."""
    for line in jsonl.iterate(run.metrics_file):
        try:
            step = int(line["step"])
            metrics = {name: float(value) for name, value in line["metrics"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            continue
        if 0 <= step <= LARGEST_STEP:
            yield step, metrics


def log_event(sweep: SweepDir, event: str, **details: Any) -> None:
    """Append one event, such as ``"trial_started"``, to the sweep's log; driver only."""
    line = {"time": now(), "event": event, **details}
    jsonl.append(sweep.events_file, line, with_others=sweep.drivers_dir.exists())


def results_folder(option: Path | None = None) -> Path:
    """Return the folder of the sweeps: `option`, else ``SWEEP_RESULTS``, else ``results``."""
    return option or Path(os.environ.get("SWEEP_RESULTS") or "results")
