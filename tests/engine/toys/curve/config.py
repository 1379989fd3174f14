"""Parameters of a trainer that reports a scripted curve."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.base import Metric, parameter

PRESETS: dict[str, dict[str, object]] = {"small": {}}
METRICS = {
    "val_mae": Metric(),
    "val_loss": Metric(is_loss=True),
    "train_loss": Metric(is_loss=True),
}
DATA_KIND = None


@dataclass(frozen=True)
class Config:
    """A curve, and what goes wrong on the way."""

    preset: str = parameter("small", "size", choices=("small",))
    shape: str = parameter("fall", "curve", choices=("fall", "nan", "explode", "val_nan"))
    fault: str = parameter(
        "none",
        "what goes wrong",
        choices=(
            "none",
            "once",
            "raise",
            "exit",
            "sys_exit",
            "segv",
            "hang",
            "workers",
            "deaf",
            "shapes",
        ),
    )
    lr: float = parameter(0.1, "speed of the fall", low=0.0)
    weight: float = parameter(1.0, "weight of the loss", low=0.0, alters_loss=True)
    epochs: int = parameter(5, "reports", low=1)
    pause_s: float = parameter(0.0, "time per epoch", unit="s", low=0.0)
    data_fraction: float = parameter(1.0, "share of the data", low=0.0, high=1.0)
    seed: int = parameter(0, "seed", low=0)
