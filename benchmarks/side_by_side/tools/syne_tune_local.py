"""Syne Tune's local backend: ``python syne_tune_local.py TRIALS PARALLEL``."""

import sys

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import uniform
from syne_tune.optimizer.baselines import RandomSearch

if __name__ == "__main__":
    trials, parallel = map(int, sys.argv[1:])
    Tuner(
        trial_backend=LocalBackend(entry_point="syne_script.py"),
        scheduler=RandomSearch({"x": uniform(0.1, 1.0)}, metrics=["loss"]),
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        n_workers=parallel,
        sleep_time=0.1,
        results_update_interval=1.0,
        print_update_interval=60.0,
    ).run()
