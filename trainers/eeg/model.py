"""The probes, which are trained on features of the frozen encoder."""

from __future__ import annotations

from torch import Tensor, nn

from trainers.eeg.config import Config

CLASSES = 2


class Probe(nn.Module):
    """Features [N, D] → logits [N, 2], with no or one hidden layer.

    At the published size it is 512 → 128 → ReLU → dropout .1 → 2.

    Args:
        features: D.
        hidden: units of the hidden layer; None for a linear probe.
        dropout: share of hidden units dropped in training.
    """

    def __init__(self, features: int, *, hidden: int | None, dropout: float) -> None:
        super().__init__()
        self.layers: nn.Module
        if hidden is None:
            self.layers = nn.Linear(features, CLASSES)
        else:
            self.layers = nn.Sequential(
                nn.Linear(features, hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, CLASSES),
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [N, 2]."""
        logits: Tensor = self.layers(features)
        return logits


def make_probe(config: Config, features: int) -> Probe:
    """Return the probe of `config.model`."""
    hidden = None if config.model == "linear" else config.hidden
    return Probe(features, hidden=hidden, dropout=config.dropout)
