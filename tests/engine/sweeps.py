"""Specs, plans and attempts over the toy trainer, for tests of the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.child.process import Attempt, Message, TrialProcess
from orchestrator.placement.model import Need, Plan, Slot
from orchestrator.sweepfile.model.spec import MetricGoal, NamedTrial, Spec

TOY = "tests.engine.toys.curve"
TOYS = Path(__file__).parent / "toys"


def toy_spec(folder: Path, trials: Mapping[str, Mapping[str, Any]], **fields: Any) -> Spec:
    """Return a spec of named trials of the toy trainer, or of a program in `folder`.

    What a trainer declares is looked up in the folder of its sweep file, once for each folder.
    """
    is_toy = fields.get("trainer", TOY) == TOY
    known: dict[str, Any] = {
        "name": "toy",
        "path": (TOYS if is_toy else folder) / "toy.yaml",
        "trainer": TOY,
        "metric": MetricGoal("val_mae"),
        "trials": {name: NamedTrial(set=dict(values)) for name, values in trials.items()},
    }
    return Spec(**{**known, **fields})


def cpu_plan(slots: int = 2) -> Plan:
    """Return a plan of `slots` CPU slots that all start at once."""
    rooms = tuple(Slot(index, "", "cpu", 1 << 30, 1) for index in range(slots))
    return Plan("parallel", slots, slots, rooms, None, Need(), "for a test")


def toy_attempt(folder: Path, attempt: int = 1, **config: Any) -> Attempt:
    """Return an attempt at a toy trial in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    slot = {"device": "cpu", "threads": 1, "memory_mib": 1024, "visible": ""}
    return Attempt(str(folder), 0, "toy", attempt, config, TOY, None, slot)


def run_to_end(
    process: TrialProcess, on_message: Callable[[Message], None] = lambda message: None
) -> list[Message]:
    """Return all messages of a process, which is polled until it has ended."""
    messages: list[Message] = []
    deadline = time.monotonic() + 60
    while process.is_alive:
        assert time.monotonic() < deadline, f"still alive after {messages}"
        for message in process.poll(0.2):
            messages.append(message)
            on_message(message)
    return messages


def is_alive(pid: int) -> bool:
    """Tell whether a process lives (a zombie does not)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until `condition` holds, and fail where it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def processes_with(marker: str) -> list[int]:
    """Return the processes whose environment holds `marker`, other than this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if marker.encode() in environment and is_alive(int(entry.name)):
            found.append(int(entry.name))
    return found
