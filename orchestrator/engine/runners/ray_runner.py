"""Run trials through Ray Tune, on a Ray that is quiet, local, and ends with the driver."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.engine.child.reaper import marked_folder
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
    # the kernel ends the process that holds the most, and that trial's record names the cause.
    "RAY_memory_monitor_refresh_ms": "0",
    # Without this Ray uses the host's address and listens on all interfaces; the name is of the
    # platforms where loopback is its default.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "60",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

# Ray lets everyone write into its folder, so it gets one below ours, which nobody else can enter.
_RAY = "r"

# A path to a socket holds 107 bytes; Ray appends up to 67 to its folder.
_LONGEST_FOLDER = 40 - len(f"/{_RAY}")


def run_trials(
    conductor: Conductor,
    tick: Callable[[], None],
    *,
    slots: int,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Let Ray Tune run what `conductor` hands out, until nothing is left; see `runners`.

    Raises a `SweepError` if Ray does not start, and the errors that `conductor` and `tick` raise.
    """
    with local_ray(slots) as folder:
        on_start()
        tick()
        if conductor.is_over:
            return
        # Only now, since importing it imports Ray.
        from ray import tune

        from orchestrator.engine.runners import ray_tune

        workers = ray_tune.Workers(conductor, tick, folder)
        tuner = tune.Tuner(
            ray_tune.Worker,
            tune_config=tune.TuneConfig(
                search_alg=ray_tune.ConductorSearcher(workers),
                scheduler=ray_tune.ConductorScheduler(workers),
                num_samples=-1,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(folder),  # the run directories are the record, not this
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
            ),
        )
        try:
            tuner.fit()
        except Exception:
            if workers.errors:
                raise workers.errors[0] from None
            raise


@contextmanager
def local_ray(slots: int) -> Iterator[Path]:
    """Start Ray on this machine with room for `slots` trials; stop it at the end.

    Yields a folder for temporary files, readable by this user alone. No dashboard, no usage
    statistics, nothing bound beyond loopback. On Linux its processes end with this one, even if
    it is killed. Raises a `SweepError` if Ray does not start, or runs in this process already.
    """
    os.environ.update(_SETTINGS)
    warnings.filterwarnings("ignore", module="ray")
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        # For a lost worker they print a page of traceback; the trial's record names it too.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        raise SweepError("Ray already runs in this process. Call ray.shutdown() first.")
    with marked_folder(longest_path=_LONGEST_FOLDER, ends_all=True) as folder:
        try:
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
                    # Otherwise workers would import modules from the working folder before ours.
                    job_config=ray.job_config.JobConfig(_client_job=True),
                    _temp_dir=str(folder / _RAY),
                )
            except Exception as error:
                raise SweepError(
                    f"Ray does not start on this machine ({error}). "
                    "Give --inline to run without it, one trial after another."
                ) from error
            yield folder
        finally:
            ray.shutdown()
