"""What all tests share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Child processes and Ray workers import the tests' own trainers by name.
_known = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_known}" if _known else str(ROOT)

# What sweeps on this machine have promised to their trials is nothing to the tests, nor theirs to
# those sweeps.
_leases = tempfile.TemporaryDirectory(prefix="sweep-leases-")
os.environ["SWEEP_LEASES"] = str(Path(_leases.name) / "leases")
