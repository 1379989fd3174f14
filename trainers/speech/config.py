"""Parameters of the speech trainer. Does not import torch.

Two presets scale the same model. ``small`` learns 32 simulated channels on a CPU core in well under
a minute; ``paper`` is the published size for a GPU: five bidirectional GRU layers of 1,024 units,
256 channels, 10,000 batches.

A step of this trainer is a batch: it reports every `eval_every` batches. The budget is given in
batches, epochs, or both; the smaller one applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.base import Metric, parameter

DATA_KIND = "phonemes"


@dataclass(frozen=True)
class Config:
    """All values of one training run; each field has a help text."""

    preset: str = parameter(
        "small", "sizes of model, data and training", choices=("small", "paper"), alters_memory=True
    )

    # Model. The widths come from the preset.
    smoothing_sigma: float = parameter(
        2.0, "width of the Gaussian over time; 0 for no smoothing", unit="bins", low=0.0, high=100.0
    )
    smoothing_kernel: int = parameter(
        20, "length of the Gaussian over time", unit="bins", low=1, high=1000
    )
    day_layer: bool = parameter(
        True, "separate affine map and softsign for each day", alters_memory=True
    )
    unfold_kernel: int = parameter(
        32,
        "bins per frame of the network",
        unit="bins",
        low=1,
        high=1000,
        alters_memory=True,
    )
    unfold_stride: int = parameter(
        4, "bins from one frame to the next", unit="bins", low=1, high=1000, alters_memory=True
    )
    gru_layers: int = parameter(5, "GRU layers", low=1, high=16, alters_memory=True)
    gru_hidden: int = parameter(
        1024, "units of each GRU layer, in each direction", low=1, high=8192, alters_memory=True
    )
    bidirectional: bool = parameter(
        True, "read each sentence in both directions", alters_memory=True
    )
    layer_norm: bool = parameter(False, "normalize the output of the GRU", alters_memory=True)
    dropout: float = parameter(
        0.4, "share of units dropped between and after the GRU layers", low=0.0, high=0.95
    )
    input_dropout: float = parameter(
        0.0, "share of values dropped before the first GRU layer", low=0.0, high=0.95
    )

    # Augmentation, in training only. Inputs are z-scored, so the unit is a standard deviation.
    white_noise: float = parameter(
        0.8, "standard deviation of noise added to each channel and bin", low=0.0, high=100.0
    )
    constant_offset: float = parameter(
        0.2,
        "standard deviation of an offset added to each channel of a sentence",
        low=0.0,
        high=100.0,
    )
    time_mask_prob: float = parameter(
        0.0, "probability of each mask of a sentence", low=0.0, high=1.0
    )
    time_mask_width: int = parameter(
        15,
        "maximum length of a mask; lengths are drawn from 1 to this",
        unit="bins",
        low=1,
        high=10_000,
    )
    time_mask_max: int = parameter(1, "maximum number of masks in a sentence", low=1, high=100)

    # Optimizer.
    optimizer: str = parameter("adam", "optimizer", choices=("adam", "adamw"))
    lr: float = parameter(0.02, "learning rate; the peak if a schedule changes it", low=0.0)
    eps: float = parameter(
        0.1,
        "term that Adam adds to the root of the second moment. If it exceeds that root, the step "
        "is lr/eps times the gradient, so lr and eps belong together",
        low=1e-16,
        high=10.0,
    )
    weight_decay: float = parameter(
        1e-5, "weight decay; decoupled with adamw, L2 with adam", low=0.0, high=10.0
    )
    gradient_clip_val: float | None = parameter(
        0.0, "maximum L2 norm of the gradient; 0 or null for no clipping", low=0.0
    )
    precision: int = parameter(
        32,
        "bits of the forward pass; 16 is float16 with loss scaling on a GPU, bfloat16 on a CPU",
        unit="bit",
        choices=(32, 16),
        alters_memory=True,
    )
    batch_size: int = parameter(
        64, "sentences per training step", low=1, high=65536, alters_memory=True
    )
    eval_batch_size: int = parameter(
        64, "sentences per step of evaluation", low=1, high=65536, alters_memory=True
    )
    batches: int | None = parameter(
        10_000,
        "maximum number of training steps; null uses only epochs",
        unit="batches",
        low=1,
        high=100_000_000,
    )
    epochs: int | None = parameter(
        None,
        "maximum number of passes over the data; null uses only batches",
        unit="epochs",
        low=1,
        high=1_000_000,
    )
    eval_every: int = parameter(
        100,
        "batches between evaluations and reports",
        unit="batches",
        low=1,
        high=1_000_000,
    )
    patience: int | None = parameter(
        None,
        "evaluations without a better val_per before training ends; null for never",
        unit="evaluations",
        low=1,
    )

    # Learning-rate schedule.
    lr_schedule: str = parameter(
        "constant",
        "linear and cosine change the rate once per batch, plateau once per evaluation by val_per",
        choices=("constant", "linear", "cosine", "plateau"),
    )
    warmup_batches: int = parameter(
        0, "batches of the linear rise from lr/10 at the start", unit="batches", low=0
    )
    lr_floor: float = parameter(
        0.01,
        "end of linear and cosine and minimum of plateau, as a share of lr",
        low=0.0,
        high=1.0,
    )
    plateau_patience: int = parameter(
        8, "evaluations without a better val_per before the rate falls", unit="evaluations", low=0
    )
    plateau_factor: float = parameter(0.5, "factor on the rate at a plateau", low=0.01, high=0.99)

    # Data.
    data_path: str | None = parameter(
        None,
        "an .npz of sentences or of spoken digits; null simulates neural activity",
        is_path=True,
        alters_memory=True,
    )
    new_speakers: bool = parameter(
        False,
        "for spoken digits, validation and test have speakers that are not in the training data",
    )
    channels: int = parameter(
        256, "simulated channels", unit="channels", low=4, high=4096, alters_memory=True
    )
    days: int = parameter(
        24, "simulated days of recording", unit="days", low=1, high=1000, alters_memory=True
    )
    sentences: int = parameter(
        10_000,
        "sentences that are simulated or composed of digits, in all splits",
        unit="sentences",
        low=30,
        high=1_000_000,
        alters_memory=True,
    )
    phonemes: int = parameter(
        40, "simulated phonemes, including the silence between words", low=4, high=200
    )
    difficulty: float = parameter(
        1.0, "noise and drift of the simulated activity; 0 for none", low=0.0, high=10.0
    )
    data_fraction: float = parameter(
        1.0,
        "share of the training data to use; validation and test are not reduced",
        low=1e-6,
        high=1.0,
    )
    data_seed: int = parameter(0, "seed of simulation and split", low=0, high=2**31 - 1)
    seed: int = parameter(0, "seed of weights, order and dropout", low=0, high=2**31 - 1)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "gru_layers": 2,
        "gru_hidden": 64,
        "dropout": 0.3,
        "white_noise": 0.3,
        "constant_offset": 0.1,
        "lr": 3e-3,
        "eps": 1e-8,
        "gradient_clip_val": 5.0,
        "batch_size": 16,
        "eval_batch_size": 128,
        "batches": 300,
        "eval_every": 10,
        "channels": 32,
        "days": 4,
        "sentences": 600,
        "phonemes": 16,
    },
    "paper": {
        "gru_layers": 5,
        "gru_hidden": 1024,
        "dropout": 0.4,
        "white_noise": 0.8,
        "constant_offset": 0.2,
        "lr": 0.02,
        "eps": 0.1,
        "gradient_clip_val": 0.0,
        "batch_size": 64,
        "eval_batch_size": 64,
        "batches": 10_000,
        "eval_every": 100,
        "channels": 256,
        "days": 24,
        "sentences": 10_000,
        "phonemes": 40,
    },
}

METRICS: dict[str, Metric] = {
    "train_loss": Metric(),
    "val_per": Metric(),
    "val_loss": Metric(),
    "val_substitution_rate": Metric(),
    "val_deletion_rate": Metric(),
    "val_insertion_rate": Metric(),
    "lr": Metric(),
    "grad_norm": Metric(),
}
