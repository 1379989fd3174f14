"""A sweep with curves, arrays, a diverged trial and names of every kind, for reports."""

from __future__ import annotations

import math
from pathlib import Path

from orchestrator.files import jsonl
from orchestrator.runs import SweepDir
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialState
from tests.analysis import made

HOSTILE = '<script>document.title="owned"</script></script><img src=x onerror=document.title=1>'


def a_sweep(results: Path, *, n_trials: int = 3, steps: int = 20) -> SweepDir:
    """Return a sweep whose trial number `n` has the error ``0.1 * (n + 1)``."""
    sweep = made.sweep(results, targets={"mae": "<= 0.15"}, spec={"parameters": {}})
    for number in range(n_trials):
        error = 0.1 * (number + 1)
        run = made.trial(
            sweep,
            number,
            name=f"lr={10.0**-number:g}",
            config={"lr": 10.0**-number, "optimizer": ("adam", "sgd")[number % 2]},
            error=error,
            val_error=error,
        )
        add_curve(run, steps, error)
    return sweep


def add_curve(run: RunDir, steps: int, level: float) -> None:
    """Log a falling loss with a report each half second."""
    for step in range(1, steps + 1):
        metrics = {
            "train_loss": level + math.exp(-step / 5),
            "val_loss": level + 0.1 + math.exp(-step / 5),
            "lr": 0.01 / step,
        }
        jsonl.append(run.metrics_file, {"step": step, "time": 1e9 + step / 2, "metrics": metrics})


def a_lost_trial(sweep: SweepDir, number: int) -> RunDir:
    """Add a trial that diverged and was stopped."""
    run = made.trial(
        sweep,
        number,
        name="lost",
        state=TrialState.PRUNED,
        reason="diverged: train_loss is nan since step 6",
        config={"lr": 10.0, "optimizer": "sgd"},
    )
    add_curve(run, 5, 0.5)
    nan = {"train_loss": math.nan, "val_loss": 1.0}
    jsonl.append(run.metrics_file, {"step": 6, "time": 1e9 + 3, "metrics": nan})
    return run
