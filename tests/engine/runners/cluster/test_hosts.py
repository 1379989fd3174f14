"""Sweeps on hosts of unequal size that share no folder for results, and that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import pytest

from orchestrator.runs import read_reports
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from tests.engine.runners.cluster.hosts import Hosts, why_not
from tests.engine.sweeps import is_alive, wait_until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]

STEPS = 24

HELD_AT = 5

# All hosts reach the folders of `beats` and `go`, as they are not the one for results. The first
# shows in which order processes of a trial have really run, whatever the driver was told; the
# second holds how far trials may go, so that nothing depends on how fast the machine is.
SCRIPT = f"""
import os, socket, sys, time
from pathlib import Path
folder = Path(os.environ["SWEEP_RUN_DIR"])
here = Path(__file__).parent
beats = here / "beats" / folder.name
go = here / "go" / folder.name[:4], here / "go" / "all"
state = folder / "state.pt"
first = int(Path(sys.argv[-1]).read_text()) if "--from" in sys.argv else 0
for step in range(first + 1, {STEPS} + 1):
    print(f"step {{step}} loss {{1 / step}}", flush=True)
    with beats.open("a") as file:
        print(socket.gethostname(), os.getpid(), step, file=file, flush=True)
    (folder / "new.tmp").write_text(str(step))
    (folder / "new.tmp").replace(state)
    while step >= max([int(each.read_text()) for each in go if each.exists()] or [{HELD_AT}]):
        if step == {STEPS}:
            break
        time.sleep(0.1)
    time.sleep(0.1)
"""

SWEEP = """
name: s
program: train.py
metric: loss
resume: {args: "--from ${checkpoint}", checkpoint: "*.pt"}
parameters: {lr: {values: [1, 2, 3, 4]}}
"""


class Driver:
    """Starts the sweep on the first host, and reads what it left."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.hosts = hosts
        self.folder = folder
        self.sweep = SweepDir(folder / "results" / "s")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the sweep, or continue it."""
        command = ["-m", "orchestrator", "run", "s.yaml", "--address", self.hosts.address]
        self.process = self.hosts.start(
            *(0, [sys.executable, *command]),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return self.process

    def go(self, last: int = STEPS, name: str = "all") -> None:
        """Let trials, or that with a number of four digits, go to a step."""
        new = self.folder / "go" / ".new"
        new.write_text(str(last))
        new.replace(new.with_name(name))

    def beats(self, record: TrialRecord) -> list[tuple[str, int, int]]:
        """Return host, process and number of each step of a trial, in the order of time."""
        path = self.folder / "beats" / self.sweep.run_dir(record.number, record.name).path.name
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(host, int(pid), int(step)) for host, pid, step in lines]

    def wait_for_reports(self, *names: str, most: int = 120) -> None:
        """Wait until trials that run on each of these hosts have sent some reports."""

        def are_there() -> bool:
            assert self.process.poll() is None, self.process.communicate()[0].decode()
            seen = {
                (record.slot or {}).get("node")
                for record in load_trials(self.sweep)
                if record.state is TrialState.RUNNING
                and (last := self.beats(record)[-1:])
                and last[0][0] == (record.slot or {}).get("node")
                and is_alive(last[0][1])  # not one of a driver that was killed
                and len(list(read_reports(self.sweep.run_dir(record.number, record.name)))) > 2
            }
            return seen >= set(names)

        wait_until(are_there, most)

    def end(self, code: int = 0) -> str:
        """Wait for the end of the driver, and return what it printed."""
        try:
            output = self.process.communicate(timeout=120)[0].decode()
        finally:
            self.process.kill()
        assert self.process.returncode == code, output
        return output

    def records(self) -> list[TrialRecord]:
        """Return the records of all trials that have started."""
        return [one for one in load_trials(self.sweep) if one.attempt]

    def complete(self) -> list[TrialRecord]:
        """Return the records of the trials that are complete."""
        return [one for one in load_trials(self.sweep) if one.state is TrialState.COMPLETE]

    def reasons(self) -> set[str]:
        """Return why attempts have ended."""
        events = [json.loads(line) for line in self.sweep.events_file.open(encoding="utf-8")]
        return {str(each["reason"]) for each in events if each["event"] == "trial_ended"}

    def stays(self, record: TrialRecord) -> list[tuple[str, list[int]]]:
        """Return the host and the steps of each process of a trial, in the order of time."""
        found: list[tuple[str, list[int]]] = []
        for (host, _), beats in groupby(self.beats(record), itemgetter(0, 1)):
            found.append((host, [beat[2] for beat in beats]))
        return found

    def check(self, records: Sequence[TrialRecord] = ()) -> int:
        """Check that trials are complete and whole; return how many have moved."""
        moved = 0
        for record in records or load_trials(self.sweep):
            assert (record.state, record.value) == (TrialState.COMPLETE, 1 / STEPS), record.reason
            run = self.sweep.run_dir(record.number, record.name)
            steps = [step for step, _ in read_reports(run)]
            assert steps == sorted(set(steps)), "each reported once, in order"
            log = run.log_file.read_text()
            assert all(f"step {step} loss" in log for step in steps)
            stays = self.stays(record)
            # A checkpoint may arrive that is newer than the last report.
            resumed_at = {own[0] - 1 for _, own in stays[1:]}
            assert set(range(1, STEPS + 1)) - set(steps) <= resumed_at
            assert len(stays) == len({beat[1] for beat in self.beats(record)}), "never two at once"
            assert len(stays) <= record.attempt
            for host, own in stays:
                assert own == list(range(own[0], own[-1] + 1)), host
            for (_, before), (_, after) in pairwise(stays):
                assert after[0] <= before[-1] + 1
                assert after[0] > before[0] or len(before) < 3, "from its checkpoint"
            moved += len(stays) > 1
        return moved


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("results", "beats", "go"):
        (tmp_path / name).mkdir()
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "s.yaml").write_text(SWEEP, encoding="utf-8")
    return tmp_path


@pytest.fixture
def hosts(folder: Path, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    found = Hosts(request.param, private=folder / "results", environ={"SWEEP_LEASE_S": "4"})
    yield found
    found.close()


@pytest.mark.parametrize("hosts", [[1, 2, 2]], indirect=True)
def test_trials_of_lost_hosts_continue_elsewhere_from_their_checkpoints(
    hosts: Hosts, folder: Path
) -> None:
    hosts.wait(3, 60)
    driver = Driver(hosts, folder)
    driver.wait_for_reports("h0", "h1", "h2")
    hosts.kill(2)
    hosts.cut(1)
    wait_until(lambda: "node h1 was lost" in driver.reasons(), 60)
    hosts.heal(1)  # what ran there has ended by then
    driver.go()
    driver.end()
    assert driver.check() >= 2
    assert {"node h1 was lost", "node h2 was lost"} <= driver.reasons()


@pytest.mark.parametrize("hosts", [[1, 2]], indirect=True)
def test_hosts_come_and_go_in_order(hosts: Hosts, folder: Path) -> None:
    hosts.wait(2, 60)
    driver = Driver(hosts, folder)
    driver.wait_for_reports("h0", "h1")
    hosts.add(2)
    hosts.kill(1, "TERM")  # as Slurm does with all processes of what it preempts
    driver.wait_for_reports("h2")
    hosts.drain(2)
    wait_until(lambda: "node h2 leaves the cluster" in driver.reasons(), 60)
    driver.go()
    driver.end()
    assert driver.check() >= 2
    assert "node h2 leaves the cluster" in driver.reasons()


@pytest.mark.parametrize("hosts", [[1, 2]], indirect=True)
def test_the_same_command_continues_after_the_driver_or_the_head_was_lost(
    hosts: Hosts, folder: Path
) -> None:
    (folder / "s.yaml").write_text(SWEEP.replace("4]", "4, 5, 6]"), encoding="utf-8")
    hosts.wait(2, 60)
    driver = Driver(hosts, folder)
    driver.wait_for_reports("h0", "h1")
    hosts.kill(0, but=driver.process.pid)
    output = driver.end(130)
    assert f"the head of the Ray cluster at {hosts.address} was lost" in " ".join(output.split())
    assert {one.state for one in driver.records()} == {TrialState.WAITING}

    hosts.kill(1)
    for number in (0, 1):
        hosts.boot(number)
    hosts.wait(2, 60)
    driver.start()
    driver.go(name="0000")
    wait_until(lambda: bool(driver.complete()), 60)
    driver.process.kill()
    driver.process.communicate()
    children = {beat[1] for one in driver.records() for beat in driver.beats(one)}
    wait_until(lambda: not any(map(is_alive, children)), 10)
    complete = driver.complete()

    driver.start()
    driver.wait_for_reports("h0", "h1")
    for number in (1, 0):
        hosts.kill(number, "TERM")  # everything, as Slurm does with a job that it preempts
    driver.end(130)
    assert {one.state for one in driver.records()} == {TrialState.COMPLETE, TrialState.WAITING}
    driver.check(driver.complete())
    attempts = {one.number: one.attempt for one in driver.records()}
    assert all(attempts[one.number] == one.attempt for one in complete), "none ran again"


@pytest.mark.parametrize("hosts", [[1, 1]], indirect=True)
def test_all_commands_work_where_the_driver_runs(hosts: Hosts, folder: Path) -> None:
    def sweep(*words: str) -> str:
        command = [sys.executable, "-m", "orchestrator", *words]
        return hosts.run(*command, timeout_s=60, cwd=folder)

    hosts.wait(2, 60)
    driver = Driver(hosts, folder)
    driver.wait_for_reports("h0", "h1")
    status = json.loads(sweep("status", "s", "--json"))
    nodes = {
        each["node"]: each["number"] for each in status["trials"] if each["state"] == "RUNNING"
    }
    assert set(nodes) == {"h0", "h1"}
    away = driver.records()[nodes["h1"]]
    assert "node" in sweep("status", "s")
    for command in ("compare", "report"):
        assert away.name in sweep(command, "s") or command == "report"

    logs = hosts.start(
        *(0, [sys.executable, "-m", "orchestrator", "logs", away.name, "-f"]),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert logs.stdout is not None
    assert any(line.startswith(f"step {HELD_AT} ") for line in logs.stdout)
    driver.go(HELD_AT + 1, f"{away.number:04}")
    assert any(line.startswith(f"step {HELD_AT + 1} ") for line in logs.stdout), "it follows"
    stopped = sweep("stop", "s", away.name)
    assert "PRUNED" in stopped
    assert logs.wait(20) == 0, "it ends with its trial"
    logs.stdout.close()
    assert not any(is_alive(beat[1]) for beat in driver.beats(away))

    sweep("stop", "s")
    driver.end(130)
    driver.go()
    assert "resumed" in sweep("resume", away.name, "--set", "lr=9")
    last = driver.records()[-1]
    assert (last.state, last.origin) == (TrialState.COMPLETE, away.number)
    assert driver.beats(last)[0][2] == driver.beats(away)[-1][2] + 1
