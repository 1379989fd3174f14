"""Studies on a real journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.search.study import Study
from orchestrator.sweepfile.model.spec import MetricGoal, Spec

Opener = Callable[..., Study]


def study_at(
    path: Path,
    *,
    name: str = "tests",
    goal: str = "minimize",
    second_goal: str | None = None,
    **fields: Any,
) -> Study:
    """Open the study of a sweep with one metric, or two."""
    metrics = [MetricGoal("val_mae", goal)]  # type: ignore[arg-type]
    if second_goal is not None:
        metrics.append(MetricGoal("second", second_goal))  # type: ignore[arg-type]
        fields["objectives"] = tuple(metrics)
    return Study(path, name, Spec(name, path, metric=metrics[0], **fields))


@pytest.fixture
def open_study(tmp_path: Path) -> Opener:
    def opener(**changes: Any) -> Study:
        return study_at(tmp_path / "study.journal", **changes)

    return opener
