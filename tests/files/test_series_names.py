"""What a series is, by names as many tools write them."""

from __future__ import annotations

import pytest

from orchestrator.files.series_names import (
    best_training_name,
    best_validation_name,
    is_rate,
    is_validation,
    ranking_order,
    split_of,
    training_rank,
    with_split,
)
from orchestrator.metrics import goal


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["val_loss", "train_loss", "loss"], "train_loss"),
        (["loss", "train_aux_loss"], "loss"),
        (["train_loss_step", "train_loss_epoch"], "train_loss_epoch"),
        (["train_edc_loss", "train_edc_aux_loss"], "train_edc_loss"),
        (["train/loss", "val/loss"], "train/loss"),
        (["Train_Loss"], "Train_Loss"),
        (["train_mae", "loss"], "loss"),
        (["train_mae", "val_mae"], "train_mae"),
        (["val_loss", "test_loss", "closs", "loss_weight"], None),
        ([], None),
    ],
)
def test_best_training_name(names: list[str], expected: str | None) -> None:
    found = best_training_name(names)
    assert (found[1] if found else None) == expected
    assert best_training_name(reversed(names)) == found


TRAINING = """train_loss|Loss/train|losses/train|Training loss|tr_loss|loss_train|trainLoss
TrainLoss|train-loss|TRAIN LOSS|loss train|Train Loss (MSE)|train.loss|trn_loss"""


@pytest.mark.parametrize("name", TRAINING.replace("\n", "|").split("|"))
def test_one_training_loss_by_many_names(name: str) -> None:
    rank = training_rank(name)
    assert rank is not None
    assert rank[0] == 0
    assert not is_validation(name)


@pytest.mark.parametrize("name", ["train_mse", "mse/train", "train-rmse", "Train MAE", "train_l2"])
def test_errors_stand_in_for_the_loss(name: str) -> None:
    rank = training_rank(name)
    assert rank is not None
    assert rank[0] == 3


@pytest.mark.parametrize(
    "name",
    [
        *("val_loss", "valid_loss", "val/loss", "validation_loss", "eval_loss", "loss_val"),
        *("ValLoss", "Loss/valid", "losses/val", "Validation Loss", "dev_loss", "test-loss"),
        *("val_mse", "valMAE", "validation_0-rmse", "valid_0's l2", "eval/loss_epoch"),
    ],
)
def test_validation_losses(name: str) -> None:
    assert best_validation_name([name, "train_loss"]) is not None
    assert training_rank(name) is None


@pytest.mark.parametrize(
    "name", ["value_loss", "train_loss", "interval", "loss", "latest", "std_dev", "devices"]
)
def test_what_is_no_validation(name: str) -> None:
    assert not is_validation(name)


def test_a_loss_is_preferred_to_an_error() -> None:
    assert best_validation_name(["val_mae", "val_loss"]) == ((0, False, 8, "val_loss"), "val_loss")


def test_splits_and_rates() -> None:
    assert [split_of(name) for name in ("mAP/val", "testAcc", "learn", "acc")] == [
        *("val", "test", "train", "")
    ]
    assert with_split("val", "Loss") == "val_Loss"
    assert with_split("val", "train_loss") == "train_loss"
    assert with_split("train", "lr") == "lr"
    assert all(map(is_rate, ("lr", "lr-Adam", "LearningRate", "Learning Rate", "lr/pg0")))
    assert not any(map(is_rate, ("", "clr", "rate", "mlr_loss")))


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["test_accuracy", "val_loss"], "val_loss"),  # test data is for judging, not for choosing
        (["best_val_accuracy", "accuracy"], "accuracy"),
        (["val_foo", "val_loss"], "val_loss"),
        (["train_loss", "val_loss", "val_acc"], "val_acc"),
        (["val_loss", "metrics/precision(B)", "metrics/mAP50-95(B)", "metrics/mAP50(B)"],
         "metrics/mAP50(B)"),
        (["lr", "reward"], "reward"),
        (["train_acc", "acc"], "acc"),
    ],
)  # fmt: skip
def test_runs_are_ranked_by_what_shows_most(names: list[str], first: str) -> None:
    def order(name: str) -> tuple[object, ...]:
        return ranking_order(name, has_goal=goal(name) is not None)

    assert min(names, key=order) == first  # type: ignore[type-var]
