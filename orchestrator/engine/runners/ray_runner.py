"""Run trials through Ray Tune, on a Ray that is quiet, local, private, and ends with the driver."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import resource
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.runners.dispatcher import Dispatcher
from orchestrator.engine.runners.preparation import RAY_FOLDER
from orchestrator.errors import SweepError
from orchestrator.files import GIB, format_size

# Ray reads these when it is imported or started.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # It would start one worker for each slot, before the first trial needs any.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
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

# A sweep that will be over sooner does without Ray, whose start and end take as long and slow down
# the trials on a small machine: after the first of these times, the second one must be left.
RAY_AFTER_S = 5.0
RAY_WORTH_S = 30.0

# Ray's processes without which nothing continues; it does not notice itself when one has ended.
_NEEDED = ("gcs_server", "raylet")
_CHECK_S = 0.3

# Methods that start processes which no sweep uses: the autoscaler, what forwards logs to the
# driver, and the dashboard's server, which runs even without a dashboard.
_UNUSED = ("start_monitor", "start_log_monitor", "start_api_server")

# Below these Ray aborts with pages of its own text, or waits for a minute; it starts with these.
_LEAST_FILES = 64
_LEAST_ADDRESS_SPACE = 3 * GIB


def run_trials(
    conductor: Conductor,
    tick: Callable[[], None],
    *,
    slots: int,
    folder: Path,
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Run what `conductor` hands out until nothing is left; see `runners`.

    Threads of this process supervise the first attempts. If trials still wait after a while, Ray
    starts, and trials of Tune there, one per slot, supervise what starts from then on.

    Args:
        slots: how many attempts may run at once.
        folder: as `prepared` yields it.
        warn: called if Ray does not start; this process then continues alone.
    """
    dispatcher = Dispatcher(conductor, tick, folder)
    ray: RayThread | None = None
    begun = time.monotonic()
    try:
        while not conductor.is_over:
            dispatcher.step()
            if ray is None and _is_worth_ray(conductor, time.monotonic() - begun):
                ray = RayThread(slots, folder, lambda: dispatcher.running)
            if ray is not None:
                if ray.problem:
                    warn(ray.problem.pop())
                if ray.lost():
                    conductor.stop(f"Ray's {ray.lost()} process was lost")
    finally:
        dispatcher.close()
        if ray is not None:
            ray.end()


def _is_worth_ray(conductor: Conductor, elapsed_s: float) -> bool:
    """Return whether trials wait, and will for longer than Ray takes at the pace so far."""
    if elapsed_s < RAY_AFTER_S or conductor.stopping or not conductor.trials.queue:
        return False
    ended = sum(record.state.is_finished for record in conductor.records.values())
    expected = conductor.trials.expected
    return expected is None or (expected - ended) * elapsed_s >= RAY_WORTH_S * ended


class RayThread:
    """Starts Ray and lets Tune run agents, in a thread; the driver does not wait for it.

    A call into a Ray that is gone blocks for a minute and then ends the whole process: the caller's
    thread makes none, and leaves this one behind.

    Attributes:
        problem: at most one text: why Ray is not there, if it does not start.
    """

    def __init__(self, slots: int, folder: Path, running: Callable[[], int]) -> None:
        self.problem: list[str] = []
        self._folder = folder
        self._slots = slots
        self._running = running
        self._is_over = threading.Event()
        self._lost: Callable[[], str | None] = lambda: None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def lost(self) -> str | None:
        """Return the name of a process that Ray has lost and needs, or None."""
        return self._lost()

    def end(self) -> None:
        """End Ray, or leave it behind if it is lost."""
        self._is_over.set()
        while self._thread.is_alive() and not self._lost():
            self._thread.join(_CHECK_S)
        if self._lost():
            # Ray waits a minute for what is gone, also at the end of the interpreter; the reaper
            # ends the rest.
            atexit.register(_leave)

    def _run(self) -> None:
        try:
            with local_ray(self._slots, self._folder) as self._lost:
                if not self._is_over.is_set():
                    # Only now, since importing it imports Ray.
                    from orchestrator.engine.runners import ray_tune

                    searcher = ray_tune.AgentSearcher(self._folder, self._is_over, self._running)
                    ray_tune.run(searcher, self._folder)
        except Exception as error:  # of any kind: the sweep continues without Ray
            if not self._is_over.is_set():
                reason = str(error) if isinstance(error, SweepError) else repr(error)
                self.problem.append(f"{reason} The driver runs the trials itself.")


@contextmanager
def local_ray(slots: int, folder: Path) -> Iterator[Callable[[], str | None]]:
    """Start Ray on this machine with room for `slots` trials; stop it at the end.

    No dashboard, no usage statistics, nothing bound beyond loopback, and a token that only this
    sweep knows. On Linux its processes end with this one, even if it is killed, and no signal to
    this process's group or from its terminal reaches them.

    Args:
        folder: for Ray's files; readable by this user alone.

    Yields:
        A function that returns the name of a process that Ray has lost and needs, or None.

    Raises:
        SweepError: Ray does not start, or runs in this process already.
    """
    _check_limits()
    ray = import_ray(_SETTINGS)
    _set_token(folder / "token")
    node = None
    try:
        for tries in (1, 2):  # a busy machine may exceed the time that Ray has to start
            try:
                with _own_session():
                    ray.init(
                        address="local",
                        num_cpus=slots,
                        num_gpus=0,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                        configure_logging=False,
                        object_store_memory=80 << 20,
                        # Otherwise workers would import from the working folder first.
                        job_config=ray.job_config.JobConfig(_client_job=True),
                        _temp_dir=str(folder / RAY_FOLDER),
                    )
                break
            except Exception as error:
                if tries == 1:
                    ray.shutdown()
                    continue
                reason = str(error).strip().rpartition("\n")[2]  # above may be a traceback
                raise SweepError(
                    f"Ray does not start on this machine ({reason}). It was tried twice."
                ) from error
        node = ray._private.worker.global_worker.node
        yield lambda: _lost(node)
    finally:
        if _lost(node) is None:
            ray.shutdown()  # it would wait a minute for what is gone


def import_ray(settings: Mapping[str, str]) -> Any:
    """Import Ray with settings, which it reads from the environment, and silence it."""
    os.environ.update(settings)
    warnings.filterwarnings("ignore", module="ray")
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        # For a lost worker they print a page of traceback; the trial's record names it too.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Through this it prints pages of its own logs about a process that was killed.
    ray._private.worker.print_to_stdstream = lambda *args, **options: None
    if ray.is_initialized():
        raise SweepError("Ray already runs in this process. Call ray.shutdown() first.")
    return ray


def _check_limits() -> None:
    """Raise a `SweepError` if Ray could not start."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    is_short = 0 <= files < _LEAST_FILES
    short = f"`ulimit -n` is {files}, and it opens {_LEAST_FILES}" if is_short else ""
    if 0 <= space < _LEAST_ADDRESS_SPACE:
        least = format_size(_LEAST_ADDRESS_SPACE)
        short = f"`ulimit -v` is {space >> 10} ({format_size(space)}), and it reserves {least}"
    if short:
        raise SweepError(f"Ray cannot start on this machine: {short}. Raise the limit.")


def _lost(node: Any) -> str | None:
    """Return the name of a process that Ray needs and that has ended; None if all are alive."""
    dead = {} if node is None else dict(node.dead_processes())
    return next((name for name in _NEEDED if name in dead), None)


def leave_at_exit() -> None:
    """End this process without asking Ray, which would wait a minute for what is gone."""
    atexit.register(_leave)


def _leave() -> None:
    """End this process, whose sweep was interrupted, without asking Ray."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(130)


def _set_token(path: Path) -> None:
    """Let Ray accept only who knows a fresh token, which is in a file for this user alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_hex(32))
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)})
    os.environ.pop("RAY_AUTH_TOKEN", None)
    with suppress(ImportError):  # Ray has read both when it was imported
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _own_session() -> Iterator[None]:
    """Start Ray's needed processes, and in sessions of their own, for the time of the block.

    A signal to the driver's process group (a closed terminal, `timeout`, a batch system) would end
    them first, and with them the trials that are about to save their state.
    """
    from ray._private import services
    from ray._private.node import Node

    plain = services.ConsolePopen
    services.ConsolePopen = functools.partial(plain, start_new_session=True)
    unused = {name: getattr(Node, name) for name in _UNUSED}
    for name in unused:
        setattr(Node, name, lambda *arguments, **options: None)
    try:
        yield
    finally:
        services.ConsolePopen = plain
        for name, method in unused.items():
            setattr(Node, name, method)
