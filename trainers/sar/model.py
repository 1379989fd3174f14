"""The four autoencoders, which compress an image into a small latent image.

Each halves height and width four times, so a latent pixel represents 16×16 pixels and the
compression ratio is 256 / `latent_channels`: 16 : 1 for 16 latent channels.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from trainers.sar.blocks import (
    Cbam,
    Double,
    PreActivationBlock,
    ResidualBlock,
    strided,
    transposed,
)
from trainers.sar.config import Config

SHRINK = 16
"""Ratio of the height and width of an image to those of its latent image."""

PUBLISHED_WIDTH = {"baseline": 64, "resnet_lite": 32, "residual": 64, "attention": 64}


class Autoencoder(nn.Module):
    """An encoder, a decoder, and a sigmoid that keeps the output in [0, 1].

    Args:
        encoder: [N, 1, H, W] → [N, latent channels, H/16, W/16].
        decoder: the inverse shapes.
    """

    def __init__(self, encoder: nn.Sequential, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor) -> Tensor:
        """Return reconstructed images [N, 1, H, W], float32; H and W are multiples of 16."""
        # Half precision is too coarse for a sigmoid's output near 0 and 1.
        return torch.sigmoid(self.decoder(self.encoder(images)).float())


def baseline(width: int, latent: int) -> Autoencoder:
    """Return four strided 5×5 convolutions and their mirror image.

    Args:
        width: channels after the first convolution; they double twice.
        latent: channels of the latent image.
    """
    return Autoencoder(
        nn.Sequential(
            strided(1, width),
            strided(width, 2 * width),
            strided(2 * width, 4 * width),
            nn.Conv2d(4 * width, latent, 5, stride=2, padding=2),
        ),
        nn.Sequential(
            transposed(latent, 4 * width),
            transposed(4 * width, 2 * width),
            transposed(2 * width, width),
            nn.ConvTranspose2d(width, 1, 5, stride=2, padding=2, output_padding=1),
        ),
    )


def resnet_lite(width: int, latent: int) -> Autoencoder:
    """Return a network of post-activation residual blocks, two at each size.

    Args:
        width: channels at full size; they double with each halving of the size.
        latent: channels of the latent image.
    """
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for inside, outside in _levels(width, latent):
        down += [ResidualBlock(inside, inside), ResidualBlock(inside, outside, "down")]
        up = [ResidualBlock(outside, inside, "up"), ResidualBlock(inside, inside), *up]
    return Autoencoder(nn.Sequential(*_stem(width), *down), nn.Sequential(*up, _out(width)))


def residual(width: int, latent: int, *, attention: bool = False) -> Autoencoder:
    """Return a network of pre-activation residual blocks, two at each size.

    Args:
        width: channels at full size; they double each time that the size halves.
        latent: channels of the latent image.
        attention: add a CBAM after every block and omit the normalization before the decoder's
            blocks, as in the published network.
    """

    def block(inside: int, outside: int, stride: int = 1) -> list[nn.Module]:
        made: list[nn.Module] = [PreActivationBlock(inside, outside, stride)]
        return [*made, Cbam(outside)] if attention else made

    down: list[nn.Module] = []
    up: list[nn.Module] = []
    for inside, outside in _levels(width, latent):
        down += [*block(inside, outside, 2), *block(outside, outside)]
        doubled = Double(outside, inside, normalise=not attention)
        up = [doubled, *block(inside, inside), *block(inside, inside), *up]
    return Autoencoder(nn.Sequential(*_stem(width), *down), nn.Sequential(*up, _out(width)))


def make_model(config: Config) -> Autoencoder:
    """Return the autoencoder of `config`."""
    width = config.base_channels or PUBLISHED_WIDTH[config.model]
    latent = config.latent_channels
    if config.model == "baseline":
        model = baseline(width, latent)
    elif config.model == "resnet_lite":
        model = resnet_lite(width, latent)
    else:
        model = residual(width, latent, attention=config.model == "attention")
    _initialise(model)
    return model


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(item.numel() for item in model.parameters() if item.requires_grad)


def _levels(width: int, latent: int) -> list[tuple[int, int]]:
    """Return the channels before and after each halving."""
    return [(width, 2 * width), (2 * width, 4 * width), (4 * width, 8 * width), (8 * width, latent)]


def _stem(width: int) -> list[nn.Module]:
    return [nn.Conv2d(1, width, 7, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def _out(width: int) -> nn.Module:
    return nn.Conv2d(width, 1, 7, padding=3)


def _initialise(model: Autoencoder) -> None:
    """Initialize weights by He et al. (2015), and the last layer near the middle of [0, 1]."""
    for item in model.modules():
        if isinstance(item, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(item.weight, mode="fan_out", nonlinearity="relu")
            if item.bias is not None:
                nn.init.zeros_(item.bias)
    last = cast(nn.Conv2d, model.decoder[-1])
    nn.init.xavier_normal_(last.weight, gain=0.1)
