"""The loss: ``mse_weight`` · MSE + ``ssim_weight`` · (1 − SSIM), and SSIM in torch.

Losses with other weights cannot be compared: a run with a small SSIM weight has a lower loss and
may be worse. Compare PSNR and SSIM instead.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers.sar.metrics import SSIM_C1, SSIM_C2, gaussian


class Similarity(nn.Module):
    """SSIM as `trainers.sar.metrics.ssim` defines it, differentiable."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(gaussian()).float())

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the similarity [N] of images [N, 1, H, W] in [0, 1], float32."""
        # Five maps at once: one vertical and one horizontal pass.
        maps = torch.cat(
            [predicted, target, predicted * predicted, target * target, predicted * target], dim=1
        )
        smooth = self._smooth(maps)
        mean_p, mean_t, square_p, square_t, product = smooth.unbind(dim=1)
        means = mean_p * mean_t
        squares = mean_p * mean_p + mean_t * mean_t
        numerator = (2 * means + SSIM_C1) * (2 * (product - means) + SSIM_C2)
        denominator = (squares + SSIM_C1) * (square_p + square_t - squares + SSIM_C2)
        return (numerator / denominator).mean((1, 2))

    def _smooth(self, maps: Tensor) -> Tensor:
        channels = maps.shape[1]
        down = self.weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        across = self.weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        half = functional.conv2d(maps, down, groups=channels)
        return functional.conv2d(half, across, groups=channels)


class ImageLoss(nn.Module):
    """The weighted sum of mean squared error and dissimilarity.

    Args:
        mse_weight: weight of the mean squared error.
        ssim_weight: weight of 1 − SSIM.
    """

    def __init__(self, mse_weight: float, ssim_weight: float) -> None:
        super().__init__()
        self.mse_weight = mse_weight
        self.ssim_weight = ssim_weight
        self.similarity = Similarity()

    def forward(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, mean squared error and SSIM, scalars.

        Args:
            predicted: [N, 1, H, W] in [0, 1], float32.
            target: of the same shape.
        """
        error = (predicted - target).square().mean()
        similar = self.similarity(predicted, target).mean()
        return self.mse_weight * error + self.ssim_weight * (1.0 - similar), error, similar
