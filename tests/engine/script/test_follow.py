from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.engine.script import follow
from orchestrator.engine.script.output_text import describe_exit, failure
from orchestrator.engine.script.processes import Tree
from orchestrator.sweepfile.model.program import Program
from tests.engine.script.script_runner import EPOCH_LINE, SCRIPTS, is_running, run_trial, started


def train_model(workdir: Path, **known: Any) -> Program:
    known = {"outputs": "experiments/*/", "patterns": (EPOCH_LINE,), **known}
    return Program(path=str(SCRIPTS / "train_model.py"), workdir=str(workdir), **known)


def inline(workdir: Path, code: str, **known: Any) -> Program:
    """Return a program made of a few lines of Python."""
    workdir.mkdir(exist_ok=True)
    path = workdir / "script.py"
    path.write_text(code)
    return Program(path=str(path), workdir=str(workdir), **known)


@pytest.mark.parametrize("style", ["--k=v", "hyphen-space"])
def test_a_script_is_a_trial(style: str, tmp_path: Path) -> None:
    config = {"t20_weight": 3.0, "epochs": 3}
    trial = run_trial(train_model(tmp_path, style=style), config, tmp_path / "run")
    assert trial.error is None
    assert [step for step, _ in trial.reports] == [1, 2, 3]
    losses = [values["train_loss"] for _, values in trial.reports]
    assert losses == sorted(losses, reverse=True)
    (adopted,) = trial.of("adopted")
    assert Path(adopted).parent == tmp_path / "experiments"
    assert trial.facts["outputs"] == adopted
    assert trial.facts["total_steps"] == 3
    assert trial.facts["exit_code"] == 0
    run = tmp_path / "run"
    assert np.load(run / "predictions.npy").shape == np.load(run / "targets.npy").shape == (200,)
    recorded = json.loads((run / "outputs_metadata.json").read_text())
    assert recorded["hyperparameters"]["t20_weight"] == 3.0
    assert trial.of("warn") == []
    assert b"Epoch 3/3 - loss:" in trial.log


def test_the_groups_of_samples_are_kept_with_the_outputs(tmp_path: Path) -> None:
    code = """
from pathlib import Path
for name in ("out/a/rooms.csv", "out/a/tables/val_rooms.csv", "out/a/groups.npy"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("room\\nhall\\n")
"""
    arrays = {"groups": "rooms.csv:room", "val_groups": "tables/val_rooms.csv:room"}
    for number, known in enumerate(({"arrays": arrays}, {})):
        program = inline(tmp_path / f"s{number}", code, outputs="out/*/", **known)
        run = tmp_path / f"run{number}"
        assert run_trial(program, {}, run).error is None
        assert (run / "rooms.csv").exists() is bool(known)
        assert (run / "tables" / "val_rooms.csv").exists() is bool(known)
        assert (run / "groups.npy").exists() is not bool(known)


def test_a_script_that_overrules_its_config_is_reported(tmp_path: Path) -> None:
    config = {"t20_weight": 3.0, "record_t20_weight": 1.5}
    trial = run_trial(train_model(tmp_path), config, tmp_path / "run")
    assert trial.of("warn") == ["asked t20_weight 3.0, recorded 1.5"]
    assert trial.error is None


def test_a_script_that_makes_no_folder_of_its_own_has_failed(tmp_path: Path) -> None:
    trial = run_trial(train_model(tmp_path), {"mode": "no_folder"}, tmp_path / "run")
    assert trial.error is not None
    assert "outputs 'experiments/*/': the script made no new folder that matches" in trial.error
    assert "let the name hold the process id" in trial.error


def test_two_copies_started_at_once_keep_to_their_own_folders(tmp_path: Path) -> None:
    config = {"epochs": 2, "epoch_time": 0.2}
    program = train_model(tmp_path)
    with (
        started(program, {**config, "seed": 1}, tmp_path / "one") as one,
        started(program, {**config, "seed": 2}, tmp_path / "two") as two,
    ):
        one.wait()
        two.wait()
    for seed, trial in ((1, one), (2, two)):
        metadata = json.loads((trial.directory / "outputs_metadata.json").read_text())
        assert metadata["hyperparameters"]["seed"] == seed
        assert Path(trial.facts["outputs"]).name.encode() in trial.log


def test_a_crash_is_reported_with_its_reason_and_its_log(tmp_path: Path) -> None:
    trial = run_trial(train_model(tmp_path), {"mode": "crash"}, tmp_path / "run")
    assert trial.error is not None
    first, *others = trial.error.splitlines()
    assert first.startswith("train_model.py: ended with exit code 1")
    assert first.endswith(": RuntimeError: the loss is not what it was")
    assert any("in main" in line for line in others)
    assert trial.error.endswith(f"Log: {tmp_path / 'run' / 'log.txt'}")
    assert [step for step, _ in trial.reports] == [1]
    assert trial.facts["outputs"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"mode": "exit_code"}, "ended with exit code 3"),
        ({"mode": "segfault"}, "was killed by SIGSEGV (a crash inside native code)"),
        ({"unknown": 1}, "compare its --help"),
    ],
)
def test_every_failure_has_its_message(config: dict[str, Any], words: str, tmp_path: Path) -> None:
    trial = run_trial(train_model(tmp_path, outputs=None), config, tmp_path / "run")
    assert trial.error is not None
    assert words in trial.error


def test_a_program_that_goes_into_the_background_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LEFTOVER_GRACE_S", 0.4)
    file = tmp_path / "p.py"
    file.write_text(
        "import os, time\nif os.fork():\n    os._exit(0)\nos.setsid()\n"
        "while True:\n    print('val_loss 0.5', flush=True)\n    time.sleep(0.05)\n"
    )
    trial = run_trial(Program(path=str(file), workdir=str(tmp_path)), {}, tmp_path / "run")
    warning = "ended while a process that it had started still printed"
    assert any(warning in text for text in trial.of("warn"))
    assert trial.error is None


def test_a_diverging_loss_is_reported_as_nan(tmp_path: Path) -> None:
    config = {"mode": "diverge", "epochs": 4}
    trial = run_trial(train_model(tmp_path), config, tmp_path / "run")
    finite = [math.isfinite(values["train_loss"]) for _, values in trial.reports]
    assert finite == [True, True, False, False]


def test_a_program_that_cannot_start_fails_with_a_reason(tmp_path: Path) -> None:
    script = tmp_path / "train"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    program = Program(path=str(script), workdir=str(tmp_path))
    trial = run_trial(program, {}, tmp_path / "run")
    assert trial.error is not None
    assert "Does the interpreter exist" in trial.error

    script.write_text("echo no first line\n")
    trial = run_trial(program, {}, tmp_path / "run2")
    assert trial.error is not None
    assert "#!/bin/sh" in trial.error


def test_the_environment_of_a_script(tmp_path: Path) -> None:
    program = Program(path=str(SCRIPTS / "print_argv.py"), workdir=str(tmp_path))
    trial = run_trial(program, {}, tmp_path / "run")
    assert trial.error is None
    seen = json.loads((tmp_path / "run" / "seen.json").read_text())
    assert seen["cwd"] == str(tmp_path)
    assert seen["stdin"] == ""
    assert seen["executable"] == sys.executable
    environment = seen["environment"]
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["SWEEP_RUN_DIR"] == str(tmp_path / "run")


def test_signals_mean_again_what_a_program_expects(tmp_path: Path) -> None:
    code = (
        "import signal\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
    )
    assert run_trial(inline(tmp_path, code), {}, tmp_path / "run").error is None


def test_every_byte_reaches_the_log(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "os.write(1, bytes(range(256)))\n"
        "os.write(2, b'\\r 50%|##  | loss: 0.5\\r100%|####| loss: 0.25')\n"
    )
    program = inline(tmp_path, code, patterns=(r"loss: (?P<loss>\S+)",))
    trial = run_trial(program, {}, tmp_path / "run")
    assert trial.log == bytes(range(256)) + b"\r 50%|##  | loss: 0.5\r100%|####| loss: 0.25"
    assert [values for _, values in trial.reports] == [{"loss": 0.5}, {"loss": 0.25}]


def test_a_report_comes_while_the_script_runs(tmp_path: Path) -> None:
    code = "import time\nprint('Epoch 1 loss: 0.5', end='')\ntime.sleep(600)\n"
    program = inline(tmp_path, code, patterns=(r"Epoch (?P<step>\d+) loss: (?P<loss>\S+)",))
    with started(program, {}, tmp_path / "run") as trial:
        trial.until(lambda: trial.reports == [(1, {"loss": 0.5})])
        assert trial.of("progress") == ["Epoch 1 loss: 0.5"]


@pytest.mark.slow
def test_a_flood_is_followed_in_bounded_memory(tmp_path: Path) -> None:
    code = (
        "import os, resource\n"
        "os.write(1, b'Epoch 1 loss: 0.5\\n')\n"
        "for _ in range(80):\n"
        "    os.write(1, b'x' * 262144)\n"
        "os.write(1, b'\\nEpoch 2 loss: 0.4\\n')\n"
        "for _ in range(100):\n"
        "    os.write(1, b'noise\\n' * 10000)\n"
        "status = open(f'/proc/{os.getppid()}/status').read()\n"
        "open('peak', 'w').write(status.split('VmHWM:')[1].split()[0])\n"
    )
    program = inline(tmp_path, code, patterns=(r"Epoch (?P<step>\d+) loss: (?P<loss>\S+)",))
    trial = run_trial(program, {}, tmp_path / "run")
    assert trial.reports == [(1, {"loss": 0.5}), (2, {"loss": 0.4})]
    assert len(trial.log) == 80 * 262144 + 100 * 60_000 + 18 + 19
    peak_mib = int((tmp_path / "peak").read_text()) / 1024
    assert peak_mib < 200


@pytest.mark.parametrize("mode", ["worker", "worker_holds_pipe", "daemon"])
def test_nothing_is_left_when_the_script_has_ended(mode: str, tmp_path: Path) -> None:
    with started(train_model(tmp_path), {"mode": mode, "epochs": 1}, tmp_path / "run") as trial:
        pid = trial.worker_pid()
        trial.wait()
    assert trial.error is None
    assert not is_running(pid)
    assert (tmp_path / "run" / "predictions.npy").exists()


@pytest.mark.parametrize("mode", ["worker", "daemon", "ignore_sigterm", "save_on_sigterm"])
def test_a_stopped_script_goes_with_all_it_started(mode: str, tmp_path: Path) -> None:
    config = {"mode": mode, "epochs": 1000, "epoch_time": 0.05}
    with started(train_model(tmp_path), config, tmp_path / "run") as trial:
        trial.until(lambda: len(trial.reports) >= 2 and bool(trial.of("adopted")))
        pids = [trial.worker_pid()] if mode in ("worker", "daemon") else []
        pids.append(int(Path(trial.of("adopted")[0]).name.rpartition("_")[2]))
        assert all(map(is_running, pids))
        trial.ask_to_stop()
        trial.wait()
    assert trial.error is None
    assert not any(map(is_running, pids))
    if mode == "save_on_sigterm":
        assert b"saved a checkpoint" in trial.log
        assert trial.facts["exit_code"] == 0
    else:
        ended_by = signal.SIGKILL if mode == "ignore_sigterm" else signal.SIGTERM
        assert trial.facts["exit_code"] == -ended_by


def test_a_group_that_gets_sigterm_has_time_to_save(tmp_path: Path) -> None:
    config = {"mode": "save_on_sigterm", "epochs": 1000, "epoch_time": 0.05}
    with started(train_model(tmp_path), config, tmp_path / "run", grace_s=30) as trial:
        trial.until(lambda: bool(trial.reports))
        os.killpg(trial.process.pid, signal.SIGTERM)
        trial.wait()
    assert b"saved a checkpoint" in trial.log
    assert trial.error is not None
    assert "was stopped: the trial's process got SIGTERM" in trial.error


def test_the_script_dies_with_the_process_that_follows_it(tmp_path: Path) -> None:
    config = {"epochs": 1000, "epoch_time": 0.05}
    with started(train_model(tmp_path), config, tmp_path / "run") as trial:
        trial.until(lambda: bool(trial.of("adopted")))
        pid = int(Path(trial.of("adopted")[0]).name.rpartition("_")[2])
        assert is_running(pid)
        trial.process.kill()
        trial.process.join()
        for _ in range(200):
            if not is_running(pid):
                break
            time.sleep(0.05)
        assert not is_running(pid)


def test_nothing_is_left_when_following_fails(tmp_path: Path) -> None:
    config = {"mode": "worker", "epochs": 1000, "epoch_time": 0.05}
    with started(train_model(tmp_path), config, tmp_path / "run") as trial:
        pid = trial.worker_pid()
        (trial.directory / "refuse").touch()
        trial.process.join(60)
        assert trial.process.exitcode == 1
    assert b"Refused" in trial.log
    assert not is_running(pid)


def test_processes_that_were_there_before_are_left_alone() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    before = subprocess.Popen(sleep)
    try:
        tree = Tree()
        with tree.watched():
            after = subprocess.Popen(sleep)
            tree.set_root(after.pid)
            assert tree.alive() == [after.pid]
            assert tree.end(5.0) == []
            assert after.wait() == -signal.SIGTERM
            assert tree.alive() == []
        assert before.poll() is None
    finally:
        before.kill()
        before.wait()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended with exit code 1"),
        (-9, "was killed by SIGKILL (the system may have run out of memory)"),
        (137, "ended with exit code 137, which means SIGKILL (the system may have run out"),
        (-15, "was killed by SIGTERM"),
        (255, "ended with exit code 255"),
        (128, "ended with exit code 128"),
    ],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    assert describe_exit(code).startswith(words)


def test_a_silent_failure_says_so(tmp_path: Path) -> None:
    text = failure("train.py", 1, 61.0, [], tmp_path / "absent")
    assert text == "train.py: ended with exit code 1 after 1m 01s. It printed nothing."
