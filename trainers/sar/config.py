"""Parameters of the SAR trainer. Does not import torch.

Two presets scale the same four autoencoders. ``small`` learns 64-pixel patches on a CPU core in a
minute; ``paper`` is the published size for a GPU, with 256-pixel patches.

Images are intensities. They are scaled to [0, 1] by fixed limits in dB, the same for every image,
so that a reconstruction can be converted back into an intensity. PSNR and SSIM are computed on the
scaled values: they can be compared between losses, but not between limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.base import Metric, parameter

DATA_KIND = "sar_image"


@dataclass(frozen=True)
class Config:
    """All values of one training run; each field has a help text."""

    preset: str = parameter(
        "small",
        "sizes of model, data and training",
        choices=("small", "paper"),
        alters_memory=True,
    )

    # Model.
    model: str = parameter(
        "baseline",
        "autoencoder",
        choices=("baseline", "resnet_lite", "residual", "attention"),
        alters_memory=True,
    )
    base_channels: int | None = parameter(
        None,
        "channels at full size; null for the published 64, 32, 64 and 64 of the models",
        low=1,
        high=1024,
        alters_memory=True,
    )
    latent_channels: int = parameter(
        16,
        "channels of the latent image; 256 divided by this is the compression ratio",
        low=1,
        high=256,
        alters_memory=True,
    )

    # Loss.
    mse_weight: float = parameter(
        0.5, "weight of the mean squared error", low=0.0, high=1000.0, alters_loss=True
    )
    ssim_weight: float = parameter(
        0.5, "weight of 1 - SSIM, window 11", low=0.0, high=1000.0, alters_loss=True
    )

    # Optimizer.
    optimizer: str = parameter("adamw", "optimizer", choices=("adamw", "adam"))
    lr: float = parameter(5e-5, "learning rate; the peak if a schedule changes it", low=0.0)
    weight_decay: float = parameter(
        1e-5, "weight decay; decoupled with adamw, L2 with adam", low=0.0, high=10.0
    )
    gradient_clip_val: float | None = parameter(
        0.5, "maximum L2 norm of the gradient; null for no clipping", low=1e-12
    )
    precision: int = parameter(
        32,
        "bits of the forward pass; 16 is float16 with loss scaling on a GPU, bfloat16 on a CPU",
        unit="bit",
        choices=(32, 16),
        alters_memory=True,
    )
    batch_size: int = parameter(
        16, "patches per training step", low=1, high=65536, alters_memory=True
    )
    eval_batch_size: int = parameter(
        32, "patches per step of evaluation", low=1, high=65536, alters_memory=True
    )
    epochs: int = parameter(30, "maximum number of epochs", unit="epochs", low=1, high=1_000_000)
    patience: int | None = parameter(
        None,
        "epochs without a better val_psnr before training ends; null for never",
        unit="epochs",
        low=1,
    )

    # Learning-rate schedule.
    lr_schedule: str = parameter(
        "constant",
        "cosine and onecycle change the rate once per batch, plateau once per epoch by val_psnr",
        choices=("constant", "cosine", "plateau", "onecycle"),
    )
    warmup_epochs: float = parameter(
        3.0,
        "linear rise from lr/10 at the start, per batch; onecycle has its own rise",
        unit="epochs",
        low=0.0,
    )
    lr_floor: float = parameter(
        0.01, "end of cosine and minimum of plateau, as a share of lr", low=0.0, high=1.0
    )
    plateau_patience: int = parameter(
        5, "epochs without a better val_psnr before the rate falls", unit="epochs", low=0
    )
    plateau_factor: float = parameter(0.5, "factor on the rate at a plateau", low=0.01, high=0.99)
    onecycle_pct_start: float = parameter(
        0.1, "share of all batches during which onecycle rises", low=0.01, high=0.99
    )

    # Data.
    data_path: str | None = parameter(
        None,
        "a folder of .npy or .npz images, or one such file; null simulates scenes",
        is_path=True,
    )
    data_scale: str = parameter(
        "auto",
        "unit of the files; auto takes names ending in _db as dB, others as linear intensity",
        choices=("auto", "linear", "db", "unit"),
        alters_loss=True,
    )
    db_min: float = parameter(
        14.77, "level that maps to 0", unit="dB", low=-200.0, high=200.0, alters_loss=True
    )
    db_max: float = parameter(
        24.54, "level that maps to 1", unit="dB", low=-200.0, high=200.0, alters_loss=True
    )
    patch_size: int = parameter(
        256,
        "height and width of a patch; a multiple of 16",
        unit="px",
        low=16,
        high=4096,
        alters_memory=True,
    )
    augment: bool = parameter(True, "rotate and mirror training patches at random")
    scenes: int = parameter(48, "simulated scenes", low=3, high=100_000, alters_memory=True)
    scene_size: int = parameter(
        256,
        "height and width of a simulated scene",
        unit="px",
        low=16,
        high=65536,
        alters_memory=True,
    )
    looks: int = parameter(
        16,
        "looks averaged in a simulated intensity; fewer are noisier",
        low=1,
        high=10_000,
        alters_loss=True,
    )
    data_fraction: float = parameter(
        1.0,
        "share of the training data to use; validation and test are not reduced",
        low=1e-6,
        high=1.0,
    )
    data_seed: int = parameter(0, "seed of simulation and split", low=0, high=2**31 - 1)
    seed: int = parameter(0, "seed of weights, order and augmentation", low=0, high=2**31 - 1)


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "base_channels": 16,
        "lr": 3e-3,
        "lr_schedule": "cosine",
        "batch_size": 16,
        "eval_batch_size": 32,
        "epochs": 20,
        "patch_size": 64,
        "scenes": 48,
        "scene_size": 256,
    },
    "paper": {
        "lr": 5e-5,
        "batch_size": 16,
        "eval_batch_size": 32,
        "epochs": 30,
        "patch_size": 256,
        "scenes": 200,
        "scene_size": 1024,
    },
}

METRICS: dict[str, Metric] = {
    "train_loss": Metric(is_loss=True),
    "val_loss": Metric(is_loss=True),
    "val_psnr": Metric(goal="maximize", unit="dB"),
    "val_ssim": Metric(goal="maximize"),
    "lr": Metric(),
    "grad_norm": Metric(),
}
