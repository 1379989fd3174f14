"""A run without an engine, and decay curves whose parameters are known, for the tests here."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainers.edc.config import Config
from trainers.edc.data import EdcData


class LocalRun:
    """Keeps what a trainer hands over in memory; checkpoints go through real bytes."""

    def __init__(self, directory: Path, *, saved: bytes | None = None) -> None:
        self.directory = directory
        self.device = "cpu"
        self.threads = 1
        self.data_fraction = 1.0
        self.reports: dict[int, dict[str, float]] = {}
        self.facts: dict[str, Any] = {}
        self.arrays: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.saved = saved
        self.looks = 0
        self.stop_after: int | None = None

    @property
    def should_stop(self) -> bool:
        self.looks += 1
        return self.stop_after is not None and self.looks > self.stop_after

    def report(self, step: int, **metrics: float) -> None:
        assert step not in self.reports
        self.reports[step] = metrics

    def progress(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def describe(self, **facts: Any) -> None:
        self.facts.update(facts)

    def save_predictions(
        self, predictions: Any, targets: Any, split: str = "test", groups: Any = None
    ) -> None:
        self.arrays[split] = (predictions, targets)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        stream = io.BytesIO()
        torch.save(dict(state), stream)
        self.saved = stream.getvalue()

    def restore(self) -> dict[str, Any] | None:
        if self.saved is None:
            return None
        state: dict[str, Any] = torch.load(
            io.BytesIO(self.saved), map_location="cpu", weights_only=True
        )
        return state


def exponential_rooms(
    config: Config,
    *,
    seed: int,
    data_fraction: float,
    progress: Callable[[str], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> EdcData:
    """Stand in for `load`: exponential decays whose T60 follows Sabine's formula."""
    random = np.random.default_rng(seed)
    count = config.rooms * config.cases_per_room
    features = random.uniform(0.1, 0.9, (count, 16)).astype(np.float32)
    features[:, :3] = random.uniform(3.0, 8.0, (count, 3))
    volume = features[:, :3].prod(axis=1)
    area = 2 * (features[:, [0, 1, 2]] * features[:, [1, 2, 0]]).sum(axis=1)
    t60_s = 0.161 * volume / (area * features[:, 9:].mean(axis=1))
    time = np.arange(round(config.rate_hz * config.duration_s)) / config.rate_hz
    curves = (10.0 ** (-6.0 * time / t60_s[:, None])).astype(np.float32)
    train, val = round(0.6 * count), round(0.8 * count)
    used = max(1, round(data_fraction * train))
    progress(f"{count} rooms")
    return EdcData(
        train_features=features[:used],
        train_curves=curves[:used],
        val_features=features[train:val],
        val_curves=curves[train:val],
        test_features=features[val:],
        test_curves=curves[val:],
        rate_hz=config.rate_hz,
    )
