"""What all tests share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

# No test asserts a time, and on a busy machine any example may take long.
settings.register_profile("sweep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sweep")

# Child processes and Ray workers import the tests' own trainers by name.
_known = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_known}" if _known else str(ROOT)

# What sweeps on this machine have promised to their trials is nothing to the tests, nor theirs to
# those sweeps.
_leases = tempfile.TemporaryDirectory(prefix="sweep-leases-")
os.environ["SWEEP_LEASES"] = str(Path(_leases.name) / "leases")
