"""Training: it learns, it repeats, and it goes on from any checkpoint as if it had not stopped."""

from __future__ import annotations

import io
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainers.edc.local_run import LocalRun
from tests.trainers.speech.made import tiny, trained
from trainers.common.progress import Clock
from trainers.speech import metrics
from trainers.speech.config import METRICS
from trainers.speech.data import load
from trainers.speech.train import Training, train


def same(first: LocalRun, second: LocalRun) -> None:
    assert first.reports == second.reports
    assert set(first.arrays) == set(second.arrays) == {"train", "val", "test"}
    for split, (predicted, targets) in first.arrays.items():
        for mine, others in (
            (predicted, second.arrays[split][0]),
            (targets, second.arrays[split][1]),
        ):
            assert [part.tolist() for part in mine] == [part.tolist() for part in others]


def test_reports_come_every_few_batches_with_every_metric(tmp_path: Path) -> None:
    run = trained(tmp_path, batches=10)
    assert list(run.reports) == [4, 8, 10]
    for values in run.reports.values():
        assert set(values) == set(METRICS)
        assert all(type(value) is float for value in values.values())
    assert not [item for item in threading.enumerate() if item.name.startswith("batches")]


@pytest.mark.slow
@pytest.mark.cpu_isa
def test_it_learns_what_is_easy(tmp_path: Path) -> None:
    run = trained(
        tmp_path,
        difficulty=0.0,
        sentences=120,
        batches=90,
        eval_every=30,
        batch_size=16,
        gru_layers=1,
        gru_hidden=24,
        dropout=0.0,
        lr=0.02,
        white_noise=0.1,
    )
    reports = list(run.reports.values())
    # Seeds end at up to 0.15 of the first loss, with an error rate of up to 0.11.
    assert reports[-1]["train_loss"] < 0.4 * reports[0]["train_loss"]
    found = metrics.evaluate(*run.arrays["test"])
    assert found["per"] < 0.3, "the untrained network makes 1.0"


def test_the_best_state_predicts(tmp_path: Path) -> None:
    run = trained(tmp_path, batches=24, lr=0.05, white_noise=0.0)
    best = min(run.reports, key=lambda step: run.reports[step]["val_per"])
    assert run.facts["best_step"] == best
    predicted, targets = run.arrays["val"]
    found = metrics.evaluate(predicted, targets)
    assert found["per"] == run.reports[best]["val_per"]
    assert len(predicted) == len(targets) == run.facts["effective"]["val_sentences"]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first = trained(tmp_path, time_mask_prob=0.5, seed=3)
    same(first, trained(tmp_path, time_mask_prob=0.5, seed=3))
    other = trained(tmp_path, time_mask_prob=0.5, seed=4)
    assert first.reports != other.reports


WHOLE = (
    {"lr_schedule": "cosine", "input_dropout": 0.1, "time_mask_prob": 0.5, "layer_norm": True},
    {"lr_schedule": "plateau", "plateau_patience": 0, "optimizer": "adamw", "eval_every": 2},
    {"precision": 16, "lr_schedule": "linear", "warmup_batches": 3},
)


@pytest.fixture(scope="module", params=WHOLE, ids=lambda values: values["lr_schedule"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], LocalRun]:
    """The settings of a run and the run itself, which never stopped."""
    return request.param, trained(tmp_path_factory.mktemp("whole"), **request.param)


@pytest.mark.cpu_isa
@pytest.mark.parametrize("stop_after", [4, 7])
def test_a_stopped_run_goes_on_to_the_result_of_one_that_never_stopped(
    whole: tuple[dict[str, Any], LocalRun], stop_after: int, tmp_path: Path
) -> None:
    values, ended = whole
    begun = trained(tmp_path, stop_after=stop_after, **values)
    assert not begun.arrays
    assert begun.saved is not None
    resumed = LocalRun(tmp_path, saved=begun.saved)
    resumed.reports = begun.reports
    train(tiny(**values), resumed)
    same(ended, resumed)
    assert resumed.facts["best_step"] == ended.facts["best_step"]


def test_a_run_resumed_after_its_end_predicts_without_training_again(tmp_path: Path) -> None:
    whole = trained(tmp_path)
    again = LocalRun(tmp_path, saved=whole.saved)
    train(tiny(), again)
    assert not again.reports
    again.reports = whole.reports
    same(whole, again)


def test_another_config_goes_on_from_the_state_of_this_one(tmp_path: Path) -> None:
    quick = trained(tmp_path, batches=6, data_fraction=0.5, weight_decay=0.1, eps=0.5)
    assert quick.saved is not None
    whole = torch.load(io.BytesIO(quick.saved), weights_only=True)
    anew = {name: value for name, value in whole.items() if name != "scheduler"}
    values = {"batches": 14, "lr": 1e-3, "lr_schedule": "linear", "lr_floor": 0.0}
    for state in (whole, anew):
        resumed = LocalRun(tmp_path)
        resumed.checkpoint(state)
        train(tiny(**values), resumed)
        assert list(resumed.reports) == [8, 12, 14]
        effective = resumed.facts["effective"]
        assert (effective["eps"], effective["weight_decay"]) == (1e-8, 1e-5)
        assert effective["lr"] == 1e-3
        done = (8 - 1 - 6) / 8 if state is anew else (8 - 1) / 14
        assert resumed.reports[8]["lr"] == pytest.approx(1e-3 * (1 - done))


def test_a_state_that_is_not_finite_does_not_replace_one_that_is(tmp_path: Path) -> None:
    run = LocalRun(tmp_path)
    config = tiny()
    training = Training(config, run, load(config, data_fraction=1.0), Clock())
    training._save()
    kept = run.saved
    with torch.no_grad():
        training.model.out.bias.fill_(math.nan)
    training._save()
    assert run.saved is kept is not None


def test_a_diverged_run_reports_its_loss_and_ends_without_an_error(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=1e30, eps=1e-8, gradient_clip_val=0.0)
    assert not math.isfinite(run.reports[12]["train_loss"])
    assert set(run.arrays) == {"train", "val", "test"}


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    run = trained(tmp_path, lr=0.0, patience=2, eval_every=1, batches=50)
    assert max(run.reports) == run.facts["best_step"] + 2


def test_budgets_in_epochs_and_in_none(tmp_path: Path) -> None:
    run = trained(tmp_path, batches=None, epochs=2, sentences=30)
    per_epoch = run.facts["effective"]["batches_per_epoch"]
    assert run.facts["total_steps"] == max(run.reports) == 2 * per_epoch
    assert run.facts["epochs_done"] == 2.0
    with pytest.raises(ValueError, match="give at least one"):
        trained(tmp_path, batches=None, epochs=None)


@pytest.mark.parametrize("clip", [0.0, None, 1e-3])
def test_clipping_can_be_left_out_and_norms_are_those_before(
    clip: float | None, tmp_path: Path
) -> None:
    run = trained(tmp_path, gradient_clip_val=clip, eps=1.0, lr=1e-6)
    free = trained(tmp_path, gradient_clip_val=None, eps=1.0, lr=1e-6)
    # Steps so small leave the gradients as they are, clipped or not.
    assert run.reports[12]["grad_norm"] == pytest.approx(free.reports[12]["grad_norm"], rel=1e-2)
    assert run.facts["effective"]["gradient_clip_val"] == (clip or None)


@pytest.mark.cpu_isa
def test_facts_are_read_back_from_the_live_objects(tmp_path: Path) -> None:
    run = trained(tmp_path, optimizer="adamw", eps=0.25, weight_decay=0.01, precision=16, lr=0.5)
    effective = run.facts["effective"]
    assert (effective["optimizer"], effective["eps"]) == ("adamw", 0.25)
    assert (effective["lr"], effective["weight_decay"]) == (0.5, 0.01)
    # Not every CPU computes every layer in 16 bits.
    wanted = (32, "float32") if run.warnings else (16, "bfloat16")
    assert (effective["precision"], effective["forward_type"]) == wanted
    assert (effective["channels"], effective["classes"], effective["days"]) == (6, 6, 2)
    assert effective["threads"] == 1
    assert run.facts["data"] == {"kind": "phonemes"}
    assert {"seconds_per_batch", "training_s", "evaluation_s"} <= set(run.facts["timing"])


@pytest.mark.parametrize(("of_run", "of_config"), [(0.25, 1.0), (1.0, 0.25), (0.25, 0.25)])
def test_the_smaller_data_fraction_counts_once(
    of_run: float, of_config: float, tmp_path: Path
) -> None:
    run = LocalRun(tmp_path)
    run.data_fraction = of_run
    train(tiny(data_fraction=of_config, batches=1), run)
    whole = trained(tmp_path, batches=1)
    sizes = run.facts["effective"], whole.facts["effective"]
    assert sizes[0]["train_sentences"] == round(0.25 * sizes[1]["train_sentences"])
    assert sizes[0]["val_sentences"] == sizes[1]["val_sentences"]


@pytest.mark.cpu_isa
def test_evaluation_does_not_depend_on_how_sentences_are_batched(tmp_path: Path) -> None:
    few = trained(tmp_path, eval_batch_size=1, batches=4)
    many = trained(tmp_path, eval_batch_size=64, batches=4)
    # Where two classes are as likely but for rounding, one phoneme may differ.
    assert few.reports[4]["val_per"] == pytest.approx(many.reports[4]["val_per"], abs=0.05)
    # PyTorch's mean over a batch divides each sentence by its phonemes first.
    assert few.reports[4]["val_loss"] == pytest.approx(many.reports[4]["val_loss"], rel=1e-5)


def test_targets_are_the_sentences_of_the_split(tmp_path: Path) -> None:
    run = trained(tmp_path, batches=1)
    for _, targets in run.arrays.values():
        assert all(isinstance(text, np.ndarray) and len(text) for text in targets)
        assert max(int(text.max()) for text in targets) <= 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_half_precision_on_a_gpu_scales_its_loss_and_resumes(tmp_path: Path) -> None:
    values = {"precision": 16, "batches": 60, "eval_every": 20}
    begun = LocalRun(tmp_path)
    begun.device = "cuda"
    begun.stop_after = 33
    train(tiny(**values), begun)
    resumed = LocalRun(tmp_path, saved=begun.saved)
    resumed.device = "cuda"
    train(tiny(**values), resumed)
    assert resumed.facts["effective"]["forward_type"] == "float16"
    assert math.isfinite(resumed.reports[60]["val_loss"])
