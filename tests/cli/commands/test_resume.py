"""`sweep resume`, as it is typed; trials run in this process."""

from __future__ import annotations

import pytest

from orchestrator.files import lock
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from tests.cli.running import sweep

Capture = pytest.CaptureFixture[str]

FILE = """\
name: toy
trainer: tests.engine.toys.curve
metric: val_mae
trials:
  falls: {set: {lr: 0.2, epochs: 4}}
  explodes: {set: {shape: explode, lr: 0.3, epochs: 12}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SweepDir:
    path = tmp_path_factory.mktemp("resume")
    (path / "toy.yaml").write_text(FILE)
    results = path / "results"
    assert sweep("run", str(path / "toy.yaml"), "--results", str(results), "--inline") == 0
    return SweepDir(results / "toy")


def resume(folder: SweepDir, *arguments: str) -> int:
    return sweep("resume", *arguments, "--results", str(folder.path.parent))


def test_a_trial_continues_as_a_new_one(folder: SweepDir, capsys: Capture) -> None:
    before = {record.number: record for record in load_trials(folder)}
    asked = ["falls", "--set", "epochs=6", "--set", "lr=*0.5", "--new-schedule"]
    assert resume(folder, *asked) == 0
    made = load_trials(folder)[-1]
    assert made.name == "falls → resumed: epochs=6, lr=0.1, new schedule"
    assert (made.state, made.origin, made.link) == (TrialState.COMPLETE, 0, "resumed")
    assert made.config == {**before[0].config, "epochs": 6, "lr": 0.1}
    run = folder.run_dir(made.number, made.name)
    assert (run.path / "epochs.txt").read_text().split() == ["5", "6"]
    assert {record.number: record for record in load_trials(folder)[:2]} == before
    # The same again is another trial with another name.
    assert resume(folder, *asked) == 0
    assert load_trials(folder)[-1].name.endswith(f"new schedule ({made.number + 1})")


def test_from_the_best_checkpoint(folder: SweepDir, capsys: Capture) -> None:
    run = folder.run_dir(1, "explodes")
    assert run.best_checkpoint_file.exists()
    assert resume(folder, "explodes", "--from", "best", "--set", "shape=fall") == 0
    made = load_trials(folder)[-1]
    assert made.name == "explodes → resumed: shape=fall, from best"
    epochs = (folder.run_dir(made.number, made.name).path / "epochs.txt").read_text().split()
    assert int(epochs[0]) <= int((run.path / "epochs.txt").read_text().split()[-1])
    best = run.best_checkpoint_file.rename(run.path / "aside.pt")
    assert resume(folder, "explodes", "--from", "best") == 2
    assert "no best checkpoint" in capsys.readouterr().err
    best.rename(run.best_checkpoint_file)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fals"], 2, "Did you mean 'falls'"),
        (["falls", "--set", "lrr=1"], 2, "Did you mean 'lr'"),
        (["falls", "--set", "lr=[0.1, 0.2]"], 2, "Give one value of a parameter"),
        (["falls", "--set", "run_cap=3"], 2, "Give one value of a parameter"),
        (["falls", "--set", "epochs=-1"], 2, "epochs"),
        (["falls", "--set", "lr=0.1"], 2, "no steps left (completed all 4). Add `--set epochs=8`"),
    ],
)
def test_what_is_refused(
    folder: SweepDir, capsys: Capture, arguments: list[str], code: int, words: str
) -> None:
    before = len(load_trials(folder))
    assert resume(folder, *arguments) == code
    assert words in capsys.readouterr().err
    assert len(load_trials(folder)) == before


def test_a_trial_without_a_checkpoint_and_a_sweep_that_runs(
    folder: SweepDir, capsys: Capture
) -> None:
    run = folder.run_dir(1, "explodes")
    aside = run.checkpoint_file.rename(run.path / "aside")
    assert resume(folder, "explodes") == 2
    assert "no checkpoint to resume from" in capsys.readouterr().err
    aside.rename(run.checkpoint_file)
    held = lock.acquire(folder.lock_file, timeout_s=1, holder="the sweep")
    try:
        assert resume(folder, "explodes") == 2
    finally:
        held.release()
    assert "while the sweep is running" in capsys.readouterr().err
