"""Programs of twenty kinds: probe, check, run and compare, without a change by hand."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import app
from orchestrator.runs import read_reports
from orchestrator.runs.layout import SweepDir
from orchestrator.sweepfile.load import load_spec
from tests.cli.commands.authoring.twenty_scripts import SCRIPTS

FAST = ("pytorch_loop", "csv")
MOST_LINES = 16


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in SCRIPTS]
)
def test_round_trip(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SCRIPTS[name]
    if script.needs and importlib.util.find_spec(script.needs) is None:
        pytest.skip(f"{script.needs} is not installed")
    if script.program and shutil.which(script.program) is None:
        pytest.skip(f"{script.program} is not installed")
    monkeypatch.chdir(tmp_path)
    for path, text in script.files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        Path(path).chmod(0o755)
    program = script.program or next(iter(script.files))

    probed = CliRunner().invoke(app, ["probe", program, *script.words])
    assert probed.exit_code == 0, (probed.output, probed.exception)
    text = Path("sweep.yaml").read_text()
    lines = [
        line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    assert len(lines) <= MOST_LINES, text
    spec = load_spec(Path("sweep.yaml"), need_program=True)
    assert spec.warnings == (), text
    assert spec.metric is not None, text
    assert (spec.metric.name, spec.metric.goal) == script.metric, text

    ran = CliRunner().invoke(
        app, ["run", "sweep.yaml", "--inline", "--count", "2", "--results", "r"]
    )
    assert ran.exit_code == 0, (text, ran.output)
    assert "warning" not in ran.output, (text, ran.output)
    compared = CliRunner().invoke(app, ["compare", "r/sweep", "--json"])
    rows = json.loads(compared.stdout)["rows"]
    assert len(rows) == 2, (text, ran.output)
    assert all(script.metric[0] in row["metrics"] for row in rows), text
    assert all(run.log_file.exists() for run in SweepDir(tmp_path / "r" / "sweep").run_dirs())
    for run in SweepDir(tmp_path / "r" / "sweep").run_dirs():
        steps = sorted({step for step, values in read_reports(run)})
        assert tuple(steps) == script.steps, text


def test_metrics_that_no_file_names_are_announced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_text("import sys\nprint('epoch 1 val_loss', len(sys.argv[1]))\n")
    Path("sweep.yaml").write_text(
        "program: p.py\nworkdir: copy\nmetric: val_loss\nparameters: {lr: {values: [1, 10, 100]}}\n"
    )
    ran = CliRunner().invoke(app, ["run", "sweep.yaml", "--inline", "--results", "r"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.count("the file names no metrics; taken from the output: val_loss") == 1
    logs = [run.log_file.read_text() for run in SweepDir(tmp_path / "r" / "sweep").run_dirs()]
    assert len(logs) == 3
    assert all("taken from the output: val_loss" in text for text in logs)
    assert all(text.startswith("sweep: workdir: copy of ") for text in logs)
