"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Child processes and Ray workers import the tests' own trainers by name.
_known = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{_known}" if _known else str(ROOT)
