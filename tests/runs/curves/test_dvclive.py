from __future__ import annotations

import json
from pathlib import Path

from orchestrator.analysis.table import compare
from orchestrator.runs.curves import read_runs


def made(folder: Path, accuracies: list[float]) -> None:
    for name, values in (("val/acc", accuracies), ("train/loss", [0.9, 0.4, 0.6])):
        table = folder / "plots" / "metrics" / f"{name}.tsv"
        table.parent.mkdir(parents=True)
        lines = [f"{step}\t{value}" for step, value in enumerate(values)]
        table.write_text("\n".join([f"step\t{table.stem}", *lines]) + "\n")
    (folder / "metrics.json").write_text(json.dumps({"val": {"acc": accuracies[-1]}, "step": 2}))
    (folder / "params.yaml").write_text("lr: 0.1\n")


def test_the_best_value_of_all_tables_counts_not_the_last(tmp_path: Path) -> None:
    made(tmp_path / "a" / "dvclive", [0.5, 0.8, 0.7])
    made(tmp_path / "b" / "dvclive", [0.5, 0.9, 0.6])
    found = compare([tmp_path])
    assert [row.trial for row in found.rows] == ["b", "a"]
    assert found.rows[0].metrics == {"val/acc": 0.9, "train/loss": 0.4}
    assert found.rows[0].config == {"lr": 0.1}
    assert compare([tmp_path], at="last").rows[0].metrics["val/acc"] == 0.7
    (run,) = read_runs(tmp_path / "a")
    assert [step for step, _ in run.reports] == [0, 1, 2]
