"""What readers cost by the number of trials and of reports: ``python -m benchmarks.size``.

Sweeps of 200 and 2,000 trials and logs of 10,000 to 1,000,000 reports are made, and read by
`status`, `compare` and `doctor`. A third of the trials diverges, which is what `doctor` compares.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import tempfile
import time
from pathlib import Path

from benchmarks.load import command
from orchestrator.runs import SweepDir, SweepRecord, SweepState, TrialRecord, TrialState

METRIC = {"name": "val_loss", "goal": "minimize"}


def make_sweep(results: Path, trials: int, reports: int = 10) -> None:
    """Write a sweep of trials that have ended."""
    sweep, chance = SweepDir(results / "s"), random.Random(trials)
    sweep.trials_dir.mkdir(parents=True)
    sweep.spec_file.write_text(json.dumps({"name": "s", "metric": METRIC}))
    SweepRecord("s", SweepState.FINISHED, n_trials=trials, metric="val_loss").save(sweep)
    for number in range(trials):
        lr = chance.uniform(1e-4, 1e-1)
        record = TrialRecord(number, f"lr={lr:.4g}", {"lr": lr}, TrialState.COMPLETE, attempt=1)
        record.started_at = record.ended_at = record.created_at
        record.value = chance.random()
        run = sweep.run_dir(number, record.name)
        record.save(run)
        run.metadata_file.write_text(json.dumps({"config": record.config, "duration_s": 1.0}))
        write_reports(run.metrics_file, reports, lr, chance, is_lost=number % 3 == 0)


def write_reports(
    file: Path, count: int, lr: float, chance: random.Random, *, is_lost: bool = False
) -> None:
    """Write a log of falling losses."""
    with file.open("w") as stream:
        for step in range(count):
            loss = math.exp(-step * lr) + 0.01 * chance.random()
            values = {"train_loss": math.nan if is_lost and step > 2 else loss, "val_loss": loss}
            stream.write(json.dumps({"step": step, "time": 1.8e9, "metrics": values}) + "\n")


def main() -> None:
    """Print a row for each command and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=[200, 2000])
    parser.add_argument("--reports", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    given = parser.parse_args()
    print("| size | command | CPU, s | per unit, ms | peak, MiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sweep-size-") as name:
        for trials in given.trials:
            folder = Path(name) / f"trials-{trials}"
            make_sweep(folder / "results", trials)
            for words in (["status"], ["compare", "results"], ["doctor"]):
                show(f"{trials} trials", trials, words, folder)
        for reports in given.reports:
            folder = Path(name) / f"reports-{reports}"
            make_sweep(folder / "results", 1, reports)
            (log,) = folder.rglob("metrics.jsonl")
            started = time.process_time()
            with log.open() as lines:
                for line in lines:
                    json.loads(line)
            took = time.process_time() - started
            each = 1000 * took / reports
            print(f"| {reports} reports | json.loads alone | {took:.2f} | {each:.4f} | |")
            for words in (["status"], ["compare", "results"], ["doctor"]):
                show(f"{reports} reports", reports, words, folder)


def show(size: str, units: int, words: list[str], folder: Path) -> None:
    """Print a row for one command."""
    took, peak, _ = command(folder, *words)
    each = 1000 * took / units
    print(f"| {size} | {words[0]} | {took:.2f} | {each:.4f} | {peak} |", flush=True)


if __name__ == "__main__":
    os.environ["COLUMNS"] = "120"
    main()
