"""Runs `run_script` in a process like a trial's, and records what it reports."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, cast

from orchestrator.engine.child.process import _start_conditions
from orchestrator.engine.child.trial_run import TrialRun
from orchestrator.engine.script.follow import run_script
from orchestrator.errors import TrialError
from orchestrator.sweepfile.model.program import Program
from tests.conftest import ROOT

SCRIPTS = Path(__file__).parent / "scripts"
EPOCH_LINE = (
    r"Epoch (?P<step>\d+)/(?P<total>\d+) - loss: (?P<train_loss>\S+) - val_loss: (?P<val_loss>\S+)"
)


@dataclass
class Trial:
    """What a finished or running trial left."""

    directory: Path
    process: ForkServerProcess

    @property
    def events(self) -> list[list[Any]]:
        path = self.directory / "events.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def of(self, kind: str) -> list[Any]:
        return [event[1] for event in self.events if event[0] == kind]

    @property
    def reports(self) -> list[tuple[int, dict[str, float]]]:
        return [(step, values) for step, values in self.of("report")]

    @property
    def facts(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for facts in self.of("describe"):
            merged |= facts
        return merged

    @property
    def log(self) -> bytes:
        path = self.directory / "log.txt"
        return path.read_bytes() if path.exists() else b""

    @property
    def error(self) -> str | None:
        failures = self.of("failed")
        return failures[0] if failures else None

    def wait(self) -> Trial:
        self.process.join(60)
        assert self.process.exitcode == 0, self.log.decode(errors="replace")
        return self

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1200):
            if condition():
                return
            assert self.process.is_alive(), self.log.decode(errors="replace")
            time.sleep(0.05)
        raise AssertionError(f"never came: {self.events} {self.log!r}")

    def ask_to_stop(self) -> None:
        (self.directory / "stop").touch()

    def worker_pid(self) -> int:
        """Return the id that the script's output names after the word worker."""
        self.until(lambda: any(part == b"worker" for part in self.log.split()[:-1]))
        words = self.log.split()
        return int(words[words.index(b"worker") + 1])


@contextmanager
def started(
    program: Program, config: dict[str, Any], directory: Path, *, grace_s: float | None = 1.0
) -> Iterator[Trial]:
    directory.mkdir(parents=True, exist_ok=True)
    task = {"program": asdict(program), "config": config, "grace_s": grace_s}
    (directory / "task.json").write_text(json.dumps(task))
    context = multiprocessing.get_context("forkserver")
    # The first test that starts a process, of a script or of a trainer, decides what is preloaded.
    context.set_forkserver_preload([__name__, "torch", "trainers.loading"])
    process = context.Process(target=_main, args=(directory.absolute(), dict(os.environ)))
    with _start_conditions():
        process.start()
    assert process.pid is not None
    try:
        yield Trial(directory, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()


def run_trial(program: Program, config: dict[str, Any], directory: Path, **known: Any) -> Trial:
    with started(program, config, directory, **known) as trial:
        return trial.wait()


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


@dataclass
class _Recorder:
    """A run that records what is reported to it."""

    directory: Path
    device: str = "cpu"
    threads: int = 3
    goes_on: bool = False
    cap: tuple[int, int] | None = None
    _stop: bool = field(default=False, repr=False)

    @property
    def should_stop(self) -> bool:
        return (self.directory / "stop").exists()

    @staticmethod
    def masked(value: Any) -> Any:
        return value

    def continues(self) -> None:
        self.write("continues", None)

    def write(self, kind: str, value: Any) -> None:
        with (self.directory / "events.jsonl").open("a") as stream:
            stream.write(json.dumps([kind, value]) + "\n")

    def report(self, step: int, **metrics: float) -> None:
        if (self.directory / "refuse").exists():
            raise RuntimeError("Refused")
        self.write("report", [step, metrics])

    def describe(self, **facts: Any) -> None:
        self.write("describe", facts)

    def progress(self, text: str) -> None:
        self.write("progress", text)

    def warn(self, text: str) -> None:
        self.write("warn", text)

    def adopted(self, path: str) -> None:
        self.write("adopted", path)


def _main(directory: Path, environment: dict[str, str]) -> None:
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    task = json.loads((directory / "task.json").read_text())
    program = Program.from_dict(task["program"])
    run = _Recorder(directory, goes_on=(directory / "events.jsonl").exists())
    try:
        run_script(program, task["config"], cast(TrialRun, run), grace_s=task["grace_s"])
        run.write("done", None)
    except TrialError as error:
        run.write("failed", str(error))
