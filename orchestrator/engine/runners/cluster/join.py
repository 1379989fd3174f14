"""Join a Ray cluster that runs already, and leave it as it was."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from orchestrator.engine.conductor import Conductor
from orchestrator.engine.runners.cluster.fence import LEASE_S
from orchestrator.engine.runners.cluster.link import SweepNeeds
from orchestrator.engine.runners.cluster.sweep_nodes import Cluster
from orchestrator.engine.runners.ray_runner import import_ray, leave_at_exit
from orchestrator.errors import SweepError, UsageError
from orchestrator.sweepfile.model import Spec

HEAD_WITHIN_S = 10.0
"""After how long without a connection to the head of the cluster the sweep ends."""

_CHECK_S = 1.0
_CONNECT_S = 2.0


@contextmanager
def joined(
    address: str, spec: Spec | None, results: Path | None, *, lease_s: float = LEASE_S
) -> Iterator[Cluster]:
    """Join the cluster at `address` (``HOST:PORT`` or ``auto``) and start an agent on each node.

    Nothing on the cluster is changed, and the agents end with this process, however it ends.

    Args:
        spec: the sweep that is to run; None to look only.
        results: the folder for its results; nodes that do not reach it copy their run folders.

    Raises:
        UsageError: `address` is none that a driver can join.
        SweepError: the cluster does not answer, or no node of it can run trials.
    """
    if "://" in address:
        raise UsageError(
            f"--address {address}: only HOST:PORT or auto. Run sweep on a node of the cluster, "
            "for example through `ray job submit`."
        )
    _use_token(address)
    ray = import_ray({"RAY_USAGE_STATS_ENABLED": "0"})
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
            # Otherwise workers would import from the working folder first.
            job_config=ray.job_config.JobConfig(_client_job=True),
        )
    except Exception as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise SweepError(
            f"--address {address}: cannot join the Ray cluster ({reason}). Start one with `ray "
            "start`, and run sweep on one of its nodes. If it requires a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
        ) from error
    cluster = None
    try:
        with _token(results) as token:
            cluster = Cluster(_needs(spec, token), lease_s)
            cluster.wait_for_agents()
            yield cluster
    finally:
        if cluster is None or not cluster.is_abandoned:
            if cluster is not None:
                cluster.close()
            ray.shutdown()


def _use_token(address: str) -> None:
    """Use Ray's token if the node of the cluster on this machine does.

    For an address that was given Ray does not look, and both sides have to do the same.
    """
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if process.info["name"] != "raylet" or f"={address}" not in " ".join(process.cmdline()):
                continue
            mode = process.environ().get("RAY_AUTH_MODE")
            if mode is not None:
                os.environ.setdefault("RAY_AUTH_MODE", mode)
            return


@contextmanager
def _token(results: Path | None) -> Iterator[str]:
    """Make a file in the folder for results, by which nodes see whether they reach it."""
    if results is None:
        yield ""
        return
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=results.resolve(), prefix=".shared-") as file:
        yield file.name


def _needs(spec: Spec | None, token: str) -> SweepNeeds:
    if spec is None:
        return SweepNeeds()
    paths = {str(spec.path.parent.resolve())}
    if spec.program is not None:
        paths |= {path for path in (spec.program.path, spec.program.workdir) if "/" in path}
    return SweepNeeds(spec.trainer, token, sorted(paths))


def run_trials(cluster: Cluster, conductor: Conductor, tick: Callable[[], None]) -> None:
    """Run what `conductor` hands out on the nodes of `cluster`, until nothing is left."""
    import ray

    head = ray.get_runtime_context().gcs_address
    # A call into a Ray whose head is gone blocks for a minute and then ends the whole process: this
    # thread stays out of it, and leaves the other one behind.
    loop = threading.Thread(target=cluster.run, args=(conductor, tick), daemon=True)
    loop.start()
    seen_at = time.monotonic()
    while loop.is_alive() and time.monotonic() - seen_at < HEAD_WITHIN_S:
        loop.join(_CHECK_S)
        if _is_reachable(head):
            seen_at = time.monotonic()
    if loop.is_alive():
        cluster.abandon(conductor, f"the head of the Ray cluster at {head} was lost")
        leave_at_exit()
    cluster.raise_error()


def _is_reachable(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S):
        return True
    return False
