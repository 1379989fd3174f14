"""Another Ray of the same user, which is busy and then ends: neither disturbs the other."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.runs import SweepDir, TrialState, load_trials
from tests.engine.driver.test_driver import LONG, agents_below, start_driver
from tests.engine.sweeps import wait_until

JOB = """
import sys, time, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level="error")
@ray.remote(num_cpus=1)
def work():
    while True: sum(range(10_000)); time.sleep(0.01)
work.remote()
while True:
    print(len(ray.nodes()), flush=True)
    time.sleep(0.5)
"""


def listens(host: str, port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((host, port)) == 0


@pytest.mark.ray
@pytest.mark.slow
def test_another_ray_is_left_alone_and_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path holds 107 bytes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ray = shutil.which("ray") or str(Path(sys.executable).with_name("ray"))
    options = ["--head", "--node-ip-address=127.0.0.1", f"--port={address.rpartition(':')[2]}"]
    options += [f"--temp-dir={short}", "--num-cpus=1", "--include-dashboard=false", "--block"]
    options += ["--object-store-memory=80000000", "--disable-usage-stats"]
    # The first keeps it on loopback.
    loopback = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
    variables = {**os.environ, **loopback}
    other = subprocess.Popen(
        [ray, "start", *options], stdout=subprocess.DEVNULL, env=variables, start_new_session=True
    )
    job = None
    try:
        host, _, port = address.partition(":")
        wait_until(lambda: listens(host, int(port)), 60)
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, address], stdout=subprocess.PIPE, text=True, env=variables
        )
        assert job.stdout is not None
        assert job.stdout.readline().strip() == "1"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        # Also with little shared memory, where a folder for it may be mounted.
        little = ["unshare", "-m", "sh", "-c"]
        little += ['mount -t tmpfs -o size=4m tmpfs /dev/shm && exec "$@"', "sh"]
        is_allowed = subprocess.run([*little, "true"], capture_output=True, check=False)
        driver = start_driver(tmp_path, LONG, () if is_allowed.returncode else little)
        wait_until(lambda: bool(agents_below(driver.pid)), 90)
        assert job.poll() is None
        counts = [job.stdout.readline().strip() for _ in range(10)]
        assert set(counts) == {"1"}, "a node of ours has joined it"
        os.killpg(other.pid, signal.SIGKILL)
        assert driver.wait(120) == 0
        records = load_trials(SweepDir(tmp_path / "toy"))
        assert [record.state for record in records] == [TrialState.COMPLETE] * 4
    finally:
        for process in (job, other):
            if process is not None:
                process.kill()
                process.wait(30)
        shutil.rmtree(short, ignore_errors=True)
