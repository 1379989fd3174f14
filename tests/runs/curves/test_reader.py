"""Logs as their tools write them, read as learning curves."""

from __future__ import annotations

import csv
import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import jsonl
from orchestrator.runs.curves import formats
from orchestrator.runs.curves.formats import json_lines, tensorboard
from orchestrator.runs.curves.log_reader import LoggedRun, LogProblem, log_readers, read_log
from orchestrator.runs.curves.reader import read_runs
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from tests.shared_data import shared_data


def only(path: Path, pattern: str | None = None) -> LoggedRun:
    (run,) = read_runs(path, pattern)
    return run


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


# --- tables -----------------------------------------------------------------------------------


def test_keras_csv(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "history.csv",
        "epoch,accuracy,loss,learning_rate,val_accuracy,val_loss\n"
        "0,0.5,1.2,0.001,0.4,1.3\n1,0.6,nan,0.001,0.5,inf\n",
    )
    run = only(path)
    assert run.form == "Keras CSV"
    assert run.unit == "epoch"
    assert [step for step, _ in run.reports] == [0, 1]
    assert math.isnan(run.reports[1][1]["loss"])
    assert run.reports[1][1]["val_loss"] == math.inf
    assert run.reports[0][1]["learning_rate"] == 0.001


def test_lightning_csv_joins_the_rows_of_an_epoch(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "version_0/metrics.csv",
        "epoch,lr-Adam,step,train_loss,val_loss\n"
        "0,0.01,9,,\n0,,9,,0.8\n0,,9,0.9,\n"
        "1,0.01,19,,\n1,,19,,0.7\n1,,19,0.6,\n"
        "2,0.001,29,,\n2,,29,,0.6\n2,,29,0.5,\n"
        "3,0.001,39,,\n3,,39,,0.5\n3,,39,0.4,\n"
        "4,0.001,49,,\n4,,49,,0.4\n4,,49,0.3,\n",
    )
    run = only(path)
    assert run.form == "Lightning CSV"
    assert run.series("train_loss") == [(0, 0.9), (1, 0.6), (2, 0.5), (3, 0.4), (4, 0.3)]
    assert run.series("val_loss")[-1] == (4, 0.4)
    assert run.series("lr-Adam")[-1] == (4, 0.001)


def test_batches_become_means_of_their_epoch(tmp_path: Path) -> None:
    lines = ["epoch,step,train_loss,lr"]
    lines += [f"{step // 20},{step},{1 + step % 2},{step}" for step in range(200)]
    run = only(written(tmp_path, "log.csv", "\n".join(lines)))
    assert run.series("train_loss") == [(epoch, 1.5) for epoch in range(10)]
    assert run.series("lr")[0] == (0, 19.0)  # the last of the epoch
    assert run.notes == ("means over 10 epochs of 200 rows",)


def test_one_bad_batch_makes_its_epoch_bad(tmp_path: Path) -> None:
    lines = ["epoch,loss"]
    lines += [f"{step // 20},{'nan' if step == 150 else 1.0}" for step in range(200)]
    run = only(written(tmp_path, "log.csv", "\n".join(lines)))
    bad = [step for step, value in run.series("loss") if math.isnan(value)]
    assert bad == [7]


def test_yolo_results_with_padded_names(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "results.csv",
        "                  epoch,         train/box_loss,      metrics/mAP50(B),         lr/pg0\n"
        "                      1,                 1.5132,               0.10921,      0.0033\n"
        "                      2,                 1.4120,               0.20921,      0.0066\n",
    )
    run = only(path)
    assert run.form == "YOLO results"
    assert run.names == ["train/box_loss", "metrics/mAP50(B)", "lr/pg0"]


def test_a_table_of_several_runs_by_semicolon_and_packed(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv.gz"
    lines = ["run;epoch;train_loss"]
    lines += [f"{run};{epoch};{1 / epoch}" for run in ("a", "b") for epoch in range(1, 8)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert [(run.name, len(run.reports)) for run in read_runs(path)] == [("a", 7), ("b", 7)]


def test_rows_without_a_place_are_counted(tmp_path: Path) -> None:
    run = only(written(tmp_path, "x.csv", "loss\n3\n2\n1\n"))
    assert run.series("loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_very_long_logs_by_step_are_thinned_to_means(tmp_path: Path) -> None:
    lines = ["step,loss", *(f"{step},{step % 2}" for step in range(10_000))]
    run = only(written(tmp_path, "x.csv", "\n".join(lines)))
    assert len(run.reports) == 500
    assert {value for _, value in run.series("loss")} == {0.5}
    assert "means over 20 reports each of 10000" in run.notes


# --- JSON -------------------------------------------------------------------------------------


def test_hugging_face_state(tmp_path: Path) -> None:
    history = [
        {"epoch": 0.1 * step, "step": 10 * step, "loss": 4 / step, "learning_rate": 5e-5}
        for step in range(1, 6)
    ]
    history.append({"epoch": 0.5, "step": 50, "eval_loss": 2.5, "eval_runtime": 3.0})
    history.append({"epoch": 0.5, "step": 50, "train_loss": 9.9, "train_runtime": 60.0})
    state = {"log_history": history, "max_steps": 50, "global_step": 50}
    run = only(written(tmp_path, "checkpoint-50/trainer_state.json", json.dumps(state)))
    assert run.form == "Hugging Face state"
    assert run.total_steps == 50
    assert [step for step, _ in run.reports] == [10, 20, 30, 40, 50]
    assert run.reports[-1][1]["eval_loss"] == 2.5
    assert "train_loss" not in run.names


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [("epoch", "loss"), ("step", "val_loss", "date"), ("n", "run", "loss")]
            ),
            st.sampled_from([1, 0.5, -2, math.nan, True, None, "0.5", "x", 10**400]),
            st.integers(1, 12),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_json_lines_by_column_are_as_by_row(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[tuple[str, ...], object, int]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    records = [
        dict.fromkeys(names, value) | {names[0]: float(place)}
        for place, (names, value, count) in enumerate(parts)
        for _ in range(count)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))

    def found() -> str:
        try:
            return repr([(run.name, run.reports, run.last) for run in read_runs(path)])
        except UsageError as error:
            return str(error)

    by_column = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "_FEW", 1_000)
        assert found() == by_column


def test_json_lines_nested_and_torn(tmp_path: Path) -> None:
    lines = [json.dumps({"epoch": n, "train": {"loss": 1 / (n + 1)}}) for n in range(4)]
    run = only(written(tmp_path, "log.jsonl", "\n".join(lines) + '\n{"epoch": 4, "tr'))
    assert run.series("train/loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3), (3, 0.25)]


def test_keras_history_json(tmp_path: Path) -> None:
    run = only(written(tmp_path, "history.json", '{"loss": [3, 2, NaN], "val_loss": [3, 3]}'))
    assert [step for step, _ in run.reports] == [1, 2, 3]
    assert run.series("val_loss") == [(1, 3.0), (2, 3.0)]


# --- text -------------------------------------------------------------------------------------


def test_the_lines_of_the_sar_system(tmp_path: Path) -> None:
    lines = [
        f"Epoch {epoch:2d}/50 | Train: {1 / epoch:.4f} | Val: nan | LR: 1.00e-04 | 92.1s"
        for epoch in range(1, 9)
    ]
    run = only(written(tmp_path, "train.log", "\n".join(["Loading data", *lines, "done"])))
    assert run.form == "text log"
    assert run.total_steps == 50
    assert run.names == ["train_loss", "val_loss", "lr"]
    assert run.series("train_loss")[3] == (4, 0.25)
    assert math.isnan(run.series("val_loss")[0][1])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch={n} step=400 loss=0.5, lr 1e-3", {"loss": 0.5, "lr": 1e-3}),
        ("[{n}/200] train_loss: 0.25 - val_loss: 1.2", {"train_loss": 0.25, "val_loss": 1.2}),
        ("step {n}: train loss 0.5, val loss 0.75", {"train_loss": 0.5, "val_loss": 0.75}),
        ("Epoch {n}: val_per=0.31 train_loss=-2.5e-1", {"val_per": 0.31, "train_loss": -0.25}),
    ],
)
def test_lines_that_are_understood(line: str, expected: dict[str, float], tmp_path: Path) -> None:
    content = "\n".join(line.format(n=n) for n in range(1, 7))
    run = only(written(tmp_path, "a.log", content))
    assert [step for step, _ in run.reports] == [1, 2, 3, 4, 5, 6]
    assert run.reports[0][1] == expected


def test_a_pattern_finds_the_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "a.log", "".join(f"E{n} mse>{n / 10}<\n" for n in range(9)))
    run = only(path, r"E(?P<epoch>\d+) mse>(?P<train_loss>[\d.]+)<")
    assert run.series("train_loss")[8] == (8, 0.8)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "pattern"), (r"(\d+)", "needs a named group"), (r"(?P<x>zzz)", "no line")],
)
def test_a_pattern_that_finds_nothing_is_said(pattern: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.log", "epoch 1 loss 2\n")
    with pytest.raises(UsageError, match=message):
        read_runs(path, pattern)


# --- TensorBoard ------------------------------------------------------------------------------


def test_tensorboard_events(tmp_path: Path) -> None:
    writing = pytest.importorskip("tensorboardX")
    writer = writing.SummaryWriter(str(tmp_path / "run1"))
    for step in range(12):
        writer.add_scalar("train/loss", 1 / (step + 1), step)
        writer.add_scalar("lr", 1e-3, step)
    writer.add_scalar("train/loss", math.nan, 12)
    writer.add_text("note", "no scalar", 3)
    writer.close()
    run = only(tmp_path)
    assert run.form == "TensorBoard"
    assert run.name == "run1"
    assert run.series("train/loss")[1] == (1, 0.5)
    assert math.isnan(run.series("train/loss")[-1][1])
    assert run.series("lr")[0][1] == pytest.approx(1e-3)


def test_torn_events_are_read_up_to_the_tear(tmp_path: Path) -> None:
    writing = pytest.importorskip("tensorboardX")
    writer = writing.SummaryWriter(str(tmp_path))
    for step in range(12):
        writer.add_scalar("loss", float(step), step)
    writer.close()
    (path,) = tmp_path.glob("*tfevents*")
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    (run,) = tensorboard.read_events(path)
    assert run.series("loss")[:3] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert len(run.reports) < 12


@given(
    content=st.binary(max_size=400),
    name=st.sampled_from(["a.tfevents.1", "a.csv", "a.jsonl", "a.json", "a.log", "a.csv.gz"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_curves_or_a_problem(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        runs = read_log(path)
    except LogProblem:
        return
    assert runs
    assert all(run.reports for run in runs)


# --- folders ----------------------------------------------------------------------------------


def test_our_own_sweep(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path / "demo")
    for index, rate in enumerate((1e-3, 1e-4)):
        run = sweep.run_dir(index, f"lr={rate}")
        TrialRecord(index, f"lr={rate}", {"lr": rate}, TrialState.COMPLETE).save(run)
        for step in range(1, 4):
            metrics = {"train_loss": math.nan if step == 3 else 1 / step}
            jsonl.append(run.metrics_file, {"step": step, "time": 0, "metrics": metrics})
    TrialRecord(2, "waits", {}).save(sweep.run_dir(2, "waits"))
    runs = read_runs(sweep.path)
    assert [(run.number, run.name, run.config) for run in runs] == [
        (0, "lr=0.001", {"lr": 1e-3}),
        (1, "lr=0.0001", {"lr": 1e-4}),
    ]
    assert math.isnan(runs[0].reports[-1][1]["train_loss"])
    assert only(sweep.run_dir(1, "lr=0.0001").path).name == "lr=0.0001"


def test_a_folder_tree_of_another_tool(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path, f"{name}/metrics.csv", "epoch,train_loss\n0,1\n1,2\n")
        written(tmp_path, f"{name}/config.json", json.dumps({"lr": 0.1}))
    written(tmp_path, ".hidden/metrics.csv", "epoch,train_loss\n0,1\n1,2\n")
    assert [(run.name, dict(run.config)) for run in read_runs(tmp_path)] == [
        ("a", {"lr": 0.1}),
        ("b", {"lr": 0.1}),
    ]


def test_nothing_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_runs(tmp_path / "gone")
    with pytest.raises(NotFoundError, match="no run here reported anything"):
        read_runs(tmp_path)
    with pytest.raises(UsageError, match="Logs that can be read: CSV"):
        read_runs(written(tmp_path, "a.csv", "name,word\na,b\n"))


def test_the_sar_runs_of_the_original() -> None:
    runs = read_runs(shared_data("curves", "sar_autoencoder", "curves.csv"))
    assert len(runs) == 12
    with shared_data("curves", "sar_autoencoder", "curves.csv").open() as stream:
        assert sum(len(run.reports) for run in runs) == len(list(csv.DictReader(stream)))
    lite = next(run for run in runs if run.name == "resnet_lite_c16")
    assert math.isnan(dict(lite.series("val_loss"))[3])
    assert {run.unit for run in runs} == {"epoch"}


def test_reading_loads_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator.runs.curves.reader\n"
        "heavy = {'numpy', 'torch', 'pandas', 'scipy', 'optuna', 'ray', 'tensorboardX',\n"
        "         'google.protobuf'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- formats ----------------------------------------------------------------------------------

SCORES = """
from orchestrator.runs.curves.log_reader import LoggedRun, LogReader, read_bytes

def read(path):
    values = [float(text) for text in read_bytes(path).split()]
    reports = tuple((step, {"train_loss": value}) for step, value in enumerate(values))
    return [LoggedRun(path.stem, path, "scores", reports)]

READER = LogReader(
    "scores", read, lambda head: head.suffix == ".scores", usual_names={"*.scores": 5}
)
"""


def test_a_format_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "more_formats"
    folder.mkdir()
    (folder / "scores.py").write_text(SCORES)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    log_readers.cache_clear()
    try:
        path = written(tmp_path, "run7/my.scores", "3 2 1")
        assert only(path).series("train_loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]
        assert (only(path.parent).name, only(path.parent).form) == ("run7", "scores")
        with pytest.raises(UsageError, match="scores"):
            read_runs(written(tmp_path, "a.csv", "name,word\na,b\n"))
    finally:
        log_readers.cache_clear()
        sys.modules.pop("orchestrator.runs.curves.formats.scores", None)


def test_every_format_is_described() -> None:
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for reader in log_readers():
        assert f"\n| {reader.name}" in text, f"docs/doctor.md needs a row of {reader.name}"


_CELLS = st.one_of(
    st.floats(-1e6, 1e6).map("{:.6g}".format),
    st.sampled_from(["", "nan", "inf", "0.5%", "1e-3", "-", '"0.5"']),
)


@given(
    rows=st.lists(st.tuples(_CELLS, _CELLS, st.sampled_from(["train", "val", ""])), max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
    torn=st.booleans(),
    second=st.booleans(),
)
def test_a_large_table_is_read_as_a_small_one(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    end: str,
    torn: bool,
    second: bool,
) -> None:
    path = tmp_path_factory.mktemp("large") / "log.csv"
    lines = ["# run 1", "epoch,loss,acc,phase"]
    lines += [f"{at},{','.join(cells)}" for at, cells in enumerate(rows)]
    lines += ["epoch,loss,acc,phase", "99,0.5,0.25,val"] if second else []
    path.write_text(end.join([*lines, "100,0.1" if torn else ""]), newline="")

    def read() -> object:
        try:
            found = read_runs(path)
        except UsageError as error:
            return str(error)
        # NaN is no equal of itself.
        return [(run.name, run.unit, repr(run.reports), run.notes) for run in found]

    by_line = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.runs.curves.formats.csv_table._LARGE", 0)
        assert read() == by_line
