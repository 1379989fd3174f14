"""Small sweeps in one process, as a person types them: what runs, and what is said about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from tests.cli.running import sweep_in

SCRIPT = """\
import json, os, sys
given = {name: float(value) for name, value in (word[2:].split("=") for word in sys.argv[1:])}
if given.get("size", 99) < 16:
    raise ValueError("size must be at least 16")
with open(os.environ["SWEEP_METRICS"], "a") as out:
    out.write(json.dumps({"step": 1, "val_loss": sum(given.values())}) + "\\n")
"""
HEAD = "version: 1\nname: mine\nprogram: train.py\nmetric: {name: val_loss, goal: minimize}\n"


def run(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(SCRIPT)
    (folder / "sweep.yaml").write_text(HEAD + text)
    return sweep_in(folder, "run", "sweep.yaml", "--inline", *options)


def trials(folder: Path) -> list[TrialRecord]:
    return load_trials(SweepDir(folder / "results" / "mine"))


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_an_exhausted_space_ends_a_sweep_with_the_reason(method: str, tmp_path: Path) -> None:
    space = "parameters: {a: {values: [1, 2]}, b: {min: 1, max: 2}}\n"
    done = run(tmp_path, f"method: {method}\nrun_cap: 10\n{space}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "10 trials are requested, but only 4 can be drawn" in done.stderr
    assert "Ended: 10 trials are requested, but only 4 can be drawn" in done.stdout + done.stderr
    configs = [record.config for record in trials(tmp_path)]
    assert sorted((config["a"], config["b"]) for config in configs) == [
        (1, 1), (1, 2), (2, 1), (2, 2),
    ]  # fmt: skip
    assert all(record.state is TrialState.COMPLETE for record in trials(tmp_path))


def test_bayes_starts_from_known_configs_and_from_an_earlier_sweep(tmp_path: Path) -> None:
    space = "method: bayes\nrun_cap: 3\nparameters: {lr: {min: 0.001, max: 0.1}}\n"
    done = run(tmp_path, f"{space}start: [{{lr: 0.05}}]\nseeds: 1\n")
    assert done.returncode == 0, done.stdout + done.stderr
    configs = [record.config["lr"] for record in trials(tmp_path)]
    assert configs[0] == 0.05
    assert len(set(configs)) == 3
    (tmp_path / "results/mine").rename(tmp_path / "results/first")
    done = run(tmp_path, f"{space}start: {{from: results/first}}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "start: 3 trials of first are known (lr=0.05" in done.stdout
    again = run(tmp_path, f"{space}start: {{from: results/first}}\n", "--new")
    assert again.returncode == 0, again.stdout + again.stderr
    other = run(tmp_path, f"{space}start: {{from: results/first}}\n".replace("lr", "x"), "--new")
    assert "no trial of" in other.stderr
    assert other.returncode == 2


def test_a_grid_with_more_values_in_another_order_continues(tmp_path: Path) -> None:
    first = "parameters: {a: {values: [1e-1, 2]}, b: {values: [1, 3]}}\n"
    assert run(tmp_path, first).returncode == 0
    before = {record.number: record.config for record in trials(tmp_path)}
    more = "parameters: {b: {values: [3, 1]}, a: {values: [2, 5, 0.1]}}\n"
    done = run(tmp_path, more)
    assert done.returncode == 0, done.stdout + done.stderr
    after = {record.number: record.config for record in trials(tmp_path)}
    assert {number: after[number] for number in before} == before, "what has run is kept"
    assert sorted((config["a"], config["b"]) for config in after.values()) == [
        (0.1, 1), (0.1, 3), (2, 1), (2, 3), (5, 1), (5, 3),
    ]  # fmt: skip
    assert "6/6 complete" in done.stdout
    assert "started" not in run(tmp_path, more).stdout
    fewer = run(tmp_path, "parameters: {a: {values: [2]}, b: {values: [3, 1]}}\n")
    assert fewer.returncode == 2
    assert "parameters.a.values: was" in fewer.stderr


def test_trials_with_one_config_are_each_run_once_when_a_sweep_continues(tmp_path: Path) -> None:
    text = "trials: {first: {set: {lr: 1}}, other: {set: {lr: 2}}, again: {set: {lr: 1}}}\n"
    run(tmp_path, text, "--only", "again")
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(record.number, record.name, record.attempt) for record in trials(tmp_path)] == [
        (0, "first", 1),
        (1, "other", 1),
        (2, "again", 1),
    ]
