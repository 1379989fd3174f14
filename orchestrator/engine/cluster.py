"""Ray on this machine: quiet, local, and gone when the driver is."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.reaper import start_reaper

# Ray reads these when it is imported or started.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Without this Ray takes the host's address for its own and listens on all interfaces; the name
    # is of the platforms where loopback is its default.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "60",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@contextmanager
def local_ray(slots: int) -> Iterator[None]:
    """Start Ray on this machine with room for `slots` trials; stop it at the end.

    No dashboard, no usage statistics, nothing bound beyond loopback. On Linux its processes end
    with this one, also when this one is killed.
    """
    os.environ.update(_SETTINGS)
    warnings.filterwarnings("ignore", module="ray")
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ray.init(
        address="local",
        num_cpus=slots,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        object_store_memory=80 << 20,
    )
    reaper = start_reaper()
    try:
        yield
    finally:
        ray.shutdown()
        if reaper is not None:
            reaper.communicate()


def run_trials(conductor: Conductor, tick: Callable[[], None]) -> None:
    """Let Ray Tune run what `conductor` hands out, until nothing is left.

    Args:
        conductor: decides what starts and what ends.
        tick: called many times a second, between two steps of Ray.

    Raises:
        Exception: what `conductor` or `tick` raised, if they did.
    """
    from ray import tune

    from orchestrator.engine.adapters import ConductorScheduler, ConductorSearcher, Faults
    from orchestrator.engine.trainable import Minder

    # What Tune wants to write is of no use here: the run directories are the memory.
    scratch = Path(tempfile.mkdtemp(prefix="sweep-ray-"))
    faults = Faults()
    try:
        tuner = tune.Tuner(
            Minder,
            tune_config=tune.TuneConfig(
                search_alg=ConductorSearcher(conductor, tick, faults),
                scheduler=ConductorScheduler(conductor, tick, faults),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(scratch),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
            ),
        )
        tuner.fit()
    except Exception:
        if faults:
            raise faults[0] from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
