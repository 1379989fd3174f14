"""Parameters of the EEG trainer. Does not import torch.

Two presets scale the same system. ``small`` pre-trains a small encoder on two CPU cores in a
minute, once for all trials of a sweep; ``paper`` has the size of EEGPT's linear probe, for a GPU.

Every reported ``val_`` metric except ``val_loss`` is independent of the class weights, so it can be
compared between trials that set them differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainers.base import Metric, parameter

DATA_KIND = "binary_probability"


@dataclass(frozen=True)
class Config:
    """All values of one training run; each field has a help text."""

    preset: str = parameter(
        "small",
        "sizes of encoder, probe, data and training",
        choices=("small", "paper"),
        alters_memory=True,
    )

    # Probe.
    model: str = parameter(
        "mlp",
        "what is trained on the frozen features; bandpower is logistic regression on band powers",
        choices=("mlp", "linear", "bandpower"),
        alters_memory=True,
    )
    hidden: int = parameter(
        128, "units of the hidden layer (mlp)", low=1, high=65536, alters_memory=True
    )
    dropout: float = parameter(
        0.1, "share of hidden units dropped in training (mlp)", low=0.0, high=0.95
    )
    standardize: str = parameter(
        "train",
        "scale features by the training windows, or each subject's by all windows of the subject",
        choices=("train", "subject"),
        alters_loss=True,
    )
    class_weights: bool = parameter(
        True, "give both classes the same total weight in the loss", alters_loss=True
    )
    bandpower_c: float = parameter(
        1.0, "inverse strength of the L2 penalty (bandpower)", low=1e-9, high=1e9
    )

    # Optimizer and its one-cycle schedule.
    max_lr: float = parameter(3e-3, "peak of the learning rate", low=1e-12)
    pct_start: float = parameter(
        0.1, "share of the cycle during which the rate rises", low=0.0, high=0.99
    )
    div_factor: float = parameter(25.0, "the rate starts at max_lr divided by this", low=1.0)
    final_div_factor: float = parameter(
        1000.0, "the rate ends at its start divided by this", low=1.0
    )
    step_per: str = parameter(
        "batch",
        "when the schedule is stepped; epoch is a mistake to study, since the cycle counts batches",
        choices=("batch", "epoch"),
    )
    weight_decay: float = parameter(1e-4, "decoupled weight decay (AdamW)", low=0.0, high=10.0)
    gradient_clip_val: float | None = parameter(
        1.0, "maximum L2 norm of the gradient; null for no clipping", low=1e-12
    )
    batch_size: int = parameter(
        32, "windows per training step", low=1, high=65536, alters_memory=True
    )
    epochs: int = parameter(50, "number of epochs", unit="epochs", low=1, high=1_000_000)

    # Encoder, frozen after pre-training.
    encoder_path: str | None = parameter(
        None,
        "weights from an earlier run's encoder.file; null pre-trains on training windows",
        is_path=True,
    )
    width: int = parameter(
        512, "size of a token and of the features", low=2, high=8192, alters_memory=True
    )
    layers: int = parameter(8, "transformer layers", low=1, high=128, alters_memory=True)
    heads: int = parameter(
        8, "attention heads, a divisor of width", low=1, high=128, alters_memory=True
    )
    summary_tokens: int = parameter(
        4, "learned tokens that summarize the patches", low=1, high=256, alters_memory=True
    )
    patch_s: float = parameter(
        0.25, "length of a patch", unit="s", low=0.02, high=10.0, alters_memory=True
    )
    pretrain_epochs: int = parameter(
        20, "passes of the masked reconstruction; 0 leaves the encoder random", low=0, high=100_000
    )
    pretrain_lr: float = parameter(1e-3, "peak learning rate of the pre-training", low=1e-12)
    mask_share: float = parameter(
        0.5, "share of channels hidden in pre-training", low=0.01, high=0.99
    )
    encode_batch_size: int = parameter(
        64, "windows per step through the encoder", low=1, high=65536, alters_memory=True
    )
    encoder_seed: int = parameter(
        0, "seed of the encoder and its pre-training", low=0, high=2**31 - 1
    )

    # Data.
    data_path: str | None = parameter(
        None,
        "an .npz of windows or a folder of EDF files; null generates synthetic EEG",
        is_path=True,
        alters_memory=True,
    )
    subjects: int = parameter(60, "synthetic subjects", low=5, high=100_000, alters_memory=True)
    windows_per_subject: int = parameter(
        20, "windows of each synthetic subject", low=2, high=100_000, alters_memory=True
    )
    channels: int = parameter(
        19, "channels of synthetic EEG, from Fp1 on", low=2, high=20, alters_memory=True
    )
    rate_hz: float = parameter(
        128.0,
        "samples per second of synthetic EEG and of resampled EDF files",
        unit="Hz",
        low=16.0,
        high=4096.0,
        alters_memory=True,
    )
    window_s: float = parameter(
        4.0,
        "length of a window of synthetic EEG and EDF files",
        unit="s",
        low=0.5,
        high=120.0,
        alters_memory=True,
    )
    stride_s: float = parameter(
        4.0,
        "distance between the starts of windows in EDF files",
        unit="s",
        low=0.05,
        high=3600.0,
        alters_memory=True,
    )
    folds: int = parameter(
        1,
        "1 splits subjects 60:20:20; k trains k probes, so that each subject is tested once",
        low=1,
        high=100,
        alters_memory=True,
    )
    data_fraction: float = parameter(
        1.0,
        "share of the training subjects to use; validation and test are not reduced",
        low=1e-6,
        high=1.0,
    )
    data_seed: int = parameter(0, "seed of synthetic EEG and split", low=0, high=2**31 - 1)
    seed: int = parameter(
        0, "seed of the probe's weights, order and dropout", low=0, high=2**31 - 1
    )


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "epochs": 30,
        "width": 64,
        "layers": 2,
        "heads": 8,
        "patch_s": 0.5,
        "pretrain_epochs": 10,
        "pretrain_lr": 2e-3,
        "subjects": 240,
        "windows_per_subject": 6,
        "channels": 19,
        "rate_hz": 128.0,
        "stride_s": 4.0,
    },
    "paper": {
        "epochs": 50,
        "width": 512,
        "layers": 8,
        "heads": 8,
        "patch_s": 0.25,
        "pretrain_epochs": 20,
        "pretrain_lr": 5e-4,
        "subjects": 200,
        "windows_per_subject": 100,
        "channels": 20,
        "rate_hz": 256.0,
        "stride_s": 2.0,
    },
}

METRICS: dict[str, Metric] = {
    "train_loss": Metric(is_loss=True),
    "val_loss": Metric(is_loss=True),
    "val_auroc": Metric(goal="maximize"),
    "val_balanced_accuracy": Metric(goal="maximize"),
    "lr": Metric(),
    "grad_norm": Metric(),
}
