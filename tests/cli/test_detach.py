"""`sweep run --detach`: a sweep that its terminal does not take along."""

from __future__ import annotations

import os
import re
import shlex

import pytest

from orchestrator.files import jsonl
from orchestrator.runs.records import SweepState, TrialState
from tests.cli.running import SWEEP, Desk
from tests.engine.sweeps import is_alive, wait_until

TRIALS = {
    "first": {"seed": 0},
    "long": {"seed": 1, "epochs": 600, "epoch_time": 0.1},
    "last": {"seed": 2},
}
METRIC = "metric: {name: val_loss}"


def type_and_hang_up(desk: Desk, command: str) -> str:
    """Type a command into a new terminal, close the terminal and return its output."""
    words = f"{command}; echo code $?; sleep 600"
    shell, terminal = desk.start_on_terminal("bash", "-c", words)
    said = ""
    while not re.search(r"code \d+\s", said):
        said += os.read(terminal, 4096).decode()
    os.close(terminal)
    shell.wait(20)
    return said


@pytest.mark.ray
def test_a_sweep_survives_logout_and_is_stopped_and_continued(desk: Desk) -> None:
    desk.write_sweep(TRIALS, METRIC)
    said = type_and_hang_up(desk, f"{shlex.quote(SWEEP)} run sweep.yaml --detach --max-parallel 1")
    assert "code 0" in said, said
    found = re.search(r"mine runs in the background as process (\d+)", said)
    assert found is not None, said
    driver = int(found[1])
    assert desk.record().pid == driver
    assert os.getsid(driver) == driver, "a session of its own"
    assert re.search(r"^  sweep stop mine\r?$", said, re.MULTILINE), "it says how to go on"

    wait_until(lambda: desk.starts()[1] == 1, 60)
    wait_until(lambda: len(jsonl.read(desk.run_dir("long").metrics_file)) >= 2, 30)
    status = desk.status()
    assert (status["sweep"], status["state"]) == ("mine", "RUNNING")
    assert status["counts"]["COMPLETE"] == status["counts"]["RUNNING"] == 1
    assert [trial["name"] for trial in status["trials"]] == ["first", "long"]
    assert status["trials"][1]["total_steps"] == 600
    logs = desk.sweep("logs")
    assert "0001-long  started on cpu" in logs.stdout, logs.stdout
    assert re.search(r"Epoch 1/600 - loss", desk.sweep("logs", "long", "-n", "1000").stdout)

    for words in ((), ("--detach",)):
        busy = desk.sweep("run", "sweep.yaml", *words)
        assert busy.returncode == 2, busy.stdout
        assert "another process holds the sweep 'mine'" in busy.stderr
    assert desk.record().pid == driver

    stopped = desk.sweep("stop")
    assert stopped.returncode == 0, stopped.stderr
    wait_until(lambda: not is_alive(driver), 10)
    desk.leave()
    assert desk.status()["state"] == "INTERRUPTED"
    assert desk.trials()["long"].state is TrialState.WAITING

    _refuses_a_changed_spec(desk)

    desk.hurry.touch()
    done = desk.sweep("run", "sweep.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {record.state for record in desk.trials().values()} == {TrialState.COMPLETE}
    assert desk.starts() == {0: 1, 1: 2, 2: 1}
    assert desk.record().state is SweepState.FINISHED


def _refuses_a_changed_spec(desk: Desk) -> None:
    before = desk.record()
    done = desk.sweep("run", "sweep.yaml", "--detach", "--set", "learning_rate=0.3")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("Error: ")] == [
        "Error: results/mine: cannot continue with a changed spec:"
    ]
    assert "  overrides.learning_rate: was not set, is 0.3" in lines
    assert not desk.processes()
    assert desk.record() == before


def test_a_refused_start_leaves_no_folder(desk: Desk) -> None:
    desk.write_sweep({"a": {"seed": 0}}, METRIC)
    done = desk.sweep("run", "sweep.yaml", "--detach", "--only", "b")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --only b: no such trial in 'mine'")
    assert not desk.sweep_dir().path.exists()


def test_a_sweep_with_nothing_left_to_do(desk: Desk) -> None:
    desk.write_sweep({"a": {"seed": 0}}, METRIC)
    assert desk.sweep("run", "sweep.yaml", "--inline").returncode == 0
    done = desk.sweep("run", "sweep.yaml", "--detach")
    assert done.returncode == 0, done.stderr
    desk.leave()
    assert desk.record().state is SweepState.FINISHED
    assert desk.starts() == {0: 1}
