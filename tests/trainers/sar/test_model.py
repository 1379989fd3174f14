import pytest
import torch
from torch import nn

from trainers.base import build
from trainers.sar.blocks import Spread
from trainers.sar.config import PRESETS, Config
from trainers.sar.model import SHRINK, count_parameters, make_model

MODELS = ["baseline", "resnet_lite", "residual", "attention"]


def config(**values: object) -> Config:
    return build(Config, PRESETS, values)


@pytest.mark.parametrize(
    ("model", "base_channels", "expected"),
    [
        # The counts that AdamDuffyCastaldo/CNNAutoencoderProject records for its networks.
        ("baseline", None, 2_257_809),
        ("resnet_lite", None, 5_648_033),
        ("residual", None, 23_836_257),
        ("attention", None, 24_009_025),
        # It says "about 13 M" of the narrower ones.
        ("residual", 48, 13_432_225),
        ("attention", 48, 13_529_761),
    ],
)
def test_the_paper_preset_has_the_published_number_of_parameters(
    model: str, base_channels: int | None, expected: int
) -> None:
    chosen = config(preset="paper", model=model, base_channels=base_channels)
    with torch.device("meta"):
        assert count_parameters(make_model(chosen)) == expected


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latent_channels", [1, 5])
def test_images_become_latent_ones_and_images_again(model: str, latent_channels: int) -> None:
    network = make_model(config(model=model, base_channels=3, latent_channels=latent_channels))
    images = torch.rand(2, 1, 32, 48)
    latent = network.encoder(images)
    assert latent.shape == (2, latent_channels, 32 // SHRINK, 48 // SHRINK)
    found = network(images)
    assert found.shape == images.shape
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_learns(model: str) -> None:
    torch.manual_seed(0)
    network = make_model(config(model=model, base_channels=4))
    network(torch.rand(4, 1, 32, 32)).square().mean().backward()
    for name, item in network.named_parameters():
        assert item.grad is not None, name
        # One ReLU unit inside a CBAM may rest for a batch.
        if ".channels." not in name:
            assert item.grad.abs().sum() > 0, name


def test_a_spread_convolution_is_a_transposed_one_of_one_pixel() -> None:
    spread = Spread(3, 5)
    known = nn.ConvTranspose2d(3, 5, 1, stride=2, output_padding=1, bias=False)
    known.weight.data = spread.mix.weight.data.transpose(0, 1).contiguous()
    images = torch.rand(2, 3, 4, 6)
    torch.testing.assert_close(spread(images), known(images))
