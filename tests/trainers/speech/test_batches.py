"""Batches: padded right, the same for the same number, and no thread stays behind."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from tests.trainers.speech.made import corpus, tiny
from trainers.speech.batches import Augmentation, Batch, Order, Prefetch, Sentences

TEXTS = [[1], [2, 3], [1, 2, 3], [3], [2, 2, 1, 1]]


def test_a_batch_holds_each_sentence_and_zeros_after_it() -> None:
    sentences = Sentences(corpus(*TEXTS), least_bins=8)
    batch = sentences.batch(np.array([4, 0, 2]))
    assert batch.signal.shape == (3, 20, 3)
    assert batch.bins.tolist() == [20, 5, 15]
    assert batch.phonemes.tolist() == [[2, 2, 1, 1], [1, 0, 0, 0], [1, 2, 3, 0]]
    assert batch.counts.tolist() == [4, 1, 3]
    assert batch.days.tolist() == [0, 0, 0]
    assert batch.signal[1, :, 0].tolist() == [1.0] * 5 + [0.0] * 15
    assert batch.signal[2, ::5, 1].tolist() == [1.0, 2.0, 3.0, 0.0]
    assert sentences.batch(np.array([0])).signal.shape == (1, 8, 3)


def test_making_a_batch_leaves_the_sentences_as_they_are() -> None:
    whole = corpus(*TEXTS)
    before = whole.features.copy()
    Sentences(whole, least_bins=8).batch(np.arange(5)).signal.fill_(9.0)
    assert np.array_equal(whole.features, before)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_goes_through_every_sentence_once(n: int, size: int, seed: int) -> None:
    whole = replace(corpus(*[[1]] * n), lengths=np.random.default_rng(n).integers(1, 50, size=n))
    order = Order(Sentences(whole, least_bins=1), batch_size=size, seed=seed)
    again = Order(Sentences(whole, least_bins=1), batch_size=size, seed=seed)
    for epoch in range(2):
        numbers = range(epoch * order.per_epoch, (epoch + 1) * order.per_epoch)
        rows = [order.rows(number) for number in numbers]
        assert sorted(np.concatenate(rows).tolist()) == list(range(n))
        assert max(map(len, rows)) <= size
        # A batch needs no knowledge of those before it.
        for number in reversed(numbers):
            assert np.array_equal(again.rows(number), order.rows(number))


def test_no_two_epochs_and_no_two_seeds_have_the_same_batches() -> None:
    whole = replace(corpus(*[[1]] * 24), lengths=10 + np.arange(24))
    found = []
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        order = Order(Sentences(whole, least_bins=1), batch_size=8, seed=seed)
        found.append({frozenset(order.rows(3 * epoch + place).tolist()) for place in range(3)})
    assert found[0] != found[1]
    assert found[0] != found[2]


def test_batches_hold_sentences_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(10, 400, size=256)
    whole = replace(corpus(*[[1]] * 256), lengths=lengths)
    order = Order(Sentences(whole, least_bins=1), batch_size=16, seed=0)
    longest = sum(int(lengths[order.rows(number)].max()) * 16 for number in range(16))
    assert longest < 1.15 * lengths.sum(), "more than a seventh would be padding"


def test_evaluation_sees_every_sentence_once_the_longest_first() -> None:
    sentences = Sentences(corpus(*TEXTS), least_bins=1)
    batches = sentences.by_length(2)
    assert [rows.tolist() for rows in batches] == [[4, 2], [1, 0], [3]]


def threads() -> list[str]:
    return [item.name for item in threading.enumerate() if item.name.startswith("batches")]


def made(number: int) -> Batch:
    if number == 5:
        raise ValueError("five cannot be made")
    return Sentences(corpus([number + 1]), least_bins=1).batch(np.array([0]))


def test_prefetching_keeps_the_order_and_leaves_no_thread() -> None:
    with Prefetch(made, range(1, 5)) as items:
        assert threads()
        assert [int(item.phonemes[0, 0]) for item in items] == [2, 3, 4, 5]
    assert not threads()
    with Prefetch(made, range(0)) as items:
        assert list(items) == []
    with Prefetch(made, range(100)) as items:
        next(iter(items))
    assert not threads()


def test_an_error_in_the_thread_arrives_and_ends_it() -> None:
    with pytest.raises(ValueError, match="five cannot be made"), Prefetch(made, range(9)) as items:
        list(items)
    assert not threads()


def augmented(number: int = 0, bins: int = 400, **values: object) -> torch.Tensor:
    config = tiny(**{"white_noise": 0.0, "constant_offset": 0.0, **values})
    signal = torch.ones(64, 400, 5)
    lengths = torch.full((64,), bins)
    signal[:, bins:] = 0
    return Augmentation(config, torch.device("cpu"))(signal, lengths, number)


def test_noise_and_offset_have_the_strength_that_is_asked_for() -> None:
    assert torch.equal(augmented(), torch.ones(64, 400, 5))
    noisy = augmented(white_noise=0.5) - 1
    assert noisy.std().item() == pytest.approx(0.5, rel=0.02)
    offset = augmented(constant_offset=0.5) - 1
    assert torch.equal(offset, offset[:, :1].expand_as(offset))
    assert offset[:, 0].std().item() == pytest.approx(0.5, rel=0.15)


def test_padding_stays_zero_and_draws_hang_on_seed_and_number() -> None:
    noisy = augmented(bins=300, white_noise=0.5, constant_offset=0.5)
    assert not noisy[:, 300:].any()
    assert torch.equal(noisy, augmented(bins=300, white_noise=0.5, constant_offset=0.5))
    assert not torch.equal(augmented(white_noise=0.5), augmented(1, white_noise=0.5))
    assert not torch.equal(augmented(white_noise=0.5), augmented(white_noise=0.5, seed=1))


def test_masks_hide_as_often_and_as_much_as_they_should() -> None:
    hidden = augmented(time_mask_prob=0.5, time_mask_width=15)[..., 0] == 0
    widths = hidden.sum(1)
    assert 0.3 < (widths > 0).float().mean() < 0.7
    assert widths.max() == 15
    assert widths[widths > 0].float().mean().item() == pytest.approx(8, abs=2)
    # One mask is one piece.
    assert ((hidden[:, 1:] & ~hidden[:, :-1]).sum(1) + hidden[:, 0] <= 1).all()
    many = augmented(time_mask_prob=1.0, time_mask_width=15, time_mask_max=4)[..., 0] == 0
    assert many.sum(1).max() > 15
    short = augmented(time_mask_prob=1.0, time_mask_width=50, bins=10)[..., 0]
    assert (short[:, :10].sum(1) < 10).all()
