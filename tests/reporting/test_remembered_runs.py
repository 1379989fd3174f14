"""A report that is computed again shows what changed, and reads nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.reporting import collect
from orchestrator.reporting.remembered_runs import Memory
from orchestrator.runs import SweepDir
from tests.analysis import made
from tests.reporting.made_report import a_lost_trial, a_sweep, add_curve


def shown(sweep: SweepDir, memory: Memory | None = None) -> list[object]:
    report = collect([sweep.path], memory=memory)
    runs = [
        (run.label, run.rank, run.metrics, run.problem, len(run.reports), run.is_lost, run.seconds)
        for run in report.runs
    ]
    return [runs, report.sentences, report.varied]


def test_a_second_report_is_the_same_and_follows_each_change(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    memory = Memory()
    assert shown(sweep, memory) == shown(sweep)
    assert shown(sweep, memory) == shown(sweep)
    a_lost_trial(sweep, 3)
    assert shown(sweep, memory) == shown(sweep)
    add_curve(sweep.run_dir(0, "lr=1"), 1, 0.7)
    made.trial(sweep, 1, name="lr=0.1", config={"lr": 0.1}, error=0.01, val_error=0.01)
    assert shown(sweep, memory) == shown(sweep)


def test_what_has_not_changed_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = a_sweep(tmp_path)
    memory = Memory()
    before = shown(sweep, memory)
    monkeypatch.setattr("orchestrator.files.jsonl.parse", lambda content: pytest.fail("was read"))
    assert shown(sweep, memory) == before
