"""A script that uses the real W&B package, offline."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from orchestrator.sweepfile.model.program import Program
from tests.engine.script.script_runner import SCRIPTS, started

pytest.importorskip("wandb", reason="W&B is not installed")


@pytest.mark.slow
def test_wandb_config_and_log_work_without_a_word(tmp_path: Path) -> None:
    path = str(SCRIPTS / "wandb_config.py")
    program = Program(path=path, workdir=str(tmp_path), command=(sys.executable, path))
    config = {"lr": 0.5, "epochs": 3, "pause": 2.0}
    with started(program, config, tmp_path / "run") as trial:
        trial.until(lambda: len(trial.reports) >= 1)
        assert trial.process.is_alive(), "the first report came before the end"
        trial.wait()
    assert trial.error is None
    assert trial.reports == [
        (
            step,
            {"train/loss": 0.5 ** (step + 1), "val/loss": pytest.approx(0.5 ** (step + 1) + 0.1)},
        )
        for step in range(3)
    ]
    assert trial.of("warn") == []
    assert os.listdir(tmp_path) == ["run"], "it wrote outside its run directory"
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == config
