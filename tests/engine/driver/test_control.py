"""Signals: in order at the first, at once at the second, and none where they are not ours."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.engine.driver.control import SAME_SIGNAL_S, catching
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.runs.records import TrialState
from tests.engine.sweeps import cpu_plan, toy_spec

WAIT = (
    "import signal, sys\n"
    "from orchestrator.engine.driver.control import catching\n"
    "signal.signal(signal.SIGHUP, int(sys.argv[1]))\n"
    "def say(word):\n"
    "    print(word, flush=True)\n"
    "with catching(lambda: say('first'), lambda: say('second')):\n"
    "    say('ready')\n"
    "    for line in sys.stdin:\n"
    "        say(line.strip())\n"
    "say('end')\n"
)


class Waiting:
    """A process inside `catching`."""

    def __init__(self, hangup: signal.Handlers = signal.SIG_DFL) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WAIT, str(int(hangup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.heard() == "ready"

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def asked(self) -> str:
        """Return what is heard before the answer to a word."""
        assert self.process.stdin is not None
        self.process.stdin.write("word\n")
        self.process.stdin.flush()
        return self.heard()

    def end(self) -> int:
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_is_the_last(first: signal.Signals, second: signal.Signals) -> None:
    waiting = Waiting()
    waiting.process.send_signal(first)
    assert waiting.heard() == "first"
    if first is second:
        time.sleep(SAME_SIGNAL_S)
    waiting.process.send_signal(second)
    assert waiting.heard() == "second"
    assert waiting.end() == 130


def test_a_termination_that_comes_twice_at_once_is_one() -> None:
    waiting = Waiting()
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.heard() == "first"
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.asked() == "word"
    assert waiting.end() == 0


def test_a_hangup_is_never_the_second() -> None:
    waiting = Waiting()
    for _ in range(3):
        waiting.process.send_signal(signal.SIGHUP)
    assert waiting.heard() == "first"
    assert waiting.asked() == "word"
    assert waiting.end() == 0


def test_under_nohup_a_hangup_means_nothing() -> None:
    waiting = Waiting(signal.SIG_IGN)
    waiting.process.send_signal(signal.SIGHUP)
    assert waiting.asked() == "word"
    assert waiting.end() == 0


def test_the_handlers_of_others_come_back() -> None:
    def theirs(*arguments: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        with catching(lambda: None, lambda: None):
            assert signal.getsignal(signal.SIGTERM) not in (theirs, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_sweep_runs_outside_the_main_thread(tmp_path: Path) -> None:
    ended = []

    def run() -> None:
        outcome = run_sweep(
            toy_spec(tmp_path, {"a": {}}),
            cpu_plan(),
            results=tmp_path,
            listener=lambda event, record, details: None,
            inline=True,
        )
        ended.append(outcome.records[0].state)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert ended == [TrialState.COMPLETE]
