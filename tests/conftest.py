"""What all tests share."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

# No test asserts a time, and on a busy machine any example may take long.
settings.register_profile("sweep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sweep")

# Child processes and Ray workers import the tests' own trainers by name.
_known = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_known}" if _known else str(ROOT)

# The workers of pytest-xdist use all cores; more threads of PyTorch would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What sweeps on this machine have promised to their trials is nothing to the tests, nor theirs to
# those sweeps.
_leases = tempfile.TemporaryDirectory(prefix="sweep-leases-")
os.environ["SWEEP_LEASES"] = str(Path(_leases.name) / "leases")

# The workers of one run share what trainers cache, and leave nothing in the user's own cache.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _cache = tempfile.TemporaryDirectory(prefix="sweep-cache-", ignore_cleanup_errors=True)
    os.environ["SWEEP_CACHE"] = _cache.name


# Shells start what they put into the background with SIGINT ignored; so it would be in all tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def slow(case: Any) -> Any:
    """Return a case of a parametrized test that is as slow as its marker says."""
    return pytest.param(case, marks=pytest.mark.slow)


def pytest_xdist_auto_num_workers() -> int:
    """Return three workers for two cores: many tests wait, for a process, a lease or a lock."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that start Ray on one worker: two Rays at once starve on a few cores."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("ray"))
