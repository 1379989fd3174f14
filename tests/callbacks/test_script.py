"""The three lines of Python, as scripts use them: in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from orchestrator import config, report, run_dir
import numpy as np
report(3, val_mae=np.float32(0.5), loss=float("nan"))
report(**{"val/r2": 1})
print("config", config, "dir", run_dir)
print("heavy", sorted({"torch", "ray", "optuna", "pandas", "click", "yaml"} & set(sys.modules)))
"""


def run_script(code: str = SCRIPT, **variables: str) -> str:
    clean = {name: v for name, v in os.environ.items() if not name.startswith(("SWEEP_", "RANK"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_outside_a_sweep_it_prints() -> None:
    out = run_script().splitlines()
    assert out == [
        "step 3  val_mae 0.5  loss nan",
        "step 4  val/r2 1",
        "config {} dir .",
        "heavy []",
    ]


def test_inside_a_sweep_it_writes_into_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    out = run_script(
        SWEEP_METRICS=str(tmp_path / "m.jsonl"),
        SWEEP_CONFIG=str(tmp_path / "config.json"),
        SWEEP_RUN_DIR=str(tmp_path),
    )
    assert out.splitlines() == [f"config {{'lr': 0.1}} dir {tmp_path}", "heavy []"]
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 3, "metrics": {"val_mae": 0.5, "loss": "nan"}},
        {"step": 4, "metrics": {"val/r2": 1.0}},
    ]


@pytest.mark.parametrize(
    ("variables", "is_first"),
    [
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "3", "LOCAL_RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"OMPI_COMM_WORLD_RANK": "1"}, False),
    ],
)
def test_one_process_of_a_training_reports(
    variables: dict[str, str], is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.callbacks import script

    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert script.is_first() is is_first


def test_torchrun_reports_once(tmp_path: Path) -> None:
    """As torchrun starts them: one process for each rank."""
    path = tmp_path / "m.jsonl"
    for rank in ("1", "0"):
        run_script(
            "from orchestrator import report; report(1, a=1)", RANK=rank, SWEEP_METRICS=str(path)
        )
    assert len(path.read_text().splitlines()) == 1


def test_mistakes_have_a_message() -> None:
    from orchestrator import report

    with pytest.raises(ValueError, match="no metrics given"):
        report(1)
    with pytest.raises(TypeError, match=r"metric 'loss' is not a number \(found str\)"):
        report(1, loss="high")
    with pytest.raises(ValueError, match=r"step 1\.5 is not a whole number from 0"):
        report(1.5, loss=1)  # type: ignore[arg-type]  # what a script may pass
