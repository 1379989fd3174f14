"""Hydra's multirun with joblib: ``python hydra_joblib.py -m hydra/launcher=joblib x=0.1,0.2``."""

import hydra
import trial
from hydra.core.config_store import ConfigStore

ConfigStore.instance().store(name="config", node={"x": 0.1})


@hydra.main(version_base=None, config_name="config")
def main(config):
    """Run a trial."""
    for _ in trial.losses(config.x):
        pass


if __name__ == "__main__":
    main()
