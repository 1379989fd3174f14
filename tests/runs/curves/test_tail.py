from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tensorboardX import SummaryWriter

from orchestrator.runs.curves import tail
from orchestrator.runs.curves.formats.csv_table import TableParser
from orchestrator.runs.curves.formats.json_lines import JsonLinesParser
from orchestrator.runs.curves.formats.mlflow_store import MlflowRun
from orchestrator.runs.curves.formats.tensorboard import EventLog
from orchestrator.runs.curves.tail import GrowingFile, GrowingRows, RewrittenJson, mark


class Log(GrowingRows):
    """With lists of rows."""

    def new(self, *, last: bool = False) -> list[dict[str, Any]]:
        return list(self.poll(last))


ROWS = [{"epoch": str(n), "loss": str(1 / (n + 1))} for n in range(30)]


def csv_of(rows: list[dict[str, str]], names: tuple[str, ...] = ("epoch", "loss")) -> str:
    lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]
    return "\n".join(lines) + "\n"


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=12), is_csv=st.booleans())
def test_each_row_comes_once_wherever_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], is_csv: bool
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log"
    text = csv_of(ROWS) if is_csv else "".join(json.dumps(row) + "\n" for row in ROWS)
    data = text.encode().rstrip(b"\n")  # nothing ends the last line
    log = Log(path, TableParser) if is_csv else Log(path, JsonLinesParser)
    found: list[dict[str, Any]] = log.new()
    for end in sorted(cuts):
        path.write_bytes(data[:end])  # written again as well as longer
        found += log.new()
    path.write_bytes(data)
    assert found + log.new() + log.new(last=True) == ROWS


def test_a_table_that_is_rewritten_with_another_column_continues(tmp_path: Path) -> None:
    """As Lightning's logger does when validation first logs."""
    path = tmp_path / "metrics.csv"
    log = Log(path, TableParser)
    path.write_text("epoch,train_loss\n0,1.0\n1,0.9\n")
    assert len(log.new()) == 2
    path.write_text("epoch,train_loss,val_loss\n0,1.0,\n1,0.9,\n1,,0.8\n")
    assert log.new() == [{"epoch": "1", "val_loss": "0.8"}]
    path.write_text("epoch,train_loss\n0,7.0\n")
    assert log.new() == [{"epoch": "0", "train_loss": "7.0"}]


def test_headings_in_the_midst_and_quoted_cells(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('# made by me\n epoch ; note;loss\n1;"two\nlines; here";0.5\n')
    log = Log(path, TableParser)
    assert log.new() == [{"epoch": "1", "note": "two\nlines; here", "loss": "0.5"}]
    with path.open("a") as stream:
        stream.write("epoch;note;loss\n2;x;nan\nepoch;loss;val_loss\n3;0.1;0.2\n")
    assert log.new() == [
        {"epoch": "2", "note": "x", "loss": "nan"},
        {"epoch": "3", "loss": "0.1", "val_loss": "0.2"},
    ]


def test_earlier_content_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n1,0.5\n")
    appended, replaced = Log(path, TableParser, mark(path)), Log(path, TableParser, mark(path))
    with path.open("a") as stream:
        stream.write("1,0.4\n")
    assert appended.new() == [{"epoch": "1", "loss": "0.4"}]
    path.unlink()
    path.write_text("epoch,loss\n1,0.3\n2,0.2\n3,0.1\n")
    assert [row["loss"] for row in replaced.new()] == ["0.3", "0.2", "0.1"]


def test_the_same_text_written_again_is_new(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    words = "epoch,loss\n1,0.5\n"
    path.write_text(words)
    os.utime(path, (1, 1))
    untouched, again = Log(path, TableParser, mark(path)), Log(path, TableParser, mark(path))
    cut = Log(path, TableParser, mark(path))
    assert untouched.new() == []
    path.write_text("")
    assert cut.new() == []
    path.write_text(words)
    assert again.new() == cut.new() == [{"epoch": "1", "loss": "0.5"}]
    assert again.new() == cut.new() == []
    with path.open("a") as stream:
        stream.write("2,0.4\n")
    assert again.new() == cut.new() == [{"epoch": "2", "loss": "0.4"}]


def test_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "LONGEST_LINE", 1000)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": "' + b"x" * 5000 + b'"}\n{"a": 2}\n' + b"y" * 5000)
    log = Log(path, JsonLinesParser)
    assert log.new() == [{"a": 1}, {"a": 2}]
    assert log.new(last=True) == []
    file = GrowingFile(path)
    pieces = [file.read(100)[0] for _ in range(200)]
    assert max(map(len, pieces)) == 100
    assert b"".join(pieces) == path.read_bytes()


def test_lines_that_are_not_json_objects_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('[1]\n{"step": 1, "metrics": {"val": {"mae": 2}}}\nnoise {\n{"loss": NaN}\n')
    first, second = Log(path, JsonLinesParser).new()
    assert first == {"step": 1, "val/mae": 2}
    assert np.isnan(second["loss"])


def test_event_files_are_followed_and_large_records_are_skipped(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "whole")) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_text("notes", "words " * 200_000, step)
            writer.add_scalars("many", {"a": step}, step)
    (source,) = (tmp_path / "whole").glob("events*")
    data = source.read_bytes()
    assert len(data) > 5 << 20
    path = tmp_path / "events.out.tfevents.1"
    log = EventLog(path)
    found = list(log.read())
    step = len(data) // 37
    with path.open("wb") as stream:
        for start in range(0, len(data), step):
            stream.write(data[start : start + step])
            stream.flush()
            found += list(log.read())
    assert [(at, values["loss"]) for at, values in found if "loss" in values] == [
        (at, pytest.approx(1 / (at + 1))) for at in range(5)
    ]


def test_a_rewritten_json_is_read_when_it_has_changed_and_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "final.json"
    log = RewrittenJson(path)
    assert log.poll() is None
    path.write_text('{"mae": 0.5, "x"')
    assert log.poll() is None
    path.write_text('{"mae": 0.5, "x": 1}')
    assert log.poll() == {"mae": 0.5, "x": 1}
    assert log.poll() is None


def test_mlflow_runs_are_followed(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics" / "val"
    os.makedirs(metrics)
    (metrics / "mae").write_text("1700000000000 0.5 1\n")
    (tmp_path / "metrics" / "loss").write_text("1700000000000 nan 1\n1700000000001 0.25 2\n170")
    run = MlflowRun(tmp_path)
    found = run.poll()
    assert [(row["_step"], sorted(row)) for row in found] == [
        (1, ["_step", "loss"]),
        (1, ["_step", "val/mae"]),
        (2, ["_step", "loss"]),
    ]
    with (metrics / "mae").open("a") as stream:
        stream.write("1700000000009 0.4 2\n")
    assert run.poll() == [{"val/mae": 0.4, "_step": 2}]
