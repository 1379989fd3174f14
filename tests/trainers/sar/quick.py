"""Settings with which this trainer trains in a fraction of a second."""

from typing import Any

QUICK: dict[str, Any] = {
    "epochs": 3,
    "base_channels": 4,
    "scenes": 6,
    "scene_size": 64,
    "patch_size": 32,
    "batch_size": 4,
}
