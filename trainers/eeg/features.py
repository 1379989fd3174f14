"""Features of all windows, computed once for all trials that use the same.

Two things are cached: an encoder, with training windows and settings as its key, and features, with
encoder weights and windows as their key. Concurrent trials wait for the first one instead of
computing the same (`trainers.cache`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import Run
from trainers.cache import cached, digest, entry
from trainers.eeg import encoder as encoding
from trainers.eeg.config import Config
from trainers.eeg.data import Fold
from trainers.eeg.encoder import Encoder
from trainers.eeg.windows import Windows

BANDS_HZ: Final = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
SEGMENT_S: Final = 2.0
"""Segment length of Welch's method."""

_LEAST: Final = 1e-12  # µV²/Hz: a flat channel has no logarithm

Features = NDArray[np.float32]

_LEAST_SPREAD = 1e-6

PRETRAIN_BATCH = 32
"""Windows per step of pre-training; the batch size of the probe does not affect the encoder."""


@dataclass(frozen=True)
class Prepared:
    """Features of every fold.

    Attributes:
        folds: features [N, D] of all windows, standardized, one array per fold.
        encoder: origin of the features: ``source`` (``file``, ``pretrained``, ``random``,
            ``bandpower``), ``file`` of the weights, ``weights`` (their digest), ``parameters``.
    """

    folds: list[Features]
    encoder: dict[str, Any] = field(default_factory=dict)


def prepare(config: Config, run: Run, windows: Windows, folds: list[Fold]) -> Prepared:
    """Return the features that `config` specifies.

    A pre-trained encoder sees only the training windows of its fold, never labels.

    Raises:
        Interrupted: a stop was requested.
        ValueError: the weights of the encoder are unreadable or do not fit, or its sizes are
            inconsistent.
    """
    signals = digest(windows.signals)
    if config.model == "bandpower":
        found = cached(
            "eeg-bands",
            {"signals": signals, "rate_hz": windows.rate_hz, "bands": BANDS_HZ, "s": SEGMENT_S},
            lambda: {"features": band_powers(windows)},
            progress=run.progress,
            should_stop=lambda: run.should_stop,
        )
        plain = [found["features"]] * len(folds)
        facts: dict[str, Any] = {"source": "bandpower"}
    else:
        plain, facts = _encoded(config, run, windows, folds, signals)
    scaled = [
        standardized(features, windows.subjects, fold.train, config.standardize)
        for features, fold in zip(plain, folds, strict=True)
    ]
    return Prepared(scaled, facts)


def standardized(
    features: Features, subjects: NDArray[np.int64], train: NDArray[np.intp], kind: str
) -> Features:
    """Return features with mean 0 and standard deviation 1 in each column.

    Args:
        features: [N, D].
        subjects: [N].
        train: rows of the training windows.
        kind: ``"train"`` uses mean and deviation of the training windows; ``"subject"`` uses those
            of all windows of the same subject, without labels, so that only differences within a
            person remain.
    """
    if kind == "train":
        return _scaled(features, features[train])
    found = np.empty_like(features)
    for subject in np.unique(subjects):
        own = subjects == subject
        found[own] = _scaled(features[own], features[own])
    return found


def _scaled(features: Features, of: Features) -> Features:
    spread = np.maximum(of.std(axis=0, dtype=np.float64), _LEAST_SPREAD)
    scaled: Features = (features - of.mean(axis=0, dtype=np.float64)) / spread
    return scaled.astype(np.float32)


def _encoded(
    config: Config, run: Run, windows: Windows, folds: list[Fold], signals: str
) -> tuple[list[Features], dict[str, Any]]:
    device = torch.device(run.device)
    # The order of sums changes the last digits, so entries computed differently are not used.
    machine = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "version": encoding.VERSION,
    }
    found: list[Features] = []
    facts: dict[str, Any] = {}
    for number, fold in enumerate(folds):
        of = "" if len(folds) == 1 else f"fold {number + 1} of {len(folds)}: "

        def progress(text: str, of: str = of) -> None:
            run.progress(of + text)

        encoder = _new_encoder(config, windows)
        weights, origin = _weights(config, run, windows, fold, encoder, machine, progress)
        encoding.set_weights(encoder, weights, f"encoder_path: {config.encoder_path}")
        name = digest(*weights.values())
        facts = facts or {
            **origin,
            "weights": name,
            "parameters": sum(item.numel() for item in encoder.parameters()),
        }
        kept = cached(
            "eeg-features",
            {
                "weights": name,
                "heads": config.heads,
                "signals": signals,
                "channels": windows.channels,
                "rate_hz": windows.rate_hz,
                "batch_size": config.encode_batch_size,
                **machine,
            },
            lambda encoder=encoder, progress=progress: _features(  # type: ignore[misc]
                config, run, windows, encoder, progress
            ),
            progress=progress,
            should_stop=lambda: run.should_stop,
        )
        found.append(kept["features"])
    return found, facts


def _features(
    config: Config,
    run: Run,
    windows: Windows,
    encoder: Encoder,
    progress: Callable[[str], None],
) -> dict[str, Features]:
    progress(f"encoding {len(windows):,} windows")
    features = encoding.encode(
        encoder,
        windows.signals,
        windows.channels,
        device=torch.device(run.device),
        batch_size=config.encode_batch_size,
        should_stop=lambda: run.should_stop,
    )
    return {"features": features}


def _new_encoder(config: Config, windows: Windows) -> Encoder:
    patch = round(config.patch_s * windows.rate_hz)
    samples = windows.signals.shape[2]
    if not 2 <= patch <= samples:
        raise ValueError(
            f"patch_s: must be from 2 samples to a window, {2 / windows.rate_hz:g} to "
            f"{samples / windows.rate_hz:g} s (found {config.patch_s:g})."
        )
    if config.width % config.heads:
        raise ValueError(f"heads: must divide width = {config.width} (found {config.heads}).")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.encoder_seed)
        return Encoder(
            patch,
            rate_hz=windows.rate_hz,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            summary_tokens=config.summary_tokens,
        )


def _weights(
    config: Config,
    run: Run,
    windows: Windows,
    fold: Fold,
    encoder: Encoder,
    machine: dict[str, Any],
    progress: Callable[[str], None],
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the weights of the frozen encoder and their origin."""
    if config.encoder_path is not None:
        path = Path(config.encoder_path)
        return encoding.read_weights(path), {"source": "file", "file": str(path)}
    if config.pretrain_epochs == 0:
        return encoding.weights_of(encoder), {"source": "random"}
    seen = windows.signals[fold.train]
    settings = {
        "signals": digest(seen),
        "channels": windows.channels,
        "rate_hz": windows.rate_hz,
        **{
            name: getattr(config, name)
            for name in (
                *("width", "layers", "heads", "summary_tokens", "patch_s"),
                *("pretrain_epochs", "pretrain_lr", "mask_share", "encoder_seed"),
            )
        },
        "batch_size": PRETRAIN_BATCH,
        **machine,
    }

    def make() -> dict[str, NDArray[Any]]:
        encoding.pretrain(
            encoder,
            seen,
            windows.channels,
            epochs=config.pretrain_epochs,
            lr=config.pretrain_lr,
            mask_share=config.mask_share,
            batch_size=PRETRAIN_BATCH,
            seed=config.encoder_seed,
            device=torch.device(run.device),
            progress=progress,
            should_stop=lambda: run.should_stop,
        )
        return encoding.weights_of(encoder)

    weights = cached(
        "eeg-encoder", settings, make, progress=progress, should_stop=lambda: run.should_stop
    )
    path = entry("eeg-encoder", settings)
    return weights, {"source": "pretrained", "file": str(path) if path.is_file() else None}


def band_powers(windows: Windows) -> NDArray[np.float32]:
    """Return log10 of the mean power density of each band and channel, [N, bands·C].

    Uses Welch's method with two-second Hann windows that overlap by half. Bands above half the
    sampling rate are left out.

    Args:
        windows: N windows of C channels.
    """
    from scipy.signal import welch  # noqa: PLC0415  (takes a second; only for the baseline)

    segment = min(windows.signals.shape[2], round(SEGMENT_S * windows.rate_hz))
    frequencies, density = welch(windows.signals, fs=windows.rate_hz, nperseg=segment, axis=2)
    found = []
    for low, high in BANDS_HZ.values():
        inside = (frequencies >= low) & (frequencies < high)
        if inside.any():
            power = density[:, :, inside].mean(axis=2)
            found.append(np.log10(np.maximum(power, _LEAST)))
    return np.concatenate(found, axis=1).astype(np.float32)
