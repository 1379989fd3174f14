"""What is measured of each tool."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.side_by_side.measure import TIMEOUT_S, Run, ended
from benchmarks.side_by_side.peers import TOOLS_COMPARED, TRAININGS, Tool, prepare
from tests import fake_nvml

Figures = dict[str, float]

NAN_AT, NAN_STEPS = 5, 60
REST_TRIALS, REST_S = 8, 10.0
KILLED_TRIALS = 6
FEWER = 5
TRAININGS_RUN = 6
REPORTS, FEWER_REPORTS, NOTED_EVERY = 20000, 100, 10


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a folder with the programs of all tools and nothing else.

    Its path is the same in all runs of this process, so that what tools keep of their users' code
    between two runs counts as it does for users.
    """
    folder = Path(tempfile.gettempdir(), f"side-by-side-{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    prepare(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def one(tool: Tool, python: str, trials: int) -> Figures:
    """Measure a sweep of one trial: seconds until its first report and until the end."""
    with workplace() as folder, ended(Run(tool, folder, 1, python=python)) as run:
        times = run.finish()
    return {"first report, s": times.first_report, "end, s": times.end}


def marginal(tool: Tool, python: str, trials: int) -> Figures:
    """Measure many trials, two at once: seconds from the first trial's end to the last one's."""
    trials = max(2, trials // FEWER) if tool.imports else trials
    with workplace() as folder, ended(Run(tool, folder, trials, python=python)) as run:
        times = run.finish()
    if times.trials < trials:
        raise RuntimeError(f"{times.trials} of {trials} trials ended")
    # The first two end together.
    each = (times.last_end - times.first_end) / max(1, trials - (2 if tool.parallel else 1))
    return {"s per trial": each, "after the last, s": times.end - times.last_end}


def at_rest(tool: Tool, python: str, trials: int) -> Figures:
    """Measure what runs besides eight trials that pause: per cent of a core, and MiB.

    More trials than cores run at once on a card only, so there is one that the tools can ask about.
    """
    settings = {"PAUSE_S": 600, "STEPS": 2}
    with workplace() as folder, TemporaryDirectory() as library:
        card = fake_nvml.build(Path(library))
        card.write([fake_nvml.Card(81920)])
        env = card.env(SWEEP_LEASES=str(Path(library, "leases")))
        run = Run(
            tool,
            folder,
            REST_TRIALS,
            python=python,
            parallel=REST_TRIALS,
            settings=settings,
            env=env,
        )
        with ended(run):
            return _resting(tool, run)


def _resting(tool: Tool, run: Run) -> Figures:
    deadline = time.monotonic() + 120
    while len(run.events()) < (REST_TRIALS if tool.parallel else 1):
        if time.monotonic() > deadline:
            raise RuntimeError("the trials do not start")
        time.sleep(0.5)
    time.sleep(REST_S)
    own = {event["pid"] for event in run.events()}
    others = [process for process in run.tree() if process.pid not in own]
    before = _cpu(others)
    time.sleep(REST_S)
    used = sum(after - before[pid] for pid, after in _cpu(others).items())
    memory = sum(map(_bytes, others)) / 2**20
    return {"% of a core": 100 * used / REST_S, "MiB": memory}


def reports(tool: Tool, python: str, trials: int) -> Figures:
    """Measure how many reports a second are taken from a trial that does nothing else."""
    # Noting one takes the trial as long as reporting it.
    steps = REPORTS if tool.is_ours else FEWER_REPORTS
    settings = {"STEPS": steps, "NOTED_EVERY": NOTED_EVERY}
    with (
        workplace() as folder,
        ended(Run(tool, folder, 1, python=python, settings=settings)) as run,
    ):
        run.finish()
        times = [event["time"] for event in run.events() if event["event"] == "report"]
    return {"reports a second": NOTED_EVERY * (len(times) - 1) / (times[-1] - times[0])}


def trainings(tool: Tool, python: str, trials: int) -> Figures:
    """Measure trainings that take their time, two at once: seconds from the command to the end."""
    with workplace() as folder, ended(Run(tool, folder, TRAININGS_RUN, python=python)) as run:
        if code := run.process.wait(TIMEOUT_S):
            raise RuntimeError(f"it ended with {code}:\n{run.output()[-2000:]}")
        return {"end, s": time.time() - run.began}


def _cpu(processes: list[psutil.Process]) -> dict[int, float]:
    found = {}
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


def _bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


def killed(tool: Tool, python: str, trials: int) -> Figures:
    """Kill the tool midway, and give its command again: what is left, run twice, and lost."""
    settings = {"PAUSE_S": 0.3}
    with workplace() as folder:
        with ended(Run(tool, folder, KILLED_TRIALS, python=python, settings=settings)) as run:
            deadline = time.monotonic() + 120
            while not any(event["event"] == "end" for event in run.events()):
                if time.monotonic() > deadline:
                    raise RuntimeError("no trial ends")
                time.sleep(0.1)
            time.sleep(1.0)
            run.kill()
            time.sleep(5.0)
            left = len(run.left())
        with ended(Run(tool, folder, KILLED_TRIALS, python=python, settings=settings)) as run:
            run.finish()
        ends = Counter(event["x"] for event in run.events() if event["event"] == "end")
    return {
        "processes left": left,
        "run twice": sum(count - 1 for count in ends.values()),
        "lost": max(0, KILLED_TRIALS - len(ends)),
    }


def diverged(tool: Tool, python: str, trials: int) -> Figures:
    """Count the reports that a trial still makes from NaN on until it is stopped."""
    settings = {"NAN_AT": NAN_AT, "STEPS": NAN_STEPS, "PAUSE_S": 0.05}
    with (
        workplace() as folder,
        ended(Run(tool, folder, 1, python=python, settings=settings)) as run,
    ):
        run.process.wait(120)
        steps = [event["step"] for event in run.events() if event["event"] == "report"]
    if not steps:
        raise RuntimeError("nothing was reported")
    return {"reports from NaN": max(steps) - NAN_AT + 1}


@dataclass(frozen=True)
class Case:
    """What is measured of several tools.

    Attributes:
        measure: returns the figures of a tool, its interpreter and a number of trials.
        is_repeated: True if it measures times.
    """

    title: str
    measure: Callable[[Tool, str, int], Figures]
    is_repeated: bool = False
    tools: Mapping[str, Tool] = field(default_factory=lambda: TOOLS_COMPARED)


CASES = {
    "one": Case("One trial", one, is_repeated=True),
    "marginal": Case("Many trials, two at once, ten reports each", marginal, is_repeated=True),
    "trainings": Case(
        "Six trainings of edc_weights, two at once", trainings, is_repeated=True, tools=TRAININGS
    ),
    "reports": Case("A trial that reports without pause", reports),
    "nan": Case("Reports from NaN until the stop", diverged),
    "killed": Case("Killed midway with SIGKILL, and its command given again", killed),
    "rest": Case("What runs besides eight trials that pause", at_rest),
}
