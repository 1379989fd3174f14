"""Real trials on a real card; without one they skip. Run them with ``pytest -m gpu``.

The toys hold tensors of a size that they are told, so that what is measured, capped and recovered
can be held against NVML's own figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.files import jsonl
from orchestrator.files.units import GIB, MIB
from orchestrator.placement.hardware.gpus import survey
from orchestrator.placement.model import Device
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from tests.conftest import ROOT

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

SCRIPT = """
import argparse, os, time
from pathlib import Path
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--holds-mib", type=int)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--work", type=int, default=0)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--together", type=int, default=0)
args = parser.parse_args()
Path(f"started-{args.seed}").touch()
while len(list(Path().glob("started-*"))) < args.together:
    time.sleep(0.1)
print("sees", torch.cuda.device_count(), torch.cuda.get_device_properties(0).uuid, flush=True)
held = torch.empty(args.holds_mib << 20, dtype=torch.uint8, device="cuda")
matrix = torch.randn(2048, 2048, device="cuda")
for epoch in range(1, args.epochs + 1):
    for _ in range(args.work):
        matrix = torch.nn.functional.normalize(matrix @ matrix)
    torch.cuda.synchronize()
    time.sleep(0.5)
    print(f"Epoch {epoch}/{args.epochs} - loss: {1 / epoch}", flush=True)
"""

SPEC = """
version: 1
name: real
program: train.py
args: hyphen-space
metrics:
  pattern: 'Epoch (?P<step>\\d+)/(?P<total>\\d+) - loss: (?P<train_loss>\\S+)'
{more}
trials:
{trials}
"""


@pytest.fixture(scope="module")
def card() -> Device:
    """The card with most free memory; torch must be able to use it."""
    torch = pytest.importorskip("torch")
    devices = survey()[0]
    if not devices:
        pytest.skip("needs an NVIDIA GPU: the driver shows none here")
    if not torch.cuda.is_available():
        pytest.skip("needs a torch that was built for CUDA")
    best = max(devices, key=lambda device: device.free_bytes)
    if best.free_bytes < 4 * GIB:
        pytest.skip(f"needs 4 GiB of free GPU memory, but {best} has less")
    return best


class Desk:
    """A folder with a script and a sweep on one card."""

    def __init__(self, folder: Path, card: Device) -> None:
        self.folder, self.card = folder, card
        (folder / "train.py").write_text(SCRIPT)

    def run(
        self, trials: dict[str, dict[str, Any]], more: str = "", *words: str
    ) -> tuple[int, str]:
        """Run a sweep to its end; return its exit code and what it printed."""
        lines = "\n".join(f"  {key}: {{set: {json.dumps(v)}}}" for key, v in trials.items())
        (self.folder / "real.yaml").write_text(SPEC.format(more=more, trials=lines))
        done = subprocess.run(
            [
                sys.executable,
                *["-m", "orchestrator", "run", "real.yaml", "--gpus"],
                self.card.id,
                *words,
            ],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "SWEEP_LEASES": str(self.folder / "leases")},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def sweep(self) -> SweepDir:
        return SweepDir(self.folder / "results" / "real")

    def trials(self) -> dict[str, TrialRecord]:
        return {record.name: record for record in load_trials(self.sweep)}

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = jsonl.read(self.sweep.events_file)
        return [event for event in found if event["event"] == kind]


@pytest.fixture
def desk(tmp_path: Path, card: Device) -> Desk:
    return Desk(tmp_path, card)


def test_small_trials_run_at_once_and_are_measured_as_nvml_does(desk: Desk) -> None:
    trials = {f"t{n}": {"holds_mib": 512, "seed": n} for n in range(3)}
    code, text = desk.run(trials, "resources: {gpu_memory: 1.2GB}")
    assert code == 0, text
    for record in desk.trials().values():
        # What a matrix takes, and the context, which is a few hundred MiB.
        assert 512 <= record.need["peak_mib"] <= 512 + 1200
    starts = {event["time"] for event in desk.events("trial_started")}
    first_end = min(event["time"] for event in desk.events("trial_ended"))
    assert sum(start < first_end for start in starts) == 3, "all three at once"


@pytest.mark.parametrize("words", [(), ("--inline",)])
def test_a_trial_sees_its_device_and_no_other(desk: Desk, words: tuple[str, ...]) -> None:
    code, text = desk.run({"one": {"holds_mib": 64, "epochs": 2}}, "", *words)
    assert code == 0, text
    record = desk.trials()["one"]
    log = desk.sweep.run_dir(record.number, record.name).log_file.read_text()
    _, count, uuid = next(line for line in log.splitlines() if line.startswith("sees")).split()
    assert count == "1"
    assert uuid.removeprefix("GPU-") == desk.card.uuid.removeprefix("GPU-")


def test_a_need_that_is_not_declared_is_measured_and_shared(desk: Desk) -> None:
    trials = {f"t{n}": {"holds_mib": 256, "seed": n, "epochs": 12} for n in range(4)}
    code, text = desk.run(trials, "", "--placement", "parallel")
    assert code == 0, text
    sources = [desk.trials()[f"t{n}"].need["source"] for n in range(4)]
    assert set(sources) == {"measured"}
    assert (desk.folder / "results" / "placement.json").exists()
    code, text = desk.run(trials, "", "--placement", "parallel", "--new")
    assert code == 0, text
    again = load_trials(SweepDir(desk.folder / "results" / "real-2"))
    assert {record.need["source"] for record in again} == {"history"}


def test_a_trial_too_large_for_the_card_fails_alone_and_the_others_go_on(desk: Desk) -> None:
    huge = (desk.card.total_bytes // MIB) + 4096
    trials = {
        "huge": {"holds_mib": huge, "epochs": 2},
        "small": {"holds_mib": 256, "epochs": 2, "seed": 1},
    }
    code, text = desk.run(trials)
    assert code == 1, text
    records = desk.trials()
    assert records["small"].state is TrialState.COMPLETE
    assert records["huge"].state is TrialState.FAIL
    assert "out of memory" in (records["huge"].reason or "")
    assert desk.events("out_of_memory")[0]["kind"] == "gpu"


def test_a_trial_that_really_ran_out_of_memory_runs_again_and_completes(desk: Desk) -> None:
    # Declared far too low, so that both start; the card holds one. They take their memory once
    # both run, before either was measured.
    most = int(0.6 * desk.card.free_bytes) // MIB
    trials = {
        f"t{n}": {"holds_mib": most, "seed": n, "epochs": 20, "together": 2} for n in range(2)
    }
    code, text = desk.run(trials, "resources: {gpu_memory: 1GB}", "--placement", "parallel")
    assert code == 0, text
    records = desk.trials()
    assert {record.state for record in records.values()} == {TrialState.COMPLETE}
    failures = desk.events("out_of_memory")
    assert failures, "both started while the card looked free"
    assert {event["kind"] for event in failures} == {"gpu"}
    again = [record for record in records.values() if record.attempt > 1]
    assert len(again) == 1
    assert again[0].need["memory_mib"] >= 1.5 * 1024
    assert "fell back to sequential after out-of-memory in trial" in text


def test_growth_stops_where_more_at_once_are_not_faster(desk: Desk) -> None:
    trials = {f"t{n}": {"holds_mib": 128, "seed": n, "epochs": 80, "work": 400} for n in range(4)}
    code, text = desk.run(trials)
    assert code == 0, text
    decisions = [event["decision"] for event in desk.events("growth")]
    assert decisions, "trials that run for a minute are enough to measure"
    assert decisions[0] == "grow"


def test_a_trainer_is_held_to_its_slot(card: Device) -> None:
    code = (
        "import torch\n"
        "from orchestrator.engine.child import memory\n"
        "assert memory.cap(2 << 30)\n"
        "torch.empty(1 << 30, dtype=torch.uint8, device='cuda')\n"
        "try:\n"
        "    torch.empty(3 << 30, dtype=torch.uint8, device='cuda')\n"
        "except torch.OutOfMemoryError as error:\n"
        "    from orchestrator.placement.memory_needs.oom import classify\n"
        "    print(classify(f'out of memory on 0: {error}'), memory.reserved_bytes() >> 20)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": card.uuid or card.id},
        capture_output=True,
        text=True,
        check=True,
    )
    kind, reserved = done.stdout.split()
    assert kind == "gpu"
    assert 1024 <= int(reserved) <= 1536
