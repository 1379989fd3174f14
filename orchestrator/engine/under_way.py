"""An attempt that was handed out and is not gone."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engine.judge import Judge
from orchestrator.placement.model import CPU
from orchestrator.placement.oom import Kind
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialRecord, TrialState

_LOG_TAIL_BYTES = 65_536


@dataclass
class UnderWay:
    """What is known of a running attempt.

    Attributes:
        record: of the trial.
        run: its run directory.
        judge: of its reports.
        log_from: size of the trial's log when the attempt started.
        ending: the state and the reason with which it is asked to end.
        finished: True once its end was written down; its process may still be there.
        adopted: True once the folder of its script has appeared.
        out_of_memory: of what memory it ran out, and what it said.
    """

    record: TrialRecord
    run: RunDir
    judge: Judge
    log_from: int
    ending: tuple[TrialState, str] | None = None
    finished: bool = False
    adopted: bool = False
    out_of_memory: tuple[Kind, str] | None = None

    @property
    def gpus(self) -> int:
        """How many GPUs it holds."""
        device = str((self.record.slot or {}).get("device", CPU))
        return 0 if device == CPU else len(device.split(","))

    def log_tail(self) -> str:
        """Return the end of what it printed; earlier attempts print into the same file."""
        try:
            with self.run.log_file.open("rb") as stream:
                end = stream.seek(0, 2)
                stream.seek(max(self.log_from, end - _LOG_TAIL_BYTES))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""


def log_size(run: RunDir) -> int:
    """Return the bytes that a trial's log holds now."""
    try:
        return run.log_file.stat().st_size
    except OSError:
        return 0
