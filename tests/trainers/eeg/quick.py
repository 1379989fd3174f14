"""Settings with which this trainer trains in a fraction of a second."""

from typing import Any

QUICK: dict[str, Any] = {
    "subjects": 10,
    "windows_per_subject": 4,
    "channels": 4,
    "rate_hz": 64.0,
    "window_s": 1.0,
    "width": 4,
    "layers": 1,
    "heads": 2,
    "summary_tokens": 2,
    "pretrain_epochs": 1,
    "hidden": 8,
    "epochs": 3,
}
