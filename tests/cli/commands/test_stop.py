"""`sweep stop`: one trial, and what cannot be stopped."""

from __future__ import annotations

import re

import pytest

from orchestrator.files import jsonl
from orchestrator.runs.records import SweepState, TrialState
from tests.cli.running import Desk
from tests.engine.sweeps import wait_until

SLOW = {"epochs": 600, "epoch_time": 0.1}


@pytest.mark.ray
def test_one_trial_is_stopped_and_the_others_go_on(desk: Desk) -> None:
    trials = {"lost": {"seed": 0, **SLOW}, "kept": {"seed": 1, **SLOW}, "next": {"seed": 2}}
    desk.write_sweep(trials, "metric: {name: val_loss}")
    driver = desk.start("run", "sweep.yaml")
    wait_until(lambda: desk.starts() == {0: 1, 1: 1}, 60)
    wait_until(lambda: len(jsonl.read(desk.run_dir("lost").metrics_file)) >= 2, 30)

    unknown = desk.sweep("stop", "mine", "lots")
    assert unknown.returncode == 2
    assert "Did you mean 'lost'?" in unknown.stderr

    stopped = desk.sweep("stop", "mine", "lost")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == "mine: trial lost is PRUNED: stopped by `sweep stop`.\n"
    wait_until(lambda: "next" in desk.trials(), 30)
    assert desk.trials()["kept"].state is TrialState.RUNNING

    again = desk.sweep("stop", "mine", "0")
    assert again.returncode == 2
    assert "has already ended (PRUNED)" in again.stderr

    desk.hurry.touch()
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 0, output
    assert {name: record.state for name, record in desk.trials().items()} == {
        "lost": TrialState.PRUNED,
        "kept": TrialState.COMPLETE,
        "next": TrialState.COMPLETE,
    }
    assert re.search(r"0000-lost  PRUNED: stopped by `sweep stop`", output)
    assert desk.record().state is SweepState.FINISHED
    assert desk.starts() == {0: 1, 1: 1, 2: 1}

    over = desk.sweep("stop")
    assert over.returncode == 2
    assert "the sweep is not running (FINISHED)" in over.stderr


def test_there_is_nothing_to_stop(desk: Desk) -> None:
    done = desk.sweep("stop")
    assert done.returncode == 2
    assert "No sweep in " in done.stderr
