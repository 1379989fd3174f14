import io
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import slow
from tests.trainers.edc.local_run import LocalRun
from trainers.base import build
from trainers.sar import data, metrics, train
from trainers.sar.batches import batches
from trainers.sar.config import METRICS, PRESETS, Config

TINY = {
    "base_channels": 4,
    "scenes": 6,
    "scene_size": 64,
    "patch_size": 32,
    "batch_size": 5,  # 16 patches: the last batch holds one
    "eval_batch_size": 3,
    "epochs": 3,
    "lr": 3e-3,
}


@pytest.fixture(autouse=True, scope="module")
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def tiny(**values: object) -> Config:
    return build(Config, PRESETS, {**TINY, **values})


def trained(directory: Path, *, stop_after: int | None = None, **values: object) -> LocalRun:
    run = LocalRun(directory)
    run.stop_after = stop_after
    train.train(tiny(**values), run)
    return run


def same(left: LocalRun, right: LocalRun) -> None:
    """Hold two runs to bit-identical predictions and reports."""
    for split in ("val", "test"):
        np.testing.assert_array_equal(left.arrays[split][0], right.arrays[split][0])
    assert left.reports.keys() == right.reports.keys()
    for step, values in left.reports.items():
        np.testing.assert_equal(right.reports[step], values)


@pytest.mark.cpu_isa
@pytest.mark.parametrize(
    "model", ["baseline", *map(slow, ("resnet_lite", "residual", "attention"))]
)
def test_every_network_learns_a_batch(model: str, tmp_path: Path) -> None:
    config = tiny(
        model=model,
        lr_schedule="constant",
        warmup_epochs=0.0,
        augment=False,
        mse_weight=1.0,
        ssim_weight=0.0,
    )
    training = train.Training(config, LocalRun(tmp_path), data.load(config, data_fraction=1.0))
    (images,) = batches(training.data.train, [np.arange(8)], training.device)
    training.model.train()
    for _ in range(40):
        training._step(images)
    with torch.no_grad():
        error = (training.model(images) - images).square().mean()
    # The mean of all pixels would leave their variance; seeds reach 0.25 to 0.5 of it.
    assert error < 0.7 * images.var()


# In so few steps the network with attention learns scenes too little to be told from luck.
@pytest.mark.cpu_isa
@pytest.mark.parametrize("model", ["baseline", slow("resnet_lite"), slow("residual")])
def test_training_learns_scenes(model: str, tmp_path: Path) -> None:
    values = {"lr": 5e-3, "batch_size": 4, "warmup_epochs": 1.0}
    weights = {"mse_weight": 1.0, "ssim_weight": 0.0}
    run = trained(tmp_path, model=model, epochs=12, **values, **weights)
    best = run.facts["best_epoch"]
    # The mean of all pixels would reach 12.15 dB; seeds reach 13.2 and more.
    assert run.reports[best]["val_psnr"] > 12.6
    assert run.reports[best]["val_psnr"] > run.reports[1]["val_psnr"] + 0.5
    assert run.reports[12]["train_loss"] < 0.9 * run.reports[1]["train_loss"]


def test_every_epoch_reports_every_metric_and_no_other(tmp_path: Path) -> None:
    run = trained(tmp_path)
    assert list(run.reports) == [1, 2, 3]
    for values in run.reports.values():
        assert set(values) == set(METRICS)
        assert all(type(value) is float for value in values.values())


def test_saved_images_are_the_reconstructions_of_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train.Training._validate

    def validate(self: train.Training) -> tuple[float, float, float]:
        loss, psnr, ssim = real(self)
        return loss, psnr - 20.0 * (self.epoch != 2), ssim

    monkeypatch.setattr(train.Training, "_validate", validate)
    run = trained(tmp_path, epochs=5)
    best = run.facts["best_epoch"]
    assert best == 3, "or another state could stand in for the best unnoticed"
    reported = run.reports[best]
    assert reported["val_psnr"] == max(row["val_psnr"] for row in run.reports.values())
    found = metrics.evaluate(*run.arrays["val"])
    assert reported["val_psnr"] == pytest.approx(found["psnr"], abs=1e-4)
    assert reported["val_ssim"] == pytest.approx(found["ssim"], abs=1e-4)
    assert run.arrays["val"][0].shape == (4, 32, 32)
    for predicted, targets in run.arrays.values():
        assert predicted.shape == targets.shape
        assert predicted.min() >= 0
        assert predicted.max() <= 1


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first = trained(tmp_path, seed=3)
    same(first, trained(tmp_path, seed=3))
    other = trained(tmp_path, seed=4)
    assert not np.array_equal(first.arrays["test"][0], other.arrays["test"][0])


@pytest.fixture(
    scope="module",
    params=[
        slow({"model": "attention", "lr_schedule": "onecycle"}),
        {"lr_schedule": "plateau", "plateau_patience": 0, "precision": 16, "optimizer": "adam"},
    ],
    ids=lambda values: values["lr_schedule"],
)
def whole(
    request: pytest.FixtureRequest, one_cache: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], LocalRun]:
    """The settings of a run and the run itself, which never stopped."""
    return request.param, trained(tmp_path_factory.mktemp("whole"), **request.param)


@pytest.mark.cpu_isa
@pytest.mark.parametrize("stop_after", [0, 2, 6])
def test_a_stopped_run_goes_on_to_the_result_of_one_that_never_stopped(
    whole: tuple[dict[str, Any], LocalRun], stop_after: int, tmp_path: Path
) -> None:
    values, ended = whole
    begun = LocalRun(tmp_path)
    begun.stop_after = stop_after  # the scenes are in the cache by now: all looks are of batches
    train.train(tiny(**values), begun)
    assert not begun.arrays
    assert begun.saved is not None
    resumed = LocalRun(tmp_path, saved=begun.saved)
    resumed.reports = begun.reports
    train.train(tiny(**values), resumed)
    same(ended, resumed)
    assert resumed.facts["best_epoch"] == ended.facts["best_epoch"]


def test_a_run_resumed_after_its_end_predicts_without_training_again(tmp_path: Path) -> None:
    whole = trained(tmp_path)
    again = LocalRun(tmp_path, saved=whole.saved)
    train.train(tiny(), again)
    assert not again.reports
    np.testing.assert_array_equal(again.arrays["test"][0], whole.arrays["test"][0])


def test_another_config_goes_on_from_the_state_of_this_one(tmp_path: Path) -> None:
    quick = trained(tmp_path, epochs=2, data_fraction=0.5, weight_decay=0.1)
    assert quick.saved is not None
    state = torch.load(io.BytesIO(quick.saved), weights_only=True)
    del state["scheduler"]  # as where a new schedule is asked for
    for begun in (state, {**state, "scheduler": quick_schedule(quick.saved)}):
        resumed = LocalRun(tmp_path)
        resumed.checkpoint(begun)
        training = train.Training(
            tiny(epochs=5, lr=1e-4, warmup_epochs=1.0),
            resumed,
            data.load(tiny(), data_fraction=1.0),
        )
        training.load_state_dict(begun)
        assert training.optimizer.param_groups[0]["weight_decay"] == 1e-5
        assert training.optimizer.param_groups[0]["lr"] <= 1e-4
        assert (training.epoch, training.batch, training.finished) == (2, 0, False)
        assert training.fit()
        assert list(resumed.reports) == [3, 4, 5]
        # A new cosine ends with the training, whatever was done before it began.
        if "scheduler" not in begun:
            assert resumed.reports[5]["lr"] < 0.2 * 1e-4 < resumed.reports[3]["lr"]


def quick_schedule(saved: bytes) -> object:
    return torch.load(io.BytesIO(saved), weights_only=True)["scheduler"]


def test_a_state_that_is_not_finite_does_not_replace_one_that_is(tmp_path: Path) -> None:
    training = train.Training(tiny(), LocalRun(tmp_path), data.load(tiny(), data_fraction=1.0))
    training._save()
    kept = training.run.saved  # type: ignore[attr-defined]  # it is a LocalRun
    with torch.no_grad():
        next(training.model.parameters()).fill_(math.nan)
    training._save()
    assert training.run.saved is kept  # type: ignore[attr-defined]


def test_reading_ahead_changes_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = trained(tmp_path)
    monkeypatch.setattr(data, "RESIDENT_BYTES", 0)
    same(kept, trained(tmp_path))
    stopped = trained(tmp_path, stop_after=3)
    assert stopped.saved is not None
    assert not [thread for thread in threading.enumerate() if thread.name == "patches"]


@pytest.mark.cpu_isa
@pytest.mark.parametrize("precision", [32, 16])
def test_a_diverged_run_reports_its_loss_and_ends_without_an_error(
    precision: int, tmp_path: Path
) -> None:
    run = trained(tmp_path, lr=1e30, gradient_clip_val=None, precision=precision)
    assert not math.isfinite(run.reports[3]["train_loss"])
    assert set(run.arrays) == {"train", "val", "test"}


def test_a_validation_that_is_not_finite_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train.Training._validate

    def validate(self: train.Training) -> tuple[float, float, float]:
        return (math.nan,) * 3 if self.epoch in (1, 2) else real(self)

    monkeypatch.setattr(train.Training, "_validate", validate)
    run = trained(tmp_path, epochs=5)
    assert math.isnan(run.reports[2]["val_psnr"])
    assert max(run.reports) == 5
    assert run.facts["best_epoch"] not in (2, 3)


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=0.0, patience=2, epochs=30)
    assert max(run.reports) == run.facts["best_epoch"] + 2 < 30


@pytest.mark.cpu_isa
def test_facts_are_read_back_from_the_live_objects(tmp_path: Path) -> None:
    run = trained(tmp_path, mse_weight=0.7, ssim_weight=0.3, precision=16, epochs=1)
    effective = run.facts["effective"]
    assert (effective["mse_weight"], effective["ssim_weight"]) == (0.7, 0.3)
    assert (effective["optimizer"], effective["weight_decay"]) == ("adamw", 1e-5)
    # Not every CPU computes every layer in 16 bits.
    wanted = (32, "float32") if run.warnings else (16, "bfloat16")
    assert (effective["precision"], effective["forward_type"]) == wanted
    assert effective["first_lr"] == pytest.approx(3e-4)
    assert (effective["train_patches"], effective["batches_per_epoch"]) == (16, 4)
    assert (effective["split_by"], effective["places"]) == ("place", 6)
    assert effective["threads"] == 1
    assert run.facts["epoch_s"] > 0
    assert run.facts["peak_memory_bytes"] > 50 * 2**20
    assert (effective["db_min"], effective["db_max"]) == (14.77, 24.54)
    assert run.facts["data"] == {"kind": "sar_image"}


@pytest.mark.parametrize(("of_run", "of_config"), [(0.05, 1.0), (1.0, 0.25)])
def test_the_smaller_data_fraction_counts(of_run: float, of_config: float, tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    run.data_fraction = of_run
    train.train(tiny(data_fraction=of_config, epochs=1), run)
    assert run.facts["effective"]["train_patches"] == {0.05: 1, 1.0: 4}[of_run]
    assert run.facts["effective"]["val_patches"] == 4


def test_gradients_are_clipped_and_their_norm_is_reported_before(tmp_path: Path) -> None:
    config = tiny(gradient_clip_val=1e-4)
    training = train.Training(config, LocalRun(tmp_path), data.load(config, data_fraction=1.0))
    training._step(torch.rand(4, 1, 32, 32))
    squares = [item.grad.square().sum() for item in training.model.parameters()]
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(1e-4, rel=1e-3)
    assert training.gradients.mean_norm() > 1e-3


def test_psnr_does_not_depend_on_the_weights_of_the_loss_and_the_loss_does(tmp_path: Path) -> None:
    heavy = trained(tmp_path, lr=0.0, epochs=1, mse_weight=10.0)
    light = trained(tmp_path, lr=0.0, epochs=1, mse_weight=0.02, ssim_weight=0.18)
    assert heavy.reports[1]["val_psnr"] == light.reports[1]["val_psnr"]
    assert heavy.reports[1]["val_loss"] > 3 * light.reports[1]["val_loss"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_precision_on_a_gpu_scales_its_loss_and_resumes(tmp_path: Path) -> None:
    config = tiny(precision=16, epochs=8)
    begun = LocalRun(tmp_path)
    begun.device = "cuda"
    begun.stop_after = 20
    train.train(config, begun)
    resumed = LocalRun(tmp_path, saved=begun.saved)
    resumed.device = "cuda"
    train.train(config, resumed)
    assert resumed.facts["effective"]["forward_type"] == "float16"
    assert resumed.reports[8]["val_psnr"] > 12.0
