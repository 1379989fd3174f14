"""Stages and verdicts in whole sweeps, whose trials really run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.status.sweep_status import read_status
from orchestrator.cli.render.status_text import render_status
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.engine.driver.outcome import Outcome
from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialState
from orchestrator.sweepfile.model.course import Ablate, Change, Promote, Stage
from orchestrator.sweepfile.model.spec import Spec
from tests.engine.sweeps import cpu_plan, toy_spec, wait_until

STAGES = (
    Stage("quick", {"epochs": 2}, Promote(top=1, condition="improving and stable")),
    Stage("full", {"epochs": 5}, resumes=True),
)


def run(spec: Spec, folder: Path, **options: Any) -> Outcome:
    heard: list[tuple[str, Any]] = options.pop("heard", [])
    return run_sweep(
        spec,
        cpu_plan(),
        results=folder,
        listener=lambda event, record, details: heard.append((event, details)),
        inline=True,
        **options,
    )


def epochs_of(folder: SweepDir, number: int, name: str) -> list[int]:
    return [
        int(word) for word in (folder.run_dir(number, name).path / "epochs.txt").read_text().split()
    ]


def staged(folder: Path, **fields: Any) -> Spec:
    trials: dict[str, dict[str, Any]] = {
        "low": {"lr": 0.2},
        "high": {"lr": 0.9},
        "lost": {"shape": "nan", "lr": 0.95},
    }
    return toy_spec(folder, trials, stages=STAGES, **fields)


def test_who_is_promoted_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    spec = staged(tmp_path, success=("any val_mae <= 1", "all complete", "train_loss@5 < 0.02"))
    heard: list[tuple[str, Any]] = []
    outcome = run(spec, tmp_path, heard=heard)
    folder = outcome.folder
    assert [(r.name, r.stage, r.origin) for r in outcome.records.values()] == [
        ("low", "quick", None),
        ("high", "quick", None),
        ("lost", "quick", None),
        ("lost+full", "full", 2),
    ], "two epochs are too few to see that it is lost"
    assert epochs_of(folder, 3, "lost+full")[0] == 3, "it goes on"
    assert outcome.success is not None
    assert [holds for _, holds, _ in outcome.success.conditions] == [True, False, None]
    assert (outcome.state, outcome.exit_code) == (SweepState.FINISHED, 1)
    status = read_status(folder)
    assert (status.n_trials, status.counts["PRUNED"]) == (4, 1)
    text = render_status(status, width=200)
    assert "stage quick: 3 trials, 3 complete; 1 promoted to full" in text
    assert (
        "success: missed; any val_mae <= 1 holds; all complete does not hold (missed by lost+full)"
        in text
    )
    assert [d["n_trials"] for event, d in heard if event == "expected"] == [4]
    again = run(spec, tmp_path)
    assert again.exit_code == 1
    assert len(again.records) == 4


def test_a_missed_gate_is_exit_code_3(tmp_path: Path) -> None:
    ablate = Ablate({"lr": 0.5, "epochs": 2}, {"more": Change({"lr": 0.9})}, gate="val_mae < 0.1")
    spec = toy_spec(tmp_path, {}, ablate=ablate, success=("all complete",))
    outcome = run(spec, tmp_path)
    assert (outcome.exit_code, outcome.state) == (3, SweepState.FINISHED)
    record = SweepRecord.load(outcome.folder)
    assert record is not None
    assert record.reason == (
        "gate of baseline: val_mae < 0.1 is missed: val_mae is 0.6667, 0.5667 too high"
    )
    assert run(spec, tmp_path).exit_code == 3


@pytest.mark.ray
def test_a_driver_killed_at_the_first_stage_promotes_whom_it_should(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.engine.queue.test_promotion import killed_spec, run\n"
        "run(killed_spec(Path(sys.argv[1])), Path(sys.argv[1]))\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    sweep = SweepDir(tmp_path / "toy")

    def second_runs() -> bool:
        return any(jsonl.read(sweep.run_dir(1, "t1").metrics_file))

    try:
        wait_until(second_runs, 60)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    heard: list[Any] = []
    outcome = run_sweep(
        killed_spec(tmp_path),
        cpu_plan(),
        results=tmp_path,
        listener=lambda event, record, details: heard.append((event, details.get("n_trials"))),
    )
    expected = [n_trials for event, n_trials in heard if event == "expected"]
    assert expected[0] == expected[-1] == len(outcome.records)
    assert outcome.exit_code == 0
    found = [(r.name, r.stage, r.state, r.attempt) for r in outcome.records.values()]
    assert found == [
        ("t0", "quick", TrialState.COMPLETE, 1),
        ("t1", "quick", TrialState.COMPLETE, 2),
        ("t2", "quick", TrialState.COMPLETE, 1),
        ("t2+full", "full", TrialState.COMPLETE, 1),
        ("t1+full", "full", TrialState.COMPLETE, 1),
    ]
    assert epochs_of(sweep, 3, "t2+full") == [*range(11, 16)]
    state = json.loads(sweep.state_file.read_text())
    assert state["course"]["stages"]["quick"]["promoted"] == [2, 1]
    assert state["course"]["spent"]["hours"] > 0


def killed_spec(folder: Path) -> Spec:
    """Return three trials of which the two best go on."""
    stages = (
        Stage("quick", {"epochs": 10, "pause_s": 0.05}, Promote(top=2)),
        Stage("full", {"epochs": 15, "pause_s": 0.0}, resumes=True),
    )
    trials = {f"t{n}": {"lr": 0.2 + n / 10} for n in range(3)}
    return toy_spec(folder, trials, stages=stages)
