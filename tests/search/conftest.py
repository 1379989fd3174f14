"""Studies on a real journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.search.study import Study

Opener = Callable[..., Study]


@pytest.fixture
def open_study(tmp_path: Path) -> Opener:
    def opener(**changes: Any) -> Study:
        options: dict[str, Any] = {
            "name": "tests",
            "goal": "minimize",
            "method": "grid",
            "seed": 0,
            "pruner": "none",
            "metric": "val_mae",
        }
        return Study.open(tmp_path / "study.journal", **{**options, **changes})

    return opener
