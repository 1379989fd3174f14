from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import orchestrator
from orchestrator.analysis.table import compare
from orchestrator.analysis.table.flat_table import flat_rows, to_csv, to_json
from orchestrator.errors import UsageError
from tests.analysis import made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    sweep = made.sweep(tmp_path, targets={"mae": "<= 0.15"})
    made.trial(sweep, 0, error=0.2, val_error=0.3, config={"lr": 0.1, "sizes": [1, 2]})
    said = ["asked lr 0.01, recorded 0.1", "no seed"]
    made.trial(sweep, 1, error=0.1, val_error=0.4, config={"lr": 0.01}, warnings=said)
    made.trial(sweep, 2)
    return tmp_path


def test_a_frame_holds_the_rows_of_the_comparison(results: Path) -> None:
    table = orchestrator.load_results(results)
    assert list(table["trial"]) == ["t0", "t1"]
    assert list(table["rank"]) == [1, 2]
    assert list(table["config.lr"]) == [0.1, 0.01]
    assert table["val_mae"].to_list() == pytest.approx([0.3, 0.4])
    assert list(table["target.mae"]) == [False, True]
    assert list(table.columns[:6]) == ["rank", "sweep", "trial", "path", "state", "warnings"]
    assert list(table["warnings"]) == ["", "asked lr 0.01, recorded 0.1; no seed"]
    assert table.attrs["sort_by"] == "val_mae"
    assert [item["missing"] for item in table.attrs["incomplete"]] == [
        ["predictions.npy", "targets.npy"]
    ]


def test_an_empty_frame_has_its_columns(tmp_path: Path) -> None:
    table = orchestrator.load_results(tmp_path)
    assert len(table) == 0
    assert "trial" in table.columns


def test_a_frame_takes_the_meaning_of_foreign_arrays(tmp_path: Path) -> None:
    made.curves(tmp_path / "run", 1.1)
    table = orchestrator.load_results(tmp_path, metrics="edc", rate=made.RATE_HZ, sort_by="t20_mae")
    assert table["t20_mae"][0] == pytest.approx(0.07, rel=0.02)
    with pytest.raises(UsageError, match="decay_curve"):
        orchestrator.load_results(tmp_path, metrics="edcs")


def test_csv_holds_all_columns_and_reads_back(results: Path) -> None:
    comparison = compare([results])
    columns, flat = flat_rows(comparison)
    read = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert list(read[0]) == columns
    assert float(read[0]["val_mae"]) == flat[0]["val_mae"]
    assert json.loads(read[0]["config.sizes"]) == [1, 2]
    assert read[1]["config.sizes"] == ""
    assert read[1]["warnings"] == "asked lr 0.01, recorded 0.1; no seed"
    assert [line["target.mae"] for line in read] == ["false", "true"]


def test_the_ranking_metric_is_the_first_metric_column(results: Path) -> None:
    columns, _ = flat_rows(compare([results], sort_by="rmse"))
    metrics = [name for name in columns if name in ("mae", "rmse", "r2", "val_mae")]
    assert metrics[0] == "rmse"


def test_json_has_the_keys_of_the_contract(results: Path) -> None:
    found = json.loads(to_json(compare([results], top=1)))
    assert len(found["rows"]) == 1
    assert set(found["rows"][0]) >= {
        *("rank", "sweep", "trial", "path", "state", "config", "metrics", "targets")
    }
    assert found["rows"][0]["targets"]["mae"]["met"] is False
    assert set(found["incomplete"][0]) == {"path", "missing", "problem"}
    assert (found["complete"], found["total"]) == (2, 3)
