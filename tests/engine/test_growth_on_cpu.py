"""Growth measured for real: trials that run at once on this machine's cores."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.driver.driver import run_sweep
from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.files import jsonl
from orchestrator.placement.concurrency.throughput import Window
from orchestrator.placement.hardware.cpu_slots import plan_cpu
from orchestrator.placement.hardware.host import HostReader
from orchestrator.placement.model import Need, Policy
from orchestrator.runs.records import SweepRecord
from tests.engine.sweeps import toy_spec

# Seconds instead of the minutes that real trainings are measured for.
SHORT = Window(points=4, at_least_s=1.0, noisy_s=2.0, few_points=3, long_s=4.0)


@pytest.mark.ray
def test_growth_on_this_machine_is_measured_and_keeps_its_limits(tmp_path: Path) -> None:
    host = HostReader().read()
    if host.cores < 2:
        pytest.skip("needs two cores")
    trials = {f"t{n}": {"lr": 0.1 + n / 10, "epochs": 100, "pause_s": 0.08} for n in range(4)}
    policy = Policy(placement="grow", gpus_per_trial=0)
    decided = plan_cpu(host, Need(), 4, policy)
    assert (decided.mode, decided.start_parallel) == ("sequential", 1)
    outcome = run_sweep(
        toy_spec(tmp_path, trials),
        decided,
        results=tmp_path,
        listener=lambda event, record, details: None,
        terms=SlotOptions(policy, window=SHORT),
    )
    assert outcome.exit_code == 0
    events = jsonl.read(outcome.folder.events_file)
    steps = [event for event in events if event["event"] == "growth"]
    assert (steps[0]["at_once"], steps[0]["decision"]) == (1, "grow")
    assert steps[1]["at_once"] == 2
    assert steps[1]["ratio"] > 0
    running = most = 0
    threads: dict[int, int] = {}
    for event in events:
        if event["event"] == "trial_started":
            threads[event["number"]] = event["slot"]["threads"]
        elif event["event"] == "trial_ended":
            del threads[event["number"]]
        running = len(threads)
        most = max(most, running)
        assert sum(threads.values()) <= host.cores
    assert 2 <= most <= decided.max_parallel
    record = SweepRecord.load(outcome.folder)
    assert record is not None
    assert "2 at once:" in record.placement["growth"]["cpu"]
    assert "× the speed of 1" in record.placement["growth"]["cpu"]
    assert '"at_once"' in (tmp_path / "placement.json").read_text()
