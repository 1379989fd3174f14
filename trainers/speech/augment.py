"""What training does to a batch so that the network does not learn it by heart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainers.speech.config import Config


class Augmentation:
    """White noise, an offset of each channel, and time masks (SpecAugment without warping).

    What a batch gets depends on seed and batch number alone, so a resumed run goes on as it would
    have. All draws are made on the device of the batch, for all sentences at once.

    Args:
        config: strengths.
        device: where batches are.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config = config
        self._generator = torch.Generator(device)

    def __call__(self, signal: Tensor, bins: Tensor, number: int) -> Tensor:
        """Return what the network sees in place of `signal`, which may be changed.

        Args:
            signal: [B, T, C], z-scored, zeros after each sentence's own bins.
            bins: [B], bins of each sentence.
            number: the batch's number in the whole training.
        """
        config, generator = self.config, self._generator
        # A CPU's generator takes 32 bits of its seed and passes over the others.
        mixed = np.random.SeedSequence((config.seed, number)).generate_state(1)
        generator.manual_seed(int(mixed[0]))
        sentences, length, channels = signal.shape
        device = signal.device
        if config.white_noise > 0:
            noise = torch.randn(signal.shape, generator=generator, device=device)
            signal.add_(noise, alpha=config.white_noise)
        if config.constant_offset > 0:
            offset = torch.randn((sentences, 1, channels), generator=generator, device=device)
            signal.add_(offset, alpha=config.constant_offset)
        place = torch.arange(length, device=device)
        bins = bins.to(device, non_blocking=True)[:, None]
        # Padding stays what it is in evaluation: silence beyond the end.
        hidden = place >= bins
        if config.time_mask_prob > 0:
            hidden = hidden | self._masks(bins, place)
        return signal.masked_fill_(hidden[..., None], 0.0)

    def _masks(self, bins: Tensor, place: Tensor) -> Tensor:
        """Return which bins [B, T] masks hide; a mask lies within its sentence."""
        config = self.config
        shape = (len(bins), config.time_mask_max)
        drawn, width, start = torch.rand((3, *shape), generator=self._generator, device=bins.device)
        widths = (1 + width * config.time_mask_width).floor().clamp(max=config.time_mask_width)
        widths = torch.minimum(widths, bins) * (drawn < config.time_mask_prob)
        starts = (start * (bins - widths + 1)).floor()
        inside = (place >= starts[..., None]) & (place < (starts + widths)[..., None])
        masked: Tensor = inside.any(1)
        return masked
