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


def test_of_many_reports_the_times_of_those_that_are_drawn_are_kept(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    lines = [
        f'{{"step": {step}, "time": {100 + step / 2}, "metrics": {{"val_loss": {1 / step}}}}}\n'
        for step in range(1, 25_001)
    ]
    sweep.run_dir(0, "lr=1").metrics_file.write_text("".join(lines))
    run = next(run for run in collect([sweep.path]).runs if run.label == "lr=1")
    assert 0 < len(run.seconds) <= len(run.reports) < 2_500
    assert run.seconds == {step: (step - 1) / 2 for step, _ in run.reports if step in run.seconds}
