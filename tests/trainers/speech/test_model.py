"""The network: what each layer does, and that sentences do not see each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.trainers.speech.made import tiny
from trainers.base import build
from trainers.speech.config import PRESETS, Config
from trainers.speech.model import (
    DayLayer,
    Smoothing,
    SpeechModel,
    count_parameters,
    ctc_loss,
    greedy_phonemes,
)


def model(**values: Any) -> SpeechModel:
    torch.manual_seed(0)
    return SpeechModel(tiny(**values), channels=6, classes=4, days=2).eval()


@pytest.mark.parametrize("size", [1, 5, 20])
def test_smoothing_keeps_length_and_level_and_spreads_a_peak(size: int) -> None:
    smoothing = Smoothing(2.0, size)
    assert smoothing.kernel.sum().item() == pytest.approx(1.0)
    signal = torch.zeros(2, 60, 3)
    signal[0, 30, 1] = 1.0
    smooth = smoothing(signal)
    assert smooth.shape == signal.shape
    assert smooth[0, :, 1].sum().item() == pytest.approx(1.0)
    assert not smooth[1].any()
    assert not smooth[0, :, [0, 2]].any()
    assert torch.allclose(smoothing(torch.ones(1, 60, 2))[:, 20:40], torch.ones(1, 20, 2))


def test_a_day_layer_begins_as_softsign_and_days_have_their_own() -> None:
    layer = DayLayer(3, 4)
    signal = torch.randn(3, 5, 4)
    days = torch.tensor([2, 0, 2])
    assert torch.allclose(layer(signal, days), functional.softsign(signal))
    with torch.no_grad():
        layer.weight[2] *= 2
        layer.bias[2] += 1
    out = layer(signal, days)
    assert torch.allclose(out[1], functional.softsign(signal[1]))
    assert torch.allclose(out[0], functional.softsign(2 * signal[0] + 1), atol=1e-6)


def test_frames_follow_the_formula_and_are_at_least_one() -> None:
    network = model(unfold_kernel=32)
    bins = torch.tensor([1, 32, 35, 36, 40, 432])
    assert network.frames(bins).tolist() == [1, 1, 1, 1, 2, 100]


@pytest.mark.parametrize("values", [{}, {"layer_norm": True, "bidirectional": False}])
def test_what_a_sentence_gives_does_not_depend_on_its_neighbours(values: dict[str, Any]) -> None:
    network = model(**values)
    signal = torch.randn(3, 80, 6)
    bins, days = torch.tensor([80, 30, 45]), torch.tensor([0, 1, 1])
    for row, size in enumerate(bins.tolist()):
        signal[row, size:] = 0
    together = network(signal, bins, days)
    assert together.shape == (3, 18, 4)
    for row, size in enumerate(bins.tolist()):
        alone = network(
            signal[row : row + 1, : max(size, 12)], bins[row : row + 1], days[row : row + 1]
        )
        frames = int(network.frames(bins)[row])
        assert torch.allclose(together[row, :frames], alone[0, :frames], atol=1e-6)


def test_parts_can_be_left_out() -> None:
    network = model(smoothing_sigma=0.0, day_layer=False, layer_norm=True, gru_layers=1)
    assert network.smoothing is None
    assert network.day_layer is None
    assert network.norm is not None
    signal = torch.randn(1, 40, 6)
    frames = network.frames(torch.tensor([40]))
    assert network(signal, torch.tensor([40]), torch.tensor([0])).shape == (1, int(frames), 4)


def test_input_dropout_acts_in_training_alone() -> None:
    network = model(input_dropout=0.9, dropout=0.0)
    inputs = (torch.randn(1, 40, 6), torch.tensor([40]), torch.tensor([0]))
    assert torch.equal(network(*inputs), network(*inputs))
    network.train()
    assert not torch.equal(network(*inputs), network(*inputs))


def test_the_published_size() -> None:
    config = build(Config, PRESETS, {"preset": "paper"})
    with torch.device("meta"):
        network = SpeechModel(config, channels=256, classes=41, days=24)
    width, hidden = 256 * 32, 1024
    gru = 2 * 3 * hidden * (width + hidden + 2) + 4 * 2 * 3 * hidden * (2 * hidden + hidden + 2)
    assert count_parameters(network) == gru + 24 * (256 * 256 + 256) + 2 * hidden * 41 + 41


def test_greedy_reading_drops_repetitions_blanks_and_padding() -> None:
    best = torch.tensor([[0, 1, 1, 0, 1, 2], [3, 3, 0, 0, 2, 2], [0, 0, 0, 0, 0, 0]])
    logits = functional.one_hot(best, 4).float()
    phonemes, counts = greedy_phonemes(logits, torch.tensor([6, 4, 6]))
    assert phonemes.tolist() == [1, 1, 2, 3]
    assert counts.tolist() == [3, 1, 0]


def test_the_loss_is_the_negative_logarithm_of_all_alignments() -> None:
    logits = torch.randn(1, 2, 3)
    chances = logits[0].softmax(-1)
    # Phoneme 2 in two frames: (2, 2), (blank, 2), (2, blank).
    both = chances[0, 2] * (chances[1, 2] + chances[1, 0]) + chances[0, 0] * chances[1, 2]
    loss = ctc_loss(logits, torch.tensor([2]), torch.tensor([[2]]), torch.tensor([1]))
    assert loss.item() == pytest.approx(-both.log().item(), rel=1e-5)


def test_a_sentence_that_cannot_be_aligned_moves_nothing() -> None:
    logits = torch.randn(1, 2, 3, requires_grad=True)
    loss = ctc_loss(logits, torch.tensor([2]), torch.tensor([[1, 2, 1]]), torch.tensor([3]))
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.any()
