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

from orchestrator.engine.child.reaper import MARK, start_reaper
from orchestrator.engine.conductor import Conductor
from orchestrator.errors import SweepError

# Ray reads these when it is imported or started.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # When the host's memory runs low Ray would end its own workers, which hold next to none of it;
    # the kernel ends the process that holds the most, and that trial's record says so.
    "RAY_memory_monitor_refresh_ms": "0",
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


# A path to a socket holds 107 bytes; Ray puts up to 67 behind its folder.
_LONGEST_FOLDER = 40


@contextmanager
def local_ray(slots: int) -> Iterator[Path]:
    """Start Ray on this machine with room for `slots` trials; stop it at the end.

    No dashboard, no usage statistics, nothing bound beyond loopback. On Linux its processes end
    with this one, also when this one is killed.

    Yields:
        A folder for temporary files, readable by this user alone; it is removed at the end.

    Raises:
        SweepError: Ray does not start, or runs in this process already.
    """
    os.environ.update(_SETTINGS)
    warnings.filterwarnings("ignore", module="ray")
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        # What they say of a lost worker is a page of traceback; the trial's record says it too.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        raise SweepError(
            "Ray must be free in this process, but it runs already. Call ray.shutdown() first."
        )
    folder = _temporary_folder()
    reaper = start_reaper(folder)
    os.environ[MARK] = str(folder)
    try:
        _start(slots, folder)
        yield folder
    finally:
        del os.environ[MARK]
        ray.shutdown()
        if reaper is not None:
            reaper.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _start(slots: int, folder: Path) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=slots,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
            object_store_memory=80 << 20,
            # Otherwise workers would take modules from the working folder before ours.
            job_config=ray.job_config.JobConfig(_client_job=True),
            _temp_dir=str(folder),
        )
    except Exception as error:
        raise SweepError(
            f"Ray must start on this machine, but it says: {error}. "
            "Give --inline to run without it, one trial after another."
        ) from error


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sweep-"))
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="sweep-", dir="/tmp"))
    return folder


def run_trials(conductor: Conductor, tick: Callable[[], None], folder: Path) -> None:
    """Let Ray Tune run what `conductor` hands out, until nothing is left.

    Args:
        conductor: decides what starts and what ends.
        tick: called many times a second, between two steps of Ray.
        folder: for what Tune wants to write; the run directories are the memory.

    Raises:
        Exception: what `conductor` or `tick` raised, if they did.
    """
    from ray import tune

    from orchestrator.engine.runners.ray_actor import Minder
    from orchestrator.engine.runners.ray_adapters import (
        ConductorScheduler,
        ConductorSearcher,
        Faults,
    )

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
                storage_path=str(folder),
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
