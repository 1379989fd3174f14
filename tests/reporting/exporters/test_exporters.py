from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.reporting import collect
from orchestrator.reporting.exporters import ExportedRun, all_exporters, runs_of, to_wandb
from orchestrator.runs.curves import read_runs
from orchestrator.runs.layout import SweepDir
from tests.analysis import made
from tests.reporting.made_report import HOSTILE, a_sweep


def exported(sweep: SweepDir) -> list[ExportedRun]:
    return runs_of(collect([sweep.path]))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("form", ["tensorboard", "mlflow"])
def test_what_is_exported_reads_the_same_and_is_there_once(tmp_path: Path, form: str) -> None:
    sweep = a_sweep(tmp_path / "results", steps=4)
    exporter = all_exporters()[form]
    runs = exported(sweep)
    assert exporter.export(runs, tmp_path / "out") == (3, 0)
    before = files(tmp_path / "out")
    assert exporter.export(exported(sweep), tmp_path / "out") == (0, 3)
    assert files(tmp_path / "out") == before, "nothing is written twice"

    made.report(sweep.run_dir(0, "lr=1"), 5, 1e9, val_loss=0.5)
    again = exported(sweep)
    assert exporter.export(again, tmp_path / "out") == (1, 2)
    assert len(files(tmp_path / "out")) == len(before), "a changed run replaces what was written"
    found = read_runs(tmp_path / "out")
    for run in again:
        (read,) = [
            one for one in found if any(part in str(one.path) for part in (run.name, run.identity))
        ]
        reports = dict(read.reports)
        for step, _, metrics in run.points:
            for name, value in metrics.items():
                # TensorBoard has numbers of 32 bits.
                assert reports[step][name] == pytest.approx(value, rel=1e-6)


def test_any_name_stays_inside_the_folder(tmp_path: Path) -> None:
    run = ExportedRun(
        sweep="../../up",
        name=f"../{HOSTILE}" + "x" * 300,
        path="/tmp",
        state="COMPLETE",
        config={"../lr": 1, "a.b": None, "": "text", "list": [1, {"two": 2}]},
        points=[(1, 1e9, {"../../loss": 0.5, "val/loss": 1e300, "%": 1.0})],
        summary={"..": 3.0},
    )
    for form in ("tensorboard", "mlflow"):
        assert all_exporters()[form].export([run], tmp_path / "out" / form) == (1, 0)
    assert {path.parts[0] for path in map(Path, files(tmp_path))} == {"out"}
    assert not (tmp_path.parent / "up").exists()


def test_names_that_are_alike_in_a_path_stay_two(tmp_path: Path) -> None:
    metrics = {"loss": 1.0, "loss/val": 2.0, "a*": 3.0, "a_": 4.0, "b/c": 5.0, "b": 6.0}
    runs = [
        ExportedRun("s", name, "/tmp", "COMPLETE", {}, [(1, 1e9, metrics)], {})
        for name in ("lr/1", "lr_1", "n" * 130 + "1", "n" * 130 + "2")
    ]
    for form in ("tensorboard", "mlflow"):
        assert all_exporters()[form].export(runs, tmp_path / form) == (4, 0)
    assert len(list((tmp_path / "tensorboard/s").iterdir())) == 4
    written = (tmp_path / "mlflow").glob(f"*/{runs[0].identity}/metrics/**/*")
    values = {float(file.read_text().split()[1]) for file in written if file.is_file()}
    assert values == set(metrics.values())


@pytest.mark.slow
def test_an_offline_run_of_wandb_is_replaced(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    sweep = a_sweep(tmp_path / "results", n_trials=1, steps=3)
    exporter = all_exporters()["wandb"]
    assert exporter.export(exported(sweep), tmp_path / "out") == (1, 0)
    assert exporter.export(exported(sweep), tmp_path / "out") == (0, 1)
    made.report(sweep.run_dir(0, "lr=1"), 4, 1e9, val_loss=0.5)
    assert exporter.export(exported(sweep), tmp_path / "out") == (1, 0)
    assert len(list((tmp_path / "out" / "wandb").glob("offline-run-*"))) == 1


def test_without_wandb_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    run = exported(a_sweep(tmp_path / "results", n_trials=1, steps=1))
    with pytest.raises(SweepError, match="pip install wandb"):
        to_wandb.EXPORTER.export(run, tmp_path / "out")
