"""`sweep run` as a person types it: whole commands, real processes, a real Ray."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from orchestrator.cli.commands import run as run_module
from orchestrator.files import atomic, jsonl
from orchestrator.runs.records import SweepState, TrialState
from orchestrator.sweepfile.load import load_spec
from tests import fake_nvml
from tests.cli.running import SWEEP, Desk
from tests.engine.sweeps import is_alive, wait_until
from tests.fake_nvml import Card

SCRIPTED = {
    "plain": {"seed": 0, "t20_weight": 2.5},
    "recorded": {"seed": 1, "t20_weight": 3.0, "record_t20_weight": 1.5},
    "crash": {"seed": 2, "mode": "crash"},
    "nan": {"seed": 3, "mode": "diverge", "epochs": 40, "epoch_time": 0.1},
    "nan_at_once": {"seed": 4, "mode": "diverge", "epochs": 40},
    "explode": {"seed": 5, "learning_rate": 3.0, "epochs": 40, "epoch_time": 0.1},
    "explode_at_once": {"seed": 6, "learning_rate": 3.0, "epochs": 40},
}


@pytest.mark.ray
def test_a_script_is_swept_as_it_is(desk: Desk) -> None:
    desk.write_sweep(SCRIPTED, "metric: {name: mae, goal: minimize}\nfixed: {epochs: 6}")
    # The user's packages must not replace ours in the processes that run trials.
    for name in ("orchestrator", "trainers"):
        (desk.folder / name).mkdir()
        desk.write(f"{name}/__init__.py", "raise RuntimeError('not this one')")
    done = desk.sweep("run", "sweep.yaml")
    trials = desk.trials()
    assert done.returncode == 1, done.stdout + done.stderr
    assert {name: record.state for name, record in trials.items()} == {
        "plain": TrialState.COMPLETE,
        "recorded": TrialState.COMPLETE,
        "crash": TrialState.FAIL,
        "nan": TrialState.PRUNED,
        "nan_at_once": TrialState.PRUNED,
        "explode": TrialState.PRUNED,
        "explode_at_once": TrialState.PRUNED,
    }
    _holds_what_the_script_left(desk, "plain")
    _says_why_it_failed(desk, done.stdout)
    _was_pruned_in_time(desk)
    table = done.stdout[done.stdout.index("rank") :]
    assert "asked t20_weight 3.0, recorded 1.5" in table
    assert "split unknown" in done.stdout
    assert desk.status("mine")["counts"]["PRUNED"] == 4

    again = desk.sweep("run", "sweep.yaml")
    assert again.returncode == 1, "a failed trial is kept, and so is its exit code"
    assert "continued: 7 trials kept, 0 to run" in again.stdout
    assert set(desk.starts().values()) == {1}, "nothing is run twice"


def _holds_what_the_script_left(desk: Desk, trial: str) -> None:
    metadata = desk.metadata(trial)
    folder = Path(metadata["outputs"])
    assert folder.parent == desk.folder / "experiments"
    for name in ("predictions.npy", "targets.npy"):
        copied = np.load(desk.run_dir(trial).path / name)
        np.testing.assert_array_equal(copied, np.load(folder / name))
    assert "--t20-weight 2.5" in " ".join(metadata["command"])


def _says_why_it_failed(desk: Desk, output: str) -> None:
    shown = output[output.index("0002-crash  FAIL") :]
    shown = shown[: shown.index("log.txt") + 7]
    assert "RuntimeError: the loss is not what it was" in shown
    assert shown.count("Traceback") + shown.count("raise RuntimeError") == 1, "it is said once"
    log = re.search(r"log: (\S+log\.txt)", shown)
    assert log is not None
    assert "raise RuntimeError" in (desk.folder / log[1]).read_text()


def _was_pruned_in_time(desk: Desk) -> None:
    trials = desk.trials()
    for name in ("nan", "nan_at_once"):
        assert trials[name].reason == "diverged: train_loss is nan since step 3"
    for name in ("explode", "explode_at_once"):
        assert "its first value" in (trials[name].reason or "")
        assert (trials[name].reason or "").endswith("since step 2")
    # The rule is sure at the first NaN, and by the third report of an explosion.
    onsets = {"nan": 3, "nan_at_once": 3, "explode": 4, "explode_at_once": 4}
    for name, onset in onsets.items():
        steps = [report["step"] for report in jsonl.read(desk.run_dir(name).metrics_file)]
        assert max(steps) <= onset + 3, f"{name} went on to {steps}"


PATIENT = {
    "first": {"seed": 0},
    "long": {"seed": 1, "epochs": 600, "epoch_time": 0.1},
    "last": {"seed": 2},
}


@pytest.mark.ray
def test_ctrl_c_and_the_same_command_again(desk: Desk) -> None:
    desk.write_sweep(PATIENT, "metric: {name: val_loss}")
    words = ("run", "sweep.yaml", "--max-parallel", "1")

    # While the first trial is about to start, or has just begun.
    driver = desk.start(*words)
    wait_until(desk.sweep_dir().events_file.exists, 60)
    time.sleep(0.5)
    os.killpg(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, output
    assert f"Interrupted. To continue: sweep run {desk.folder / 'sweep.yaml'}" in output
    assert desk.record().state is SweepState.INTERRUPTED
    first = desk.trials().get("first")
    is_complete = first is not None and first.state is TrialState.COMPLETE
    again = desk.starts() - Counter({0: 1} if is_complete else {})
    desk.leave()

    driver = desk.start(*words)
    wait_until(lambda: desk.starts()[1] == 1, 60)
    wait_until(lambda: len(jsonl.read(desk.run_dir("long").metrics_file)) >= 3, 30)
    os.killpg(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130, output
    assert "Traceback" not in output
    assert f"Interrupted. To continue: sweep run {desk.folder / 'sweep.yaml'}" in output
    trials = desk.trials()
    assert trials["first"].state is TrialState.COMPLETE
    assert (trials["long"].state, trials["long"].reason) == (TrialState.WAITING, "interrupted")
    assert "last" not in trials
    desk.leave()

    desk.hurry.touch()
    done = desk.sweep(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "continued: 1 trial kept, 2 to run" in done.stdout
    assert {record.state for record in desk.trials().values()} == {TrialState.COMPLETE}
    assert desk.starts() == Counter({0: 1, 1: 2, 2: 1}) + again, "what has ended never runs again"
    spans = [(found["started_at"], found["ended_at"]) for found in map(desk.metadata, PATIENT)]
    assert all(one[1] <= other[0] for one, other in pairwise(spans)), "never two at once"


@pytest.mark.ray
def test_three_trials_share_a_card(desk: Desk, tmp_path: Path) -> None:
    nvml = fake_nvml.build(tmp_path)
    nvml.write([Card(4096), Card(24576)])
    desk.write(
        "meet.py",
        "import os, sys, time\n"
        "print('sees', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
        "open('met_' + sys.argv[1], 'w').close()\n"
        "deadline = time.monotonic() + 60\n"
        "while len([name for name in os.listdir() if name.startswith('met_')]) < 3:\n"
        "    assert time.monotonic() < deadline, 'the others never came'\n"
        "    time.sleep(0.05)\n",
    )
    head = "version: 1\nname: cards\nprogram: meet.py\nresources: {gpu_memory: 8GB}\n"
    desk.write_sweep({name: {"name": name} for name in "abc"}, head=head)
    environment = {name: nvml.env()[name] for name in ("LD_LIBRARY_PATH", "FAKE_NVML_SCRIPT")}
    done = desk.sweep("run", "sweep.yaml", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = atomic.read_json(desk.sweep_dir("cards").plan_file)
    assert plan is not None
    assert (plan["mode"], plan["start_parallel"]) == ("parallel", 3)
    for name in "abc":
        logged = desk.sweep("logs", name, "--sweep", "cards")
        assert logged.stdout == f"sees {fake_nvml.uuid_of(1)}\n"

    nvml.write([Card(4096)])
    refused = desk.sweep("run", "sweep.yaml", "--new", **environment)
    assert refused.returncode == 2
    assert "4.0 GiB" in refused.stderr, "it says how much is missing"
    assert not desk.sweep_dir("cards-2").path.exists()


def test_inline_needs_no_ray(desk: Desk) -> None:
    desk.write_sweep({"a": {"seed": 0}, "b": {"seed": 1}}, "metric: {name: val_loss}")
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as ended:\n"
        "    print('code', ended.code, sorted({'ray', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "sweep.yaml", "--inline", "--only", "b"],
        cwd=desk.folder,
        env=desk.env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.endswith("code 0 []\n"), done.stdout + done.stderr
    assert {name: record.state for name, record in desk.trials().items()} == {
        "b": TrialState.COMPLETE
    }
    new = desk.inline("run", "sweep.yaml", "--inline", "--only", "0", "--new")
    assert new.returncode == 0, new.stdout + new.stderr
    assert list(desk.trials("mine-2")) == ["a"]
    assert desk.starts() == {0: 1, 1: 1}


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["ctrl-c", "hang-up"])
def test_inline_is_interrupted_and_continued(desk: Desk, ending: str) -> None:
    desk.write_sweep({"long": PATIENT["long"], "next": {"seed": 2}}, "metric: {name: val_loss}")
    words = ("run", "sweep.yaml", "--inline")
    driver, terminal = desk.start_on_terminal(SWEEP, *words)
    wait_until(lambda: desk.starts()[1] == 1, 30)
    wait_until(lambda: len(jsonl.read(desk.run_dir("long").metrics_file)) >= 2, 30)
    if ending == "ctrl-c":
        os.write(terminal, b"\x03")
    else:
        os.close(terminal)
    assert driver.wait(30) == 130
    trials = desk.trials()
    assert list(trials) == ["long"]
    assert (trials["long"].state, trials["long"].reason) == (TrialState.WAITING, "interrupted")
    assert desk.record().state is SweepState.INTERRUPTED
    desk.leave()
    desk.hurry.touch()
    done = desk.inline(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.starts() == {1: 2, 2: 1}


def test_stage_set_and_results(desk: Desk) -> None:
    stages = "stages:\n  quick: {set: {epochs: 2}}\n  full: {set: {epochs: 4}}\n"
    desk.write_sweep({"a": {"seed": 0}}, f"metric: {{name: val_loss}}\n{stages}")
    inline = ("run", "sweep.yaml", "--inline")
    done = desk.inline(*inline, "--stage", "quick", "--results", "here", SWEEP_RESULTS="there")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (desk.folder / "there").exists(), "the option is stronger than the variable"
    trial = desk.trials(results="here")["a"]
    assert (trial.stage, trial.config["epochs"]) == ("quick", 2)

    done = desk.inline(*inline, "--set", "learning_rate=0.05", SWEEP_RESULTS="there")
    assert done.returncode == 0, done.stdout + done.stderr
    trial = desk.trials(results="there")["a"]
    assert (trial.stage, trial.config["epochs"]) == ("full", 4)
    assert "--learning-rate 0.05" in desk.start_lines()[-1]
    assert not (desk.folder / "results").exists()

    changed = desk.inline(*inline, "--set", "learning_rate=0.1", SWEEP_RESULTS="there")
    assert changed.returncode == 2
    assert "was 0.05, is 0.1" in changed.stderr
    assert "--new to start 'mine-2'" in changed.stderr
    assert len(desk.start_lines()) == 2

    for words, count in ((("--new",), 3), ((), 3)):
        done = desk.inline(*inline, "--set", "learning_rate=0.1", *words, SWEEP_RESULTS="there")
        assert done.returncode == 0, done.stderr
        assert "folder:    there/mine-2\n" in done.stdout, "the same command goes on with it"
        assert len(desk.start_lines()) == count


def test_only_a_named_trial_with_all_that_parameters_make_of_it(desk: Desk) -> None:
    more = "metric: {name: val_loss}\nparameters: {seed: {values: [1, 2]}}"
    desk.write_sweep({"plain": {}, "bold 4/5": {"t20_weight": 4.5}}, more)
    done = desk.inline("run", "sweep.yaml", "--inline", "--only", "bold 4/5")
    assert done.returncode == 0, done.stderr
    assert len(desk.start_lines()) == 2
    assert all("--t20-weight 4.5" in line for line in desk.start_lines())
    done = desk.inline("run", "sweep.yaml", "--inline")
    assert done.returncode == 0, done.stderr
    assert desk.starts() == {1: 2, 2: 2}


@pytest.mark.slow
def test_a_reader_that_goes_does_not_end_the_training(desk: Desk) -> None:
    desk.write_sweep({"a": {"seed": 0}, "b": {"seed": 1}}, "metric: {name: val_loss}")
    command = f"'{SWEEP}' run sweep.yaml --inline | head -n 1"
    subprocess.run(
        ["bash", "-c", command], cwd=desk.folder, env=desk.env(), timeout=60, check=False
    )
    wait_until(lambda: not desk.processes(), 30)
    assert {record.state for record in desk.trials().values()} == {TrialState.COMPLETE}
    assert desk.record().state is SweepState.FINISHED


TRAINER = "version: 1\nname: mine\ntrainer: edc\n"


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        pytest.param(
            "version: 1\nname: mine\nprogram: nowhere.py\n",
            [],
            r"sweep\.yaml:3: program: no script or command",
            id="missing program",
        ),
        pytest.param(
            f"{TRAINER}method: random\nparameters: {{lr: {{min: 1e-4, max: 1e-2}}}}\n",
            [],
            r"run_cap: missing",
            id="no end",
        ),
        pytest.param(
            f"{TRAINER}metric: {{name: val_loss}}\nparameters: {{edt_weight: {{values: [1, 2]}}}}",
            [],
            r"val_loss cannot compare trials.*val_mae",
            id="a loss that means something else in each trial",
        ),
        pytest.param(TRAINER, ["--set", "dropuot=0.1"], r"Did you mean 'dropout'", id="--set"),
        pytest.param(TRAINER, ["--only", "nobody"], r"--only nobody: no such trial", id="--only"),
        pytest.param(TRAINER, ["--stage", "quick"], r"stage", id="--stage"),
        pytest.param(
            TRAINER, ["--max-paralel", "1"], r"Did you mean '?--max-parallel", id="option"
        ),
        pytest.param(TRAINER, ["--max-parallel", "0"], r"--max-parallel", id="none at once"),
        pytest.param(
            TRAINER,
            ["--inline", "--detach"],
            r"--detach and --inline are mutually exclusive",
            id="both",
        ),
        pytest.param(TRAINER, ["--gpus", "7"], r"--gpus", id="no such GPU"),
        pytest.param(
            TRAINER,
            ["--wait-timeout", "90"],
            r"--wait-timeout: expected a duration, got '90'\. Choices: '90s'",
            id="no duration",
        ),
        pytest.param(TRAINER, ["--placement", "best"], r"--placement.*'grow'", id="no placement"),
        pytest.param(TRAINER, ["--share", "no"], r"--share.*'polite'", id="no way to share"),
    ],
)
def test_what_is_refused_writes_nothing(desk: Desk, text: str, words: list[str], said: str) -> None:
    desk.write("sweep.yaml", text)
    done = desk.inline("run", "sweep.yaml", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not (desk.folder / "results").exists()


def test_a_missing_program_is_only_a_warning_of_a_plan(desk: Desk) -> None:
    desk.write("sweep.yaml", "version: 1\nname: mine\nprogram: nowhere.py\n")
    for command, code in (("plan", 0), ("check", 2)):  # a plan may be for another machine
        done = desk.inline(command, "sweep.yaml")
        assert done.returncode == code
        assert "nowhere.py" in done.stdout + done.stderr


def test_a_command_spelled_nearly_right(desk: Desk) -> None:
    done = desk.inline("rnu", "sweep.yaml")
    assert done.returncode == 2
    assert "Did you mean 'run'?" in done.stderr


def test_results_that_cannot_be_written(desk: Desk) -> None:
    desk.write_sweep({"a": {"seed": 0}})
    for words in (("--inline",), ("--detach",)):
        done = desk.inline("run", "sweep.yaml", "--results", "sweep.yaml", *words)
        assert done.returncode == 2
        assert "cannot write there" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_continuing_command_has_the_typed_options_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.yaml").write_text("trainer: edc\n")
    typed = ["a b.yaml", "--set", "lr=[1, 2]", "--new", "--results", "r", "--max-parallel", "2"]
    context = run_module.command.make_context("run", [*typed, "--detach", "--retry-failed"])
    again = run_module._continuing(context, load_spec(tmp_path / "a b.yaml").path)
    assert shlex.split(again) == [
        *("sweep", "run", str(tmp_path / "a b.yaml"), "--set", "lr=[1, 2]"),
        *("--results", str(tmp_path / "r"), "--max-parallel", "2"),
    ]


@pytest.mark.slow
def test_a_killed_inline_driver_leaves_no_process_or_session(desk: Desk) -> None:
    desk.write(
        "train_model.py",
        "import subprocess, time\n"
        'worker = subprocess.Popen(["sleep", "600"], start_new_session=True)\n'
        'open("worker", "w").write(str(worker.pid))\n'
        "time.sleep(600)\n",
    )
    desk.write_sweep({"only": {"epochs": 1}})
    process = desk.start("run", "sweep.yaml", "--inline")
    noted = desk.folder / "worker"
    wait_until(lambda: noted.exists() and noted.read_text() != "", 30)
    worker = int(noted.read_text())
    assert is_alive(worker)
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not is_alive(worker), 15)
