import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import slow
from tests.trainers.edc.local_run import LocalRun, exponential_rooms
from trainers.base import build
from trainers.edc import metrics, train
from trainers.edc.config import METRICS, PRESETS, Config
from trainers.edc.train import Training

TINY = {
    "conv_channels": 4,
    "branch_width": 16,
    "lstm_hidden": 16,
    "fc_width": 32,
    "batch_size": 8,
    "rooms": 40,
    "cases_per_room": 2,
    "rate_hz": 100.0,
    "duration_s": 1.0,
    "epochs": 4,
    "lr": 3e-3,
    "data_path": None,
}


@pytest.fixture(autouse=True)
def known_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "load", exponential_rooms)


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
@pytest.mark.parametrize("loss", ["mse", "edc_rir", "weighted_edc"])
@pytest.mark.parametrize("model", [slow("hybrid_v2"), "lstm"])
def test_training_learns_decays(model: str, loss: str, tmp_path: Path) -> None:
    run = trained(tmp_path, model=model, loss=loss, epochs=40, dropout=0.0)
    assert run.reports[40]["val_r2"] > 0.9
    # Seeds end at 0.996 and more, at up to 0.46 of the first error, and 0.12 of the first loss.
    assert run.reports[40]["val_t20_mae"] < 0.75 * run.reports[1]["val_t20_mae"]
    assert run.reports[40]["train_loss"] < 0.3 * run.reports[1]["train_loss"]


@pytest.mark.cpu_isa
@pytest.mark.slow
def test_the_auxiliary_loss_brings_t20_down(tmp_path: Path) -> None:
    run = trained(tmp_path, loss="auxiliary", epochs=60, dropout=0.0, patience=None)
    # Seeds end at up to 0.48 and 0.04 of the first values.
    assert run.reports[60]["val_t20_mae"] < 0.75 * run.reports[1]["val_t20_mae"]
    assert run.reports[60]["train_loss"] < 0.2 * run.reports[1]["train_loss"]


def test_every_epoch_reports_every_metric_and_no_other(tmp_path: Path) -> None:
    run = trained(tmp_path)
    assert list(run.reports) == [1, 2, 3, 4]
    for values in run.reports.values():
        assert set(values) == set(METRICS)
        assert all(type(value) is float for value in values.values())


def test_predictions_are_linear_curves_of_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train.Training._step

    def step(self: Training, rows: torch.Tensor) -> None:
        real(self, rows)
        if self.epoch >= 6:
            with torch.no_grad():  # it forgets what it learned
                self.model.out.bias.add_(1.0)

    monkeypatch.setattr(train.Training, "_step", step)
    run = trained(tmp_path, epochs=12, lr_schedule="constant")
    predicted, targets = run.arrays["val"]
    best = run.facts["best_epoch"]
    assert 1 < best <= 6, "or another state could stand in for the best unnoticed"
    assert predicted.shape == targets.shape == (16, 100)
    assert (targets[:, 0] == 1.0).all()
    found = metrics.errors(predicted, targets)
    found |= metrics.evaluate(predicted, targets, rate_hz=100.0)
    assert run.reports[best]["val_mae"] == min(row["val_mae"] for row in run.reports.values())
    for name in ("mae", "rmse", "r2", "edt_mae", "t20_mae", "c50_mae"):
        assert run.reports[best][f"val_{name}"] == pytest.approx(found[name], rel=1e-6, nan_ok=True)
    assert run.arrays["test"][0].shape == (16, 100)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first = trained(tmp_path, seed=3, dropout=0.2)
    same(first, trained(tmp_path, seed=3, dropout=0.2))
    other = trained(tmp_path, seed=4, dropout=0.2)
    assert not np.array_equal(first.arrays["test"][0], other.arrays["test"][0])


def test_the_seed_decides_the_weights() -> None:
    def made(seed: int) -> Training:
        config = tiny(seed=seed)
        data = exponential_rooms(config, seed=0, data_fraction=1.0, progress=lambda text: None)
        return Training(config, LocalRun(Path()), data)

    first, again, other = (made(seed).model.out.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_scales_know_nothing_of_validation_and_test(kind: str, tmp_path: Path) -> None:
    config = tiny(scaler_type=kind)
    data = exponential_rooms(config, seed=0, data_fraction=1.0, progress=lambda text: None)
    strange = replace(
        data,
        val_features=data.val_features * 9 + 5,
        val_curves=data.val_curves**3,
        test_features=data.test_features * 7 - 5,
        test_curves=data.test_curves**2,
    )
    known, moved = (Training(config, LocalRun(tmp_path), part) for part in (data, strange))
    assert torch.equal(known.scale.offset, moved.scale.offset)
    assert torch.equal(known.scale.scale, moved.scale.scale)
    rows = torch.arange(len(known.train_set))
    assert torch.equal(known.train_set.batch(rows)[0], moved.train_set.batch(rows)[0])
    if kind == "standard":
        assert known.train_set.batch(rows)[0].mean().abs() < 1e-5


WHOLE = (
    {"lr_schedule": "onecycle", "dropout": 0.3},
    {
        "lr_schedule": "plateau",
        "plateau_patience": 0,
        "optimizer": "adamw",
        "weight_decay": 0.1,
    },
    {"loss": "auxiliary", "precision": 16, "lr_schedule": "cosine", "warmup_epochs": 1.5},
)


@pytest.fixture(scope="module", params=WHOLE, ids=lambda values: values["lr_schedule"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], LocalRun]:
    """The settings of a run and the run itself, which never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "load", exponential_rooms)
        return request.param, trained(tmp_path_factory.mktemp("whole"), **request.param)


@pytest.mark.cpu_isa
@pytest.mark.parametrize("stop_after", [0, 3, 6, 17])
def test_a_stopped_run_goes_on_to_the_result_of_one_that_never_stopped(
    whole: tuple[dict[str, Any], LocalRun], stop_after: int, tmp_path: Path
) -> None:
    values, ended = whole
    begun = trained(tmp_path, stop_after=stop_after, **values)
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


def continued(
    saved: bytes | None, folder: Path, *, new_schedule: bool = False, **values: Any
) -> LocalRun:
    """Go on from a checkpoint with another config, as a remedy and `sweep resume` do."""
    state = torch.load(io.BytesIO(saved or b""), weights_only=True)
    if new_schedule:
        del state["scheduler"]
    run = LocalRun(folder)
    run.checkpoint(state)
    train.train(tiny(**values), run)
    return run


def test_what_the_config_sets_is_stronger_than_the_checkpoint(tmp_path: Path) -> None:
    begun = trained(tmp_path, stop_after=18, lr_schedule="cosine")
    last = max(begun.reports)
    assert 1 <= last < tiny().epochs
    lower = continued(begun.saved, tmp_path, lr_schedule="cosine", lr=1e-5, weight_decay=0.1)
    ratio = (
        lower.reports[last + 1]["lr"]
        / trained(tmp_path, lr_schedule="cosine").reports[last + 1]["lr"]
    )
    assert ratio == pytest.approx(1e-5 / tiny().lr)
    assert lower.facts["effective"]["weight_decay"] == pytest.approx(0.1)
    anew = continued(begun.saved, tmp_path, new_schedule=True, lr_schedule="cosine", lr=1e-5)
    assert anew.reports[last + 1]["lr"] > lower.reports[last + 1]["lr"]
    assert anew.facts["lr_schedule"]["cosine"]["lr"] == pytest.approx(1e-5)


def test_a_finished_run_goes_on_with_more_epochs_and_other_batches(tmp_path: Path) -> None:
    whole = trained(tmp_path, lr_schedule="cosine")
    epochs = max(whole.reports)
    longer = continued(
        whole.saved, tmp_path, lr_schedule="cosine", epochs=epochs + 2, batch_size=16
    )
    assert sorted(longer.reports) == [epochs + 1, epochs + 2]
    assert longer.reports[epochs + 2]["lr"] < longer.reports[epochs + 1]["lr"]


def test_a_state_that_nothing_could_go_on_from_is_not_saved(tmp_path: Path) -> None:
    assert trained(tmp_path, lr=1e30, gradient_clip_val=None, epochs=1).saved is None


@pytest.mark.cpu_isa
@pytest.mark.parametrize("precision", [32, 16])
@pytest.mark.parametrize("loss", ["mse", "auxiliary"])
def test_a_diverged_run_reports_its_loss_and_ends_without_an_error(
    loss: str, precision: int, tmp_path: Path
) -> None:
    run = trained(tmp_path, lr=1e20, loss=loss, precision=precision)
    assert not math.isfinite(run.reports[1]["train_loss"])
    assert set(run.arrays) == {"train", "val", "test"}


def test_a_non_finite_loss_ends_its_epoch_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECK_EVERY", 2)
    config = tiny(lr=1e30, gradient_clip_val=None, epochs=1)
    run = LocalRun(tmp_path)
    train.train(config, run)
    # One look at should_stop a batch: far fewer than the 6 batches of the epoch.
    assert run.looks == 2
    assert not math.isfinite(run.reports[1]["train_loss"])


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=0.0, patience=3, epochs=50)
    # Nothing moves at rate zero but the running statistics of the normalisation.
    best = run.facts["best_epoch"]
    assert max(run.reports) == best + 3
    assert max(run.reports) < 50


def test_training_without_patience_goes_on_to_its_last_epoch(tmp_path: Path) -> None:
    assert max(trained(tmp_path, lr=1e20, patience=None, epochs=6).reports) == 6


def test_curves_that_define_no_clarity_do_not_stop_the_training(tmp_path: Path) -> None:
    run = trained(tmp_path, rate_hz=1000.0, duration_s=0.04)
    assert math.isnan(run.reports[4]["val_c50_mae"])
    assert run.reports[4]["val_c50_undefined"] == 16
    assert math.isfinite(run.reports[4]["val_mae"])


@pytest.mark.cpu_isa
def test_facts_are_read_back_from_the_live_objects(tmp_path: Path) -> None:
    run = trained(
        tmp_path,
        loss="weighted_edc",
        t20_weight=3,
        optimizer="adamw",
        weight_decay=0.01,
        lr_schedule="onecycle",
        precision=16,
        dropout=0.25,
    )
    effective = run.facts["effective"]
    assert effective["loss"] == "weighted_edc"
    assert (effective["edt_weight"], effective["t20_weight"]) == (1.5, 3.0)
    assert effective["optimizer"] == "adamw"
    assert (effective["lr"], effective["weight_decay"]) == (3e-3, 0.01)
    assert effective["first_lr"] == pytest.approx(3e-3 / 25)
    # Not every CPU computes every layer in 16 bits.
    wanted = (32, "float32") if run.warnings else (16, "bfloat16")
    assert (effective["precision"], effective["forward_type"]) == wanted
    assert effective["dropout"] == 0.25
    assert effective["threads"] == 1
    assert run.facts["total_steps"] == 4
    assert run.facts["epoch_s"] > 0
    assert run.facts["parameters"] > 1000
    assert run.facts["data"] == {"kind": "decay_curve", "rate_hz": 100.0}


def test_the_logged_rate_is_the_one_of_the_last_batch(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=1e-3, lr_schedule="onecycle", epochs=5)
    assert run.reports[5]["lr"] == pytest.approx(1e-3 / 25 / 1000)


def test_gradients_are_clipped_and_their_norm_is_reported_before(tmp_path: Path) -> None:
    config = tiny(gradient_clip_val=1e-3)
    run = LocalRun(tmp_path)
    data = exponential_rooms(config, seed=0, data_fraction=1.0, progress=run.progress)
    training = Training(config, run, data)
    training._step(torch.arange(8))
    squares = [item.grad.square().sum() for item in training.model.parameters()]
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-3)
    assert training.gradients.mean_norm() > 1e-2


@pytest.mark.parametrize(("of_run", "of_config"), [(0.25, 1.0), (1.0, 0.25), (0.25, 0.25)])
def test_the_smaller_data_fraction_counts_once(
    of_run: float, of_config: float, tmp_path: Path
) -> None:
    run = LocalRun(tmp_path)
    run.data_fraction = of_run
    train.train(tiny(data_fraction=of_config, epochs=1), run)
    assert run.facts["effective"]["train_curves"] == 12
    assert run.facts["effective"]["val_curves"] == 16


def test_values_of_val_metrics_do_not_depend_on_the_loss(tmp_path: Path) -> None:
    heavy = trained(tmp_path, loss="weighted_edc", t20_weight=100, lr=0.0, epochs=1)
    plain = trained(tmp_path, loss="mse", lr=0.0, epochs=1)
    assert heavy.reports[1]["val_loss"] > 2 * plain.reports[1]["val_loss"]
    assert heavy.reports[1]["val_mae"] == pytest.approx(plain.reports[1]["val_mae"])


def test_the_loss_of_validation_is_the_mean_over_curves_however_they_are_batched(
    tmp_path: Path,
) -> None:
    whole = trained(tmp_path, epochs=1, eval_batch_size=16)
    parts = trained(tmp_path, epochs=1, eval_batch_size=5)  # 5, 5, 5 and 1
    assert parts.reports[1]["val_loss"] == pytest.approx(whole.reports[1]["val_loss"], rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("resident", [True, False])
def test_half_precision_on_a_gpu_scales_its_loss_and_resumes(
    resident: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not resident:
        monkeypatch.setattr("trainers.edc.curves.RESIDENT_BYTES", 0)
    config = tiny(precision=16, epochs=20, dropout=0.0)
    begun = LocalRun(tmp_path)
    begun.device = "cuda"
    begun.stop_after = 33
    train.train(config, begun)
    resumed = LocalRun(tmp_path, saved=begun.saved)
    resumed.device = "cuda"
    train.train(config, resumed)
    assert resumed.facts["effective"]["forward_type"] == "float16"
    assert resumed.reports[20]["val_r2"] > 0.8
    assert all(math.isfinite(values["grad_norm"]) for values in resumed.reports.values())
