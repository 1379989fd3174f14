from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from orchestrator.cli.options import find_trial
from orchestrator.errors import NotFoundError
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState, log_event
from tests.analysis import made
from tests.cli.running import sweep

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made_sweep = made.sweep(tmp_path)
    run = made.trial(made_sweep, 0, name="conservative")
    run.log_file.write_text("".join(f"line {number}\n" for number in range(100)))
    made.trial(made_sweep, 1, name="t20=3.0", state=TrialState.WAITING)
    made.trial(made_sweep, 2, name="7", state=TrialState.FAIL)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("0000", 0), ("conservative", 0), ("0001-t20=3.0", 1), ("t20=3.0", 1), ("7", 2)],
)
def test_a_trial_is_found_by_number_name_or_folder(results: Path, text: str, number: int) -> None:
    assert find_trial(SweepDir(results / "demo"), text).number == number


def test_an_unknown_trial_is_answered_by_the_nearest_and_the_list(results: Path) -> None:
    with pytest.raises(NotFoundError, match=r"0 \(conservative\).*Did you mean 'conservative'\?"):
        find_trial(SweepDir(results / "demo"), "conservativ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], range(60, 100)), (["-n", "2"], range(98, 100)), (["-n", "0"], range(0))],
)
def test_the_last_lines_are_shown(
    results: Path, capsys: Capture, options: list[str], expected: range
) -> None:
    assert sweep("logs", "0", "--results", str(results), *options) == 0
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in expected]


def test_a_line_longer_than_a_block_is_shown_whole(results: Path, capsys: Capture) -> None:
    run = SweepDir(results / "demo").run_dir(0, "conservative")
    long = "ä" * 200_000
    run.log_file.write_text(f"first\n{long}\nlast", encoding="utf-8")
    assert sweep("logs", "0", "--results", str(results), "-n", "2") == 0
    assert capsys.readouterr().out == f"{long}\nlast"


def test_a_trial_without_a_log_has_a_message(results: Path, capsys: Capture) -> None:
    assert sweep("logs", "1", "--results", str(results)) == 0
    assert "trial 1 (t20=3.0) is WAITING and has logged nothing yet." in capsys.readouterr().err


def test_a_sweep_shows_the_output_of_its_driver_or_its_events(
    results: Path, capsys: Capture
) -> None:
    made_sweep = SweepDir(results / "demo")
    log_event(
        made_sweep,
        "trial_ended",
        number=3,
        name="t3",
        state="COMPLETE",
        reason=None,
        value=0.123456,
    )
    with made_sweep.events_file.open("a") as stream:
        stream.write('{"time": "torn')
    assert sweep("logs", "--results", str(results)) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("  trial 3 (t3): COMPLETE, val_mae 0.1235")
    made_sweep.driver_log.write_text("the driver speaks\n")
    assert sweep("logs", "--results", str(results)) == 0
    assert capsys.readouterr().out == "the driver speaks\n"


def test_output_of_a_driver_before_this_one_does_not_hide_the_events(
    results: Path, capsys: Capture
) -> None:
    made_sweep = SweepDir(results / "demo")
    made_sweep.driver_log.write_text("the driver spoke\n")
    os.utime(made_sweep.driver_log, (1, 1))
    log_event(made_sweep, "sweep_started")
    assert sweep("logs", "--results", str(results)) == 0
    assert capsys.readouterr().out.endswith("sweep started\n")


def test_a_sweep_without_a_log_has_a_message(results: Path, capsys: Capture) -> None:
    assert sweep("logs", "--results", str(results)) == 0
    assert "nothing has been logged yet" in capsys.readouterr().err


def test_a_name_that_is_no_trial_may_be_that_of_a_sweep(results: Path, capsys: Capture) -> None:
    crash = made.sweep(results, "crash")
    log_event(crash, "sweep_ended", state="FAILED", reason="no room")
    os.utime(crash.state_file, (1, 1))
    assert sweep("logs", "crash", "--results", str(results)) == 0
    assert capsys.readouterr().out.endswith("  sweep ended: FAILED, no room\n")
    # Who names the sweep means a trial; and a trial goes before a sweep.
    assert sweep("logs", "crash", "--sweep", "demo", "--results", str(results)) == 2
    assert "No trial 'crash' in sweep 'demo' (found: " in capsys.readouterr().err
    made.sweep(results, "conservative")
    os.utime(results / "conservative" / "state.json", (1, 1))
    assert sweep("logs", "conservative", "-n", "1", "--results", str(results)) == 0
    assert capsys.readouterr().out == "line 99\n"


@pytest.mark.parametrize("arguments", [["logs", "nine"], ["logs", "--sweep", "other"]])
def test_unknown_names_exit_with_2(results: Path, capsys: Capture, arguments: list[str]) -> None:
    assert sweep(*arguments, "--results", str(results)) == 2
    assert capsys.readouterr().err.startswith("Error: ")


def test_following_a_trial_that_has_ended_ends_at_once(results: Path, capsys: Capture) -> None:
    assert sweep("logs", "conservative", "-f", "-n", "1", "--results", str(results)) == 0
    captured = capsys.readouterr()
    assert captured.out == "line 99\n"
    assert "trial 0 (conservative) is COMPLETE." in captured.err


@pytest.fixture
def live(tmp_path: Path) -> Iterator[SweepDir]:
    made_sweep = made.sweep(tmp_path, state=SweepState.RUNNING)
    made.trial(made_sweep, 0, state=TrialState.RUNNING, attempt=1)
    with FileLock(made_sweep.lock_file):
        yield made_sweep


class Follower:
    """`sweep logs -f` in a process of its own, whose output is gathered as it comes."""

    def __init__(self, results: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "orchestrator", "logs", *arguments, "-f"),
                *("--results", str(results)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.seen = b""
        self.said = b""
        self.readers = [
            threading.Thread(target=self._gather, args=(name,)) for name in ("stdout", "stderr")
        ]
        for reader in self.readers:
            reader.start()

    def _gather(self, name: str) -> None:
        stream = getattr(self.process, name)
        while block := stream.read1():
            if name == "stdout":
                self.seen += block
            else:
                self.said += block

    def wait_for(self, text: bytes) -> None:
        until = time.monotonic() + 30
        while text not in self.seen + self.said:
            assert time.monotonic() < until, (text, self.seen, self.said)
            time.sleep(0.05)

    def end(self) -> int:
        code = self.process.wait(timeout=30)
        for reader in self.readers:
            reader.join()
        return code

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.end()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def finish(run: RunDir) -> None:
    record = TrialRecord.load(run)
    assert record is not None
    record.state = TrialState.PRUNED
    record.reason = "diverged"
    record.save(run)


def test_following_waits_for_the_log_survives_a_cut_and_ends_with_the_trial(
    live: SweepDir,
) -> None:
    run = live.run_dir(0, "t0")
    follower = Follower(live.path.parent, "0")
    try:
        follower.wait_for(b"waiting for its log")
        run.log_file.write_bytes("one ü\n".encode())
        follower.wait_for("one ü\n".encode())
        # A character torn between two reads is whole in the end.
        with run.log_file.open("ab") as stream:
            stream.write(b"two \xc3")
        follower.wait_for(b"two ")
        with run.log_file.open("ab") as stream:
            stream.write(b"\xa4\n")
        follower.wait_for("two ä\n".encode())
        # The next attempt starts a new log.
        run.log_file.write_bytes(b"new\n")
        follower.wait_for(b"new\n")
        with run.log_file.open("ab") as stream:
            stream.write(b"last\n")
        finish(run)
        assert follower.end() == 0
    finally:
        follower.close()
    assert follower.seen == "one ü\ntwo ä\nnew\nlast\n".encode()
    assert b"trial 0 (t0) is PRUNED, diverged." in follower.said


def test_following_a_sweep_ends_with_it(live: SweepDir) -> None:
    log_event(live, "sweep_started")
    follower = Follower(live.path.parent)
    try:
        follower.wait_for(b"sweep started\n")
        log_event(live, "trial_started", number=0, name="t0")
        follower.wait_for(b"trial 0 (t0): started\n")
        record = SweepRecord.load(live)
        assert record is not None
        record.state = SweepState.FINISHED
        record.save(live)
        assert follower.end() == 0
    finally:
        follower.close()
    assert b"demo: FINISHED." in follower.said


def test_leaving_by_ctrl_c_is_no_error(live: SweepDir) -> None:
    live.run_dir(0, "t0").log_file.write_text("hello\n")
    follower = Follower(live.path.parent, "t0")
    try:
        follower.wait_for(b"hello\n")
        follower.process.send_signal(signal.SIGINT)
        assert follower.end() == 0
    finally:
        follower.close()
    assert b"Traceback" not in follower.said
