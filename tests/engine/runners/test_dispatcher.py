"""Attempts below an agent and in the driver's threads, with real children and without Ray."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from orchestrator.engine.child import shared_forkserver
from orchestrator.engine.child.process import modules_to_load
from orchestrator.engine.child.supervisor import serve
from orchestrator.engine.runners.dispatcher import Dispatcher
from orchestrator.files import jsonl, lock
from orchestrator.runs import RunDir, SweepDir, TrialState
from tests.engine.sweeps import TOY, toy_spec
from tests.engine.test_conductor import make_conductor, states

PLAIN = {"epochs": 3}
LONG = {"epochs": 400, "pause_s": 0.05}


@pytest.fixture(scope="module")
def forkserver() -> Iterator[Path]:
    """Yield a folder in which a forkserver serves; its path is short enough for a socket."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as path,
        shared_forkserver.serving(Path(path), modules_to_load(TOY)),
        shared_forkserver.using(Path(path)),
    ):
        yield Path(path)


@pytest.fixture
def folder(forkserver: Path) -> Iterator[Path]:
    """Yield the same folder without an earlier driver's socket."""
    yield forkserver
    (forkserver / "driver").unlink()


def run_agent(folder: Path, is_loaded: Event) -> None:
    is_loaded.set()
    with shared_forkserver.using(folder):
        serve(folder, "agent")


@contextmanager
def agent(folder: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    """Run an agent in a process of its own."""
    context = multiprocessing.get_context("spawn")
    is_loaded = context.Event()
    process = context.Process(target=run_agent, args=(folder, is_loaded))
    process.start()
    try:
        assert is_loaded.wait(60)
        yield process
        process.join(10)
        assert process.exitcode is not None, "it ends with the driver"
    finally:
        process.kill()


def step_until(dispatcher: Dispatcher, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        dispatcher.step()


def reports(run: RunDir) -> int:
    return len(jsonl.read(run.metrics_file))


OUTCOMES = {"a": PLAIN, "nan": {"shape": "nan", **LONG}, "raise": {"fault": "raise", **LONG}}
STATES = {"a": TrialState.COMPLETE, "nan": TrialState.PRUNED, "raise": TrialState.FAIL}


def test_trials_end_as_they_should_below_the_driver(tmp_path: Path, folder: Path) -> None:
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, OUTCOMES))
    dispatcher = Dispatcher(conductor, conductor.tick, folder)
    step_until(dispatcher, lambda: conductor.is_over)
    dispatcher.close()
    assert {name: state for name, (state, _) in states(conductor).items()} == STATES
    assert reports(SweepDir(tmp_path / "sweep").run_dir(1, "nan")) <= 7, "three after its onset"


def test_an_agent_takes_over_and_what_it_loses_runs_again(tmp_path: Path, folder: Path) -> None:
    trials = {"first": {"epochs": 1, "pause_s": 1.0}, **OUTCOMES, "lost": LONG, "last": PLAIN}
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, trials), slots=1)
    dispatcher = Dispatcher(conductor, conductor.tick, folder)
    lost = conductor.trials.view.folder.run_dir(4, "lost")
    with agent(folder) as first:
        step_until(dispatcher, lambda: dispatcher.agents > 0)
        step_until(dispatcher, lambda: reports(lost) > 2)
        assert {name: state for name, (state, _) in states(conductor).items()} == {
            "first": TrialState.COMPLETE,
            **STATES,
            "lost": TrialState.RUNNING,
        }
        first.kill()
        step_until(dispatcher, lambda: conductor.records[4].attempt == 2)
        assert not dispatcher.agents
    conductor.stop_trial(4, "seen enough")
    step_until(dispatcher, lambda: conductor.is_over)
    dispatcher.close()
    assert states(conductor)["lost"] == (TrialState.PRUNED, "seen enough")
    assert states(conductor)["last"][0] is TrialState.COMPLETE


def test_at_the_end_nothing_is_left_running(tmp_path: Path, folder: Path) -> None:
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, {"a": LONG, "deaf": {"fault": "deaf"}}))
    dispatcher = Dispatcher(conductor, conductor.tick, folder)
    runs = [
        conductor.trials.view.folder.run_dir(0, "a"),
        conductor.trials.view.folder.run_dir(1, "deaf"),
    ]
    step_until(dispatcher, lambda: all(reports(run) > 1 for run in runs))
    dispatcher.close()
    counts = [reports(run) for run in runs]
    assert not any(lock.is_held(run.lock_file) for run in runs)
    time.sleep(0.2)
    assert [reports(run) for run in runs] == counts


def test_an_agent_runs_one_attempt_at_a_time_and_the_driver_what_is_left(
    tmp_path: Path, folder: Path
) -> None:
    first = {"epochs": 1, "pause_s": 1.0}
    trials = {"first": first, "second": first, "third": LONG, "fourth": LONG}
    conductor = make_conductor(tmp_path, toy_spec(tmp_path, trials))
    dispatcher = Dispatcher(conductor, conductor.tick, folder)
    long = [conductor.trials.view.folder.run_dir(*one) for one in ((2, "third"), (3, "fourth"))]
    with agent(folder) as only:
        step_until(dispatcher, lambda: dispatcher.agents > 0)
        step_until(dispatcher, lambda: all(reports(run) > 1 for run in long))
        assert dispatcher.running == 2
        only.kill()
        step_until(dispatcher, lambda: not dispatcher.agents)
        step_until(dispatcher, lambda: dispatcher.running == 2)
        least, most = sorted(conductor.records[number].attempt for number in (2, 3))
        assert least == 1 < most, "the agent's trial runs again, the driver's continues"
    dispatcher.close()
