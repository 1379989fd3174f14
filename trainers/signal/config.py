"""Parameters of the signal trainer. Does not import torch.

The preset ``paper`` is the published setting: 1,000 samples per second, one at a time, and 40,000
optimizer steps per epoch. ``small`` has as many samples at 100 per second, so the cycle to remember
is ten times shorter, and 32 parallel slots, each with its own state and contiguous part of the
signal. Its epoch has 1,250 steps and takes less than a second on a CPU core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.base import Metric, parameter
from trainers.signal.metrics import FREQUENCIES_HZ

DATA_KIND = "sine_mixture"


@dataclass(frozen=True)
class Config:
    """All values of one training run; each field has a help text."""

    preset: str = parameter(
        "small", "sizes of model and training", choices=("small", "paper"), alters_memory=True
    )

    # Model.
    hidden_size: int = parameter(
        64, "units of each LSTM layer", low=1, high=4096, alters_memory=True
    )
    layers: int = parameter(1, "LSTM layers", low=1, high=8, alters_memory=True)
    dropout: float = parameter(
        0.0, "share of units dropped between LSTM layers; needs two of them", low=0.0, high=0.95
    )

    # How the signal is traversed.
    batch_size: int = parameter(
        1,
        "slots trained in parallel; each has its own state and contiguous part of the signal",
        unit="slots",
        choices=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        alters_memory=True,
    )
    sequence_length: int = parameter(
        1,
        "samples per training step; gradients are truncated there, the state is carried on",
        unit="samples",
        low=1,
        high=10_000,
        alters_memory=True,
    )

    # Optimizer.
    optimizer: str = parameter("adam", "optimizer", choices=("adam", "adamw"))
    lr: float = parameter(1e-3, "learning rate at the start", low=0.0)
    weight_decay: float = parameter(
        0.0, "weight decay; decoupled with adamw, L2 with adam", low=0.0, high=10.0
    )
    gradient_clip_val: float | None = parameter(
        1.0, "maximum L2 norm of the gradient; null for no clipping", low=1e-12
    )
    epochs: int = parameter(50, "maximum number of epochs", unit="epochs", low=1, high=1_000_000)
    patience: int | None = parameter(
        10,
        "epochs without a better val_mse before training ends; null for never",
        unit="epochs",
        low=1,
    )

    # Learning-rate schedule.
    lr_schedule: str = parameter(
        "plateau",
        "constant, or plateau: the rate falls when val_mse stops improving",
        choices=("constant", "plateau"),
    )
    plateau_patience: int = parameter(
        5, "epochs without a better val_mse before the rate falls", unit="epochs", low=0
    )
    plateau_factor: float = parameter(0.5, "factor on the rate at a plateau", low=0.01, high=0.99)
    lr_floor: float = parameter(
        0.01, "minimum rate of plateau, as a share of lr", low=0.0, high=1.0
    )

    # Data.
    phase_noise: float = parameter(
        0.01,
        "phases are drawn from 0 to this share of a turn; at 1 nothing can be learned",
        unit="turns",
        low=0.0,
        high=1.0,
    )
    amplitude_noise: float = parameter(
        0.2, "amplitudes are drawn from 1 minus this to 1 plus this", low=0.0, high=1.0
    )
    rate_hz: float = parameter(
        1000.0, "samples per second", unit="Hz", low=20.0, high=100_000.0, alters_memory=True
    )
    duration_s: float = parameter(
        10.0, "length of the signal", unit="s", low=0.1, high=1000.0, alters_memory=True
    )
    data_fraction: float = parameter(
        1.0,
        "share of the training signal to use, from its start; validation and test are not reduced",
        low=1e-6,
        high=1.0,
        alters_memory=True,
    )
    data_seed: int = parameter(0, "seed of the noise", low=0, high=2**31 - 1)
    seed: int = parameter(0, "seed of weights and dropout", low=0, high=2**31 - 1)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {"batch_size": 32, "rate_hz": 100.0, "duration_s": 100.0},
    "paper": {"batch_size": 1, "rate_hz": 1000.0, "duration_s": 10.0},
}

METRICS: dict[str, Metric] = {
    "train_loss": Metric(is_loss=True),
    "train_mse": Metric(),
    "val_mse": Metric(),
    "val_rmse": Metric(),
    "val_r2": Metric(goal="maximize"),
    **{f"val_mse_{frequency}hz": Metric() for frequency in FREQUENCIES_HZ},
    "lr": Metric(),
    "grad_norm": Metric(),
}
