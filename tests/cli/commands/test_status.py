from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from orchestrator.analysis.status.sweep_status import read_status
from orchestrator.analysis.table import compare
from orchestrator.analysis.table.flat_table import to_csv
from orchestrator.cli.render.comparison import render_comparison
from orchestrator.cli.render.status_text import render_status
from orchestrator.cli.terminal.trial_table import trial_table
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialState, load_trials, now
from tests.analysis import made
from tests.cli.running import sweep
from tests.cli.terminal.emulator import SWEEP, Terminal

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[SweepDir]:
    """One trial of each kind, under a driver that lives."""
    made_sweep = made.sweep(
        tmp_path / "results", state=SweepState.RUNNING, n_trials=4, metric="val_t20_mae"
    )
    moment = datetime.now(UTC).timestamp()
    run = made.trial(
        made_sweep, 0, state=TrialState.RUNNING, attempt=1, started_at=now(), total_steps=12
    )
    for step in (1, 2):
        made.report(
            run, step, moment + step, train_loss=0.5, val_loss=0.25, val_t20_mae=0.125, lr=1e-3
        )
    made.trial(made_sweep, 1, state=TrialState.PRUNED, reason="diverged: train_loss is nan")
    made.trial(made_sweep, 2, warnings=["asked t20_weight 3.0, recorded 1.5"])
    with FileLock(made_sweep.lock_file):
        yield made_sweep


def test_the_table_shows_each_trial_and_the_totals(live: SweepDir) -> None:
    lines = render_status(read_status(live), width=160).splitlines()
    assert lines[0] == "demo: RUNNING"
    assert lines[2].split("  ")[0] == "#"
    for title in ("epoch", "train loss", "val loss", "val_t20_mae", "lr", "left", "ends", "reason"):
        assert title in lines[2]
    assert lines[4].split()[:8] == ["0", "t0", "RUNNING", "2/12", "0.5", "0.25", "0.125", "0.001"]
    assert "diverged: train_loss is nan" in lines[5]
    assert "! 2 t2: asked t20_weight 3.0, recorded 1.5" in lines
    assert lines[-1].startswith("4 trials: 1 WAITING, 1 RUNNING, 1 COMPLETE, 1 PRUNED; elapsed ")
    assert "left; ends " in lines[-1]


def test_the_metric_of_complete_trials_is_explained(tmp_path: Path) -> None:
    made_sweep = made.sweep(tmp_path)
    made.trial(made_sweep, 0, state=TrialState.PRUNED, value=0.75)
    said = "val_mae of ended trials: recomputed from saved predictions, else the best reported"
    assert said not in render_status(read_status(made_sweep), width=160)
    run = made.trial(made_sweep, 1, attempt=1, value=0.25)
    made.report(run, 1, 1.0, val_loss=0.5, val_mae=0.5)
    lines = render_status(read_status(made_sweep), width=160).splitlines()
    assert lines[5].split()[-2:] == ["0.5", "0.25"]
    assert lines[6].startswith(said)
    assert max(map(len, render_status(read_status(made_sweep), width=60).splitlines())) <= 60


def test_a_sweep_that_left_trials_waiting_is_not_called_finished(tmp_path: Path) -> None:
    ended = made.sweep(tmp_path, reason="only t0")
    made.trial(ended, 0)
    assert render_status(read_status(ended)).startswith("demo: FINISHED (only t0)")
    made.trial(ended, 1, state=TrialState.WAITING)
    assert render_status(read_status(ended)).startswith("demo: ENDED EARLY (only t0)")


def test_a_narrow_terminal_keeps_state_and_reason(live: SweepDir) -> None:
    lines = render_status(read_status(live), width=64).splitlines()
    assert max(len(line) for line in lines[2:7]) <= 64
    assert "PRUNED" in lines[5]
    assert "diverged" in lines[5]


def test_totals_that_do_not_fit_take_two_lines(live: SweepDir) -> None:
    lines = render_status(read_status(live), width=64).splitlines()
    assert lines[-2] == "4 trials: 1 WAITING, 1 RUNNING, 1 COMPLETE, 1 PRUNED"
    assert lines[-1].startswith("elapsed ")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (160, 50), (60, 12)])
def test_the_live_view_loses_nothing_that_matters(live: SweepDir, columns: int, lines: int) -> None:
    long = "batch_size=32,learning_rate={},optimizer=adamw,scheduler=cosine,t20_weight=2.5"
    for number in range(3, 60):
        made.trial(live, number, name=long.format(number / 1000), value=1 / number)
    command = (*SWEEP, "status", "--watch", "--interval", "0.2", "--results", live.path.parent)
    with Terminal(*map(str, command), columns=columns, lines=lines, folder=live.path) as terminal:
        last = "! 2 t2: asked t20_weight 3.0, recorded 1.5"  # the frame is drawn from the top
        shown = terminal.until(lambda seen: any(last in line for line in seen))
        text = " ".join(shown)
        assert "more trials" in text
        assert shown[0].startswith("demo  RUNNING")
        assert "▶ 1 running" in text
        assert "✓ 58 complete" in text
        assert "■ 1 pruned" in text
        ranked = [re.findall(r"\b(?:lr=)?0\.0\d+", line) for line in shown if line[:1] == "✓"]
        values = [float(found[-1]) for found in ranked if found]
        assert values[0] == pytest.approx(1 / 59, rel=1e-3), "the best first"
        assert values == sorted(values)
        assert any("lr=0.059" in line or "learning_rate=0.059" in line for line in shown)
        terminal.type("\x03")
        assert terminal.to_the_end() == 0


def test_running_trials_are_kept_if_not_all_are_listed(tmp_path: Path) -> None:
    made_sweep = made.sweep(tmp_path, state=SweepState.RUNNING)
    for number in range(30):
        state = TrialState.RUNNING if number == 20 else TrialState.COMPLETE
        made.trial(made_sweep, number, state=state)
    with FileLock(made_sweep.lock_file):
        lines = render_status(read_status(made_sweep), width=100, most_rows=5).splitlines()
    assert [line.split()[0] for line in lines[4:9]] == ["0", "1", "2", "3", "20"]
    assert "… and 25 more trials: --json lists all." in lines


def test_the_command_shows_the_newest_sweep(
    live: SweepDir, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = made.sweep(live.path.parent, "older")
    os.utime(older.state_file, (1, 1))
    monkeypatch.setenv("SWEEP_RESULTS", str(live.path.parent))
    assert sweep("status") == 0
    assert capsys.readouterr().out.startswith("demo: RUNNING\n")
    assert sweep("status", "older") == 0
    assert capsys.readouterr().out.startswith("older: FINISHED\n")


def test_json_is_the_contract(live: SweepDir, capsys: Capture) -> None:
    assert sweep("status", "demo", "--results", str(live.path.parent), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sweep"], found["state"]) == ("demo", "RUNNING")
    assert found["counts"] == {"WAITING": 1, "RUNNING": 1, "COMPLETE": 1, "PRUNED": 1, "FAIL": 0}
    first = found["trials"][0]
    assert (first["number"], first["name"], first["state"]) == (0, "t0", "RUNNING")
    assert (first["step"], first["total_steps"], first["reason"]) == (2, 12, None)
    assert first["metrics"]["val_t20_mae"] == 0.125
    assert first["config"] == {"lr": 0.1}


@pytest.mark.parametrize("name", [[], ["demo"]])
def test_a_missing_sweep_exits_with_2(tmp_path: Path, capsys: Capture, name: list[str]) -> None:
    assert sweep("status", *name, "--results", str(tmp_path)) == 2
    assert "No sweep in " in capsys.readouterr().err


def test_a_wrong_name_is_answered_by_the_nearest(live: SweepDir, capsys: Capture) -> None:
    assert sweep("status", "demoo", "--results", str(live.path.parent)) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


def test_watching_a_sweep_that_is_over_shows_it_once(tmp_path: Path, capsys: Capture) -> None:
    made.trial(made.sweep(tmp_path), 0)
    assert sweep("status", "--results", str(tmp_path), "--watch") == 0
    assert capsys.readouterr().out.count("demo: FINISHED") == 1


def watch(live: SweepDir) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "orchestrator", "status", "--watch", "--interval", "0.2"),
            *("--json", "--results", str(live.path.parent)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_watch_ends_with_the_sweep(live: SweepDir) -> None:
    with watch(live) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["state"] == "RUNNING"
        record = SweepRecord.load(live)
        assert record is not None
        record.state = SweepState.FINISHED
        record.save(live)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["state"] == "FINISHED"


def test_leaving_watch_by_ctrl_c_is_no_error_and_changes_nothing(live: SweepDir) -> None:
    before = {path: path.read_bytes() for path in live.path.rglob("*.json*")}
    with watch(live) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in live.path.rglob("*.json*")} == before


def test_status_loads_no_numpy(live: SweepDir) -> None:
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.exit('numpy' in sys.modules)\n"
    )
    arguments = ["status", "--results", str(live.path.parent)]
    assert subprocess.run([sys.executable, "-c", code, *arguments], check=False).returncode == 0


def test_placement_is_shown_below_the_table(live: SweepDir) -> None:
    record = SweepRecord.load(live)
    assert record is not None
    growth = "2 at once: 1.62 × the speed of 1; 3 at once: 1.59 ×, staying at 2"
    record.placement = {
        "waiting": {
            "reason": "waits for 2.1 GiB on GPU 0",
            "missing_mib": 2150,
            "since": time.time() - 125,
            "device": "0",
        },
        "growth": {"0": growth},
        "fallback": "fell back to sequential after out-of-memory in trial 3",
    }
    record.save(live)
    status = read_status(live)
    lines = render_status(status, width=160).splitlines()[-3:]
    assert re.fullmatch(r"waits for 2\.1 GiB on GPU 0, since \d\d:\d\d \(2m \d\ds\)", lines[0])
    assert lines[1] == f"GPU 0: {growth}"
    assert lines[2] == "fell back to sequential after out-of-memory in trial 3"
    assert status.to_dict()["placement"] == record.placement


def test_the_memory_of_a_trial_comes_with_its_source(live: SweepDir) -> None:
    trials = load_trials(live)
    trials[0].need = {"memory_mib": 8192, "source": "declared", "peak_mib": 7000}
    trials[1].need = {"memory_mib": None, "source": "unknown"}
    for trial in trials[:2]:
        trial.save(live.run_dir(trial.number, trial.name))
    lines = render_status(read_status(live), width=200).splitlines()
    assert any("8.0 GiB declared" in line for line in lines)
    assert any(re.search(r"\bunknown\b", line) for line in lines)


@pytest.mark.parametrize(("device", "shown"), [("cpu", "59 MiB measured"), ("0", "unknown")])
def test_a_trial_that_ended_shows_what_it_took(live: SweepDir, device: str, shown: str) -> None:
    trial = load_trials(live)[2]
    trial.need = {"memory_mib": None, "source": "unknown"}
    trial.slot = {"device": device}
    run = live.run_dir(trial.number, trial.name)
    trial.save(run)
    (run.path / "metadata.json").write_text('{"peak_memory_mib": 59}')
    assert shown in render_status(read_status(live), width=200)


@pytest.mark.parametrize(("nodes", "shown"), [(["n1", "n2"], True), (["n1", "n1"], False)])
def test_machines_are_shown_if_trials_ran_on_several(
    tmp_path: Path, nodes: list[str], shown: bool
) -> None:
    sweep = made.sweep(tmp_path)
    for number, node in enumerate(nodes):
        slot = {"index": 0, "node": node, "device": "0", "memory_mib": 1, "threads": 1}
        made.trial(sweep, number, error=0.1 + number, slot=slot)
    made.trial(sweep, 2, state=TrialState.WAITING)
    status, comparison = read_status(sweep), compare([sweep.path])
    live = io.StringIO()
    table = trial_table(status, {}, 120, 20, ascii_only=False)
    Console(file=live, width=120).print(*table)
    for text in (
        render_status(status, width=160),
        render_comparison(comparison, width=160),
        live.getvalue(),
    ):
        assert ("node" in text) == shown
        assert ("n2" in text) == shown
    assert [trial.node for trial in status.trials] == [*nodes, ""]
    assert [row.to_dict()["node"] for row in comparison.rows] == nodes
    assert to_csv(comparison).splitlines()[0].endswith(",node")


def test_a_folder_that_is_no_sweep_names_the_commands_that_read_it(
    tmp_path: Path, live: SweepDir, capsys: Capture
) -> None:
    (tmp_path / "yolo").mkdir()
    results = str(live.path.parent)
    assert sweep("status", str(tmp_path / "yolo"), "--results", results) == 2
    error = capsys.readouterr().err
    assert "was not written by `sweep run`" in error
    assert f"sweep compare {tmp_path / 'yolo'}" in error
    assert sweep("status", results, "--results", str(tmp_path / "yolo")) == 2
    assert "holds sweeps, is none itself (found: demo)" in capsys.readouterr().err


def test_a_module_in_the_current_folder_replaces_no_package(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong click')")
    command = [sys.executable, "-m", "orchestrator", "--version"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
