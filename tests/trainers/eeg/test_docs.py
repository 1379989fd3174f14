"""docs/eeg.md names every parameter with its defaults, every metric and every sweep."""

from pathlib import Path
from typing import Any

import pytest

from trainers.base import parameters
from trainers.eeg import metrics
from trainers.eeg.config import PRESETS, Config

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "eeg.md").read_text(encoding="utf-8")


def cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:g}"


@pytest.mark.parametrize("name", parameters(Config))
def test_a_parameter_has_a_row_with_its_values(name: str) -> None:
    known = parameters(Config)[name]
    cells = [known.default, *(PRESETS[preset].get(name, "") for preset in PRESETS)]
    assert f"| {' | '.join([f'`{name}`', *map(cell, cells)])} |" in TEXT


def test_metrics_and_sweeps_are_named() -> None:
    sweeps = [path.name for path in (ROOT / "sweeps").glob("eeg_*.yaml")]
    assert len(sweeps) == 2
    for name in [*metrics.GOALS, *sweeps]:
        assert f"`{name}`" in TEXT
