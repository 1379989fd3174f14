"""Scripts of different kinds, each swept as it is through its sweep file."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.sweepfile.load import load_spec
from tests.engine.script.script_runner import SCRIPTS, run_trial

KINDS = SCRIPTS / "kinds"


def swept(tmp_path: Path, text: str, config: dict[str, Any]) -> dict[str, float]:
    """Run one trial of a sweep file next to the scripts; return what it reported."""
    folder = tmp_path / "kinds"
    shutil.copytree(KINDS, folder)
    names = "".join(
        f"  {name}: {{values: [{json.dumps(value)}]}}\n" for name, value in config.items()
    )
    pattern = r"metrics: {pattern: '(\b|^)lr=(?P<lr>\S+)'}" + "\n"
    if "metrics:" in text:
        pattern = ""
    path = folder / "s.yaml"
    path.write_text(f"{text}{pattern}parameters:\n{names}")
    spec = load_spec(path, need_program=True)
    assert spec.program is not None
    assert spec.warnings == ()
    trial = run_trial(spec.program, config, tmp_path / "run")
    assert trial.error is None, trial.error
    assert trial.of("warn") == []
    (report,) = trial.reports
    return report[1]


def others(*names: str) -> str:
    groups = " ".join(rf"{name}=(?P<{name}>\S+)" for name in names)
    return f"metrics: {{pattern: '{groups}'}}\n"


def test_positional_sub_commands(tmp_path: Path) -> None:
    text = (
        "program: subcommands.py\n"
        "command: ['${interpreter}', '${program}', fit, '${params:dataset}', '${args}']\n"
        "args: {style: hyphen-space, booleans: pair}\n"
    ) + others("dataset", "lr", "amp")
    config = {"dataset": "a b $(x)", "learning_rate": 0.25, "amp": False}
    assert swept(tmp_path, text, config) == {"dataset": 8, "lr": 0.25, "amp": 0}


def test_a_configurator_of_keys_and_values(tmp_path: Path) -> None:
    text = "program: configurator.py\nargs: k=v\n" + others("lr", "layers", "name")
    config = {"learning_rate": 0.5, "layers": [3, 4], "name": "it's me"}
    assert swept(tmp_path, text, config) == {"lr": 0.5, "layers": 2, "name": 7}


def test_a_script_that_reads_a_file_alone(tmp_path: Path) -> None:
    text = "program: reads_params.py\nparams_file: params.toml\nworkdir: copy\n"
    text += others("lr", "width")
    assert swept(tmp_path, text, {"optim.lr": 1e-05}) == {"lr": 1e-05, "width": 8}
    assert (tmp_path / "run" / "work" / "result.txt").read_text() == "1e-05"
    assert not (tmp_path / "kinds" / "result.txt").exists()


def test_a_script_that_its_environment_steers(tmp_path: Path) -> None:
    text = "program: by_environment.sh\nenv: {LR: '${params:lr}'}\n" + others("lr", "threads")
    assert swept(tmp_path, text, {"lr": 0.125}) == {"lr": 0.125, "threads": 3}


def test_scikit_learn(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    text = "program: ridge.py\ncommand: [python, '${program}', --out, '${run_dir}', '${args}']\n"
    found = swept(tmp_path, text + others("r2"), {"alpha": 0.1})
    assert found["r2"] > 0.9
    assert np.load(tmp_path / "run" / "predictions.npy").shape == (20,)


@pytest.mark.skipif(importlib.util.find_spec("hydra") is None, reason="hydra is not installed")
def test_an_application_of_hydra(tmp_path: Path) -> None:
    text = "program: hydra_app.py\nargs: hydra\nworkdir: copy\n"
    text += others("lr", "clipped", "layers", "name")
    config = {"lr": 0.5, "clip": None, "layers": [1, 2, 3], "name": "a, b='${x}'"}
    assert swept(tmp_path, text, config) == {"lr": 0.5, "clipped": 0, "layers": 3, "name": 11}
