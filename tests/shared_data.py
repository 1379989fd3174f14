"""Real sample data for tests that want it; they skip with a reason where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parent.parent.parent / "shared" / "data"


def shared_data(*parts: str) -> Path:
    """Return the path of a sample, or skip the test where there is none."""
    folder = Path(os.environ.get("SWEEP_SHARED_DATA") or _BESIDE)
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"sample data {'/'.join(parts)} is absent (SWEEP_SHARED_DATA names its folder)")
    return path
