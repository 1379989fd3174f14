"""The process of one trial, from outside: a real forkserver and real children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from orchestrator.engine.child.process import TrialProcess
from orchestrator.files import jsonl, lock
from orchestrator.sweepfile.model.program import Program
from tests.engine.sweeps import is_alive, run_to_end, toy_attempt, wait_until


def test_a_trial_reports_and_leaves_everything_behind(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=4, lr=0.5)
    messages = run_to_end(TrialProcess(attempt))
    kinds = ["total_steps", "report", "memory", *["report"] * 3, "done"]
    assert [message[0] for message in messages] == kinds
    _, held, pid = messages[2]
    assert held > 10 << 20, "Python alone takes more"
    assert pid != os.getpid()
    run = attempt.run_dir
    assert [record["step"] for record in jsonl.read(run.metrics_file)] == [1, 2, 3, 4]
    log = run.log_file.read_text()
    assert "training with Config(" in log
    assert "step 4  train_loss 0.13534" in log
    for split in ("test", "val"):
        assert run.predictions_file(split).exists()
        assert run.targets_file(split).exists()
    metadata = json.loads(run.metadata_file.read_text())
    assert metadata["status"] == "complete"
    assert metadata["config"]["lr"] == 0.5
    assert metadata["config"]["shape"] == "fall", "defaults are part of the effective config"
    assert metadata["set"] == {"epochs": 4, "lr": 0.5}
    assert metadata["effective"] == {"lr": 0.5}
    assert metadata["epochs_done"] == 4
    assert metadata["peak_memory_mib"] > 0
    assert metadata["versions"]["torch"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "RuntimeError: the data are gone"),
        ("exit", "the process ended with exit code 7 before the trial was done"),
        ("segv", "the process was killed by SIGSEGV"),
        ("sys_exit", "SystemExit: 3"),
        ("shapes", "predictions and targets differ in shape ((39, 3) and (40, 3))"),
    ],
)
def test_whatever_goes_wrong_is_one_message(tmp_path: Path, fault: str, message: str) -> None:
    messages = run_to_end(TrialProcess(toy_attempt(tmp_path / "0000-toy", fault=fault)))
    kind, text = messages[-1]
    assert kind == "failed"
    assert message in text


def test_a_folder_that_vanishes_is_no_failure_of_the_trial(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=1000, pause_s=0.02)

    def vanish(message: object) -> None:
        if os.path.exists(attempt.run_path):  # at once, and not file by file
            os.rename(attempt.run_path, tmp_path / "elsewhere")

    messages = run_to_end(TrialProcess(attempt), vanish)
    assert messages[-1] == ["disk", "the folder was removed, moved or unmounted"]


def test_a_log_that_cannot_be_opened_is_named_by_the_failure(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy")
    attempt.run_dir.log_file.mkdir()
    messages = run_to_end(TrialProcess(attempt))
    assert messages == [["failed", messages[0][1]]]
    assert "log.txt: IsADirectoryError" in messages[0][1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_named_as_the_trials_failure(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy")
    attempt.run_dir.metrics_file.symlink_to("/dev/full")
    attempt.run_dir.log_file.symlink_to("/dev/full")
    messages = run_to_end(TrialProcess(toy_attempt(tmp_path / "0000-toy")))
    assert messages[-1][0] == "failed"
    assert "No space left on device" in messages[-1][1]


def test_what_a_killed_attempt_left_half_written_is_removed(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=2)
    (tmp_path / "0000-toy" / ".checkpoint.pt.x1y2z3.tmp").write_bytes(b"half")
    (tmp_path / "0000-toy" / ".state.json.x1y2z3.tmp").write_bytes(b"the driver writes")
    assert run_to_end(TrialProcess(attempt))[-1] == ["done"]
    left = [path.name for path in Path(attempt.run_path).glob(".*.tmp")]
    assert left == [".state.json.x1y2z3.tmp"]


def test_workers_of_a_trial_end_with_it(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", fault="workers")
    assert run_to_end(TrialProcess(attempt))[-1] == ["done"]
    worker = int(Path(attempt.run_path, "worker.pid").read_text())
    wait_until(lambda: not is_alive(worker), 5)


def test_a_trial_returns_when_asked_to_stop(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=1000, pause_s=0.02)
    process = TrialProcess(attempt)
    messages = run_to_end(process, lambda message: process.stop() if message[0] == "report" else 0)
    assert messages[-1] == ["done"]
    assert json.loads(attempt.run_dir.metadata_file.read_text())["status"] == "stopped"


def test_a_trial_that_does_not_listen_is_killed_after_the_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.engine.child.process.GRACE_S", 0.3)
    attempt = toy_attempt(tmp_path / "0000-toy", fault="deaf")
    process = TrialProcess(attempt)
    messages = run_to_end(
        process, lambda message: process.stop() if message[0] == "report" else None
    )
    assert messages[-1][0] == "failed"
    assert "SIGKILL" in messages[-1][1]


def test_a_trial_waits_for_its_judges(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=50)
    process = TrialProcess(attempt)
    wait_until(lambda: len(jsonl.read(attempt.run_dir.metrics_file)) >= 3)
    time.sleep(0.5)
    assert len(jsonl.read(attempt.run_dir.metrics_file)) == 3, "two unjudged, and one that waits"
    kinds = [message[0] for message in run_to_end(process)]
    assert (kinds.count("report"), kinds[-1]) == (50, "done")


@pytest.mark.parametrize(
    ("shape", "logged"),
    [
        ("fall", 65),  # 64 unjudged, and one that waits
        ("explode", 6),  # the rule stops it at 5
    ],
)
def test_a_trial_that_nothing_stops_runs_ahead_of_its_judges(
    tmp_path: Path, shape: str, logged: int
) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=80, shape=shape)
    process = TrialProcess(replace(attempt, rule={"metric": "val_loss", "goal": "minimize"}))
    wait_until(lambda: len(jsonl.read(attempt.run_dir.metrics_file)) >= logged)
    time.sleep(0.5)
    assert len(jsonl.read(attempt.run_dir.metrics_file)) == logged
    kinds = [message[0] for message in run_to_end(process)]
    assert (kinds.count("report"), kinds[-1]) == (80, "done")


def test_the_child_sees_no_gpu_and_its_share_of_threads(tmp_path: Path) -> None:
    attempt = toy_attempt(tmp_path / "0000-toy", epochs=100, pause_s=0.1)
    process = TrialProcess(attempt)
    try:
        wait_until(attempt.run_dir.metrics_file.exists)
        child = process._process.pid
        assert child is not None
        assert os.getsid(child) == child
        assert lock.is_held(attempt.run_dir.lock_file)
    finally:
        process.close()
    assert not lock.is_held(attempt.run_dir.lock_file)


def test_a_second_attempt_continues_from_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "0000-toy"
    process = TrialProcess(toy_attempt(folder, epochs=100, pause_s=0.02))
    run_to_end(
        process,
        lambda message: process.stop() if message[:2] == ["report", 5] else None,
    )
    attempt = toy_attempt(folder, attempt=2, epochs=10)
    assert run_to_end(TrialProcess(attempt))[-1] == ["done"]
    steps = [record["step"] for record in jsonl.read(attempt.run_dir.metrics_file)]
    assert steps == list(range(1, 11))


def test_an_attempt_that_starts_over_keeps_the_earlier_reports_apart(tmp_path: Path) -> None:
    folder = tmp_path / "0000-toy"
    run_to_end(TrialProcess(toy_attempt(folder, epochs=5, fault="raise")))
    attempt = toy_attempt(folder, attempt=2, epochs=4)
    attempt.run_dir.checkpoint_file.unlink()
    run_to_end(TrialProcess(attempt))
    assert [r["step"] for r in jsonl.read(attempt.run_dir.metrics_file)] == [1, 2, 3, 4]
    assert [r["step"] for r in jsonl.read(folder / "metrics.1.jsonl")] == [1, 2]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_trial_dies_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from orchestrator.engine.child.process import TrialProcess\n"
        "from tests.engine.sweeps import toy_attempt\n"
        "attempt = toy_attempt(Path(sys.argv[1]), fault='workers', epochs=1000, pause_s=0.1)\n"
        "process = TrialProcess(attempt)\n"
        "print(process._process.pid, flush=True)\n"
        "while True:\n"
        "    process.poll(0.2)\n"
    )
    folder = tmp_path / "0000-toy"
    minder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert minder.stdout is not None
    child = int(minder.stdout.readline())
    wait_until((folder / "metrics.jsonl").exists)
    worker = int((folder / "worker.pid").read_text())
    assert is_alive(child)
    assert is_alive(worker)
    minder.send_signal(number)
    minder.wait(10)
    wait_until(lambda: not is_alive(child) and not is_alive(worker), 5)
    minder.stdout.close()


DAEMON = """
import os, subprocess, sys, time
code = (
    "import os, signal, subprocess, sys\\n"
    "ignores = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'\\n"
    "worker = subprocess.Popen([sys.executable, '-c', ignores], start_new_session=True)\\n"
    "open(os.environ['SWEEP_RUN_DIR'] + '/worker.pid.part', 'w').write(str(worker.pid))\\n"
)
subprocess.run([sys.executable, "-c", code], check=True)
folder = os.environ["SWEEP_RUN_DIR"]
os.rename(folder + "/worker.pid.part", folder + "/worker.pid")
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["the driver dies", "it is killed"])
def test_a_daemon_of_a_script_ends_with_it(tmp_path: Path, how: str) -> None:
    """It left the group and ignores SIGTERM; nobody of the trial is left to end it in order."""
    (tmp_path / "daemon.py").write_text(DAEMON)
    program = asdict(Program(path="daemon.py", workdir=str(tmp_path)))
    attempt = replace(toy_attempt(tmp_path / "0000-toy"), trainer=None, program=program)
    process = TrialProcess(attempt)
    file = Path(attempt.run_path, "worker.pid")
    try:
        wait_until(file.exists)
        worker = int(file.read_text())
        assert is_alive(worker)
        if how == "the driver dies":
            process._connection.close()
        else:
            process.kill()
        wait_until(lambda: not is_alive(worker), 10)
    finally:
        process.kill()
