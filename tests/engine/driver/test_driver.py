"""Whole sweeps through a real Ray: outcomes, interruption, death of the driver, continuation."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.engine.driver.driver import run_sweep
from orchestrator.engine.driver.outcome import Outcome
from orchestrator.errors import NotFoundError, SweepError
from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialState, load_trials
from orchestrator.search.study import Study
from orchestrator.sweepfile.model.spec import Domain, Spec
from tests.engine.sweeps import cpu_plan, processes_with, toy_spec, wait_until

OUTCOMES: dict[str, dict[str, Any]] = {
    "good": {"lr": 0.5},
    "better": {"lr": 0.9},
    "nan": {"shape": "nan", "epochs": 50},
    "explode": {"shape": "explode", "epochs": 50},
    "raise": {"fault": "raise"},
    "segv": {"fault": "segv"},
    "workers": {"fault": "workers"},
    "val_nan": {"shape": "val_nan"},
}


def run(spec: Spec, folder: Path, **options: Any) -> Outcome:
    return run_sweep(
        spec,
        cpu_plan(),
        results=folder,
        listener=lambda event, record, details: None,
        **options,
    )


def epochs_trained(outcome: Outcome) -> Counter[str]:
    """Return how many epochs each trial trained, over all its attempts."""
    found: Counter[str] = Counter()
    for record in outcome.records.values():
        log = outcome.folder.run_dir(record.number, record.name).path / "epochs.txt"
        found[record.name] = len(log.read_text().split()) if log.exists() else 0
    return found


@pytest.mark.ray
def test_every_trial_ends_as_it_should_and_none_harms_another(tmp_path: Path) -> None:
    outcome = run(toy_spec(tmp_path, OUTCOMES), tmp_path)
    states = {record.name: record.state for record in outcome.records.values()}
    assert states == {
        "good": TrialState.COMPLETE,
        "better": TrialState.COMPLETE,
        "nan": TrialState.PRUNED,
        "explode": TrialState.PRUNED,
        "raise": TrialState.FAIL,
        "segv": TrialState.FAIL,
        "workers": TrialState.COMPLETE,
        "val_nan": TrialState.COMPLETE,
    }
    assert (outcome.state, outcome.exit_code) == (SweepState.FINISHED, 1)
    trained = epochs_trained(outcome)
    # The rule's onset is epoch 4 for both; they may run on for three reports.
    assert trained["nan"] <= 7
    assert trained["explode"] <= 9
    reasons = {record.name: record.reason or "" for record in outcome.records.values()}
    assert reasons["nan"] == "diverged: train_loss is nan since step 4"
    assert "RuntimeError: the data are gone" in reasons["raise"]
    assert "SIGSEGV" in reasons["segv"]
    events = [event["event"] for event in jsonl.read(outcome.folder.events_file)]
    assert events.count("trial_started") == len(OUTCOMES)
    assert events[-1] == "sweep_ended"

    kept = run(toy_spec(tmp_path, OUTCOMES), tmp_path)
    assert epochs_trained(kept) == trained, "a finished sweep trains nothing again"


@pytest.mark.ray
def test_a_grid_of_many_trials_runs_each_once(tmp_path: Path) -> None:
    trials = {f"t{index}": {"lr": 0.01 * (index + 1), "epochs": 2} for index in range(20)}
    outcome = run(toy_spec(tmp_path, trials), tmp_path)
    assert outcome.exit_code == 0
    assert set(epochs_trained(outcome).values()) == {2}
    assert sorted(outcome.records) == list(range(20))


def start_driver(
    folder: Path, trials: dict[str, dict[str, Any]], before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Run a sweep in a process of its own, as `sweep run` does, by a command `before` it."""
    code = (
        "import json, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # these tests may run under nohup
        "from pathlib import Path\n"
        "from tests.engine.sweeps import cpu_plan, toy_spec\n"
        "from orchestrator.engine.driver.driver import run_sweep\n"
        "from orchestrator.engine.runners import ray_runner\n"
        "ray_runner.RAY_AFTER_S = ray_runner.RAY_WORTH_S = 0\n"
        "folder = Path(sys.argv[1])\n"
        "outcome = run_sweep(toy_spec(folder, json.loads(sys.argv[2])), cpu_plan(),\n"
        "    results=folder, listener=lambda event, record, details: None)\n"
        "sys.exit(outcome.exit_code)\n"
    )
    marker = f"SWEEP_TEST_MARKER={folder}"
    return subprocess.Popen(
        [*before, sys.executable, "-c", code, str(folder), json.dumps(trials)],
        env={**os.environ, "SWEEP_TEST_MARKER": marker.partition("=")[2]},
        start_new_session=True,
    )


LONG: dict[str, dict[str, Any]] = {
    "short": {"epochs": 2},
    "long": {"epochs": 400, "pause_s": 0.05},
    "longer": {"epochs": 400, "pause_s": 0.05, "fault": "workers"},
    "last": {"epochs": 2},
}


def wait_for_long_ones(folder: Path) -> None:
    sweep = SweepDir(folder / "toy")

    def both_report() -> bool:
        runs = [sweep.run_dir(1, "long"), sweep.run_dir(2, "longer")]
        return all(len(jsonl.read(run.metrics_file)) >= 3 for run in runs)

    wait_until(both_report, 60)


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_sweep_in_order(tmp_path: Path, number: signal.Signals) -> None:
    driver = start_driver(tmp_path, LONG)
    wait_for_long_ones(tmp_path)
    # To the whole group, as a terminal that closes and `timeout` do.
    os.killpg(driver.pid, number)
    assert driver.wait(30) == 130
    sweep = SweepDir(tmp_path / "toy")
    states = {record.name: (record.state, record.reason) for record in load_trials(sweep)}
    assert states["short"][0] is TrialState.COMPLETE
    assert states["long"] == states["longer"] == (TrialState.WAITING, "interrupted")
    record = SweepRecord.load(sweep)
    assert record is not None
    assert record.state is SweepState.INTERRUPTED
    wait_until(lambda: not processes_with(str(tmp_path)), 10)


def open_to_others(path: Path) -> bool:
    """Return whether another user could read, write or enter a file or folder."""
    return not path.is_symlink() and path.stat().st_mode & 0o077 != 0


@pytest.mark.ray
@pytest.mark.parametrize("lost", ["raylet", "gcs_server"])
def test_a_lost_ray_interrupts_the_sweep_and_shows_nothing_to_others(
    tmp_path: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path holds 107 bytes
    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-in-a-log")
    monkeypatch.setenv("HOME", "/dev/null")  # Ray would write its token there
    driver = start_driver(tmp_path, LONG)
    wait_for_long_ones(tmp_path)
    wait_until(lambda: bool(agents_below(driver.pid)), 60)
    (folder,) = [path for path in short.iterdir() if (path / "r").is_dir()]
    inside = [Path(at, name) for at, _, names in os.walk(folder) for name in names]
    assert not open_to_others(folder), "what Ray makes below it is open to everyone"
    assert not any(
        b"never-in-a-log" in path.read_bytes()
        for path in inside
        if path.is_file() and not path.name.endswith(".json")
    )
    for path in [tmp_path / "toy", *(tmp_path / "toy").rglob("*")]:
        with suppress(FileNotFoundError):  # a file that was being replaced
            assert path.stat().st_mode & 0o002 == 0
    processes = psutil.Process(driver.pid).children(recursive=True)
    unused = ("monitor.py", "log_monitor.py", "dashboard.py")
    assert not any(word.endswith(unused) for one in processes for word in one.cmdline())
    (victim,) = [process for process in processes if process.name() == lost]
    victim.kill()
    begun = time.monotonic()
    assert driver.wait(50) == 130
    assert time.monotonic() - begun < 20, "Ray itself would wait for a minute"
    states = {record.name: record for record in load_trials(SweepDir(tmp_path / "toy"))}
    assert states["short"].state is TrialState.COMPLETE
    assert states["long"].state is states["longer"].state is TrialState.WAITING
    assert states["long"].reason == f"Ray's {lost} process was lost"
    record = SweepRecord.load(SweepDir(tmp_path / "toy"))
    assert record is not None
    assert record.state is SweepState.INTERRUPTED
    wait_until(lambda: not processes_with(str(tmp_path)), 10)
    shutil.rmtree(short)


@pytest.mark.ray
def test_trials_of_a_killed_agent_run_again(tmp_path: Path) -> None:
    trials = {f"t{index}": {"epochs": 10, "pause_s": 0.05} for index in range(60)}
    driver = start_driver(tmp_path, trials)
    sweep = SweepDir(tmp_path / "toy")
    wait_until(lambda: len(agents_below(driver.pid)) == 2, 60)  # one per slot
    time.sleep(1)
    agents_below(driver.pid)[0].kill()
    assert driver.wait(100) == 0
    records = load_trials(sweep)
    assert {record.state for record in records} == {TrialState.COMPLETE}
    assert len(records) == 60
    assert any(record.attempt == 2 for record in records), "some ran below the agent"
    wait_until(lambda: not processes_with(str(tmp_path)), 10)


@pytest.mark.ray
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    trials = {"long": {"fault": "deaf"}, "longer": {"fault": "deaf"}}
    driver = start_driver(tmp_path, trials)
    sweep = SweepDir(tmp_path / "toy")
    wait_until(lambda: len(load_trials(sweep)) == 2, 60)
    wait_until((sweep.run_dir(1, "longer").metrics_file).exists, 60)
    driver.send_signal(signal.SIGINT)
    time.sleep(1)
    driver.send_signal(signal.SIGINT)
    begun = time.monotonic()
    assert driver.wait(30) == 130
    assert time.monotonic() - begun < 9, "it must not wait for the ten seconds of grace"
    assert {record.state for record in load_trials(sweep)} == {TrialState.WAITING}
    wait_until(lambda: not processes_with(str(tmp_path)), 10)


@pytest.mark.ray
def test_a_killed_driver_leaves_nothing_and_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = start_driver(tmp_path, LONG)
    wait_for_long_ones(tmp_path)
    driver.kill()
    driver.wait(10)
    wait_until(lambda: not processes_with(str(tmp_path)), 10)
    sweep = SweepDir(tmp_path / "toy")
    record = SweepRecord.load(sweep)
    assert record is not None
    assert (record.state, record.state_now(sweep)) == (SweepState.RUNNING, SweepState.INTERRUPTED)
    before = len(jsonl.read(sweep.run_dir(1, "long").metrics_file))

    monkeypatch.setenv("SWEEP_TEST_HURRY", "1")
    outcome = run(toy_spec(tmp_path, LONG), tmp_path)
    assert outcome.exit_code == 0
    assert {record.state for record in outcome.records.values()} == {TrialState.COMPLETE}
    trained = epochs_trained(outcome)
    assert trained["short"] == trained["last"] == 2, "no finished trial is run twice"
    assert trained["long"] <= 402, "it goes on from its checkpoint"
    steps = [r["step"] for r in jsonl.read(sweep.run_dir(1, "long").metrics_file)]
    assert sorted(set(steps)) == list(range(1, 401))
    assert before > 0
    attempts = {record.name: record.attempt for record in outcome.records.values()}
    assert attempts == {"short": 1, "long": 2, "longer": 2, "last": 1}


@pytest.mark.ray
def test_a_driver_that_is_killed_while_ray_starts_leaves_nothing(tmp_path: Path) -> None:
    driver = start_driver(tmp_path, LONG)
    # The raylet starts agents that would outlive all others by a minute.
    wait_until(lambda: any(b"raylet/raylet" in name for name in names_of(str(tmp_path))), 60)
    time.sleep(0.7)
    driver.kill()
    driver.wait(10)
    wait_until(lambda: not processes_with(str(tmp_path)), 10)


def agents_below(driver: int) -> list[psutil.Process]:
    """Return the agents in Ray that serve a driver."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            found += [process] if "ray::Agent.train" in "".join(process.cmdline()) else []
    return found


def names_of(marker: str) -> list[bytes]:
    found = []
    for pid in processes_with(marker):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


@pytest.mark.ray
def test_what_fails_in_the_driver_is_said_and_the_sweep_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(tmp_path, {"a": {"epochs": 3}, "b": {"epochs": 200, "pause_s": 0.1}})
    with monkeypatch.context() as broken:
        broken.setattr(Study, "report", full_disk)
        with pytest.raises(SweepError, match=r"the disk is full \(No space left on device\)"):
            run(spec, tmp_path)
    sweep = SweepDir(tmp_path / "toy")
    record = SweepRecord.load(sweep)
    assert record is not None
    assert record.state is SweepState.INTERRUPTED
    assert "No space left on device" in str(record.reason)
    assert {trial.state for trial in load_trials(sweep)} == {TrialState.WAITING}
    again = run(spec, tmp_path, only=["a"], inline=True)
    assert again.records[0].state is TrialState.COMPLETE


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.ray
def test_temporary_folders_may_have_long_names_and_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    outcome = run(toy_spec(tmp_path, {"a b/ü": {"epochs": 2}}), tmp_path / "with blanks" / "é")
    assert outcome.exit_code == 0
    (record,) = outcome.records.values()
    assert outcome.folder.run_dir(0, record.name).predictions_file("val").exists()
    assert not [path for path in folder.iterdir() if path.name.startswith("sweep-")]


@pytest.mark.slow
def test_a_second_signal_ends_it_also_while_a_lock_is_held(tmp_path: Path) -> None:
    # Both come while the main thread is inside the journal, whose lock is not to be had twice.
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.engine.sweeps import cpu_plan, toy_spec\n"
        "from orchestrator.engine.driver.driver import run_sweep\n"
        "from orchestrator.search.journal import KernelLock\n"
        "def listener(event, record, details):\n"
        "    if event == 'report' and details['step'] == 3:\n"
        "        KernelLock.acquire = interrupted\n"
        "def interrupted(self):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "folder = Path(sys.argv[1])\n"
        "run_sweep(toy_spec(folder, {'a': {'epochs': 50}}), cpu_plan(), results=folder,\n"
        "    listener=listener, inline=True)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        assert driver.wait(20) == 130
    finally:
        driver.kill()
    (record,) = load_trials(SweepDir(tmp_path / "toy"))
    assert (record.state, record.reason) == (TrialState.WAITING, "interrupted")


def test_a_study_that_cannot_be_read_is_the_sweeps_failure(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {}})
    sweep = SweepDir(tmp_path / "toy")
    sweep.path.mkdir()
    sweep.study_file.write_text('{"op_code": 99, "worker_id": "x"}\n')
    with pytest.raises(SweepError, match="not a readable Optuna journal"):
        run(spec, tmp_path, inline=True)
    record = SweepRecord.load(sweep)
    assert record is not None
    assert record.state is SweepState.FAILED
    assert record.reason is not None
    assert "not a readable Optuna journal" in record.reason


def test_only_continues_a_trial_that_bayes_proposed(tmp_path: Path) -> None:
    space = {"lr": Domain("log_uniform_values", low=1e-3, high=1.0)}
    spec = toy_spec(tmp_path, {}, method="bayes", parameters=space, run_cap=3)
    with pytest.raises(NotFoundError, match=r"--only 0: no such trial in 'toy' \(found: none"):
        run(spec, tmp_path, inline=True, only=["0"])
    assert run(spec, tmp_path, inline=True).exit_code == 0
    outcome = run(spec, tmp_path, inline=True, only=["1"])
    assert len(outcome.records) == 3


def test_inline_runs_in_this_process(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"good": {}, "nan": {"shape": "nan", "epochs": 50}})
    outcome = run(spec, tmp_path, inline=True, only=["nan"])
    assert [record.name for record in outcome.records.values()] == ["nan"]
    assert outcome.records[1].state is TrialState.PRUNED
    reports = jsonl.read(outcome.folder.run_dir(1, "nan").metrics_file)
    assert len(reports) == 4, "judged before the next epoch begins"
    rest = run(spec, tmp_path, inline=True)
    assert rest.records[0].state is TrialState.COMPLETE
    assert rest.exit_code == 0


def test_failed_trials_run_again_where_that_is_asked(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"good": {"epochs": 2}, "flaky": {"fault": "once"}})
    assert run(spec, tmp_path, inline=True).exit_code == 1
    kept = run(spec, tmp_path, inline=True)
    assert (kept.exit_code, kept.records[1].attempt) == (1, 1)
    again = run(spec, tmp_path, inline=True, retry_failed=True)
    assert again.exit_code == 0
    assert (again.records[1].state, again.records[1].attempt) == (TrialState.COMPLETE, 2)
    assert epochs_trained(again)["good"] == 2, "what is complete is kept"


def test_only_must_name_a_trial(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"moderate": {}, "aggressive": {}})
    with pytest.raises(NotFoundError, match=r"--only modrate.*Did you mean 'moderate'\?"):
        run(spec, tmp_path, only=["modrate"])
    assert not (tmp_path / "toy").exists()
