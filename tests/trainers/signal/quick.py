"""Settings with which this trainer trains in a fraction of a second."""

from typing import Any

QUICK: dict[str, Any] = {"epochs": 3, "hidden_size": 8, "duration_s": 1.0, "rate_hz": 200.0}
