"""The network that maps many channels over time to phonemes.

Gaussian smoothing → a layer per day → unfolding into frames → a stack of GRU layers → one linear
layer, as in the speech neuroprosthesis of Willett et al. (2023). A frame has `unfold_kernel` bins
and begins `unfold_stride` bins after the previous one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from trainers.speech.config import Config


class Smoothing(nn.Module):
    """Convolution of each channel with a Gaussian over time, keeping the length.

    Args:
        sigma: standard deviation in bins.
        size: length of the kernel in bins.
    """

    kernel: Tensor

    def __init__(self, sigma: float, size: int) -> None:
        super().__init__()
        reach = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        kernel = torch.exp(-0.5 * (reach / sigma) ** 2)
        self.register_buffer("kernel", (kernel / kernel.sum()).view(1, 1, size))

    def forward(self, signal: Tensor) -> Tensor:
        """Return the smoothed signal [B, T, C]."""
        sentences, bins, channels = signal.shape
        rows = signal.transpose(1, 2).reshape(sentences * channels, 1, bins)
        size = self.kernel.shape[-1]
        rows = F.conv1d(F.pad(rows, ((size - 1) // 2, size // 2)), self.kernel)
        return rows.view(sentences, channels, bins).transpose(1, 2)


class DayLayer(nn.Module):
    """An affine map of the channels and softsign, with separate weights for each day.

    It is initialized as the identity, and stays so for days without training sentences.

    Args:
        days: number of days.
        channels: number of channels.
    """

    def __init__(self, days: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(channels).repeat(days, 1, 1))
        self.bias = nn.Parameter(torch.zeros(days, 1, channels))

    def forward(self, signal: Tensor, days: Tensor) -> Tensor:
        """Return [B, T, C] for signals [B, T, C] recorded on `days` [B]."""
        return F.softsign(torch.baddbmm(self.bias[days], signal, self.weight[days]))

    @torch.no_grad()
    def reset(self, days: Tensor) -> None:
        """Make the layers of `days` the identity again.

        Weight decay changes even the layers of days without training sentences: Adam normalizes
        the smallest gradient, so their weights move to zero at the learning rate.
        """
        self.weight[days] = torch.eye(self.weight.shape[1], device=self.weight.device)
        self.bias[days] = 0.0


class SpeechModel(nn.Module):
    """The whole network.

    Args:
        config: gives the sizes.
        channels: channels of the signals.
        classes: phonemes and the blank.
        days: number of days.
    """

    def __init__(self, config: Config, *, channels: int, classes: int, days: int) -> None:
        super().__init__()
        self.kernel, self.stride = config.unfold_kernel, config.unfold_stride
        self.smoothing = (
            Smoothing(config.smoothing_sigma, config.smoothing_kernel)
            if config.smoothing_sigma > 0
            else None
        )
        self.day_layer = DayLayer(days, channels) if config.day_layer else None
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.gru = nn.GRU(
            channels * config.unfold_kernel,
            config.gru_hidden,
            num_layers=config.gru_layers,
            batch_first=True,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.gru_layers > 1 else 0.0,
        )
        for name, weight in self.gru.named_parameters():
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(weight)
        width = config.gru_hidden * (2 if config.bidirectional else 1)
        self.norm = nn.LayerNorm(width) if config.layer_norm else None
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(width, classes)

    def frames(self, bins: Tensor) -> Tensor:
        """Return the frames for each number of `bins`: (T − kernel)/stride, at least 1."""
        return ((bins - self.kernel) // self.stride).clamp(min=1)

    def forward(self, signal: Tensor, bins: Tensor, days: Tensor) -> Tensor:
        """Return logits [B, F, classes]; ignore those after the frames of a sentence.

        The result of a sentence does not depend on the others in its batch: padding is removed
        before the backward direction of a layer can read it.

        Args:
            signal: [B, T, C], zero-padded after each sentence's bins; T ≥ kernel + stride.
            bins: [B] on the CPU, the bins of each sentence.
            days: [B].
        """
        frames = self.frames(bins)
        if self.smoothing is not None:
            signal = self.smoothing(signal)
        if self.day_layer is not None:
            signal = self.day_layer(signal, days)
        signal = self.input_dropout(signal)
        unfolded = signal.unfold(1, self.kernel, self.stride)[:, : int(frames.max())]
        packed = rnn.pack_padded_sequence(
            unfolded.flatten(2), frames, batch_first=True, enforce_sorted=False
        )
        hidden, _ = rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        if self.norm is not None:
            hidden = self.norm(hidden)
        logits: Tensor = self.out(self.dropout(hidden))
        return logits


def ctc_loss(logits: Tensor, frames: Tensor, phonemes: Tensor, counts: Tensor) -> Tensor:
    """Return the mean CTC loss per phoneme, a scalar.

    A sentence with fewer frames than phonemes cannot be aligned: its infinite loss is replaced by
    zero and has no gradient.

    Args:
        logits: [B, F, classes], class 0 is the blank.
        frames: [B] on the CPU, frames of each sentence.
        phonemes: [B, L], padded targets.
        counts: [B] on the CPU, phonemes of each sentence.
    """
    log_probabilities = logits.float().log_softmax(-1).transpose(0, 1)
    return F.ctc_loss(log_probabilities, phonemes, frames, counts, blank=0, zero_infinity=True)


def greedy_phonemes(logits: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most likely class of each frame, without repetitions and blanks.

    Args:
        logits: [B, F, classes].
        frames: [B], frames of each sentence.

    Returns:
        All phonemes concatenated [ΣL], and the number of phonemes of each sentence [B].
    """
    best = logits.argmax(-1)
    before = F.pad(best, (1, 0), value=0)[:, :-1]
    own = torch.arange(best.shape[1], device=best.device) < frames.to(best.device)[:, None]
    kept = own & (best != before) & (best != 0)
    return best[kept], kept.sum(1)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(item.numel() for item in model.parameters() if item.requires_grad)
