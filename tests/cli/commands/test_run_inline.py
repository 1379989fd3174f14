"""Small sweeps in one process, as a person types them: what runs, and what is said about it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.files import atomic
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


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_more_seeds_keep_what_has_run(method: str, tmp_path: Path) -> None:
    def text(cap: int, seeds: str, values: str = "[1, 2]") -> str:
        head = f"method: {method}\n" + (f"run_cap: {cap}\n" if method != "grid" else "")
        return f"{head}seeds: {seeds}\nparameters: {{a: {{values: {values}}}}}\n"

    assert run(tmp_path, text(2, "[5]")).returncode == 0
    before = {record.number: record for record in trials(tmp_path)}
    for cap, seeds in ((4, "[5, 3]"), (6, "[5, 3, 9]")):
        done = run(tmp_path, text(cap, seeds))
        assert done.returncode == 0, done.stdout + done.stderr
        after = {record.number: record for record in trials(tmp_path)}
        assert len(after) == cap
        assert sorted(after) == list(range(cap))
        for number, record in before.items():
            assert (after[number].name, after[number].attempt) == (record.name, 1)
            assert after[number].config == record.config
        pairs = {(record.config["a"], record.config["seed"]) for record in after.values()}
        assert pairs == {(a, seed) for a in (1, 2) for seed in map(int, seeds[1:-1].split(","))}
        assert all(record.state is TrialState.COMPLETE for record in after.values())
        before = after
    assert "started" not in run(tmp_path, text(6, "[5, 3, 9]")).stdout
    shown = sweep_in(tmp_path, "compare", "mine").stdout
    assert "6 trials" in shown or shown.count("a=") >= 2, shown
    refused = run(tmp_path, text(6, "[3, 5, 9]"))
    assert refused.returncode == 2
    assert "seeds: was [5, 3, 9], is [3, 5, 9]" in refused.stderr


def test_seeds_are_added_if_the_first_is_the_one_that_ran(tmp_path: Path) -> None:
    space = "parameters: {a: {values: [1, 2]}}\n"
    assert run(tmp_path, f"fixed: {{seed: 4}}\n{space}").returncode == 0
    other = run(tmp_path, f"seeds: [0, 4]\n{space}")
    assert (other.returncode, len(trials(tmp_path))) == (2, 2)
    done = run(tmp_path, f"seeds: [4, 0]\n{space}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = [(one.number, one.group, one.config["seed"], one.attempt) for one in trials(tmp_path)]
    assert found == [(0, 0, 4, 1), (1, 1, 4, 1), (2, 0, 0, 1), (3, 1, 0, 1)]


def test_a_seed_that_nothing_names_is_read_from_the_script(tmp_path: Path) -> None:
    space = "parameters: {a: {values: [1, 2]}}\n"
    assert run(tmp_path, space).returncode == 0
    unknown = run(tmp_path, f"seeds: 2\n{space}")
    assert unknown.returncode == 2
    assert "trial 0 ran with an unknown seed. Begin the list with its seed" in unknown.stderr
    (tmp_path / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--a', type=int)\n"
        "p.add_argument('--seed', type=int, default=0)\nprint('val_loss:', p.parse_args().a)\n"
    )
    (tmp_path / "sweep.yaml").write_text(f"{HEAD}seeds: 2\n{space}")
    done = sweep_in(tmp_path, "run", "sweep.yaml", "--inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(one.config["a"], one.config["seed"]) for one in trials(tmp_path)] == [
        (1, 0), (2, 0), (1, 1), (2, 1),
    ]  # fmt: skip


def test_more_seeds_and_more_values_at_once(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "seeds: 2\nparameters: {a: {values: [1, 2]}}\n", "--only", "0").returncode
        == 0
    )
    done = run(tmp_path, "seeds: 3\nparameters: {a: {values: [3, 1, 2]}}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    found = sorted((one.config["a"], one.config["seed"]) for one in trials(tmp_path))
    assert found == [(a, seed) for a in (1, 2, 3) for seed in (0, 1, 2)]
    assert all(one.attempt == 1 for one in trials(tmp_path))


def test_a_misspelt_metric_is_named_early_and_can_be_corrected(tmp_path: Path) -> None:
    wrong = HEAD.replace("val_loss", "val_los") + "parameters: {a: {values: [2, 1]}}\n"
    more = SCRIPT.replace('"step": 1', '"step": step').replace(
        "    out.write", "    for step in (1, 2): out.write"
    )
    (tmp_path / "train.py").write_text(more)
    (tmp_path / "sweep.yaml").write_text(wrong)
    done = sweep_in(tmp_path, "run", "sweep.yaml", "--inline")
    message = "metric val_los is not reported so far (found: val_loss). Did you mean 'val_loss'?"
    assert message in " ".join(done.stdout.split())
    assert [record.value for record in trials(tmp_path)] == [None, None]
    right = run(tmp_path, "parameters: {a: {values: [2, 1]}}\n")
    assert right.returncode == 0, right.stdout + right.stderr
    assert [(one.value, one.attempt, one.warnings) for one in trials(tmp_path)] == [
        (2.0, 1, []),
        (1.0, 1, []),
    ]


@pytest.mark.parametrize(("first", "steps"), [("train_loss", [3]), ("val_mae", [1, 2, 3])])
def test_a_metric_that_comes_after_a_similar_one_is_not_taken_for_misspelt(
    tmp_path: Path, first: str, steps: list[int]
) -> None:
    (tmp_path / "train.py").write_text(
        "import json, os\n"
        "with open(os.environ['SWEEP_METRICS'], 'a', 1) as out:\n"
        "    for step in (1, 2, 3):\n"
        f"        print(json.dumps({{'step': step, '{first}': 1 / step}}), file=out)\n"
        f"        if step in {steps}:\n"
        "            print(json.dumps({'step': step, 'val_mse': 2}), file=out)\n"
    )
    head = HEAD.replace("val_loss", "val_mse") + "args: none\n"
    (tmp_path / "sweep.yaml").write_text(head + "parameters: {a: {values: [1]}}\nseed: 0\n")
    done = sweep_in(tmp_path, "run", "sweep.yaml", "--inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is not reported so far" not in " ".join(done.stdout.split())


def test_only_takes_the_numbers_that_trials_have(tmp_path: Path) -> None:
    assert run(tmp_path, "parameters: {a: {values: [1, 2]}}\n").returncode == 0
    more = "parameters: {a: {values: [3, 1, 2]}}\n"
    kept = run(tmp_path, more, "--only", "0")
    assert "of --only, nothing is left to run" in kept.stdout
    assert len(trials(tmp_path)) == 2
    done = run(tmp_path, more, "--only", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(one.number, one.config["a"]) for one in trials(tmp_path)] == [(0, 1), (1, 2), (3, 3)]
    assert "no such trial" in run(tmp_path, more, "--only", "2").stderr


def test_only_with_retry_failed_leaves_other_failures_alone(tmp_path: Path) -> None:
    text = "parameters: {size: {values: [1, 2]}}\n"
    first = run(tmp_path, text)
    assert "2 trials failed. To run failed trials again: sweep run " in first.stdout
    assert "sweep.yaml --inline --retry-failed" in first.stdout
    run(tmp_path, text, "--only", "1", "--retry-failed")
    found = [(one.state, one.attempt) for one in trials(tmp_path)]
    assert found == [(TrialState.FAIL, 1), (TrialState.FAIL, 2)]


def test_what_ended_while_its_driver_was_dead_does_not_run_again(tmp_path: Path) -> None:
    space = "parameters: {a: {values: [1, 2]}}\n"
    assert run(tmp_path, space).returncode == 0
    sweep = SweepDir(tmp_path / "results" / "mine")
    second = trials(tmp_path)[1]
    folder = sweep.run_dir(second.number, second.name)
    log = folder.metrics_file.read_bytes()
    # As a driver leaves it that was killed before it heard the last message.
    second.state, second.value, second.ended_at = TrialState.RUNNING, None, None
    second.save(folder)
    done = run(tmp_path, space)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = trials(tmp_path)[1]
    assert (ended.state, ended.value) == (TrialState.COMPLETE, 2.0)
    assert folder.metrics_file.read_bytes() == log
    assert "attempt 2" in done.stdout
    assert atomic.read_json(folder.metadata_file)["attempt"] == 1  # type: ignore[index]  # it is there
