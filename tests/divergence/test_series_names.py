"""Which reported name is the training loss."""

from __future__ import annotations

import pytest

from orchestrator.divergence.series.series_names import (
    best_training_name,
    is_validation,
    is_validation_loss,
    training_rank,
)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["val_loss", "train_loss", "loss"], "train_loss"),
        (["loss", "train_aux_loss"], "loss"),
        (["train_loss_step", "train_loss_epoch"], "train_loss_epoch"),
        (["train_edc_loss", "train_edc_aux_loss"], "train_edc_loss"),
        (["train/loss", "val/loss"], "train/loss"),
        (["Train_Loss"], "Train_Loss"),
        (["val_loss", "test_loss", "closs", "loss_weight", "train_mae"], None),
        ([], None),
    ],
)
def test_best_training_name(names: list[str], expected: str | None) -> None:
    found = best_training_name(names)
    assert (found[1] if found else None) == expected
    again = best_training_name(reversed(names))
    assert again == found


@pytest.mark.parametrize(
    "name", ["val_loss", "valid_loss", "val/loss", "validation_loss", "eval_loss"]
)
def test_validation_losses(name: str) -> None:
    assert is_validation_loss(name)
    assert training_rank(name) is None


@pytest.mark.parametrize("name", ["value_loss", "train_loss", "interval", "loss"])
def test_what_is_no_validation(name: str) -> None:
    assert not is_validation(name)
