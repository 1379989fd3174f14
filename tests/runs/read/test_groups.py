"""Which samples are related, as an array or a column of a table states it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from orchestrator.metrics import ArrayProblem
from orchestrator.runs.read import StoredRun, SweepInfo, find_runs
from orchestrator.runs.read.groups import load_groups

ROOMS = ["hall", "nave", "hall", "crypt"]
NUMBERS = [1, 2, 1, 0]


def write(folder: Path, name: str, rooms: list[str] = ROOMS) -> None:
    """Save one label per sample as the kind of file that the name ends with."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, np.unique(rooms, return_inverse=True)[1])
    elif path.suffix == ".npz":
        np.savez(path, room=np.unique(rooms, return_inverse=True)[1])
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table({"error": [0.1] * len(rooms), "room": rooms}), path)
    else:
        sign = "\t" if path.suffix == ".tsv" else ","
        path.write_text("\n".join(f"0.1{sign}{room}" for room in ["room", *rooms]), "utf-8-sig")


@pytest.mark.parametrize(
    "named",
    ["r.npy", "r.npz:room", "r.csv:room", "r.tsv:room", "r.parquet:room", "out/r.csv:room"],
)
@pytest.mark.parametrize("split", ["test", "val"])
def test_an_array_or_a_column(tmp_path: Path, named: str, split: str) -> None:
    file = Path(named.partition(":")[0])
    write(tmp_path, str(file.with_name(f"{split}_{file.name}" if split == "val" else file.name)))
    found = load_groups(tmp_path, {"groups": named}, split, 4)
    assert found is not None
    assert found.tolist() == NUMBERS


def test_validation_data_may_have_a_file_of_another_name_or_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "epoch-2.csv")
    write(tmp_path, "epoch-1.csv", ["hall"] * 4)
    found = load_groups(tmp_path, {"groups": "t.npy", "val_groups": "epoch-*.csv:room"}, "val", 4)
    assert found is not None
    assert found.tolist() == NUMBERS


def test_without_any_statement_there_are_none(tmp_path: Path) -> None:
    assert load_groups(tmp_path, {}, "test", 4) is None
    write(tmp_path, "groups.npy")
    assert load_groups(tmp_path, {}, "val", 4) is None
    assert load_groups(tmp_path, {}, "test", 4) is not None


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("r.csv:rom", r"r.csv has no column rom \(found: error, room\). Did you mean 'room'"),
        ("r.csv:error", "r.csv has no error in row 2"),
        ("r.parquet:seat", r"r.parquet has no column seat \(found: room\)"),
        ("short.csv:room", r"has the shape \(1,\) for 4 samples"),
        ("gone.csv:room", "gone.csv, which states which samples are related, is missing"),
        ("damaged.parquet:room", "damaged.parquet cannot be read"),
        ("nan.npy", "nan.npy has samples without a group"),
    ],
)
def test_what_is_wrong_is_stated(tmp_path: Path, named: str, words: str) -> None:
    (tmp_path / "r.csv").write_text("error,room\n1,a\n,b\n3,a\n4,b\n")
    (tmp_path / "short.csv").write_text("room\na\n")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    parquet.write_table(pa.table({"room": ROOMS}), tmp_path / "r.parquet")
    np.save(tmp_path / "nan.npy", np.array([0, 1, np.nan, 2]))
    with pytest.raises(ArrayProblem, match=words):
        load_groups(tmp_path, {"groups": named}, "test", 4)


def test_a_manifest_names_them_for_runs_of_other_tools(tmp_path: Path) -> None:
    for name in ("predictions.npy", "targets.npy"):
        (tmp_path / "run").mkdir(exist_ok=True)
        np.save(tmp_path / "run" / name, np.arange(4.0))
    (tmp_path / "run" / "metadata.json").write_text('{"data": {"kind": "x", "groups": "no.npy"}}')
    write(tmp_path / "run", "r-1.csv")
    text = "arrays: {predictions: predictions.npy, targets: targets.npy, groups: 'r-*.csv:room'}"
    (tmp_path / "sweep-runs.yaml").write_text(text)
    (run,) = find_runs([tmp_path])
    found = run.load_groups("test", 4)
    assert found is not None
    assert found.tolist() == NUMBERS
    assert run.data["kind"] == "x"


def test_a_sweep_file_may_add_them_to_what_the_run_states_of_its_data(tmp_path: Path) -> None:
    write(tmp_path, "r.csv")
    (tmp_path / "metadata.json").write_text('{"data": {"kind": "x"}}')
    sweep = SweepInfo("s", tmp_path, arrays={"groups": "r.csv:room"})
    run = StoredRun(tmp_path, sweep=sweep)
    assert run.data == {"kind": "x", "groups": "r.csv:room"}
    assert run.load_groups("test", 4) is not None
