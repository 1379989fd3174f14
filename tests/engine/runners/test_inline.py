"""What a process that runs a trial itself is held to; the sweeps stand in test_driver."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.child import memory
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.engine.runners import inline
from orchestrator.files.units import GIB
from orchestrator.placement.model import Need, Plan, Slot
from orchestrator.runs.records import TrialState
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Resources
from tests.engine.machines import FakeMachine
from tests.engine.slots import test_allocator
from tests.engine.sweeps import cpu_plan, toy_spec


def test_a_trial_is_restricted_to_its_slot_and_the_process_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "as it was")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    caps: list[int] = []
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(memory, "cap", caps.append)

    def trains(attempt: Any, channel: inline.DirectChannel, *, echo: Any) -> list[str]:
        seen.append(dict(os.environ))
        channel.send(["report", 1, {"val_mae": 1.0}])
        channel.send(["memory", 3 * GIB, os.getpid()])
        return ["done"]

    monkeypatch.setattr(inline, "run_attempt", trains)
    spec = test_allocator.many(tmp_path, 2, 8 * GIB)
    desk = test_allocator.Desk(tmp_path, FakeMachine([24 * GIB]), spec)
    inline.run_trials(desk.conductor, lambda: None)
    assert [env["CUDA_VISIBLE_DEVICES"] for env in seen] == ["0", "0"]
    assert seen[0]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert seen[0]["OMP_NUM_THREADS"] == str(desk.plan.slots[0].threads)
    assert caps == [8 * GIB, 8 * GIB]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "as it was"
    assert "OMP_NUM_THREADS" not in os.environ
    record = desk.conductor.records[0]
    assert (record.state, record.need["peak_mib"]) == (TrialState.COMPLETE, 3584)


def test_ram_of_the_process_is_not_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trains(attempt: Any, channel: inline.DirectChannel, *, echo: Any) -> list[str]:
        channel.send(["memory", 3 * GIB, os.getpid()])
        channel.send(["report", 1, {"val_mae": 1.0}])
        return ["done"]

    monkeypatch.setattr(inline, "run_attempt", trains)
    desk = test_allocator.Desk(tmp_path, FakeMachine(cores=2), test_allocator.many(tmp_path, 1))
    inline.run_trials(desk.conductor, lambda: None)
    assert "peak_mib" not in desk.conductor.records[0].need


def test_a_sweep_in_this_process_keeps_to_one_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other cards are not even read: a process that has touched CUDA cannot change over."""
    asked: list[str | None] = []

    class FoundError(Exception):
        pass

    def machine(plan: Plan, gpus: str | None) -> FakeMachine:
        asked.append(gpus)
        raise FoundError

    monkeypatch.setattr("orchestrator.engine.driver.driver.Machine", machine)
    slots = tuple(Slot(n, "", str(n), 8 * GIB, 1, str(n)) for n in (1, 0))
    plan = Plan("parallel", 2, 2, slots, 2, Need(8 * GIB, "declared"), "")
    spec = toy_spec(tmp_path, {"a": {}, "b": {}}, resources=Resources(gpu_memory_bytes=8 * GIB))
    for is_inline, gpus in ((True, "1"), (False, None)):
        with pytest.raises(FoundError):
            run_sweep(
                spec, plan, results=tmp_path, listener=lambda *_: None, inline=is_inline, new=True
            )
        assert asked[-1] == gpus


def test_what_a_trainer_prints_is_kept_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trains(attempt: Any, channel: inline.DirectChannel, *, echo: Any) -> list[str]:
        print("from the trainer")
        print("an error", file=sys.stderr)
        print("a report", file=echo)
        channel.send(["report", 1, {"val_mae": 1.0}])
        return ["done"]

    monkeypatch.setattr(inline, "run_attempt", trains)
    desk = test_allocator.Desk(tmp_path, FakeMachine(cores=2), test_allocator.many(tmp_path, 1))
    inline.run_trials(desk.conductor, lambda: print("from the sweep"))
    (run,) = desk.sweep.run_dirs()
    assert run.log_file.read_text() == "from the trainer\nan error\na report\n"
    shown = capsys.readouterr()
    assert "from the trainer" in shown.out
    assert "an error" in shown.err


def test_what_the_sweep_prints_has_lines_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trains(attempt: Any, channel: inline.DirectChannel, *, echo: Any) -> list[str]:
        print("epoch 1:", end=" ")
        channel.send(["report", 1, {"val_mae": 1.0}])
        print("done", end="")
        return ["done"]

    def hears(event: str, record: Any, facts: Any) -> None:
        if event in ("report", "trial_ended"):
            print(f"[{event}]")

    monkeypatch.setattr(inline, "run_attempt", trains)
    spec = toy_spec(tmp_path, {"a": {}})
    run_sweep(spec, cpu_plan(1), results=tmp_path, listener=hears, inline=True)
    assert "epoch 1: \n[report]\ndone\n[trial_ended]\n" in capsys.readouterr().out
    assert (tmp_path / "toy" / "trials" / "0000-a" / "log.txt").read_text() == "epoch 1: done"


def test_no_line_of_a_script_appears_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "t.py"
    script.write_text("import time\nprint('reading data')\ntime.sleep(0.5)\nprint('val_mae 0.5')\n")
    heard: list[str] = []
    spec = toy_spec(tmp_path, {"a": {}}, trainer=None, program=Program(str(script), style="none"))
    run_sweep(
        spec,
        cpu_plan(1),
        results=tmp_path,
        listener=lambda event, record, facts: heard.append(event),
        inline=True,
    )
    assert "report" in heard
    assert "progress" not in heard
    assert capfd.readouterr().out.count("reading data") == 1
