"""The building blocks of the SAR autoencoders.

A convolution before a batch normalization has no bias, which the normalization would remove.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2
"""Slope of the leaky ReLU below zero."""


def strided(inside: int, outside: int) -> nn.Sequential:
    """Return a 5×5 convolution that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(outside),
        nn.LeakyReLU(LEAK),
    )


def transposed(inside: int, outside: int) -> nn.Sequential:
    """Return a 5×5 transposed convolution that doubles height and width."""
    return nn.Sequential(
        nn.ConvTranspose2d(inside, outside, 5, stride=2, padding=2, output_padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class Spread(nn.Module):
    """A 1×1 convolution with zeros inserted between its outputs, which doubles height and width.

    It is a 1×1 transposed convolution with stride 2. PyTorch's operator causes a double free on
    CPUs for some memory layouts (PyTorch 2.13), so it is implemented here.

    Args:
        inside: input channels.
        outside: output channels.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inside, outside, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, outside, 2H, 2W] for [N, inside, H, W]."""
        mixed: Tensor = self.mix(images)
        count, channels, height, width = mixed.shape
        spread = mixed.new_zeros(count, channels, 2 * height, 2 * width)
        spread[:, :, ::2, ::2] = mixed
        return spread


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut, and a ReLU after the sum (He et al., 2016).

    Args:
        inside: input channels.
        outside: output channels.
        resize: ``"down"`` halves height and width, ``"up"`` doubles them, ``""`` keeps them. The
            shortcut is a 1×1 convolution if size or channels change.
    """

    def __init__(self, inside: int, outside: int, resize: str = "") -> None:
        super().__init__()
        first: nn.Module
        shortcut: nn.Module
        if resize == "up":
            first = nn.ConvTranspose2d(
                inside, outside, 3, stride=2, padding=1, output_padding=1, bias=False
            )
            shortcut = Spread(inside, outside)
        else:
            stride = 2 if resize == "down" else 1
            first = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
            shortcut = nn.Conv2d(inside, outside, 1, stride=stride, bias=False)
        self.path = nn.Sequential(
            first,
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        same = inside == outside and not resize
        self.shortcut = nn.Identity() if same else nn.Sequential(shortcut, nn.BatchNorm2d(outside))

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, outside, h, w] for [N, inside, H, W]."""
        return torch.relu(self.path(images) + self.shortcut(images))


class PreActivationBlock(nn.Module):
    """Normalization and ReLU before each of two 3×3 convolutions; nothing after the sum.

    So the shortcut is an identity path through the whole network (He et al., "Identity Mappings
    in Deep Residual Networks", 2016).

    Args:
        inside: input channels.
        outside: output channels.
        stride: 2 halves height and width.
    """

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        )
        same = inside == outside and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Conv2d(inside, outside, 1, stride=stride, bias=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, outside, h, w] for [N, inside, H, W]."""
        summed: Tensor = self.path(images) + self.shortcut(images)
        return summed


class Cbam(nn.Module):
    """Channel attention, then spatial attention (Woo et al., "CBAM", 2018).

    Args:
        channels: channels of the images.
        reduction: factor by which the hidden layer is narrower.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.channels = nn.Sequential(
            nn.Linear(channels, narrow, bias=False),
            nn.ReLU(),
            nn.Linear(narrow, channels, bias=False),
        )
        self.places = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same shape, weighted by channel and position."""
        pooled = self.channels(images.mean((2, 3))) + self.channels(images.amax((2, 3)))
        images = images * torch.sigmoid(pooled)[:, :, None, None]
        seen = torch.cat([images.mean(1, keepdim=True), images.amax(1, keepdim=True)], dim=1)
        return images * torch.sigmoid(self.places(seen))


class Double(nn.Module):
    """Bilinear doubling of height and width, then a 1×1 convolution.

    Args:
        inside: input channels.
        outside: output channels.
        normalise: add a batch normalization.
    """

    def __init__(self, inside: int, outside: int, *, normalise: bool) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inside, outside, 1, bias=False)
        self.norm = nn.BatchNorm2d(outside) if normalise else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, outside, 2H, 2W] for [N, inside, H, W]."""
        # The two commute, and the convolution processes a quarter of the pixels if it goes first.
        mixed = self.mix(images)
        doubled = functional.interpolate(
            mixed, scale_factor=2, mode="bilinear", align_corners=False
        )
        normed: Tensor = self.norm(doubled)
        return normed
