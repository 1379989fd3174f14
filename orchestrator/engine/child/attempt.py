"""What travels between the driver and the process of a trial: the attempt, and messages.

A message is a list in JSON types; its first item is the kind::

    from the trial                          to the trial
    ["report", step, {name: value}]         ["ack", n]     n more reports were judged
    ["total_steps", n]                      ["stop"]       save what you have and return
    ["progress", text]
    ["warn", text]
    ["adopted", path]
    ["memory", bytes, pid]
    ["done"]
    ["failed", message]

The bytes of ``memory`` are, on a GPU, the peak of what torch reserved, without the context; on a
CPU the RAM of all the trial's processes. A script, which the driver measures itself, sends 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from orchestrator.placement import CPU
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program

Message = list[Any]


class Channel(Protocol):
    """The trial's end of the connection to the driver."""

    @property
    def should_stop(self) -> bool:
        """True once the trial was asked to end."""

    def send(self, message: Message) -> None:
        """Send one message; a report may wait until earlier ones were judged."""


@dataclass(frozen=True)
class Attempt:
    """One try at running a trial.

    Attributes:
        run_path: the run directory, absolute.
        attempt: which try this is, from 1.
        config: the values that the sweep gave.
        trainer: None for a program.
        program: fields of `Program`; None for a trainer.
        slot: `Slot.to_dict()`.
        stage: None if the sweep has no stages.
        commit: git commit of the code that runs; None if unknown.
        folder: where a trainer of the user's own is looked up besides the environment.
        cap_bytes: what the trial may hold on its GPU, including its context; None for no cap.
        gpu_bytes: all memory of its GPU (of several the smallest); None if unknown.
        from_checkpoint: True if its first attempt finds in the run directory the checkpoint of the
            trial that it follows.
        stops_at_non_finite: True if a training loss that is not finite ends it at once.
        keeps_best: True if the checkpoint of its best report is kept besides the last one, for a
            remedy that continues from there.
        new_schedule: True if it continues from another trial's checkpoint with its own schedule.
    """

    run_path: str
    number: int
    name: str
    attempt: int
    config: dict[str, Any]
    trainer: str | None
    program: dict[str, Any] | None
    slot: dict[str, Any] = field(default_factory=dict)
    stage: str | None = None
    commit: str | None = None
    folder: str | None = None
    cap_bytes: int | None = None
    gpu_bytes: int | None = None
    from_checkpoint: bool = False
    stops_at_non_finite: bool = False
    keeps_best: bool = False
    new_schedule: bool = False

    @property
    def run_dir(self) -> RunDir:
        """The run directory."""
        return RunDir(Path(self.run_path))

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""
        return "cpu" if self.slot.get("device", CPU) == CPU else "cuda"

    @property
    def threads(self) -> int:
        """CPU threads that the trial may use."""
        return int(self.slot.get("threads", 1))

    def to_program(self) -> Program | None:
        """Return the program; None for a trainer."""
        return None if self.program is None else Program.from_dict(self.program)

    def to_json(self) -> str:
        """Return the attempt as one string.

        Ray Tune interprets some nested values (``grid_search``, lambdas); it passes a string as is.
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the attempt that `to_json` wrote."""
        return cls(**json.loads(text))
