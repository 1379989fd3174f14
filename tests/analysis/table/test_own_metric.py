"""A function of the user's ranks runs that ended long ago, with intervals."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator import metrics
from orchestrator.analysis.table import compare, load_results
from orchestrator.cli import main
from orchestrator.errors import UsageError
from orchestrator.files import caching
from orchestrator.metrics import own

MODULE = """
import numpy as np

def worst(predictions, targets):
    return np.abs(predictions - targets).max(axis=1).mean()

worst.goal = "minimize"
worst.unit = "K"

def matches(predictions, targets):
    return np.mean([np.array_equal(p, t) for p, t in zip(predictions, targets)])

def greedy(predictions, targets):
    predictions[:] = targets
    return 0.0

def broken(predictions, targets):
    raise RuntimeError("no such thing\\nand more")

def sideways(predictions, targets):
    return 0.0

sideways.goal = "up"
constant = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder with the module and three runs of another tool."""
    name = f"scores_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    random = np.random.default_rng(0)
    targets = random.normal(size=(80, 3))
    for number, spread in enumerate((0.5, 0.1, 0.102)):
        run = tmp_path / "runs" / f"r{number}"
        run.mkdir(parents=True)
        np.save(run / "targets.npy", targets)
        np.save(run / "predictions.npy", targets + spread * random.normal(size=targets.shape))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop(name, None)
    own.own_metric.cache_clear()


@pytest.fixture
def module(folder: Path) -> str:
    return next(folder.glob("scores_*.py")).stem


def test_it_ranks_with_intervals_and_marks(module: str) -> None:
    kind, data = metrics.asked_for(f"{module}:worst", None)
    assert kind is None
    found = compare([Path("runs")], data=data)
    assert (found.sort_by, found.goal) == ("worst", "minimize")
    assert found.rows[0].trial in ("r1", "r2")
    assert [row.tied for row in found.rows] == [None, True, False]
    for row in found.rows:
        assert row.interval is not None
        assert row.interval.low < row.metrics["worst"] < row.interval.high
        assert {"mae", "rmse", "r2"} <= row.metrics.keys()
    (sentence,) = [note for note in found.notes if "told apart" in note]
    assert "paired over 30 groups of samples" in sentence  # of two or three
    assert " K, 95 %" in sentence


def test_the_interval_is_that_of_the_same_metric_by_sums(module: str, folder: Path) -> None:
    (folder / f"{module}.py").write_text("def mean_error(p, t): return abs(p - t).mean()\n")
    sys.modules.pop(module, None)
    for run in (folder / "runs").iterdir():
        for name in ("targets", "predictions"):
            np.save(run / f"{name}.npy", np.load(run / f"{name}.npy")[:30])
    _, data = metrics.asked_for(f"{module}:mean_error", None)
    own_way, by_sums = (
        compare([Path("runs")], data=data, sort_by=n) for n in ("mean_error", "mae")
    )
    for one, two in zip(own_way.rows, by_sums.rows, strict=True):
        assert one.interval is not None
        assert two.interval is not None
        assert one.interval.low == pytest.approx(two.interval.low)
        assert one.interval.high == pytest.approx(two.interval.high)


def test_a_data_frame_and_sequences(module: str, folder: Path) -> None:
    frame = load_results("runs", metrics=f"{module}:worst")
    assert frame["worst"].is_monotonic_increasing
    for number in range(12):
        run = folder / "texts" / f"r{number}"
        run.mkdir(parents=True)
        for role in ("predictions", "targets"):
            np.save(run / f"{role}.npy", np.arange(12 * 2))
            np.save(run / f"{role}_lengths.npy", np.full(12, 2))
    frame = load_results("texts", metrics=f"{module}:matches")
    assert (frame["matches"] == 1.0).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wurst", r"wurst does not exist in scores_\w+\. Did you mean 'worst'\?"),
        ("constant", "constant is not a function in"),
        ("sideways", "goal is 'up'. Set it to minimize or maximize"),
    ],
)
def test_a_name_that_is_no_function(module: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--metrics: .*{message}"):
        metrics.asked_for(f"{module}:{name}", None)


def test_other_wrong_requests(module: str) -> None:
    with pytest.raises(UsageError, match="nosuch cannot be imported"):
        metrics.asked_for("nosuch:worst", None)
    with pytest.raises(UsageError, match="does not name a function"):
        metrics.asked_for("a b:worst", None)
    with pytest.raises(UsageError, match="arrays are of one kind"):
        metrics.asked_for("edc,speech", 48000.0)
    kind, data = metrics.asked_for(f"edc, {module}.py:worst", 48000.0)
    assert kind == "decay_curve"
    assert data["rate_hz"] == 48000.0
    assert list(data[metrics.OWN]) == [f"{module}.py:worst"]


def test_a_function_that_fails_is_a_warning(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "runs", "--metrics", f"{module}:broken"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "ranked by mae" in out
    assert f"! r0: {module}:broken failed (RuntimeError: no such thing)" in out


def test_a_function_cannot_change_what_others_see(module: str) -> None:
    _, data = metrics.asked_for(f"{module}:greedy", None)
    found = compare([Path("runs")], data=data, sort_by="mae")
    assert all("failed (ValueError" in " ".join(row.warnings) for row in found.rows)
    assert all(row.metrics["mae"] > 0 for row in found.rows)


def test_a_run_folder_cannot_name_code(module: str, folder: Path) -> None:
    (folder / "runs" / "sweep-runs.yaml").write_text(f"metrics: {module}:worst\n")
    with pytest.raises(UsageError, match="only taken from --metrics of the command line"):
        compare([Path("runs")])
    assert module not in sys.modules


def test_a_run_folder_cannot_name_a_function(module: str) -> None:
    about = {"data": {"kind": "regression", metrics.OWN: [f"{module}:worst"]}}
    (Path("runs") / "r0" / "metadata.json").write_text(json.dumps(about))
    found = compare([Path("runs")])
    assert all("worst" not in row.metrics for row in found.rows)
    assert module not in sys.modules


def test_two_runs_are_compared_by_it(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["diff", "runs/r0", "runs/r1", "--metrics", f"{module}:worst", "--json"])
    assert ended.value.code == 0
    shown = json.loads(capsys.readouterr().out)["metrics"]
    found = next(pair for pair in shown if pair["name"] == "worst")
    assert found["better"] == "b"
    assert found["difference"]["low"] < found["difference"]["value"] < 0
    assert found["difference"]["basis"] == "samples"


def test_what_it_returned_is_remembered_until_its_source_changes(
    module: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(folder / "cache"))
    monkeypatch.setattr(caching, "_SETTLED_NS", -(10**9))
    monkeypatch.setattr(caching, "_file_system", lambda device: "ext4")
    calls = folder / "calls"
    text = "def error(p, t):\n open('calls', 'a').write('.')\n return float({})\n"
    for helper, expected in (("1", 1.0), ("1", 1.0), ("2", 2.0)):
        (folder / f"{module}_part.py").write_text(f"VALUE = {helper}\n")
        (folder / f"{module}.py").write_text(
            f"from {module}_part import VALUE\n" + text.format("VALUE")
        )
        for name in (module, f"{module}_part"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        own.own_metric.cache_clear()
        calls.write_text("")
        _, data = metrics.asked_for(f"{module}:error", None)
        found = compare([Path("runs")], data=data)
        assert [row.metrics["error"] for row in found.rows] == [expected] * 3
        is_new = helper != "1" or not (folder / "seen").exists()
        (folder / "seen").touch()
        assert (calls.stat().st_size > 0) is is_new
