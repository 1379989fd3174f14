"""Scripts that each report their metrics in another way, swept unchanged, in the table."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import app
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from tests.engine.script.script_runner import SCRIPTS

FOLLOWED = SCRIPTS / "followed"
PACKAGES = {"hydra_logs": "hydra", "lightning_script": "lightning"}
FILES = {
    "lightning_like": """
program: lightning_like.py
outputs: lightning_logs/version_*/
metrics:
  files: metrics.csv
  predictions: "*/pred.npy"
  targets: "*/true.npy"
metric: val_mae
fixed: {max_epochs: 2}
parameters: {lr: {values: [0.1, 0.01]}}
""",
    "params_only": """
program: params_only.py
workdir: copy
params_file: params.yaml
metrics: {files: out/results.json, names: {val_mae: eval/mae}}
metric: val_mae
parameters: {train: {parameters: {lr: {values: [0.1, 0.01]}}}}
""",
    "env_steered": """
program: env_steered.py
args: none
env: {LR: "${params:lr}"}
metrics: {pattern: 'epoch (?P<step>\\d+)/(?P<total>\\d+)\\W+val_mae (?P<val_mae>\\S+)'}
metric: val_mae
parameters: {lr: {values: [0.1, 0.01]}}
""",
    "sklearn_fit": """
program: sklearn_fit.py
command: [python, "${program}", "--out=${run_dir}/fit.npz", "${args}"]
metrics: {predictions: "${run_dir}/fit.npz:y_pred", targets: "${run_dir}/fit.npz:y_true"}
parameters: {alpha: {values: [0.01]}}
""",
    "lightning_script": """
program: lightning_script.py
outputs: lightning_logs/version_*/
metrics: {files: metrics.csv}
metric: val_mae
fixed: {max_epochs: 2}
parameters: {lr: {values: [0.0001, 0.01]}}
""",
    "hydra_logs": """
program: hydra_logs.py
command: [python, "${program}", "hydra.run.dir='${run_dir}/hydra'", "${args}"]
args: +k=v
metrics: {files: "${run_dir}/hydra/metrics.jsonl", names: {val_mae: val/mae}}
metric: val_mae
fixed: {epochs: 2}
parameters: {optim.lr: {values: [0.1, 0.01]}}
""",
    "sub_commands": """
program: sub_commands.py
command: [python, "${program}", --quiet, train, my data, "${args}"]
metric: val_mae
parameters: {lr: {values: [0.1, 0.01]}}
""",
    "text_log": """
program: text_log.py
command: [python, "${program}", "${args}", "log_file=${run_dir}/train.log"]
args: k=v
metrics:
  files: "${run_dir}/train.log"
  pattern: 'epoch (?P<step>\\d+): val_mae (?P<val_mae>\\S+)'
metric: val_mae
fixed: {epochs: 2}
parameters: {lr: {values: [0.1, 0.01]}}
""",
}


def test_one_that_diverges_in_its_table_is_stopped_while_it_runs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import sys, time\n"
        "with open('log.csv', 'w', buffering=1) as log:\n"
        "    log.write('epoch,train_loss\\n')\n"
        "    for epoch in range(600):\n"
        "        log.write(f'{epoch},{1.0 if epoch < 2 else float(\"nan\")}\\n')\n"
        "        time.sleep(0.3)\n"
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        "version: 1\nname: s\nprogram: train.py\nworkdir: copy\nargs: none\n"
        "metrics: {files: log.csv}\nmetric: train_loss\nparameters: {lr: {value: 1}}\n"
    )
    results = str(tmp_path / "results")
    done = CliRunner().invoke(app, ["run", str(path), "--inline", "--results", results])
    (record,) = load_trials(SweepDir(tmp_path / "results" / "s"))
    assert record.state is TrialState.PRUNED, done.output
    assert record.reason == "diverged: train_loss is nan since step 2"


@pytest.mark.parametrize("kind", FILES)
def test_swept_unchanged_with_metrics_in_the_table(kind: str, tmp_path: Path) -> None:
    package = PACKAGES.get(kind)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    for name in (f"{kind}.py", *(["params.yaml"] if kind == "params_only" else [])):
        shutil.copy(FOLLOWED / name, tmp_path)
    path = tmp_path / f"{kind}.yaml"
    path.write_text(f"version: 1\nname: {kind}\n{FILES[kind]}")
    results = str(tmp_path / "results")
    done = CliRunner().invoke(app, ["run", str(path), "--inline", "--results", results])
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(app, ["compare", f"{results}/{kind}", "--json"])
    rows: list[dict[str, Any]] = json.loads(shown.stdout)["rows"]
    assert [row["warnings"] for row in rows] == [[] for _ in range(1 if "sklearn" in kind else 2)]
    metric = "mae" if kind == "sklearn_fit" else "val_mae"
    values = [row["metrics"][metric] for row in rows]
    assert values == sorted(set(values)), "the better one is ranked first"
    assert "0.01" in json.dumps(rows[0]["config"])
    if kind == "lightning_like":
        assert rows[0]["metrics"]["mae"] == pytest.approx(0.01)
