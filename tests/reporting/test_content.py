"""What a report is made of: ranked and unranked runs, their curves, and names that differ."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from orchestrator.errors import NotFoundError
from orchestrator.reporting import collect
from tests.analysis import made
from tests.reporting.made_report import a_lost_trial, a_sweep


def test_ranked_runs_come_first_then_those_that_cannot_be_ranked(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    a_lost_trial(sweep, 3)
    report = collect([tmp_path])
    assert [run.label for run in report.runs] == ["lr=1", "lr=0.1", "lr=0.01", "lost"]
    assert [run.rank for run in report.runs] == [1, 2, 3, 0]
    assert report.best is report.runs[0]
    lost = report.runs[-1]
    assert lost.is_lost
    assert "diverged" in lost.problem
    assert lost.reports[-1][0] == 6
    assert report.varied == ("lr", "optimizer")
    assert report.runs[0].seconds[20] == pytest.approx(9.5)


def test_runs_of_several_sweeps_with_the_same_names_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        sweep = made.sweep(tmp_path, name)
        made.trial(sweep, 0, name="base", error=0.1, val_error=0.1)
    labels = [run.label for run in collect([tmp_path]).runs]
    assert len(set(labels)) == 2
    assert all(label.endswith("0000-base") for label in labels)


def test_runs_of_other_tools_have_curves(tmp_path: Path) -> None:
    for name, level in (("a", 0.5), ("b", 0.2)):
        folder = tmp_path / name
        made.pair(folder, level)
        with (folder / "metrics.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["epoch", "train_loss", "val_loss"])
            writer.writerows([epoch, level / epoch, level / epoch] for epoch in range(1, 9))
    report = collect([tmp_path])
    assert [run.label for run in report.runs] == ["b", "a"]
    assert [len(run.reports) for run in report.runs] == [8, 8]


def test_secrets_of_the_environment_stay_out(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, spec={"program": {"path": "train.py", "env": {"TOKEN": "s3cret"}}})
    made.trial(sweep, 0, error=0.1, val_error=0.1)
    (text,) = collect([tmp_path]).sweeps
    assert "train.py" in text.spec
    assert "s3cret" not in text.spec


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        collect([tmp_path / "nowhere"])


def test_a_long_label_becomes_the_values_that_vary(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    for number in range(2):
        config = {"model.weight_decay": 0.1 * number, "optimizer": ("adam", "sgd")[number]}
        name = f"model.weight_decay={number}_optimizer_of_the_network"
        made.trial(sweep, number, name=name, config=config, error=0.1, val_error=0.1)
    made.trial(sweep, 2, name="short", config={"optimizer": "lion"}, error=0.2, val_error=0.2)
    report = collect([tmp_path])
    labels = [report.short_label(run) for run in report.runs]
    assert labels == ["wd=0, optimizer=adam", "wd=0.1, optimizer=sgd", "short"]
