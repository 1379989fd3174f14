import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.divergence.schedule.declared import declared
from orchestrator.divergence.schedule.rate_audit import audit
from tests.trainers.eeg.samples import tiny
from trainers.common import checkpoints
from trainers.conformance import conformance
from trainers.eeg import features, metrics, train as training
from trainers.eeg.config import METRICS
from trainers.eeg.probing import class_weights
from trainers.eeg.train import train
from trainers.loading import load_trainer
from trainers.recording import RecordingRun


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    # One cache for the module, as trials of one sweep have it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def trained(directory: Path, *, fraction: float = 1.0, **values: Any) -> RecordingRun:
    run = RecordingRun(directory, data_fraction=fraction)
    train(tiny(**values), run)
    return run


def test_the_trainer_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "TIME_SHARE", math.inf)  # a checkpoint each epoch
    values = {name: value for name, value in vars(tiny(dropout=0.3)).items() if value is not None}
    report = conformance(load_trainer("eeg"), values, tmp_path)
    assert not report.broken, str(report)
    assert len(report.kept) >= 9


@pytest.mark.parametrize("stop_at", [1, 9, 25, 60])
@pytest.mark.parametrize("values", [{"folds": 3, "dropout": 0.4}, {"step_per": "epoch"}])
def test_a_stopped_run_ends_as_one_that_was_never_stopped(
    values: dict[str, Any], stop_at: int, tmp_path: Path
) -> None:
    whole = trained(tmp_path, **values)
    begun = RecordingRun(tmp_path, stop_at=stop_at)
    train(tiny(**values), begun)
    saved = begun.checkpoints[-1] if begun.checkpoints else None
    resumed = RecordingRun(tmp_path, saved=saved)
    train(tiny(**values), resumed)
    assert [*begun.reports, *resumed.reports] == whole.reports
    for part in ("val", "test"):
        np.testing.assert_array_equal(resumed.arrays[part][0], whole.arrays[part][0])


def test_a_run_that_follows_from_another_takes_the_rate_of_its_own_config(tmp_path: Path) -> None:
    begun = RecordingRun(tmp_path, stop_at=25)
    train(tiny(), begun)
    resumed = RecordingRun(tmp_path, saved=begun.checkpoints[-1])
    train(tiny(max_lr=1e-4, weight_decay=0.5), resumed)
    plain = trained(tmp_path, max_lr=1e-4)
    for (_, mine), (_, other) in zip(resumed.reports[::-1], plain.reports[::-1], strict=False):
        assert mine["lr"] == other["lr"]


def test_a_promoted_run_goes_on_with_more_people_at_its_place_of_the_cycle(tmp_path: Path) -> None:
    few = trained(tmp_path, data_fraction=0.4)
    assert few.facts["effective"]["batches_per_epoch"] == 3
    for share, epochs in ((1.0, 6), (0.2, 6)):
        more = RecordingRun(tmp_path, saved=few.checkpoints[-1])
        train(tiny(epochs=epochs, data_fraction=share), more)
        whole = trained(tmp_path, epochs=epochs, data_fraction=share)
        rates = [[found["lr"] for _, found in run.reports] for run in (more, whole)]
        assert rates[0] == rates[1][3:]
    other = RecordingRun(tmp_path, saved=few.checkpoints[-1])
    with pytest.raises(ValueError, match="folds: must be 1, as in the run"):
        train(tiny(folds=3), other)


def test_the_features_are_computed_once_for_all_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    first = trained(tmp_path)

    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(features.encoding, "pretrain", never)
    monkeypatch.setattr(features.encoding, "encode", never)
    again = trained(tmp_path)
    assert again.reports == first.reports
    trained(tmp_path, model="linear", max_lr=0.1, batch_size=4, seed=3)
    with pytest.raises(AssertionError, match="again"):
        trained(tmp_path, layers=2)
    file = Path(first.facts["encoder"]["file"])
    monkeypatch.undo()
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "other"))
    from_file = trained(tmp_path, encoder_path=str(file))
    assert from_file.reports == first.reports
    assert from_file.facts["encoder"]["source"] == "file"


def test_the_encoder_of_a_fold_sees_its_training_subjects_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    seen = []
    real = features.encoding.pretrain

    def watched(encoder: Any, signals: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(signals.copy())
        return real(encoder, signals, *arguments, **named)

    monkeypatch.setattr(features.encoding, "pretrain", watched)
    config = tiny(folds=3)
    train(config, RecordingRun(tmp_path))
    windows = training.load(config)
    folds = training.make_folds(windows, folds=3, seed=0)
    assert len(seen) == 3
    for fold, signals in zip(folds, seen, strict=True):
        np.testing.assert_array_equal(signals, windows.signals[fold.train])


@pytest.mark.parametrize(("values", "cause"), [({}, None), ({"step_per": "epoch"}, "per epoch")])
def test_the_audit_of_the_schedule_sees_the_wrong_step_and_that_alone(
    values: dict[str, Any], cause: str | None, tmp_path: Path
) -> None:
    run = trained(tmp_path, epochs=30, pct_start=0.1, batch_size=16, **values)
    rates = [(step, found["lr"]) for step, found in run.reports]
    faults = audit(rates, declared(run.facts["lr_schedule"]), last_step=30)
    assert next((fault.kind for fault in faults), None) == cause


def test_the_published_cycle_begins_peaks_and_ends_where_it_should(tmp_path: Path) -> None:
    run = trained(tmp_path, epochs=20, batch_size=54)  # one batch an epoch
    rates = [found["lr"] for _, found in run.reports]
    assert rates[0] == pytest.approx(1.2e-4)
    assert max(rates) == pytest.approx(3e-3)
    assert rates[-1] == pytest.approx(1.2e-7)
    assert run.facts["effective"]["last_lr"] == pytest.approx(1.2e-7)


def test_reports_are_of_the_arrays_and_the_best_epoch_predicts(tmp_path: Path) -> None:
    run = trained(tmp_path, epochs=12, max_lr=0.03)
    assert all(set(found) == set(METRICS) for _, found in run.reports)
    best = max(found["val_auroc"] for _, found in run.reports)
    assert metrics.evaluate(*run.arrays["val"])["auroc"] == pytest.approx(best)
    assert dict(run.reports)[run.facts["best_epoch"]]["val_auroc"] == best


def test_every_window_is_tested_once_with_folds(tmp_path: Path) -> None:
    run = trained(tmp_path, folds=5)
    probabilities, labels = run.arrays["test"]
    assert len(probabilities) == 15 * 6
    np.testing.assert_array_equal(labels, [0, 0, 0, 1, 1, 1] * 15)  # in the order of the windows
    assert run.facts["windows"]["subjects"] == {"train": [9] * 5, "val": [3] * 5, "test": [3] * 5}


def test_the_baseline_is_the_same_whatever_the_seed_and_predicts_the_same_windows(
    tmp_path: Path,
) -> None:
    one, other = (trained(tmp_path, model="bandpower", seed=seed) for seed in (0, 5))
    probe = trained(tmp_path)
    assert one.reports == other.reports
    assert [step for step, _ in one.reports] == [1]
    for part in ("val", "test"):
        np.testing.assert_array_equal(one.arrays[part][1], probe.arrays[part][1])
    assert one.reports[0][1]["val_auroc"] == metrics.evaluate(*one.arrays["val"])["auroc"]


@pytest.mark.parametrize(("epochs", "pct_start"), [(10, 0.1), (1, 0.5), (4, 0.25), (2, 0.0)])
def test_a_cycle_whose_rise_has_no_length_is_one_all_the_same(
    epochs: int, pct_start: float, tmp_path: Path
) -> None:
    run = trained(tmp_path, epochs=epochs, pct_start=pct_start, batch_size=54)
    rates = [found["lr"] for _, found in run.reports]
    assert len(rates) == epochs
    assert max(rates) <= 3e-3 * (1 + 1e-6)
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


@pytest.mark.slow
@pytest.mark.cpu_isa
def test_a_tiny_rate_learns_less_than_a_good_one(tmp_path: Path) -> None:
    values = {"subjects": 40, "pretrain_epochs": 3, "width": 16, "epochs": 40}
    losses = {
        rate: trained(tmp_path, max_lr=rate, **values).reports[-1][1]["train_loss"]
        for rate in (1e-5, 1e-2)
    }
    # Seeds lie 0.16 to 0.21 apart.
    assert losses[1e-2] < losses[1e-5] - 0.08


@pytest.mark.cpu_isa
def test_a_diverged_run_reports_its_loss_and_does_not_break(tmp_path: Path) -> None:
    run = trained(tmp_path, max_lr=1e30, gradient_clip_val=None)
    assert not math.isfinite(run.reports[-1][1]["train_loss"])


def test_class_weights_make_both_classes_weigh_alike() -> None:
    labels = torch.tensor([0] * 9 + [1])
    weights = class_weights(labels, even=True)
    assert weights[0] * 9 == pytest.approx(weights[1].item())
    assert weights[labels].mean().item() == pytest.approx(1.0)
    assert class_weights(labels, even=False).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"heads": 3}, "heads: must divide width = 8"),
        ({"patch_s": 5.0}, "patch_s"),
        ({"folds": 2}, "folds: must be 1"),
        ({"encoder_path": "absent.npz"}, "encoder_path"),
        ({"data_path": "absent.npz"}, "data_path"),
    ],
)
def test_values_that_do_not_fit_together_are_told(
    values: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        trained(tmp_path, **values)
