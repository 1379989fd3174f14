"""A sweep on three hosts of unequal size that share no folder for results; two of them fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from orchestrator.runs import read_reports
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from tests.engine.runners.cluster.hosts import Hosts, why_not
from tests.engine.sweeps import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

STEPS = 24

SCRIPT = f"""
import os, socket, time
from pathlib import Path
folder = Path(os.environ["SWEEP_RUN_DIR"])
state = folder / "state.pt"
first = int(state.read_text()) if state.exists() else 0
for step in range(first + 1, {STEPS} + 1):
    print(f"step {{step}} loss {{1 / step}}", flush=True)
    with (folder / "hosts.log").open("a") as file:
        print(step, socket.gethostname(), file=file)
    (folder / "new.tmp").write_text(str(step))
    (folder / "new.tmp").replace(state)
    time.sleep(0.25)
"""

SWEEP = """
name: s
program: train.py
metric: loss
resume: {args: "--from ${checkpoint}", checkpoint: "*.pt"}
parameters: {lr: {values: [1, 2, 3, 4, 5]}}
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    (tmp_path / "results").mkdir()
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(SWEEP, encoding="utf-8")
    found = Hosts([1, 2, 2], private=tmp_path / "results", environ={"SWEEP_LEASE_S": "4"})
    yield found
    found.close()


def test_trials_of_lost_hosts_continue_elsewhere_from_their_checkpoints(
    hosts: Hosts, tmp_path: Path
) -> None:
    sweep = SweepDir(tmp_path / "results" / "s")
    command = [sys.executable, "-m", "orchestrator", "run", "s.yaml", "--address", hosts.address]
    hosts.wait(3, 40)
    driver = hosts.start(0, command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def have_begun() -> bool:
        """Return whether three trials or more have reported on hosts that will be lost."""
        files = [path.read_text().split() for path in sweep.path.rglob("hosts.log")]
        away = [
            path for path in sweep.path.rglob("metrics.jsonl") if len(path.open().readlines()) > 2
        ]
        return len(away) >= 5 and {name for words in files for name in words[1::2]} >= {"h1", "h2"}

    try:
        wait_until(have_begun, 40)
        hosts.kill(2)
        hosts.cut(1)
        output, _ = driver.communicate(timeout=90)
    finally:
        driver.kill()
    assert driver.returncode == 0, output.decode()
    records = load_trials(sweep)
    assert {record.state for record in records} == {TrialState.COMPLETE}
    assert {record.value for record in records} == {1 / STEPS}
    moved = 0
    for record in records:
        run = sweep.run_dir(record.number, record.name)
        steps = [step for step, _ in read_reports(run)]
        assert steps == sorted(set(steps)), "no step was reported twice"
        assert steps[0] == 1
        assert steps[-1] == STEPS
        lines = [line.split() for line in (run.path / "hosts.log").read_text().splitlines()]
        stays = [
            (host, [int(step) for step, _ in each]) for host, each in groupby(lines, lambda x: x[1])
        ]
        assert len({host for host, _ in stays}) == len(stays), "never two at once"
        for host, own in stays:
            assert own == list(range(own[0], own[-1] + 1)), host
        for (_, before), (_, after) in pairwise(stays):
            assert before[0] < after[0] <= before[-1] + 1, "from the checkpoint, not from the start"
        assert {int(step) for step, _ in lines} == set(range(1, STEPS + 1))
        moved += len(stays) > 1
    assert moved >= 2
    events = [json.loads(line) for line in sweep.events_file.open(encoding="utf-8")]
    reasons = {event["reason"] for event in events if event["event"] == "trial_ended"}
    assert {"node h1 was lost", "node h2 was lost"} <= reasons
