"""A process that is killed at any write: what it leaves can be read, and continued without loss."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import faults
from tests.conftest import ROOT


def killed_everywhere(module: str, *words: object) -> str:
    """Run one of the modules that kill; return what it printed, and fail if something is lost."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *map(str, words)],
        env={**os.environ, "LD_PRELOAD": str(faults.shim())},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_files_survive_a_kill_at_every_write(tmp_path: Path) -> None:
    assert "operations: 0 problems" in killed_everywhere("writing", tmp_path / "w", "--quick")


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "points"), [("stages", 9), ("script", 6), ("bayes", 3)])
def test_a_sweep_survives_a_kill_at_any_write(scenario: str, points: int, tmp_path: Path) -> None:
    """``python -m benchmarks.kills --writes`` tries all points."""
    assert '"bad": 0' in killed_everywhere("crashing", tmp_path / "s", scenario, points)
