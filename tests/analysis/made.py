"""Run folders for tests, made with numpy and the records that a driver writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState

RATE_HZ = 500.0


def pair(folder: Path, error: float = 0.1, *, split: str = "test", size: int = 20) -> None:
    """Save a pair whose mae and rmse are both `error`."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDir(folder)
    targets = np.linspace(0.0, 1.0, size).reshape(4, -1)
    signs = np.where(np.arange(size).reshape(4, -1) % 2, 1.0, -1.0)
    np.save(run.targets_file(split), targets)
    np.save(run.predictions_file(split), targets + error * signs)


def curves(folder: Path, stretch: float = 1.0, *, split: str = "test") -> None:
    """Save exponential decay curves; predicted T60 are `stretch` times the true ones."""
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDir(folder)
    time_s = np.arange(1000) / RATE_HZ
    true_t60_s = np.array([[0.4], [0.6], [0.8], [1.0]])
    np.save(run.targets_file(split), 10 ** (-6 * time_s / true_t60_s))
    np.save(run.predictions_file(split), 10 ** (-6 * time_s / (stretch * true_t60_s)))


def metadata(folder: Path, **content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(content), encoding="utf-8")


def sweep(
    results: Path,
    name: str = "demo",
    *,
    metric: str = "val_mae",
    goal: str = "minimize",
    state: SweepState = SweepState.FINISHED,
    targets: dict[str, str] | None = None,
    program: str | None = None,
    n_trials: int | None = None,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> SweepDir:
    made = SweepDir(results / name)
    made.trials_dir.mkdir(parents=True)
    SweepRecord(name, state=state, metric=metric, goal=goal, n_trials=n_trials, **more).save(made)
    atomic.write_json(
        made.spec_file,
        {
            "name": name,
            "targets": targets or {},
            "program": {"path": program} if program else None,
            "metric": {"name": metric, "goal": goal},
            **(spec or {}),
        },
    )
    return made


def trial(
    where: SweepDir,
    number: int,
    *,
    name: str | None = None,
    state: TrialState = TrialState.COMPLETE,
    error: float | None = None,
    val_error: float | None = None,
    **more: Any,
) -> RunDir:
    """Make a trial of ours, with arrays where an error is given."""
    name = name or f"t{number}"
    run = where.run_dir(number, name)
    more.setdefault("config", {"lr": 0.1})
    TrialRecord(number, name, state=state, **more).save(run)
    if error is not None:
        pair(run.path, error)
    if val_error is not None:
        pair(run.path, val_error, split="val")
    return run


def report(run: RunDir, step: int, moment: float, **metrics: float) -> None:
    jsonl.append(run.metrics_file, {"step": step, "time": moment, "metrics": metrics})
