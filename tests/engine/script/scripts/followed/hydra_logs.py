"""A Hydra app that keeps a log of its own in the folder that Hydra makes."""

import json
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    with (folder / "metrics.jsonl").open("w") as stream:
        for epoch in range(1, config.epochs + 1):
            value = {"mae": abs(config.optim.lr - 0.01) / epoch}
            stream.write(json.dumps({"epoch": epoch, "val": value}) + "\n")


main()
