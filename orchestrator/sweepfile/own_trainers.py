"""Looking at a trainer of the user's own without importing it here.

Its module may load torch, take its time or crash the interpreter, so a process of its own imports
it (`trainers.describe`) under a time limit and without a GPU. What it declares is kept with the
stamps of the files that it came from, and asked for again only when one of them has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.files import atomic

TIMEOUT_S = 60.0
"""How long a module may take to import; torch takes a second or two, a cold disk some more."""

_LONGEST_OUTPUT = 2_000
_FORMAT = 1


def inspect_trainer(name: str, folder: Path | None, *, timeout_s: float = TIMEOUT_S) -> Any:
    """Return what a trainer of the user's own declares, as `trainers.describe` writes it.

    Args:
        name: ``my_package.my_trainer:train``.
        folder: where its module is looked for before the environment; None for the working folder.
        timeout_s: how long it may take to import.

    Raises:
        UsageError: it cannot be imported, does not keep the contract, crashes, or takes too long.
    """
    folder = Path(os.path.abspath(folder or Path()))
    kept = _cache_file(name, folder)
    found = _read(kept)
    if found is None:
        found = _ask(name, folder, timeout_s)
        if "error" not in found:
            with suppress(OSError):  # a folder that cannot be written costs time, nothing else
                kept.parent.mkdir(parents=True, exist_ok=True)
                atomic.write_json(kept, found)
    if "error" in found:
        raise UsageError(f"{found['error']}. Looked in {folder} and the environment.")
    return found


def _ask(name: str, folder: Path, timeout_s: float) -> Any:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory(prefix="sweep-trainer-") as scratch:
        output, log = Path(scratch, "declared.json"), Path(scratch, "log.txt")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trainers.describe", name, str(folder), str(output)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder if folder.is_dir() else None,
                env=environment,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return {
                    "error": f"{name}: must load within {timeout_s:g} s, but is still at it. "
                    "A module that is imported must not train or wait"
                }
            finally:
                _end(process)
        with suppress(OSError, ValueError):
            return json.loads(output.read_text(encoding="utf-8"))
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-_LONGEST_OUTPUT:]
        last = f": {said.splitlines()[-1]}" if said else ""
        return {"error": f"{name}: must load, but its process {_ended(code)}{last}"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _cache_file(name: str, folder: Path) -> Path:
    """Return where what `name` declares is kept; everything but its files is in the file's name."""
    path = os.environ.get("PYTHONPATH", "")
    parts = [str(_FORMAT), name, str(folder), sys.executable, sys.version, path]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    named = os.environ.get("SWEEP_CACHE")
    root = Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"
    return root / f"trainer-{digest}.json"


def _read(path: Path) -> Any:
    """Return what is kept, or None where it is missing, damaged or out of date."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for source, changed_ns, size in found["sources"]:
            status = os.stat(source)
            if (status.st_mtime_ns, status.st_size) != (changed_ns, size):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.get("sources") else None
