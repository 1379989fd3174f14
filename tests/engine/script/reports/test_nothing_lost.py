"""When a script has ended, every report that it wrote is taken, however much there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from tensorboardX import SummaryWriter

from orchestrator.engine.script.command_line import REPORTED_FILE
from orchestrator.runs.curves import tail
from orchestrator.sweepfile.model.program import Program
from tests.engine.script.reports.test_sources import Followed
from tests.engine.script.script_runner import run_trial

WIDE = {f"train_aux_{n:03d}": 0.123456 for n in range(60)}


def lines_of(kind: str, rows: int, *, is_wide: bool) -> list[str]:
    more = WIDE if is_wide else {}
    if kind == "csv":
        names = ["step", "val_loss", *more]
        cells = [[str(n), str(rows - n), *map(str, more.values())] for n in range(1, rows + 1)]
        return [",".join(row) for row in [names, *cells]]
    if kind == "text":
        return ["Start", *(f"step {n}: val_loss={rows - n}" for n in range(1, rows + 1))]
    return [json.dumps({"step": n, "val_loss": rows - n, **more}) for n in range(1, rows + 1)]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["csv", "jsonl", "text", "reported"]),
    rows=st.integers(1, 120),
    is_wide=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    ends_last=st.booleans(),
    torn=st.sampled_from(["", '{"step": 9', "9,", "st"]),
    cuts=st.lists(st.integers(0, 60_000), max_size=4),
    piece=st.sampled_from([64, 1000, 4096, 1 << 22]),
)
def test_all_reports_come(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    rows: int,
    is_wide: bool,
    end: str,
    ends_last: bool,
    torn: str,
    cuts: list[int],
    piece: int,
) -> None:
    followed = Followed(tmp_path_factory.mktemp("lost"), "log.*")
    data = end.join(lines_of(kind, rows, is_wide=is_wide)) + (end if ends_last or torn else "")
    is_torn = torn and not (kind == "csv" and torn == "9,")
    path = followed.here / f"log.{kind}" if kind != "reported" else followed.run / REPORTED_FILE
    content = (data + (torn if is_torn else "")).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_MOST_BYTES", piece)
        patch.setattr(tail.GrowingFile.read, "__defaults__", (piece,))
        for cut in sorted(cuts):
            path.write_bytes(content[:cut])  # so far
            followed.look(wait_s=0.0)
        path.write_bytes(content)
        followed.end()
    found = [
        (step, values["val_loss"]) for step, values in followed.sink.reports if "val_loss" in values
    ]
    assert dict(found) == {n: rows - n for n in range(1, rows + 1)}


@pytest.mark.parametrize("kind", ["reported", pytest.param("csv", marks=pytest.mark.slow)])
def test_more_than_one_piece_is_read_at_the_end(kind: str, tmp_path: Path) -> None:
    followed = Followed(tmp_path, "log.csv")
    text = "\n".join(lines_of(kind, 11_000, is_wide=True)) + "\n"
    assert len(text) > 5 << 20
    path = followed.here / "log.csv" if kind == "csv" else followed.run / REPORTED_FILE
    path.write_text(text)
    followed.end()
    assert len(followed.sink.reports) == 11_000
    assert followed.sink.reports[-1][1]["val_loss"] == 0
    assert followed.sink.warnings == []


def test_events_are_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail.GrowingFile.read, "__defaults__", (100,))
    followed = Followed(tmp_path, "runs")
    with SummaryWriter(str(followed.here / "runs")) as writer:
        for step in range(50):
            writer.add_scalar("val_loss", step, step)
    followed.end()
    assert [step for step, _ in followed.sink.reports] == list(range(50))


def test_what_cannot_be_taken_in_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LONGEST_LINE", 500)
    followed = Followed(tmp_path, "log.csv", "big.json")
    (followed.here / "log.csv").write_text("step,loss\n1,2\n2,1,7\n3,1\n")
    (followed.here / "big.json").write_text('{"val_loss": [1, 2')
    reported = ['{"step": 1, "loss": 1}', '{"step": 2, "lo', '{"a": "' + "x" * 600 + '"}']
    (followed.run / REPORTED_FILE).write_text("\n".join(reported) + "\n")
    followed.end()
    assert sorted(followed.sink.warnings) == [
        "$SWEEP_METRICS: 1 damaged lines were left out",
        "$SWEEP_METRICS: 1 lines longer than 500 were left out",
        "big.json: its last content was not read, since it is no whole JSON",
        "log.csv: 1 rows are longer than the heading and were left out (the first is a row of 3 "
        "values under a heading of 2 columns)",
    ]


SCRIPT = """
import json, os, sys
with open(os.environ["SWEEP_METRICS"], "a") as out:
    for step in range(1, 2001):
        row = {"step": step, "val_loss": 2000 - step, **{f"aux_{k}": 0.123456 for k in range(150)}}
        out.write(json.dumps(row) + "\\n")
    out.flush()
    END
"""


@pytest.mark.parametrize(
    "way",
    [
        "os._exit(3)",
        pytest.param("sys.exit()", marks=pytest.mark.slow),
        pytest.param("os.kill(os.getpid(), 9)", marks=pytest.mark.slow),
    ],
)
def test_a_program_that_writes_and_ends_at_once(way: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.replace("END", way))
    program = Program(path=str(script), style="none", workdir=str(tmp_path))
    trial = run_trial(program, {}, tmp_path / "run")
    assert len(trial.reports) == 2000
    assert trial.reports[-1][1]["val_loss"] == 0
