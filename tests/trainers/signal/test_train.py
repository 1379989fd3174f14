"""Training the sine extractor: steps of one sample, states that are carried, remedies, ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from orchestrator.divergence.schedule.declared import declared
from trainers.base import build
from trainers.recording import RecordingRun
from trainers.signal import train
from trainers.signal.config import METRICS, PRESETS, Config
from trainers.signal.data import SPLITS, make_mixture
from trainers.signal.model import SineExtractor, count_parameters
from trainers.signal.train import Training

TINY: dict[str, Any] = {
    "hidden_size": 8,
    "rate_hz": 50.0,
    "duration_s": 4.0,
    "batch_size": 8,
    "epochs": 3,
}


def tiny(**values: Any) -> Config:
    return build(Config, PRESETS, {**TINY, **values})


def begun(directory: Path, **values: Any) -> Training:
    config = tiny(**values)
    signals = {
        split: make_mixture(
            split=split,
            seed=config.data_seed,
            rate_hz=config.rate_hz,
            duration_s=config.duration_s,
            phase_noise=config.phase_noise,
            amplitude_noise=config.amplitude_noise,
        )
        for split in SPLITS
    }
    return Training(config, RecordingRun(directory), signals)


def trained(directory: Path, run: RecordingRun | None = None, **values: Any) -> RecordingRun:
    run = RecordingRun(directory) if run is None else run
    train.train(tiny(**values), run)
    return run


def test_the_published_network_has_18241_parameters() -> None:
    config = build(Config, PRESETS, {"preset": "paper"})
    model = SineExtractor(config.hidden_size, config.layers, config.dropout)
    assert count_parameters(model) == 18_241
    published = (config.batch_size, config.sequence_length, config.gradient_clip_val)
    assert published == (1, 1, 1.0)
    assert (config.rate_hz, config.duration_s, config.phase_noise) == (1000.0, 10.0, 0.01)
    assert (config.patience, config.plateau_factor, config.plateau_patience) == (10, 0.5, 5)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_step_of_one_sample_is_what_a_walk_through_many_is(layers: int) -> None:
    torch.manual_seed(0)
    model = SineExtractor(8, layers)
    inputs = torch.randn(20, 4, 5)
    with torch.no_grad():
        together, end = model(inputs, model.fresh_state(4))
        state, single = model.fresh_state(4), []
        for sample in torch.split(inputs, 1):
            predicted, state = model(sample, state)
            single.append(predicted)
    torch.testing.assert_close(torch.cat(single), together)
    torch.testing.assert_close(state, end)


def test_gradients_end_where_a_step_begins(tmp_path: Path) -> None:
    training = begun(tmp_path, gradient_clip_val=None, lr=0.0)
    training._begin_segment()
    (first, first_wanted), (second, second_wanted) = training.steps[0][:2]
    training._step(first, first_wanted)
    state = training.state
    assert all(not item.requires_grad for item in state)
    training._step(second, second_wanted)
    wanted = functional.mse_loss(training.model(second, state)[0], second_wanted)
    gradients = torch.autograd.grad(wanted, list(training.model.parameters()))
    for item, gradient in zip(training.model.parameters(), gradients, strict=True):
        assert item.grad is not None
        torch.testing.assert_close(item.grad, gradient)


def test_a_part_begins_in_the_state_in_which_its_left_neighbour_ended(tmp_path: Path) -> None:
    training = begun(tmp_path, lr=0.0)  # two slots for each of four sines
    training._train_epoch()
    ended = training.state
    training.segment = training.step = 0
    training._begin_segment()
    for before, after in zip(ended, training.state, strict=True):
        assert (after[:, 0::2] == 0).all()
        torch.testing.assert_close(after[:, 1::2], before[:, 0::2])
    assert (ended[0] != 0).any()


@pytest.mark.cpu_isa
def test_with_unchanging_weights_all_slot_counts_see_the_same_errors(tmp_path: Path) -> None:
    found = {}
    for slots in (1, 4, 8):
        steady = {"lr": 0.0, "lr_schedule": "constant", "epochs": 2, "duration_s": 2.0}
        run = trained(tmp_path, batch_size=slots, **steady)
        found[slots] = run.reports[-1][1]
    for slots in (4, 8):
        # From the second epoch on each part begins where the one before it ended.
        assert found[slots]["train_loss"] == pytest.approx(found[1]["train_loss"], rel=1e-5)
        assert found[slots]["val_mse"] == pytest.approx(found[1]["val_mse"], rel=1e-5)
    assert found[1]["train_loss"] == pytest.approx(found[1]["train_mse"], rel=1e-5)


@pytest.mark.cpu_isa
@pytest.mark.slow
def test_it_learns_sines_and_tells_train_from_test(tmp_path: Path) -> None:
    run = trained(tmp_path, hidden_size=24, duration_s=20.0, lr=1e-2, epochs=6)
    assert min(row["val_mse"] for _, row in run.reports) < 0.35, "a guess of 0 has 0.5"
    assert set(run.arrays) == set(SPLITS)
    for predictions, targets in run.arrays.values():
        assert predictions.shape == targets.shape == (4, 1000)
    best = run.facts["best_epoch"]
    assert dict(run.reports)[best]["val_mse"] == min(row["val_mse"] for _, row in run.reports)
    predictions, targets = run.arrays["train"]
    error = float(np.square(predictions.astype(np.float64) - targets).mean())
    assert dict(run.reports)[best]["train_mse"] == pytest.approx(error, rel=1e-6)


def test_data_fraction_is_the_smaller_of_what_run_and_config_say(tmp_path: Path) -> None:
    for of_run, of_config in ((0.25, 1.0), (1.0, 0.25), (0.25, 0.5)):
        run = RecordingRun(tmp_path, data_fraction=of_run)
        trained(tmp_path, run, data_fraction=of_config, epochs=1)
        assert run.facts["effective"]["train_samples"] == 4 * 50
        assert run.arrays["val"][1].shape == (4, 200)
        assert run.arrays["train"][1].shape == (4, 50)


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=0.0, patience=3, epochs=50)
    assert [step for step, _ in run.reports] == [1, 2, 3, 4]
    assert run.facts["best_epoch"] == 1


def test_the_rate_falls_at_a_plateau_and_not_below_its_floor(tmp_path: Path) -> None:
    # A step of 1e-7 is below the improvement that counts as one.
    values = {"lr": 1e-7, "plateau_patience": 0, "lr_floor": 0.25, "patience": None, "epochs": 5}
    rates = [row["lr"] for _, row in trained(tmp_path, **values).reports]
    assert rates[:2] == [1e-7] * 2
    assert rates[-1] == pytest.approx(0.25e-7)
    assert sorted(rates, reverse=True) == rates
    flat = trained(tmp_path, lr_schedule="constant", **values)
    assert {row["lr"] for _, row in flat.reports} == {1e-7}
    for run, kind in ((flat, "constant"), (trained(tmp_path), "plateau")):
        assert declared(run.facts["lr_schedule"]).schedule.kind == kind


@pytest.mark.parametrize("values", [{"layers": 2, "dropout": 0.3}, {"optimizer": "adamw"}])
@pytest.mark.parametrize("stop_at", [2, 4])
def test_stopped_within_an_epoch_it_goes_on_in_the_midst_of_it(
    stop_at: int, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "LOOK_EVERY", 40)
    whole = trained(tmp_path, **values)
    assert whole.looks > 2 * 3
    stopped = trained(tmp_path, RecordingRun(tmp_path, stop_at=stop_at), **values)
    resumed = RecordingRun(tmp_path, saved=stopped.checkpoints[-1])
    trained(tmp_path, resumed, **values)
    assert [*stopped.reports, *resumed.reports] == whole.reports
    for split in SPLITS:
        np.testing.assert_array_equal(resumed.arrays[split][0], whole.arrays[split][0])


def test_a_remedy_goes_on_from_the_checkpoint_with_the_rate_of_its_own_config(
    tmp_path: Path,
) -> None:
    stuck = trained(tmp_path, lr=0.0, patience=2)
    assert [step for step, _ in stuck.reports] == [1, 2, 3]
    remedy = RecordingRun(tmp_path, saved=stuck.checkpoints[-1])
    trained(tmp_path, remedy, lr=3e-3, patience=2, epochs=5)
    assert [step for step, _ in remedy.reports] == [4, 5]
    assert remedy.reports[0][1]["lr"] == 3e-3
    assert remedy.reports[-1][1]["train_mse"] < stuck.reports[-1][1]["train_mse"]


@pytest.mark.parametrize("changed", [{"batch_size": 4}, {"duration_s": 2.0}, {"layers": 1}])
def test_it_goes_on_from_the_midst_of_an_epoch_that_was_cut_otherwise(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    half = begun(tmp_path)
    half._train_epoch()
    half.step, half.segment = 3, 0
    saved = half.state_dict()
    other = begun(tmp_path, **changed)
    other.load_state_dict(saved)
    assert other.step == (3 if changed == {"layers": 1} else 0)
    assert other.fit()
    assert [step for step, _ in other.run.reports] == [1, 2, 3]  # type: ignore[attr-defined]


def test_a_new_schedule_begins_with_the_rate_of_the_config(tmp_path: Path) -> None:
    first = trained(tmp_path, lr=1e-7, plateau_patience=0, patience=None, epochs=4)
    assert first.reports[-1][1]["lr"] < 1e-7
    state = RecordingRun(tmp_path, saved=first.checkpoints[-1]).restore()
    assert state is not None
    del state["scheduler"]
    again = RecordingRun(tmp_path)
    again.checkpoint(state)
    anew = RecordingRun(tmp_path, saved=again.checkpoints[0])
    trained(tmp_path, anew, lr=1e-7, plateau_patience=0, patience=None, epochs=6)
    assert [row["lr"] for _, row in anew.reports] == [1e-7, 1e-7]


def test_a_diverged_run_reports_its_loss_and_ends_without_an_error(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=1e30, gradient_clip_val=None, patience=None)
    assert not math.isfinite(run.reports[-1][1]["train_loss"])
    assert set(run.arrays) == set(SPLITS)


def test_every_epoch_reports_every_metric_and_no_other(tmp_path: Path) -> None:
    for _, values in trained(tmp_path).reports:
        assert set(values) == set(METRICS)
        assert all(type(value) is float for value in values.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_learns_and_resumes(tmp_path: Path) -> None:
    run = RecordingRun(tmp_path, stop_at=3)
    run.device = "cuda"
    trained(tmp_path, run, hidden_size=24, duration_s=20.0, lr=5e-3)
    resumed = RecordingRun(tmp_path, saved=run.checkpoints[-1])
    resumed.device = "cuda"
    trained(tmp_path, resumed, hidden_size=24, duration_s=20.0, lr=5e-3)
    assert resumed.reports[-1][0] == 3
    assert resumed.reports[-1][1]["val_mse"] < 0.45
