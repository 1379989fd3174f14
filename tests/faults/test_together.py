"""Several processes at one sweep: drivers, readers, and requests that race with its end."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.errors import BusyError
from orchestrator.files import atomic, jsonl
from orchestrator.placement.leases import Leases
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState, load_trials
from orchestrator.sweepfile.load import load_spec
from tests.engine.sweeps import cpu_plan, wait_until
from tests.faults.meeting import SCRIPT, SWEEP

FORK = multiprocessing.get_context("fork")


def put(folder: Path, script: str = SCRIPT) -> Path:
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "train.sh").write_text(script)
    (folder / "train.sh").chmod(0o755)
    return folder


def run(folder: Path) -> SweepState:
    spec = load_spec(folder / "sweep.yaml")
    silent = lambda event, record, facts: None  # noqa: E731
    results = folder / "results"
    return run_sweep(spec, cpu_plan(1), results=results, listener=silent, inline=True).state


def try_to_run(folder: Path, said: Any) -> None:
    os.setsid()
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        try:
            said.put(run(folder).value)
        except BusyError:
            said.put("busy")


def test_of_drivers_that_start_at_once_one_runs(tmp_path: Path) -> None:
    put(tmp_path, "#!/bin/sh\nsleep 1; echo step 1 val_loss 0.1; echo >> starts\n")
    said: Any = FORK.Queue()
    drivers = [FORK.Process(target=try_to_run, args=(tmp_path, said)) for _ in range(3)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join(60)
    found = sorted(said.get(timeout=5) for _ in drivers)
    assert found == ["FINISHED", "busy", "busy"]
    assert (tmp_path / "starts").read_text().count("\n") == 2, "each trial ran once"


@pytest.mark.parametrize("late_s", [0.0, 0.05, 0.2, 0.4])
def test_a_request_to_stop_that_meets_the_end_harms_nothing(tmp_path: Path, late_s: float) -> None:
    sweep = SweepDir(put(tmp_path) / "results" / "s")

    def ask() -> None:
        wait_until(sweep.state_file.exists)
        time.sleep(late_s)
        sweep.request_stop(None)

    asking = threading.Thread(target=ask)
    asking.start()
    state = run(tmp_path)
    asking.join()
    assert state in (SweepState.FINISHED, SweepState.INTERRUPTED)
    assert run(tmp_path) is SweepState.FINISHED, "an old request stops nobody"
    assert all(one.state is TrialState.COMPLETE for one in load_trials(sweep))


def write(folder: Path, seconds: float) -> None:
    """Write records and logs of a sweep as fast as possible."""
    sweep, until = SweepDir(folder / "s"), time.monotonic() + seconds
    step = 0
    while time.monotonic() < until:
        step += 1
        SweepRecord("s", n_trials=3, metric="val_loss").save(sweep)
        for number in range(3):
            record = TrialRecord(number, f"t{number}", {"lr": step}, TrialState.RUNNING, attempt=1)
            run_dir = sweep.run_dir(number, record.name)
            record.save(run_dir)
            metrics = {"val_loss": 1 / step, "train_loss": 1 / step}
            jsonl.append(run_dir.metrics_file, {"step": step, "metrics": metrics})
            atomic.write_json(run_dir.metadata_file, {"config": {"lr": step}})


def read(folder: Path, seconds: float, said: Any) -> None:
    """Read all the time; report what went wrong."""
    until, problems, rounds = time.monotonic() + seconds, [], 0
    while time.monotonic() < until:
        for words in (["status", "s", "--json"], ["compare", "--json"], ["doctor", "s", "--json"]):
            options = [str(folder)] if words[0] == "compare" else ["--results", str(folder)]
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
                try:
                    main([*words, *options])
                except SystemExit as ended:
                    if ended.code not in (0, None):
                        problems.append(f"{words}: {ended.code} {shown.getvalue()[-300:]}")
                except BaseException as error:
                    problems.append(f"{words}: {error!r}")
            with contextlib.suppress(ValueError):
                json.loads(shown.getvalue())
                rounds += 1
    said.put((rounds, problems[:3]))


def test_readers_meet_no_half_file_while_everything_is_written(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path / "s")
    sweep.trials_dir.mkdir(parents=True)
    write(tmp_path, 0.05)
    said: Any = FORK.Queue()
    writing = FORK.Process(target=write, args=(tmp_path, 1.5))
    reading = [FORK.Process(target=read, args=(tmp_path, 1.0, said)) for _ in range(10)]
    for process in (writing, *reading):
        process.start()
    found = [said.get(timeout=60) for _ in reading]
    for process in (writing, *reading):
        process.join()
    assert all(not problems for _, problems in found), found
    assert sum(rounds for rounds, _ in found) > 10


def claim(folder: Path, said: Any) -> None:
    leases = Leases(folder)
    for _ in range(30):
        with leases.deciding() as alone:
            before = leases.pending().get("gpu", 0)
            if alone and before == 0:
                lease = leases.claim("gpu", 1000)
                said.put(1)
                time.sleep(0.001)
                said.put(-1)
                lease.release()
    said.put(0)


def test_sweeps_on_one_lease_folder_never_promise_memory_twice(tmp_path: Path) -> None:
    said: Any = FORK.SimpleQueue()
    sweeps = [FORK.Process(target=claim, args=(tmp_path / "leases", said)) for _ in range(4)]
    for process in sweeps:
        process.start()
    held = most = ended = 0
    while ended < len(sweeps):
        change = said.get()
        held, ended = held + change, ended + (change == 0)
        most = max(most, held)
    assert most == 1
