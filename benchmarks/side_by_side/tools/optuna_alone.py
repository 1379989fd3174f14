"""Optuna in the threads of one process: ``python optuna_alone.py TRIALS PARALLEL``."""

import sys

import optuna
import trial


def objective(asked):
    """Return the last loss."""
    loss = None
    for step, loss in trial.losses(asked.suggest_float("x", 0.1, 1.0)):
        asked.report(loss, step)
        if asked.should_prune():
            raise optuna.TrialPruned
    return loss


if __name__ == "__main__":
    trials, parallel = map(int, sys.argv[1:])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = optuna.storages.journal.JournalFileBackend("study.journal")
    storage = optuna.storages.JournalStorage(backend)
    study = optuna.create_study(
        storage=storage,
        study_name="s",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.NopPruner(),  # all trials shall come to their end
    )
    study.optimize(objective, n_trials=trials, n_jobs=parallel)
    print(study.best_params)
