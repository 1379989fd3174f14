"""Whole sweeps through a real Ray on a card that is played: scripts say what they hold of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState, load_trials
from tests import fake_nvml
from tests.conftest import ROOT
from tests.engine.sweeps import processes_with, wait_until
from tests.fake_nvml import Card, FakeNvml

SCRIPT = """
import argparse, os, sys, time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--holds", type=int)
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--late", type=float, default=0.0)
parser.add_argument("--fails-once", default="no")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
log = open("log.txt", "a", buffering=1)
log.write(f"start {os.getpid()} {time.time()}\\n")
time.sleep(args.late)
uses = Path(os.environ["USES"]) / str(os.getpid())
uses.write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {args.holds}\\n")
for epoch in range(1, args.epochs + 1):
    time.sleep(0.3)
    print(f"Epoch {epoch}/{args.epochs} - loss: {1 / epoch}", flush=True)
    failed = Path(f"failed-{args.seed}")
    if args.fails_once == "yes" and epoch == 2 and not failed.exists():
        failed.touch()
        sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB. "
                 "GPU 0 has a total capacity of 24.00 GiB of which 500.00 MiB is free.")
while Path("hold").exists():
    time.sleep(0.1)
log.write(f"end {os.getpid()} {time.time()}\\n")
"""

SPEC = """
version: 1
name: {name}
program: train.py
args: hyphen-space
metrics:
  pattern: 'Epoch (?P<step>\\d+)/(?P<total>\\d+) - loss: (?P<train_loss>\\S+)'
resources: {{gpu_memory: 8GB}}
fixed: {{holds: 7000}}
trials:
{trials}
"""


class Desk:
    """A folder with a script, sweep files, and a card that tests play."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "nvml").mkdir()
        self.nvml: FakeNvml = fake_nvml.build(folder / "nvml")
        (folder / "train.py").write_text(SCRIPT)

    def write(self, trials: dict[str, dict[str, Any]], name: str = "shared") -> None:
        lines = [f"  {key}: {{set: {json.dumps(values)}}}" for key, values in trials.items()]
        (self.folder / f"{name}.yaml").write_text(SPEC.format(name=name, trials="\n".join(lines)))

    def start(self, *words: str, name: str = "shared") -> subprocess.Popen[str]:
        env = self.nvml.env(
            USES=str(self.nvml.uses),
            SWEEP_TEST_DESK=str(self.folder),
            SWEEP_LEASES=str(self.folder / "leases"),
            PYTHONPATH=str(ROOT),
        )
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "run", f"{name}.yaml", *words],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *runs: subprocess.Popen[str]) -> list[str]:
        """Return what runs printed, once all have ended."""
        return [run.communicate(timeout=150)[0] for run in runs]

    def sweep(self, name: str = "shared") -> SweepDir:
        return SweepDir(self.folder / "results" / name)

    def trials(self, name: str = "shared") -> dict[str, TrialRecord]:
        return {record.name: record for record in load_trials(self.sweep(name))}

    def running(self) -> int:
        return sum(record.state is TrialState.RUNNING for record in self.trials().values())

    def events(self, kind: str, name: str = "shared") -> list[dict[str, Any]]:
        found = jsonl.read(self.sweep(name).events_file)
        return [event for event in found if event["event"] == kind]

    def placement(self) -> dict[str, Any]:
        record = SweepRecord.load(self.sweep())
        return {} if record is None else record.placement

    def most_at_once(self) -> int:
        """Return how many of the scripts ran at a time at most."""
        lines = [line.split() for line in (self.folder / "log.txt").read_text().splitlines()]
        order = sorted((float(at), 1 if kind == "start" else -1) for kind, _, at in lines)
        counts = [0]
        for _, change in order:
            counts.append(counts[-1] + change)
        return max(counts)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    wait_until(lambda: not processes_with(f"SWEEP_TEST_DESK={tmp_path}\0"), 15)


def all_of(count: int, **values: Any) -> dict[str, dict[str, Any]]:
    return {f"t{number}": {"seed": number, **values} for number in range(count)}


def states(records: Sequence[TrialRecord]) -> set[TrialState]:
    return {record.state for record in records}


@pytest.mark.ray
def test_memory_that_shrinks_midway_is_waited_for(desk: Desk) -> None:
    desk.nvml.write([Card(24576)])
    desk.write(all_of(4))
    hold = desk.folder / "hold"
    hold.touch()
    run = desk.start("--max-parallel", "3")
    wait_until(lambda: desk.running() == 3, 60)
    # Somebody takes all that ours leave free, and keeps it when they end.
    wait_until(lambda: len(list(desk.nvml.uses.iterdir())) == 3, 30)
    wait_until(lambda: "peak_mib" in desk.trials()["t0"].need, 30)
    desk.nvml.write([Card(24576, free_mib=3072)])
    hold.unlink()
    wait_until(lambda: bool(desk.placement().get("waiting")), 60)
    wait_until(lambda: desk.running() == 0, 60)
    wait_until(lambda: desk.placement()["waiting"]["missing_mib"] == 8192 - 3072, 30)
    assert desk.placement()["waiting"]["reason"] == "waits for 5.0 GiB on GPU 0"
    assert run.poll() is None
    desk.nvml.write([Card(24576)])
    (text,) = desk.finish(run)
    assert run.returncode == 0, text
    assert states(list(desk.trials().values())) == {TrialState.COMPLETE}
    assert desk.events("waiting")
    assert desk.events("waited")
    assert desk.placement().get("waiting") is None
    assert "waits for" in text
    need = desk.trials()["t0"].need
    assert (need["memory_mib"], need["source"], need["peak_mib"]) == (8192, "declared", 7000)
    assert desk.most_at_once() == 3


@pytest.mark.ray
def test_a_script_that_runs_out_of_memory_once_completes_at_its_second_attempt(desk: Desk) -> None:
    desk.nvml.write([Card(24576)])
    trials = all_of(3)
    trials["t1"]["fails_once"] = "yes"
    desk.write(trials)
    run = desk.start()
    (text,) = desk.finish(run)
    assert run.returncode == 0, text
    records = desk.trials()
    assert states(list(records.values())) == {TrialState.COMPLETE}
    assert (records["t1"].number, records["t1"].attempt) == (1, 2)
    assert records["t1"].slot is not None
    assert records["t1"].slot["memory_mib"] == 12 * 1024
    (event,) = desk.events("out_of_memory")
    assert (event["number"], event["kind"]) == (1, "gpu")
    assert "after out-of-memory in trial 1" in desk.placement()["fallback"]
    assert "after out-of-memory in trial 1" in text


@pytest.mark.ray
def test_two_sweeps_do_not_count_the_same_memory(desk: Desk) -> None:
    desk.nvml.write([Card(17 * 1024)])
    for name in ("first", "second"):
        desk.write(all_of(2, late=2.0, epochs=2), name)
    runs = [desk.start(name=name) for name in ("first", "second")]
    texts = desk.finish(*runs)
    assert [run.returncode for run in runs] == [0, 0], texts
    assert desk.most_at_once() == 2, "the card holds two, whoever started them"


@pytest.mark.slow
def test_without_ray_it_waits_too(desk: Desk) -> None:
    desk.nvml.write([Card(4096), Card(24576, free_mib=2048)])
    desk.write(all_of(1))
    run = desk.start("--inline")
    wait_until(lambda: bool(desk.placement().get("waiting")), 60)
    desk.nvml.write([Card(4096), Card(24576)])
    (text,) = desk.finish(run)
    assert run.returncode == 0, text
    assert "waits for 6.0 GiB on GPU 1" in text
    (seen,) = {path.read_text() for path in desk.nvml.uses.iterdir()}
    assert seen == f"{fake_nvml.uuid_of(1)} 7000\n", "it sees its card and no other"
    desk.nvml.write([Card(24576, free_mib=1024)])
    run = desk.start("--inline", "--new", "--wait-timeout", "1s")
    (text,) = desk.finish(run)
    assert run.returncode == 3, text
    assert "waits for 7.0 GiB on GPU 0" in text


@pytest.mark.ray
def test_a_sweep_that_waits_can_be_stopped_from_elsewhere(desk: Desk) -> None:
    desk.nvml.write([Card(24576, free_mib=2048)])
    desk.write(all_of(2))
    run = desk.start()
    wait_until(lambda: bool(desk.placement().get("waiting")), 60)
    (folder,) = desk.folder.glob("results/shared")
    subprocess.run(
        [sys.executable, "-m", "orchestrator", "stop", str(folder)],
        env=desk.nvml.env(PYTHONPATH=str(ROOT)),
        check=True,
        timeout=60,
    )
    (text,) = desk.finish(run)
    assert run.returncode == 130, text
    assert desk.placement() == {}


@pytest.mark.ray
def test_waiting_ends_when_it_is_told_to(desk: Desk) -> None:
    desk.nvml.write([Card(24576, free_mib=2048)])
    desk.write(all_of(2))
    run = desk.start("--wait-timeout", "2s")
    (text,) = desk.finish(run)
    assert run.returncode == 3, text
    assert "--wait-timeout 2s: memory did not come free in that time" in text
    assert "waits for 6.0 GiB on GPU 0" in text
    record = SweepRecord.load(desk.sweep())
    assert record is not None
    assert record.state is SweepState.INTERRUPTED

    run = desk.start()
    wait_until(lambda: bool(desk.placement().get("waiting")), 60)
    begun = time.monotonic()
    run.send_signal(signal.SIGINT)
    (text,) = desk.finish(run)
    assert run.returncode == 130, text
    assert time.monotonic() - begun < 30
    assert desk.events("trial_started") == []
