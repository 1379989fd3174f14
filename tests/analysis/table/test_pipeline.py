"""From paths to a table: every small file of a run folder is opened once."""

from __future__ import annotations

import io
import os
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.analysis.table import audit, compare
from tests.analysis import made


@pytest.mark.parametrize("command", [compare, audit])
def test_no_step_reads_a_file_again(
    command: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = made.sweep(tmp_path, spec={"ablate": {"x": 1}}, targets={"mae": "<= 0.1"})
    for number in range(2):
        run = made.trial(sweep, number, error=0.1, val_error=0.2, change={"set": {"x": number}})
        made.metadata(run.path, data={"kind": "regression"}, config={"lr": 0.1})
        made.report(run, 1, 0.0, train_loss=1.0)
    opened: Counter[str] = Counter()
    real = io.open

    def count(path: object, *arguments: object, **more: object) -> object:
        if isinstance(path, str | Path) and Path(path).is_relative_to(sweep.trials_dir):
            opened[str(Path(path).relative_to(sweep.trials_dir))] += 1
        return real(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(io, "open", count)
    real_os = os.open

    def count_os(path: object, *arguments: int) -> int:
        if isinstance(path, Path) and path.is_relative_to(sweep.trials_dir):
            opened[str(path.relative_to(sweep.trials_dir))] += 1
        return real_os(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", count_os)
    assert callable(command)
    command([tmp_path])
    small = {name: times for name, times in opened.items() if not name.endswith(".npy")}
    assert "0000-t0/metadata.json" in small
    # The last line of the log and its reports are asked for separately.
    assert {name for name, times in small.items() if times > 1} <= {
        "0000-t0/metrics.jsonl",
        "0001-t1/metrics.jsonl",
    }
    assert max(small.values()) <= 2
