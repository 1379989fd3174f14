"""An agent with real children, called as the driver calls it, without Ray."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.child.process import Attempt
from orchestrator.engine.runners.cluster.agent import LOST, Agent, Start
from orchestrator.engine.runners.cluster.copying import Target, packed
from orchestrator.engine.runners.cluster.fence import clock
from orchestrator.engine.state.reruns import Retries
from orchestrator.runs import RunDir, read_reports
from orchestrator.sweepfile.model.program import Program
from tests.engine.sweeps import is_alive, wait_until

SCRIPT = """
import sys, time
for step in range(1, 4):
    print(f"step {step} loss {1 / step}", flush=True)
time.sleep(float(sys.argv[1].partition("=")[2]))
"""


class Caller:
    """Calls an agent as a driver does, and keeps what it answered."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.epoch = self.heard = 0
        self.messages: dict[str, list[Any]] = {}
        self.targets: dict[str, Target] = {}

    def call(self, *, starts: dict[str, Start] | None = None, ending: tuple[str, ...] = ()) -> None:
        self.epoch, batches, _ = self.agent.exchange(
            clock(), self.epoch, self.heard, list(ending), starts or {}
        )
        for batch in batches:
            if batch.number > self.heard:
                self.heard = batch.number
                self.messages.setdefault(batch.attempt_id, []).extend(batch.messages)
                if batch.attempt_id in self.targets:
                    self.targets[batch.attempt_id].apply(batch.pieces)

    def until(self, attempt_id: str, kind: str) -> list[Any]:
        def is_there() -> bool:
            self.call()
            return any(each[0] == kind for each in self.messages.get(attempt_id, []))

        wait_until(is_there, 20)
        return self.messages[attempt_id]


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    agent = Agent("a", None, lease_s=3.0)
    found = Caller(agent)
    found.call()
    yield found
    agent._stack.close()


def attempt(folder: Path, sleep_s: float) -> Attempt:
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    program = Program(
        str(script),
        workdir=str(folder),
        folder=str(folder),
        patterns=(r"step (?P<step>\d+) loss (?P<loss>\S+)",),
    )
    slot = {"device": "cpu", "threads": 1, "memory_mib": 64, "visible": ""}
    return Attempt(str(folder), 0, "t", 1, {"s": sleep_s}, None, asdict(program), slot)


def started(folder: Path, sleep_s: float) -> Start:
    return Start(attempt(folder, sleep_s).to_json())


def test_an_attempt_runs_once_however_often_its_start_arrives(
    caller: Caller, tmp_path: Path
) -> None:
    starts = {"one": started(tmp_path / "one", 0.0)}
    caller.call(starts=starts)
    caller.call(starts=starts)
    messages = caller.until("one", "done")
    caller.call(starts=starts)
    caller.call()
    assert sum(each[0] == "report" for each in messages) == 3
    assert [each[0] for each in messages].count("done") == 1


def test_unconfirmed_messages_are_sent_again(caller: Caller, tmp_path: Path) -> None:
    caller.call(starts={"two": started(tmp_path / "two", 0.0)})
    heard = caller.heard
    wait_until(lambda: bool(caller.agent.exchange(clock(), 0, heard, [], {})[1]), 20)
    again = [caller.agent.exchange(clock(), 0, heard, [], {})[1] for _ in range(2)]
    assert again[0] == again[1] != []
    caller.until("two", "done")
    assert caller.agent.exchange(clock(), 0, caller.heard, [], {})[1] == []


def test_trials_end_when_the_driver_is_not_heard_and_late_starts_are_refused(
    caller: Caller, tmp_path: Path
) -> None:
    caller.call(starts={"cut": started(tmp_path / "cut", 600.0)})
    pid = next(each[2] for each in caller.until("cut", "memory") if each[0] == "memory")
    sent_at, epoch = clock(), caller.epoch
    wait_until(lambda: not is_alive(pid), 10)
    assert 2.5 < clock() - sent_at < 6.0
    late = {"late": started(tmp_path / "late", 0.0)}
    caller.agent.exchange(sent_at, epoch, caller.heard, [], late)
    assert caller.until("cut", LOST)[-1] == [LOST, "cut off from the driver"]
    assert caller.until("late", LOST)[0][0] == LOST
    assert caller.epoch > epoch
    caller.call(starts={"new": started(tmp_path / "new", 0.0)})
    caller.until("new", "done")


def test_an_attempt_that_gets_sigterm_shall_run_again(caller: Caller, tmp_path: Path) -> None:
    caller.call(starts={"term": started(tmp_path / "term", 600.0)})
    pid = next(each[2] for each in caller.until("term", "memory") if each[0] == "memory")
    os.kill(pid, signal.SIGTERM)
    message = str(caller.until("term", "failed")[-1][1])
    assert Retries(None).after(0, message) is not None


def test_an_attempt_ends_on_request(caller: Caller, tmp_path: Path) -> None:
    caller.call(starts={"end": started(tmp_path / "end", 600.0)})
    caller.until("end", "report")
    began = time.monotonic()
    caller.call(ending=("end",))
    caller.until("end", "done")
    assert time.monotonic() - began < 10


def test_a_folder_that_the_node_does_not_reach_is_copied_before_the_messages(
    caller: Caller, tmp_path: Path
) -> None:
    folder = tmp_path / "far"
    first = attempt(folder, 0.0)
    (folder / "log.txt").write_text("of the first attempt\n", encoding="utf-8")
    (folder / "weights.pt").write_bytes(b"w" * 200_000)
    caller.targets["far"] = Target(folder)
    parts = packed(folder, lambda part: part)
    caller.call(starts={"far": Start(first.to_json(), parts)})
    caller.until("far", "done")
    run = RunDir(folder)
    assert [step for step, _ in read_reports(run)] == [1, 2, 3]
    log = run.log_file.read_text(encoding="utf-8")
    assert log.startswith("of the first attempt")
    assert "step 3" in log
    assert json.loads(run.metadata_file.read_text())["status"] == "complete"
    assert not list(folder.glob(".*.tmp"))
    assert not (caller.agent._folder / "far").exists(), "nothing is left on the node"
