"""Three names for a training script that reports more than its output contains.

::

    from orchestrator import config, report, run_dir

    lr = config.get("lr", 1e-3)               # {} outside a sweep
    report(epoch, val_mae=0.12)               # prints outside a sweep
    torch.save(model, run_dir / "model.pt")   # the working folder outside a sweep

Only the standard library is loaded. If several processes train together (torchrun and similar),
only the first one reports.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK")


def report(step: int | None = None, **metrics: Any) -> None:
    """Report metrics of one step; in a sweep they are judged at once.

    Args:
        step: epoch or step, a whole number from 0; None counts the calls from 1.
        metrics: numbers by name, also as a tensor or array of one number;
            ``**{"val/mae": 0.1}`` passes a name that is not a Python identifier.

    Raises:
        TypeError: a metric is not a number.
        ValueError: the step is not a whole number from 0, or there are no metrics.
    """
    if not metrics:
        raise ValueError("report: no metrics given. Write it as report(epoch, val_loss=0.1).")
    values = {name: _number(name, value) for name, value in metrics.items()}
    place = _step(step)
    if not is_first():
        return
    path = os.environ.get("SWEEP_METRICS")
    if path is None:
        numbers = "  ".join(f"{name} {value:.5g}" for name, value in values.items())
        print(f"step {place}  {numbers}", flush=True)
        return
    # Strict JSON cannot express non-finite numbers.
    plain = {n: value if math.isfinite(value) else str(value) for n, value in values.items()}
    line = json.dumps({"step": place, "metrics": plain}) + "\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def read_config() -> dict[str, Any]:
    """Return the trial's parameters, name to value; empty outside a sweep."""
    path = os.environ.get("SWEEP_CONFIG")
    return {} if path is None else dict(json.loads(Path(path).read_text(encoding="utf-8")))


def find_run_dir() -> Path:
    """Return the trial's run directory; the working folder outside a sweep."""
    return Path(os.environ.get("SWEEP_RUN_DIR", "."))


def is_first() -> bool:
    """Return whether this process is the one of its training that reports."""
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), None)
    if rank is None:  # Lightning's own launcher sets these two for its children
        rank = os.environ.get("LOCAL_RANK", "0")
        if os.environ.get("NODE_RANK", "0") not in ("", "0"):
            return False
    return rank in ("", "0")


_calls = 0


def _step(step: Any) -> int:
    global _calls  # noqa: PLW0603  (calls are counted for the whole process)
    if step is None:
        _calls += 1
        return _calls
    try:
        whole = int(step)
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if whole < 0 or whole != step:
        raise ValueError(f"report: step {step!r} is not a whole number from 0.")
    _calls = whole
    return whole


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        kind = type(value).__name__
        raise TypeError(f"report: metric '{name}' is not a number (found {kind}).") from None
