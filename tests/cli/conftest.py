"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A folder to type `sweep` commands in; no process may outlive the test."""
    desk = Desk(tmp_path)
    yield desk
    desk.leave()
