"""The patch transformer that computes features of EEG windows, and its pre-training.

As in EEGPT (Wang et al., NeurIPS 2024), a window is cut into patches in time. The patches of all
channels at one time, each with the embedding of its electrode, pass through a transformer together
with a few learned *summary tokens*; the output summary tokens are the features. Channels are
identified by name, so one encoder works with different montages.

Pre-training is masked reconstruction: the encoder sees some channels of each time patch, and a
small decoder predicts the hidden channels from the mean of the summary tokens. The target is the
log power spectrum of a patch, not its samples: the phase of a hidden channel is random, and a
network that fits it learns little else.

The layers differ from EEGPT's, so its published weights do not fit. Weights are saved as named
arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.cache import Interrupted
from trainers.common.schedule import torch_one_cycle
from trainers.eeg.windows import CHANNELS

VERSION = 1
"""Increase it when the same weights give other features: it is part of cache keys."""

_FLOOR_UV = 1e-3  # a flat channel has no logarithm
_TOP_HZ = 45.0


class LogSpectrum(nn.Module):
    """Log power spectra of patches up to 45 Hz, near zero mean and unit variance.

    Args:
        patch: samples of a patch.
        rate_hz: samples per second.
    """

    window: Tensor

    def __init__(self, patch: int, rate_hz: float) -> None:
        super().__init__()
        frequencies = torch.fft.rfftfreq(patch, 1.0 / rate_hz)
        self.bins = max(1, int((frequencies <= _TOP_HZ).sum()) - 1)  # without the mean
        window = torch.hann_window(patch, periodic=False)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Return [B, K, bins] of patches [B, K, patch] in µV."""
        centred = patches - patches.mean(dim=-1, keepdim=True)
        power = torch.fft.rfft(centred * self.window)[..., 1 : self.bins + 1].abs().square()
        # Usual powers are e^0 to e^8 µV², so no statistics of the data are needed.
        found: Tensor = ((power + _FLOOR_UV).log() - 4.0) / 2.0
        return found


class Encoder(nn.Module):
    """Patches of all channels at one time → summary tokens; the same for each time.

    Args:
        patch: samples of a patch.
        rate_hz: samples per second.
        width: size of a token.
        layers: transformer layers.
        heads: attention heads, a divisor of `width`.
        summary_tokens: learned tokens that summarize the patches.
    """

    def __init__(
        self,
        patch: int,
        *,
        rate_hz: float,
        width: int,
        layers: int,
        heads: int,
        summary_tokens: int,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.samples = nn.Linear(patch, width)
        self.spectrum = LogSpectrum(patch, rate_hz)
        self.powers = nn.Linear(self.spectrum.bins, width)
        self.electrode = nn.Embedding(len(CHANNELS), width)
        self.summary = nn.Parameter(torch.randn(summary_tokens, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            dim_feedforward=4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.blocks = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, patches: Tensor, electrodes: Tensor) -> Tensor:
        """Return the mean of the summary tokens, [B, width].

        Args:
            patches: [B, K, patch] in µV, K channels at one time.
            electrodes: [B, K], indices into `CHANNELS`.
        """
        # Normalize the amplitude: it differs tenfold between people and is in the powers anyway.
        centred = patches - patches.mean(dim=-1, keepdim=True)
        shape = centred / centred.std(dim=-1, keepdim=True).clamp_min(_FLOOR_UV)
        tokens = self.samples(shape) + self.powers(self.spectrum(patches))
        tokens = tokens + self.electrode(electrodes)
        summary = self.summary.expand(len(tokens), -1, -1)
        out = self.blocks(torch.cat([summary, tokens], dim=1))[:, : summary.shape[1]]
        mean: Tensor = self.norm(out).mean(dim=1)
        return mean


def places_of(channels: Sequence[str]) -> Tensor:
    """Return the indices [C] of channels in `CHANNELS`."""
    return torch.tensor([CHANNELS.index(name) for name in channels])


def in_patches(signals: Tensor, patch: int) -> Tensor:
    """Return [B·P, C, patch] of signals [B, C, T]; samples beyond the last whole patch are cut."""
    batch, channels, samples = signals.shape
    count = samples // patch
    cut = signals[:, :, : count * patch].reshape(batch, channels, count, patch)
    return cut.transpose(1, 2).reshape(batch * count, channels, patch)


@torch.inference_mode()
def encode(
    encoder: Encoder,
    signals: NDArray[np.float32],
    channels: Sequence[str],
    *,
    device: torch.device,
    batch_size: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float32]:
    """Return the features [N, width] of signals [N, C, T]: summary tokens, averaged over time.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    encoder.eval().to(device)
    places = places_of(channels).to(device)
    found = []
    for start in range(0, len(signals), batch_size):
        if should_stop():
            raise Interrupted
        batch = torch.from_numpy(signals[start : start + batch_size]).to(device)
        patches = in_patches(batch, encoder.patch)
        summary = encoder(patches, places.expand(len(patches), -1))
        found.append(summary.reshape(len(batch), -1, summary.shape[-1]).mean(dim=1).cpu())
    return torch.cat(found).numpy()


class Decoder(nn.Module):
    """Predict the spectrum of one channel from a summary of others; used only in pre-training.

    Args:
        width: size of the summary.
        bins: values of a spectrum.
    """

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.electrode = nn.Embedding(len(CHANNELS), width)
        self.layers = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, bins)
        )

    def forward(self, summary: Tensor, electrodes: Tensor) -> Tensor:
        """Return spectra [B, M, bins] of electrodes [B, M] for summaries [B, width]."""
        place = self.electrode(electrodes)
        wide = summary.unsqueeze(1).expand(-1, place.shape[1], -1)
        spectra: Tensor = self.layers(torch.cat([wide, place], dim=-1))
        return spectra


def pretrain(
    encoder: Encoder,
    signals: NDArray[np.float32],
    channels: Sequence[str],
    *,
    epochs: int,
    lr: float,
    mask_share: float,
    batch_size: int,
    seed: int,
    device: torch.device,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[float]:
    """Train `encoder` to predict hidden channels from visible ones, without labels.

    Uses AdamW with a one-cycle learning rate, stepped per batch.

    Args:
        encoder: changed in place.
        signals: [N, C, T] in µV, of training subjects only.
        channels: C names.
        epochs: passes over all windows.
        lr: peak of the learning rate.
        mask_share: share of the channels to hide, drawn for each patch.
        batch_size: windows per step.
        seed: seed of order and masks.
        device: device to compute on.
        progress: receives the epoch and its loss.
        should_stop: checked before each step.

    Returns:
        The mean loss of each epoch; a constant prediction has 1.

    Raises:
        Interrupted: `should_stop` returned True; the pre-training starts again next time.
    """
    random = torch.Generator().manual_seed(seed)
    places = places_of(channels).to(device)
    hidden = min(len(channels) - 1, max(1, round(mask_share * len(channels))))
    middle, spread = _scale(encoder, signals, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = Decoder(encoder.norm.normalized_shape[0], encoder.spectrum.bins)
    model = nn.ModuleList([encoder, decoder]).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, fused=True)
    batches = -(-len(signals) // batch_size)
    schedule = torch_one_cycle(optimizer, lr, max(1, epochs * batches), pct_start=0.2)
    losses = []
    for epoch in range(epochs):
        order = torch.randperm(len(signals), generator=random)
        total = torch.zeros((), device=device)
        for rows in torch.split(order, batch_size):
            if should_stop():
                raise Interrupted
            patches = in_patches(torch.from_numpy(signals[rows.numpy()]).to(device), encoder.patch)
            shuffled = torch.rand(patches.shape[:2], generator=random).argsort(dim=1).to(device)
            out, seen = shuffled[:, :hidden], shuffled[:, hidden:]
            summary = encoder(_pick(patches, seen), places[seen])
            wanted = (encoder.spectrum(_pick(patches, out)) - middle) / spread
            loss = nn.functional.mse_loss(decoder(summary, places[out]), wanted)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(rows)
        losses.append(float(total) / len(signals))
        progress(f"pre-training the encoder: epoch {epoch + 1} of {epochs}, loss {losses[-1]:.3f}")
    return losses


@torch.no_grad()
def _scale(
    encoder: Encoder, signals: NDArray[np.float32], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [bins] of the spectra, from windows across `signals`."""
    some = torch.from_numpy(signals[:: max(1, len(signals) // 512)]).to(device)
    found = encoder.spectrum(in_patches(some, encoder.patch))
    return found.mean(dim=(0, 1)), found.std(dim=(0, 1)).clamp_min(1e-3)


def _pick(patches: Tensor, rows: Tensor) -> Tensor:
    return patches.gather(1, rows.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))


def weights_of(encoder: Encoder) -> dict[str, NDArray[Any]]:
    """Return the weights by name, for an archive."""
    return {name: item.cpu().numpy() for name, item in encoder.state_dict().items()}


def set_weights(encoder: Encoder, weights: Mapping[str, NDArray[Any]], where: str) -> None:
    """Fill `encoder` with `weights`.

    Args:
        encoder: is changed in place.
        weights: result of `weights_of`.
        where: name of the weights in messages.

    Raises:
        ValueError: they belong to another encoder.
    """
    wanted = encoder.state_dict()
    if weights.keys() != wanted.keys():
        raise ValueError(
            f"{where}: not the weights of this encoder. Name the file that an earlier run "
            "recorded as encoder.file; published EEGPT weights do not fit."
        )
    for name, item in wanted.items():
        if weights[name].shape != item.shape:
            raise ValueError(
                f"{where}: {name} must be {tuple(item.shape)} (found {weights[name].shape}). "
                "Set width, layers, summary_tokens, patch_s and the rate as they were."
            )
    encoder.load_state_dict({name: torch.from_numpy(item) for name, item in weights.items()})


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Return the weights in the archive `path`; nothing is unpickled.

    Raises:
        ValueError: it is missing or unreadable.
    """
    if not path.is_file():
        raise ValueError(f"encoder_path: {path} is not a file. Name an .npz of weights.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name != "settings"}
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(
            f"encoder_path: {path} is not an .npz of weights that an earlier run saved ({error})."
        ) from None
