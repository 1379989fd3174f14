"""An application of Hydra with a structured config."""

from dataclasses import dataclass, field

import hydra
from hydra.core.config_store import ConfigStore


@dataclass
class Config:
    lr: float = 1.0
    clip: float | None = 1.0
    layers: list[int] = field(default_factory=lambda: [1])
    name: str = "base"


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(config):
    print(
        f"lr={config.lr} clipped={int(config.clip is not None)} layers={len(config.layers)} "
        f"name={len(config.name)}"
    )


main()
