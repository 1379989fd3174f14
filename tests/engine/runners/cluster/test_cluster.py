"""Sweeps on a real Ray cluster of two nodes on this machine, which share its folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster as RayCluster

from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepState, TrialState, load_trials
from tests.engine.sweeps import is_alive, wait_until

pytestmark = pytest.mark.ray

SCRIPT = """
import os, sys, time
from pathlib import Path
folder = Path(os.environ["SWEEP_RUN_DIR"])
at = folder / "at.txt"
first = int(at.read_text()) if at.exists() else 0
for step in range(first + 1, 31):
    print(f"step {step} loss {1 / step}", flush=True)
    (folder / "new.txt").write_text(str(step))
    (folder / "new.txt").replace(at)  # whole, whenever it is killed
    time.sleep(float(os.environ.get("STEP_S", "0.1")))
    with (folder / "pids.txt").open("a") as file:
        print(os.getpid(), file=file)
"""

SWEEP = """
name: s
program: train.py
metric: loss
parameters: {lr: {values: [1, 2, 3, 4]}}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayCluster]:
    head = {"num_cpus": 2, "include_dashboard": False}
    try:
        found = RayCluster(initialize_head=True, head_node_args=head)
    except RuntimeError:  # on a busy machine a head may take longer than Ray waits for it
        found = RayCluster(initialize_head=True, head_node_args=head)
    found.add_node(num_cpus=2)
    yield found
    found.shutdown()


def start(folder: Path, address: str, *options: str) -> subprocess.Popen[str]:
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "s.yaml").write_text(SWEEP, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run", "s.yaml", "--address", address, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pids(sweep: SweepDir) -> set[int]:
    """Return the processes of all trials so far."""
    texts = [path.read_text().split() for path in sweep.path.rglob("pids.txt")]
    return {int(pid) for text in texts for pid in text}


def test_trials_run_on_all_nodes_and_end_with_the_driver_and_continue(
    nodes: RayCluster, tmp_path: Path
) -> None:
    sweep = SweepDir(tmp_path / "results" / "s")
    driver = start(tmp_path, nodes.address)
    wait_until(lambda: len(pids(sweep)) == 4, 60)
    driver.kill()
    killed_at = time.monotonic()
    driver.wait()
    wait_until(lambda: not any(map(is_alive, pids(sweep))), 10)
    assert time.monotonic() - killed_at < 10
    records = load_trials(sweep)
    assert len({(record.slot or {})["node"] for record in records}) == 2
    again = start(tmp_path, nodes.address)
    output, _ = again.communicate(timeout=60)
    assert again.returncode == 0, output
    assert {record.state for record in load_trials(sweep)} == {TrialState.COMPLETE}
    assert {record.attempt for record in load_trials(sweep)} == {2}


def test_what_a_lost_node_ran_continues_elsewhere(
    nodes: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEP_LEASE_S", "4")
    third = nodes.add_node(num_cpus=2)
    sweep = SweepDir(tmp_path / "results" / "s")
    driver = start(tmp_path, nodes.address, "--max-parallel", "4")
    try:
        wait_until(lambda: len(pids(sweep)) >= 4, 60)
        nodes.remove_node(third, allow_graceful=False)
        output, _ = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert driver.returncode == 0, output
    records = load_trials(sweep)
    assert {record.state for record in records} == {TrialState.COMPLETE}
    events: list[dict[str, Any]] = [json.loads(line) for line in sweep.events_file.open()]
    lost = [event for event in events if str(event.get("reason")).startswith("node ")]
    assert lost, "some ran there"
    assert {event["number"] for event in lost} == {one.number for one in records if one.attempt > 1}
    assert json.loads(sweep.state_file.read_text())["state"] == SweepState.FINISHED


HOLD = """
import ray, sys
from pathlib import Path
ray.init(sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=2)
class All:
    def here(self): pass
held = [All.options(scheduling_strategy="SPREAD").remote() for _ in range(2)]
ray.get([one.here.remote() for one in held])
Path(sys.argv[2]).touch()
sys.stdin.read()
"""


def test_a_sweep_waits_while_other_jobs_hold_all_cores(nodes: RayCluster, tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path / "results" / "s")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD.strip(), nodes.address, str(tmp_path / "held")],
        stdin=subprocess.PIPE,
    )
    driver = None
    try:
        wait_until((tmp_path / "held").exists, 90)
        driver = start(tmp_path, nodes.address)

        def waits() -> bool:
            placement = (json.loads(sweep.state_file.read_text()) or {}).get("placement") or {}
            return "other jobs hold all" in str((placement.get("waiting") or {}).get("reason"))

        wait_until(lambda: sweep.state_file.exists() and waits(), 90)
        other.communicate()
        output, _ = driver.communicate(timeout=60)
    finally:
        other.kill()
        if driver is not None:
            driver.kill()
    assert driver.returncode == 0, output
    assert "waits for a core: other jobs hold all of this Ray cluster" in output
    records = load_trials(sweep)
    assert {record.state for record in records} == {TrialState.COMPLETE}
    assert len({(record.slot or {})["node"] for record in records}) == 2
