"""Ray Tune's function API: ``python tune_function.py TRIALS PARALLEL``."""

import sys

import ray
import trial
from ray import tune


def train(config):
    """Report the losses of a trial."""
    for step, loss in trial.losses(config["x"]):
        tune.report({"step": step, "loss": loss})


if __name__ == "__main__":
    trials, parallel = map(int, sys.argv[1:])
    ray.init("local", num_cpus=parallel, include_dashboard=False, log_to_driver=False)
    space = {"x": tune.grid_search([0.1 + index / 1000 for index in range(trials)])}
    results = tune.Tuner(train, param_space=space, run_config=tune.RunConfig(verbose=0)).fit()
    print(results.get_best_result("loss", "min").config)
