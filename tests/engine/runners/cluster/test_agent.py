"""An agent with real children, called as the driver calls it, without Ray."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.child.process import Attempt
from orchestrator.engine.runners.cluster.agent import LOST, Agent
from orchestrator.engine.runners.cluster.fence import clock
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
        self.sent_at: Callable[[], float] = clock

    def call(self, *, starts: dict[str, str] | None = None, ending: tuple[str, ...] = ()) -> None:
        self.epoch, batches, _ = self.agent.exchange(
            self.sent_at(), self.epoch, self.heard, list(ending), starts or {}
        )
        for number, attempt_id, messages in batches:
            if number > self.heard:
                self.heard = number
                self.messages.setdefault(attempt_id, []).extend(messages)

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


def test_an_attempt_runs_once_however_often_its_start_arrives(
    caller: Caller, tmp_path: Path
) -> None:
    starts = {"one": attempt(tmp_path / "one", 0.0).to_json()}
    caller.call(starts=starts)
    caller.call(starts=starts)
    messages = caller.until("one", "done")
    caller.call(starts=starts)
    caller.call()
    assert sum(each[0] == "report" for each in messages) == 3
    assert [each[0] for each in messages].count("done") == 1


def test_unconfirmed_messages_are_sent_again(caller: Caller, tmp_path: Path) -> None:
    caller.call(starts={"two": attempt(tmp_path / "two", 0.0).to_json()})
    heard = caller.heard
    wait_until(lambda: bool(caller.agent.exchange(clock(), 0, heard, [], {})[1]), 20)
    again = [caller.agent.exchange(clock(), 0, heard, [], {})[1] for _ in range(2)]
    assert again[0] == again[1] != []
    caller.until("two", "done")
    assert caller.agent.exchange(clock(), 0, caller.heard, [], {})[1] == []


def test_trials_end_when_the_driver_is_not_heard_and_late_starts_are_refused(
    caller: Caller, tmp_path: Path
) -> None:
    caller.call(starts={"cut": attempt(tmp_path / "cut", 600.0).to_json()})
    pid = next(each[2] for each in caller.until("cut", "memory") if each[0] == "memory")
    sent_at, epoch = clock(), caller.epoch
    wait_until(lambda: not is_alive(pid), 10)
    assert 2.5 < clock() - sent_at < 6.0
    late = {"late": attempt(tmp_path / "late", 0.0).to_json()}
    caller.agent.exchange(sent_at, epoch, caller.heard, [], late)
    assert caller.until("cut", LOST)[-1] == [LOST, "cut off from the driver"]
    assert caller.until("late", LOST)[0][0] == LOST
    assert caller.epoch > epoch
    caller.call(starts={"new": attempt(tmp_path / "new", 0.0).to_json()})
    caller.until("new", "done")


def test_an_attempt_ends_on_request(caller: Caller, tmp_path: Path) -> None:
    caller.call(starts={"end": attempt(tmp_path / "end", 600.0).to_json()})
    caller.until("end", "report")
    began = time.monotonic()
    caller.call(ending=("end",))
    caller.until("end", "done")
    assert time.monotonic() - began < 10
