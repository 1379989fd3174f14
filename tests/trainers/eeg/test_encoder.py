from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.eeg.samples import made
from trainers.cache import Interrupted
from trainers.eeg import encoder as encoding
from trainers.eeg.encoder import Encoder, encode, in_patches, places_of, pretrain

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def new(seed: int = 0, patch: int = 16) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(patch, rate_hz=64.0, width=16, layers=1, heads=2, summary_tokens=3)


def taught(encoder: Encoder, epochs: int = 6, seed: int = 0) -> list[float]:
    windows = made(6, 6)
    return pretrain(
        encoder,
        windows.signals,
        windows.channels,
        epochs=epochs,
        lr=5e-3,
        mask_share=0.4,
        batch_size=8,
        seed=seed,
        device=CPU,
    )


def test_patches_keep_channels_apart_and_follow_time() -> None:
    signals = torch.arange(2 * 3 * 10).reshape(2, 3, 10).float()
    patches = in_patches(signals, 4)
    assert patches.shape == (4, 3, 4)
    assert torch.equal(patches[1], signals[0, :, 4:8])
    assert torch.equal(patches[2], signals[1, :, :4])


def test_features_are_the_mean_over_patches_however_they_are_batched() -> None:
    windows, encoder = made(), new()
    whole, parts = (
        encode(encoder, windows.signals, windows.channels, device=CPU, batch_size=size)
        for size in (256, 7)
    )
    assert whole.shape == (len(windows), 16)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    places = places_of(windows.channels)
    with torch.no_grad():
        each = [
            encoder(torch.from_numpy(windows.signals[:1, :, start : start + 16]), places[None])
            for start in range(0, 64, 16)
        ]
    np.testing.assert_allclose(whole[0], torch.cat(each).mean(dim=0).numpy(), atol=1e-5)


def test_channels_are_known_by_name_and_not_by_their_order() -> None:
    windows, encoder = made(), new()
    plain = encode(encoder, windows.signals, windows.channels, device=CPU, batch_size=64)
    order = [3, 0, 4, 2, 1]
    names = [windows.channels[index] for index in order]
    turned = np.ascontiguousarray(windows.signals[:, order])
    again = encode(encoder, turned, names, device=CPU, batch_size=64)
    np.testing.assert_allclose(plain, again, atol=1e-5)
    swapped = encode(encoder, turned, windows.channels, device=CPU, batch_size=64)
    assert np.abs(plain - swapped).max() > 1e-3


def test_pre_training_learns_hidden_channels_and_depends_on_its_seed_alone() -> None:
    first, again, other = new(), new(), new()
    losses = taught(first)
    assert losses[-1] < 0.9 * losses[0]
    torch.manual_seed(99)
    assert taught(again) == losses
    assert taught(other, seed=1) != losses
    for one, two in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_pre_training_leaves_the_generator_of_the_probe_alone() -> None:
    encoder = new()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    taught(encoder, epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_pre_training_and_encoding_can_be_stopped() -> None:
    windows, encoder = made(), new()
    with pytest.raises(Interrupted):
        encode(
            encoder,
            windows.signals,
            windows.channels,
            device=CPU,
            batch_size=8,
            should_stop=lambda: True,
        )


def test_weights_of_a_file_are_the_ones_that_were_kept(tmp_path: Path) -> None:
    encoder, other = new(1), new(2)
    path = tmp_path / "encoder.npz"
    np.savez(path, settings=np.array("{}"), **encoding.weights_of(encoder))
    encoding.set_weights(other, encoding.read_weights(path), str(path))
    for one, two in zip(encoder.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match=r"must be \(16, 8\) \(found"):
        encoding.set_weights(new(patch=8), encoding.read_weights(path), str(path))
    with pytest.raises(ValueError, match="not the weights"):
        encoding.set_weights(other, {"x": np.zeros(1)}, str(path))


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle"])
def test_a_file_that_holds_no_weights_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "encoder.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="encoder_path: "):
        encoding.read_weights(path)


def test_a_flat_channel_has_features_too() -> None:
    windows, encoder = made(), new()
    windows.signals[:, 2] = 0.0
    found = encode(encoder, windows.signals, windows.channels, device=CPU, batch_size=64)
    assert np.isfinite(found).all()
