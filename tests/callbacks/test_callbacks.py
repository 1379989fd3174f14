"""The callbacks in trainings of the real libraries, where these are installed."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    path = tmp_path / "reported.jsonl"
    monkeypatch.setenv("SWEEP_METRICS", str(path))
    monkeypatch.chdir(tmp_path)
    return lambda: [
        (line["step"], line["metrics"]) for line in map(json.loads, path.read_text().splitlines())
    ]


def test_lightning(reported: Any) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")
    import torch

    from orchestrator.callbacks.lightning import SweepCallback

    torch.set_num_threads(1)

    class Line(lightning.LightningModule):  # type: ignore[misc, name-defined]  # untyped here
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = (self.layer(batch[0]) ** 2).mean()
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", (self.layer(batch[0]) ** 2).mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.ones(8, 1)), batch_size=4
    )
    trainer = lightning.Trainer(
        max_epochs=4,
        check_val_every_n_epoch=2,
        callbacks=[SweepCallback()],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), data, data)
    found = [(step, *names) for step, names in reported()]
    assert found == [
        (0, "train_loss"),
        (1, "val_loss"),
        (1, "train_loss"),
        (2, "train_loss"),
        (3, "val_loss"),
        (3, "train_loss"),
    ]


def test_lightning_ends_what_diverged(reported: Any) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")
    import torch

    from orchestrator.callbacks.lightning import StopDiverged

    class Lost(lightning.LightningModule):  # type: ignore[misc, name-defined]  # untyped here
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = (self.layer(batch[0]) ** 2).mean() * (math.nan if self.current_epoch else 1.0)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    stop = StopDiverged()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 1)))
    trainer = lightning.Trainer(
        max_epochs=9,
        callbacks=[stop],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Lost(), data)
    assert stop.reason == "train_loss is nan since step 1"
    assert trainer.current_epoch <= 2


def test_hugging_face_ends_what_diverged(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    import torch

    from orchestrator.callbacks.transformers import StopDiverged

    class Lost(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": self.layer(x).mean() * 0 + math.inf}

    stop = StopDiverged()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=50,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [{"x": torch.ones(1), "labels": torch.zeros(1)} for _ in range(8)]
    trainer = transformers.Trainer(
        model=Lost(), args=arguments, train_dataset=data, callbacks=[stop]
    )
    trainer.train()
    assert stop.reason is not None
    assert trainer.state.global_step < 50


def test_keras_ends_what_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    import numpy as np

    from orchestrator.callbacks.keras import StopDiverged

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e12), "mse")
    stop, x = StopDiverged(), np.ones((8, 1))
    history = model.fit(x, x, epochs=50, verbose=0, callbacks=[stop])
    assert stop.reason is not None
    assert len(history.history["loss"]) < 50


def test_ray_tune_ends_what_diverged() -> None:
    stopper = pytest.importorskip("ray.tune.stopper", reason="Ray is not installed")
    from orchestrator.callbacks.tune import StopDiverged

    stop = StopDiverged()
    wrapped = stopper.FunctionStopper(stop)  # as Tune does it with RunConfig(stop=stop)
    for step in range(1, 6):
        result = {"training_iteration": step, "time_total_s": 1.0 * step}
        assert not wrapped("a", {**result, "train_loss": 0.5**step})
        lost = 0.5**step if step < 4 else math.nan
        assert wrapped("b", {**result, "train_loss": lost}) is (step >= 4)
    assert stop.reasons == {"b": "train_loss is nan since step 4"}


def test_hugging_face(reported: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    import torch

    from orchestrator.callbacks.transformers import SweepCallback

    torch.set_num_threads(1)

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any) -> Any:
            out = self.layer(x)
            return {"loss": ((out - labels) ** 2).mean(), "logits": out}

    data = [{"x": torch.ones(1), "labels": torch.zeros(1)} for _ in range(8)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        model=Line(),
        args=arguments,
        train_dataset=data,
        eval_dataset=data,
        callbacks=[SweepCallback()],
    )
    trainer.train()
    losses = [(step, m["train_loss"]) for step, m in reported() if "train_loss" in m]
    evaluated = [(step, m["val_loss"]) for step, m in reported() if "val_loss" in m]
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    assert [step for step, _ in evaluated] == [2, 4]
    assert losses[-1][1] < losses[0][1]


def test_keras(reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    import numpy as np

    from orchestrator.callbacks.keras import SweepCallback

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((8, 1))
    model.fit(x, x, epochs=2, validation_split=0.5, verbose=0, callbacks=[SweepCallback()])
    assert [(step, sorted(names)) for step, names in reported()] == [
        (step, ["train_loss", "train_mae", "val_loss", "val_mae"]) for step in (1, 2)
    ]
