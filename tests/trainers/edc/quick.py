"""Settings with which this trainer trains in a fraction of a second."""

from typing import Any

QUICK: dict[str, Any] = {
    "epochs": 3,
    "rooms": 10,
    "cases_per_room": 2,
    "rate_hz": 100.0,
    "fc_width": 16,
    "dropout": 0.2,
    "lr_schedule": "cosine",
}
