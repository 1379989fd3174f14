"""The two networks that map room features to an energy decay curve.

Both take features [N, 16] and return curves [N, points] in the scaled space. A room is one vector,
so the LSTM gets a sequence of length one; the convolution runs along the features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainers.edc.config import Config

FEATURES = 16


class Lstm(nn.Module):
    """LSTM → dropout → FC → FC (arXiv 2509.24769).

    Args:
        points: samples of a curve.
        hidden: units of the LSTM.
        fc_width: width of the layer before the output.
        dropout: share of the LSTM's units dropped in training.
    """

    def __init__(self, points: int, *, hidden: int, fc_width: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(hidden, fc_width)
        self.out = nn.Linear(fc_width, points)

    def forward(self, features: Tensor) -> Tensor:
        """Return curves [N, points] for features [N, 16]."""
        sequence, _ = self.lstm(features.unsqueeze(1))
        wide = torch.relu(self.hidden(self.dropout(sequence[:, -1])))
        curves: Tensor = self.out(wide)
        return curves


class HybridV2(nn.Module):
    """A convolution and an LSTM in parallel, joined before two wide layers.

    The convolution reads the 16 features as a signal, and its output is averaged over them; both
    branches end at `branch_width`. With the published widths and 96,000 points the model has
    197,885,568 parameters, nearly all of them in the last layer.

    Args:
        points: samples of a curve.
        channels: channels of the first convolution; the second has twice as many.
        hidden: units of the LSTM.
        branch_width: output width of each branch.
        fc_width: width of the layer before the output.
        dropout: share of that layer's units dropped in training.
    """

    def __init__(
        self,
        points: int,
        *,
        channels: int,
        hidden: int,
        branch_width: int,
        fc_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, channels, kernel_size=3, padding=1),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, 2 * channels, kernel_size=3, padding=1),
            nn.BatchNorm1d(2 * channels),
            nn.ReLU(),
        )
        self.conv_out = nn.Linear(2 * channels, branch_width)
        self.lstm = nn.LSTM(FEATURES, hidden, batch_first=True)
        self.lstm_out = nn.Linear(hidden, branch_width)
        self.hidden = nn.Linear(2 * branch_width, fc_width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(fc_width, points)

    def forward(self, features: Tensor) -> Tensor:
        """Return curves [N, points] for features [N, 16]."""
        row = features.unsqueeze(1)
        local = torch.relu(self.conv_out(self.conv(row).mean(dim=-1)))
        sequence, _ = self.lstm(row)
        whole = torch.relu(self.lstm_out(sequence[:, -1]))
        wide = torch.relu(self.hidden(torch.cat([local, whole], dim=1)))
        curves: Tensor = self.out(self.dropout(wide))
        return curves


def make_model(config: Config, points: int) -> Lstm | HybridV2:
    """Return the network of `config` for curves of `points` samples."""
    if config.model == "lstm":
        return Lstm(
            points,
            hidden=config.lstm_hidden,
            fc_width=config.fc_width,
            dropout=config.dropout,
        )
    return HybridV2(
        points,
        channels=config.conv_channels,
        hidden=config.lstm_hidden,
        branch_width=config.branch_width,
        fc_width=config.fc_width,
        dropout=config.dropout,
    )


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(item.numel() for item in model.parameters() if item.requires_grad)
