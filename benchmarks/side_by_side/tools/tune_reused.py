"""Ray Tune with actors that are reused: ``python tune_reused.py TRIALS PARALLEL``."""

import sys

import ray
import trial
from ray import tune


class Training(tune.Trainable):
    """Trials, one after another in one actor."""

    def setup(self, config):
        """Begin the first trial."""
        self._losses = trial.losses(config["x"])

    def step(self):
        """Return one report."""
        try:
            step, loss = next(self._losses)
        except StopIteration:
            return {"done": True}
        return {"step": step, "loss": loss}

    def reset_config(self, config):
        """Begin another trial."""
        self._losses = trial.losses(config["x"])
        return True


if __name__ == "__main__":
    trials, parallel = map(int, sys.argv[1:])
    ray.init("local", num_cpus=parallel, include_dashboard=False, log_to_driver=False)
    space = {"x": tune.grid_search([0.1 + index / 1000 for index in range(trials)])}
    tuner = tune.Tuner(
        Training,
        param_space=space,
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(verbose=0),
    )
    print(len(tuner.fit()))
