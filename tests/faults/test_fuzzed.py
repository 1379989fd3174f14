"""Damaged and hostile input for every parser; ``python -m benchmarks.fuzz`` gives them far more."""

from __future__ import annotations

import random
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.errors import UsageError
from orchestrator.files import parse_duration
from orchestrator.metrics import ArrayProblem
from orchestrator.runs.curves import read_runs
from orchestrator.runs.read import groups
from tests.faults.fuzzed import Parser, damaged, everything

INPUTS = 5


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return everything(tmp_path_factory.mktemp("fuzz"))


def test_every_parser_takes_what_is_good_and_refuses_what_is_not(
    parsers: dict[str, Parser],
) -> None:
    for kind, parser in parsers.items():
        assert not all(map(parser.take, parser.seeds)), kind
        for number in range(INPUTS):
            parser.take(damaged(parser.seeds, random.Random(f"{kind} {number}")))


def test_a_duration_of_many_spaces_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration("2d" + " " * 3000 + "x")


def test_no_name_is_too_long_for_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("compare", "doctor", "run", "report", "status"):
        with pytest.raises(SystemExit) as ended:
            main([command, "a" * 300])
        assert ended.value.code == 2, command
        assert "Error: aaa" in capsys.readouterr().err


def test_a_database_that_computes_for_ever_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE runs (run_uuid, name, lifecycle_stage, start_time);"
            "INSERT INTO runs VALUES ('r', 'a', 'active', 1);"
            "CREATE VIEW metrics AS WITH RECURSIVE n(step) AS (VALUES (0) UNION ALL SELECT step + 1"
            " FROM n) SELECT 'r' run_uuid, 'loss' key, 1.0 value, step, 0 is_nan, 0 timestamp"
            " FROM n;"
        )
    with pytest.raises(UsageError, match="is a view"):
        read_runs(path)


def test_groups_outside_of_a_run_are_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("hunter2,password\n1,2\n")
    (tmp_path / "run").mkdir()
    data = {"groups": f"{tmp_path}/secret.csv:x"}
    with pytest.raises(ArrayProblem) as refused:
        groups.load_groups(tmp_path / "run", data, "test", 1)
    assert "hunter2" not in str(refused.value)


def test_a_packed_log_in_one_endless_line_costs_little_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with (tmp_path / "log.csv.gz").open("wb") as stream:
        for _ in range(18):
            stream.write(packer.compress(b"a" * (1 << 20)))
        stream.write(packer.flush())
    with pytest.raises(UsageError, match="line"):
        read_runs(tmp_path / "log.csv.gz")
