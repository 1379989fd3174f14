"""A script's arrays, declared in the sweep file, are measured as a trainer's are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.analysis import evaluate_run
from orchestrator.analysis.table import compare
from orchestrator.errors import SpecError
from orchestrator.files import atomic
from orchestrator.sweepfile import load_spec
from tests.analysis import made
from tests.cli.running import Desk

SCRIPT = """
import argparse, os
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--stretch", type=float)
stretch = parser.parse_args().stretch
time_s = np.arange(1000) / 500.0
true = np.array([[0.4], [0.6], [0.8], [1.0]])
folder = os.environ["SWEEP_RUN_DIR"]
for split in ("", "val_"):
    np.save(f"{folder}/{split}targets.npy", 10 ** (-6 * time_s / true))
    np.save(f"{folder}/{split}predictions.npy", 10 ** (-6 * time_s / (stretch * true)))
"""
FILE = """
program: train.py
metric: val_t20_mae
arrays: {kind: edc, rate_hz: 500}
targets: {t20_mae: "<= 0.1"}
success: any t20_mae < 0.05
parameters: {stretch: {values: [1.5, 1.01]}}
"""


def test_a_scripts_decay_curves_have_their_metrics(desk: Desk) -> None:
    desk.write("train.py", SCRIPT)
    desk.write("sweep.yaml", FILE)
    done = desk.inline("run", "sweep.yaml", "--inline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success: met" in done.stdout
    assert "ranked by val_t20_mae, lowest first (validation)" in done.stdout
    assert "Target t20_mae <= 0.1: met by 1 of 2." in done.stdout
    found = compare([desk.folder / "results"])
    assert [row.config["stretch"] for row in found.rows] == [1.01, 1.5]
    assert {"edt_mae", "t20_mae", "c50_mae"} <= set(found.rows[0].metrics)
    assert "t20_mae" in evaluate_run(found.rows[0].path)


def test_a_kind_that_is_declared_later_counts_too(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, program="train.py", metric="t20_mae")
    made.curves(made.trial(sweep, 0, value=1.0).path, 1.1)
    spec = json.loads(sweep.spec_file.read_text())
    spec["program"]["arrays"] = {"kind": "decay_curve", "rate_hz": 500}
    atomic.write_json(sweep.spec_file, spec)
    (row,) = compare([tmp_path]).rows
    assert row.metrics["t20_mae"] == pytest.approx(0.07, abs=0.01)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ("{kind: edcs, rate_hz: 5}", "arrays.kind: no data of the kind 'edcs' are known"),
        ("{kind: edc}", "arrays: decay_curve needs rate_hz"),
        ("{rate_hz: 5}", "arrays.kind"),
        ("{kind: edc, rate_hz: 0}", "arrays.rate_hz"),
        ("edc", "arrays"),
    ],
)
def test_what_is_no_kind_is_refused(tmp_path: Path, arrays: str, said: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "s.yaml").write_text(FILE.replace("{kind: edc, rate_hz: 500}", arrays))
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "s.yaml")
    assert said in str(caught.value)
