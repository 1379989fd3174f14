"""Parameters of the EDC trainer. Does not import torch.

Two presets scale the same models. ``small`` learns 1,000-point curves on two CPU cores in a
minute; ``paper`` is the published size for a GPU: 96,000 points and 198 M parameters.

The loss compares curves in the *scaled* space of the network's output. The scaler of
``scaler_type`` is fitted per time step on the training curves, so that the faint late part of a
decay counts as much as its loud beginning. The weighted and the auxiliary loss find regions and
crossings in dB on the linear curve, because the logarithm of a standardized value is meaningless.
Every reported ``val_`` metric except ``val_loss`` is also computed on the linear curve, so it can
be compared between losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.base import Metric, parameter

DATA_KIND = "decay_curve"


@dataclass(frozen=True)
class Config:
    """All values of one training run; each field has a help text."""

    preset: str = parameter(
        "small", "sizes of model, data and training", choices=("small", "paper"), alters_memory=True
    )

    # Model. The widths come from the preset.
    model: str = parameter(
        "hybrid_v2", "network", choices=("hybrid_v2", "lstm"), alters_memory=True
    )
    conv_channels: int = parameter(
        32,
        "channels of the first convolution; the second has twice as many",
        low=1,
        high=4096,
        alters_memory=True,
    )
    branch_width: int = parameter(
        256,
        "width at which convolution and LSTM meet (hybrid_v2)",
        low=1,
        high=16384,
        alters_memory=True,
    )
    lstm_hidden: int = parameter(128, "units of the LSTM", low=1, high=16384, alters_memory=True)
    fc_width: int = parameter(
        2048, "width of the layer before the output", low=1, high=65536, alters_memory=True
    )
    dropout: float = parameter(0.3, "share of units dropped in training", low=0.0, high=0.95)

    # Loss.
    loss: str = parameter(
        "mse",
        "training loss",
        choices=("mse", "edc_rir", "weighted_edc", "auxiliary"),
        alters_loss=True,
        alters_memory=True,
    )
    edt_weight: float = parameter(
        1.5,
        "weight of the curve from 0 to -10 dB (weighted_edc)",
        low=0.0,
        high=1000.0,
        alters_loss=True,
    )
    t20_weight: float = parameter(
        2.5,
        "weight of the curve from -5 to -25 dB (weighted_edc)",
        low=0.0,
        high=1000.0,
        alters_loss=True,
    )
    c50_weight: float = parameter(
        2.0,
        "weight of the first 50 ms of the curve (weighted_edc)",
        low=0.0,
        high=1000.0,
        alters_loss=True,
    )
    aux_weight: float = parameter(
        0.1,
        "weight of the T20 and C50 errors relative to the MSE (auxiliary)",
        low=0.01,
        high=1.0,
        alters_loss=True,
    )
    aux_temperature: float = parameter(
        1.0,
        "softmax temperature of the crossings; greater is smoother (auxiliary)",
        unit="dB",
        low=0.01,
        high=100.0,
        alters_loss=True,
    )

    # Optimizer.
    optimizer: str = parameter("adam", "optimizer", choices=("adam", "adamw"), alters_memory=True)
    lr: float = parameter(1e-3, "learning rate; the peak if a schedule changes it", low=0.0)
    weight_decay: float = parameter(
        0.0, "weight decay; decoupled with adamw, L2 with adam", low=0.0, high=10.0
    )
    gradient_clip_val: float | None = parameter(
        1.0, "maximum L2 norm of the gradient; null for no clipping", low=1e-12
    )
    precision: int = parameter(
        32,
        "bits of the forward pass; 16 is float16 with loss scaling on a GPU, bfloat16 on a CPU",
        unit="bit",
        choices=(32, 16),
        alters_memory=True,
    )
    batch_size: int = parameter(
        8, "curves per training step", low=1, high=65536, alters_memory=True
    )
    eval_batch_size: int = parameter(
        256, "curves per step of evaluation", low=1, high=65536, alters_memory=True
    )
    epochs: int = parameter(200, "maximum number of epochs", unit="epochs", low=1, high=1_000_000)
    patience: int | None = parameter(
        50,
        "epochs without a better val_mae before training ends; null for never",
        unit="epochs",
        low=1,
    )

    # Learning-rate schedule.
    lr_schedule: str = parameter(
        "constant",
        "cosine and onecycle change the rate once per batch, plateau once per epoch by val_mae",
        choices=("constant", "cosine", "plateau", "onecycle"),
    )
    warmup_epochs: float = parameter(
        0.0,
        "linear rise from lr/10 at the start, per batch; onecycle has its own rise",
        unit="epochs",
        low=0.0,
    )
    lr_floor: float = parameter(
        0.01, "end of cosine and minimum of plateau, as a share of lr", low=0.0, high=1.0
    )
    plateau_patience: int = parameter(
        10, "epochs without a better val_mae before the rate falls", unit="epochs", low=0
    )
    plateau_factor: float = parameter(0.5, "factor on the rate at a plateau", low=0.01, high=0.99)
    onecycle_pct_start: float = parameter(
        0.1, "share of all batches during which onecycle rises", low=0.01, high=0.99
    )
    onecycle_div: float = parameter(25.0, "onecycle starts at lr divided by this", low=1.0)
    onecycle_final_div: float = parameter(
        1000.0, "onecycle ends at its start divided by this", low=1.0
    )

    # Data.
    data_path: str | None = parameter(
        None,
        "an .npz of curves or a folder of RIR_*_edc.npy; null simulates rooms",
        is_path=True,
        alters_memory=True,
    )
    features_path: str | None = parameter(
        None,
        "CSV of room features; null searches next to data_path",
        is_path=True,
        alters_memory=True,
    )
    rooms: int = parameter(
        300, "simulated rooms", unit="rooms", low=3, high=1_000_000, alters_memory=True
    )
    cases_per_room: int = parameter(
        5,
        "material and position cases of each simulated room",
        low=1,
        high=10_000,
        alters_memory=True,
    )
    rate_hz: float = parameter(
        500.0,
        "samples per second of a curve",
        unit="Hz",
        low=1.0,
        high=384_000.0,
        alters_memory=True,
    )
    duration_s: float = parameter(
        2.0, "length of a curve", unit="s", low=0.05, high=60.0, alters_memory=True
    )
    max_samples: int | None = parameter(
        None,
        "maximum number of curves, taken room by room; null takes all",
        low=3,
        alters_memory=True,
    )
    scaler_type: str = parameter(
        "standard",
        "scaling of features and curves, fitted on training data",
        choices=("standard", "minmax"),
        # The loss is computed on scaled curves, so another scaler changes its meaning.
        alters_loss=True,
    )
    data_fraction: float = parameter(
        1.0,
        "share of the training data to use; validation and test are not reduced",
        low=1e-6,
        high=1.0,
        alters_memory=True,
    )
    data_seed: int = parameter(0, "seed of simulation and split", low=0, high=2**31 - 1)
    seed: int = parameter(0, "seed of weights, order and dropout", low=0, high=2**31 - 1)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "conv_channels": 16,
        "branch_width": 64,
        "lstm_hidden": 48,
        "fc_width": 256,
        "dropout": 0.1,
        "lr_schedule": "cosine",
        "batch_size": 16,
        "epochs": 100,
        "patience": 30,
        "rooms": 300,
        "cases_per_room": 5,
        "rate_hz": 500.0,
        "duration_s": 2.0,
    },
    "paper": {
        "conv_channels": 32,
        "branch_width": 256,
        "lstm_hidden": 128,
        "fc_width": 2048,
        "dropout": 0.3,
        "batch_size": 8,
        "eval_batch_size": 64,
        "epochs": 200,
        "patience": 50,
        "rooms": 600,
        "cases_per_room": 10,
        "rate_hz": 48_000.0,
        "duration_s": 2.0,
    },
}

METRICS: dict[str, Metric] = {
    "train_loss": Metric(is_loss=True),
    "val_loss": Metric(is_loss=True),
    "val_mae": Metric(),
    "val_rmse": Metric(),
    "val_r2": Metric(goal="maximize"),
    "val_edt_mae": Metric(unit="s"),
    "val_t20_mae": Metric(unit="s"),
    "val_c50_mae": Metric(unit="dB"),
    # Curves with an undefined quantity, which the errors above do not cover.
    "val_edt_undefined": Metric(unit="curves"),
    "val_t20_undefined": Metric(unit="curves"),
    "val_c50_undefined": Metric(unit="curves"),
    "lr": Metric(),
    "grad_norm": Metric(),
}
