"""Settings with which this trainer trains in a fraction of a second."""

from typing import Any

QUICK: dict[str, Any] = {
    "batches": 12,
    "eval_every": 4,
    "gru_hidden": 8,
    "batch_size": 4,
    "channels": 6,
    "days": 2,
    "sentences": 40,
    "phonemes": 5,
    "time_mask_prob": 0.5,
    "lr_schedule": "cosine",
}
