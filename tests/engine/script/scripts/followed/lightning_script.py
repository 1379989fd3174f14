"""A script of Lightning with its own CSV logger."""

import argparse
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--max_epochs", type=int, default=3)
args = parser.parse_args()

torch.set_num_threads(1)
torch.manual_seed(0)


class Line(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss: torch.Tensor = (self.layer(batch[0]) ** 2).mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_mae", self.layer(batch[0]).abs().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=args.lr)


data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(64, 1)), batch_size=4)
trainer = pl.Trainer(
    max_epochs=args.max_epochs,
    logger=CSVLogger(".", flush_logs_every_n_steps=1),
    log_every_n_steps=5,
    accelerator="cpu",
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Line(), data, data)
