"""What the trials of a program tell of it together; and that it is treated as a trainer is."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.analysis.table import compare
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.engine.driver.outcome import Outcome
from orchestrator.engine.judging import inert_parameters
from orchestrator.engine.judging.judge import Judge
from orchestrator.engine.judging.program_watch import ProgramWatch, distance
from orchestrator.engine.state.attempts import RunningAttempt
from orchestrator.files import jsonl
from orchestrator.files.units import GIB
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, load_trials
from orchestrator.sweepfile.model.program import Program, Resume
from orchestrator.sweepfile.model.spec import Resources, Spec
from tests.engine.machines import FakeMachine
from tests.engine.script.script_runner import SCRIPTS
from tests.engine.slots.test_allocator import Desk
from tests.engine.sweeps import cpu_plan, toy_spec
from tests.engine.test_conductor import end, make_conductor, play, start, states

UNKNOWN = "train.py: ended with exit code 2 after {}s: error: --lr={}"


def script_spec(folder: Path, count: int, **fields: Any) -> Spec:
    trials = {name: {"lr": place / 10} for place, name in enumerate("abcdefgh"[:count])}
    program = Program(path=str(folder / "train.py"), workdir=str(folder), **fields)
    return toy_spec(folder, trials, trainer=None, program=program)


# A program that fails at once ------------------------------------------------------------------


def test_after_three_equal_failures_the_most_different_config_decides(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, script_spec(tmp_path, 6), slots=2)
    for name in "abc":
        start(conductor, name)
        end(conductor, name, ["failed", UNKNOWN.format(len(name), ord(name))])
    assert conductor.ending is None
    assert start(conductor, "f").name == "f"
    assert conductor.next_attempt("d") is None, "the others wait for it"
    end(conductor, "f", ["failed", UNKNOWN.format(1, 102)])
    assert conductor.next_attempt("d") is None
    assert conductor.is_over
    assert conductor.ending is not None
    assert (conductor.ending.exit_code, conductor.ending.stops) == (1, True)
    reason = conductor.ending.reason
    assert "the first 4 trials failed at once" in reason
    assert "differs most (f)" in reason
    assert "error: --lr=102" in reason
    assert "--retry-failed" in reason
    assert list(states(conductor)) == ["a", "b", "c", "f"]


def test_if_the_most_different_config_works_the_others_run(tmp_path: Path) -> None:
    conductor = make_conductor(tmp_path, script_spec(tmp_path, 6), slots=2)
    for name in "abc":
        start(conductor, name)
        end(conductor, name, ["failed", UNKNOWN.format(1, 99)])
    start(conductor, "f")
    play(conductor, "f", [1.0])
    end(conductor, "f")
    assert conductor.ending is None
    assert [start(conductor, name).name for name in "de"] == ["d", "e"]


@pytest.mark.parametrize(("configs", "failed", "expected"), [
    ([{"bs": 16}, {"bs": 32}], [{"bs": 2}, {"bs": 4}, {"bs": 8}], 1),
    ([{"lr": 1e-1, "m": "a"}, {"lr": 1e-1, "m": "b"}], [{"lr": 1e-1, "m": "a"}], 1),
    ([{"a": -1}, {"a": 2}], [{"a": 1}], 0),
    ([{"amp": True}, {"amp": False}], [{"amp": True}], 1),
])  # fmt: skip
def test_how_configs_differ(
    configs: list[dict[str, Any]], failed: list[dict[str, Any]], expected: int
) -> None:
    far = [distance(config, failed) for config in configs]
    assert far.index(max(far)) == expected


@pytest.mark.parametrize("why", ["other words", "a report", "one that worked", "too few"])
def test_others_do_not(tmp_path: Path, why: str) -> None:
    conductor = make_conductor(tmp_path, script_spec(tmp_path, 6), slots=2)
    for place, name in enumerate("ab" if why == "too few" else "abc"):
        start(conductor, name)
        if why == "a report" and place == 1:
            run = SweepDir(tmp_path / "sweep").run_dir(1, "b")
            jsonl.append(run.metrics_file, {"step": 1, "time": 0, "metrics": {"val_mae": 1.0}})
            play(conductor, name, [1.0])
        if why == "one that worked" and place == 1:
            play(conductor, name, [1.0])
            end(conductor, name)
            continue
        words = "ValueError: b is none" if why == "other words" and place == 1 else UNKNOWN
        end(conductor, name, ["failed", words])
    assert conductor.ending is None
    assert conductor.next_attempt("d") is not None


def test_failures_of_trainers_are_the_trials_own(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {name: {"lr": 0.1} for name in "abcd"})
    conductor = make_conductor(tmp_path, spec, slots=1)
    for name in "abc":
        start(conductor, name)
        end(conductor, name, ["failed", "no data"])
    assert start(conductor, "d").name == "d"


# Files that trials write over each other ---------------------------------------------------------

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


class Folder:
    """A folder that trials write into at chosen times, as `WrittenFiles` reports it."""

    def __init__(self, path: Path) -> None:
        spec = script_spec(path, 8)
        self.path = path
        self.live: dict[str, RunningAttempt] = {}
        self.watch = ProgramWatch(spec)
        self.inode = 0
        self.files: dict[str, tuple[float, int, int]] = {}
        self.before: dict[int, dict[str, tuple[float, int, int]]] = {}

    def start(self, number: int, at: float) -> None:
        record = TrialRecord(number=number, name=str(number), config={}, state=TrialState.RUNNING)
        record.started_at = (ZERO + timedelta(seconds=at)).isoformat()
        run = RunDir(self.path / str(number))
        run.path.mkdir()
        self.live[str(number)] = RunningAttempt(record, run, cast(Judge, None), 0)
        self.before[number] = dict(self.files)

    def write(self, name: str, at: float, size: int | None = None) -> None:
        self.inode += size is None
        seconds = ZERO.timestamp() + at
        inode = self.inode if size is None else self.files.get(name, (0, 0, self.inode))[2]
        self.files[name] = (seconds, size or 10, inode)

    def end(self, number: int, at: float) -> list[str]:
        live = self.live.pop(str(number))
        live.record.state = TrialState.COMPLETE
        live.record.ended_at = (ZERO + timedelta(seconds=at)).isoformat()
        before = self.before[number]
        written = {name: f for name, f in self.files.items() if before.get(name) != f}
        live.run.metadata_file.write_text(json.dumps({"written": written}))
        return self.watch.ended(live, self.live.values())


def test_a_file_that_two_trials_wrote_is_told_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    told = []
    for number in range(4):
        folder.start(number, 10 * number)
        folder.write("best.pt", 10 * number + 5)
        folder.write("table.csv", 10 * number + 5, size=number + 1)
        folder.write(f"own-{number}.pt", 10 * number + 5)
        told.append(folder.end(number, 10 * number + 8))
    assert [bool(texts) for texts in told] == [False, True, False, False]
    assert told[1][0].startswith("best.pt: written by this trial and trial 0, one over the other")
    assert "workdir: copy" in told[1][0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_each_trial_writes_for_itself_is_never_told(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Folder(tmp_path_factory.mktemp("f"))
    spans = data.draw(
        st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), min_size=1, max_size=6)
    )
    events: list[tuple[float, int, int]] = []
    for number, (begin, length) in enumerate(spans):
        events += [(begin, 0, number), (begin + length, 2, number)]
        for at in data.draw(st.lists(st.integers(begin, begin + length), max_size=4)):
            events.append((at, 1, number))
    for at, kind, number in sorted(events):
        if kind == 0:
            folder.start(number, at)
        elif kind == 1:
            folder.write(f"own-{number}.pt", at)
        else:
            assert folder.end(number, at) == []


def test_trials_that_run_at_once_are_told_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for number in (0, 1):
        folder.start(number, 0)
    for at in (1, 2, 3):
        folder.write("best.pt", at)
        folder.write("own-1.pt", at)
    assert folder.end(0, 4) == []
    folder.write("best.pt", 5)
    folder.write("own-1.pt", 5)
    (told,) = folder.end(1, 6)
    assert told.startswith("best.pt: written by this trial and trial 0, one over the other")


def test_a_file_grows_only_if_it_begins_as_before(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    told = []
    for number in range(3):
        folder.start(number, 10 * number)
        for name, text in (
            ("log.csv", "x" * (number + 1)),
            ("best.bin", f"{number}" * (number + 1)),
        ):
            (tmp_path / name).write_text(text)
            folder.write(name, 10 * number + 5, size=number + 1)
        told.append("".join(folder.end(number, 10 * number + 8)))
    assert [text.partition(":")[0] for text in told] == ["", "best.bin", ""]


def reported(tmp_path: Path, seconds: list[float], **second: Any) -> list[str]:
    """Return what the first two trials show together, if the second reports these values."""
    return shown_by(tmp_path, ({"lr": 1, "seed": 0}, [1.0, 2.0]), (second, seconds))


def shown_by(tmp_path: Path, *trials: tuple[dict[str, Any], list[float]]) -> list[str]:
    """Return what trials show together, each of a config and what it reports."""
    watch = ProgramWatch(script_spec(tmp_path, 2))
    texts: list[str] = []
    for number, (config, values) in enumerate(trials):
        record = TrialRecord(number, str(number), config, TrialState.COMPLETE)
        run = RunDir(tmp_path / f"run-{number}")
        run.path.mkdir()
        for step, value in enumerate(values):
            line = {"step": step, "time": 0, "metrics": {"val_mae": value, "epoch_time": number}}
            jsonl.append(run.metrics_file, line)
        texts += watch.ended(RunningAttempt(record, run, cast(Judge, None), 0), [])
    return texts


def test_parameters_that_change_nothing_are_told(tmp_path: Path) -> None:
    assert reported(tmp_path, [1.0, 2.0], lr=2, seed=0) == [
        "lr seems to change nothing: trials 0 and 1 reported the same 2 values. "
        "Does the program read lr?"
    ]


@pytest.mark.parametrize("second", [{"lr": 1, "seed": 1}, {"lr": 1, "seed": 0}])
def test_a_seed_may_change_nothing(tmp_path: Path, second: dict[str, Any]) -> None:
    assert reported(tmp_path, [1.0, 2.0], **second) == []


def test_other_values_are_no_warning(tmp_path: Path) -> None:
    assert reported(tmp_path, [1.0, 2.1], lr=2, seed=0) == []


def test_an_option_that_changes_nothing_is_found_next_to_one_that_does(tmp_path: Path) -> None:
    grid = [({"lr": lr, "wd": wd}, [1.0, lr]) for lr in (0.1, 0.2) for wd in (1, 2)]
    assert shown_by(tmp_path, *grid) == [
        "wd seems to change nothing: trials 0 and 1 reported the same 2 values. "
        "Does the program read wd?"
    ]


def test_long_logs_are_read_of_the_first_two_trials_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inert_parameters, "MOST_BYTES", 1)
    grid = [({"lr": lr, "wd": wd}, [lr]) for wd, lr in ((1, 1), (1, 2), (2, 1), (2, 2))]
    assert shown_by(tmp_path, *grid) == []
    (tmp_path / "again").mkdir()
    assert shown_by(tmp_path / "again", ({"lr": 1}, [0.5]), ({"lr": 2}, [0.5])) != []


def test_an_option_that_changes_something_somewhere_is_no_warning(tmp_path: Path) -> None:
    # Dropout does nothing to the linear model.
    grid = [
        ({"model": model, "p": p}, [p if model == "net" else 0.0])
        for model in ("net", "linear") for p in (0.1, 0.2)
    ]  # fmt: skip
    assert shown_by(tmp_path, *grid) == []


# The same work as a script and as a trainer ------------------------------------------------------

TRIALS: dict[str, dict[str, Any]] = {
    "good": {"lr": 0.5},
    "nan": {"shape": "nan", "epochs": 50, "pause_s": 0.02},
    "once": {"fault": "once"},
    "val_nan": {"shape": "val_nan", "lr": 0.9},
}
PATTERN = (
    r"epoch (?P<step>\d+)/(?P<total>\d+) train_loss=(?P<train_loss>\S+) val_loss=(?P<val_loss>\S+) "
    r"val_mae=(?P<val_mae>\S+)"
)


def run(spec: Spec, folder: Path, **options: Any) -> Outcome:
    return run_sweep(
        spec,
        cpu_plan(1),
        results=folder,
        listener=lambda event, record, details: None,
        inline=True,
        **options,
    )


def facts(outcome: Outcome) -> dict[str, Any]:
    """Return all that people see of the trials."""
    found: dict[str, Any] = {}
    for record in load_trials(outcome.folder):
        run = outcome.folder.run_dir(record.number, record.name)
        reports = jsonl.read(run.metrics_file)
        steps = [(item["step"], item["metrics"]) for item in reports]
        if record.state is TrialState.PRUNED:
            steps = steps[:4]  # how far it runs on until it hears of it is its own affair
        found[record.name] = {
            "state": record.state,
            "reason": record.state is TrialState.PRUNED and record.reason,
            "symptom": record.symptom,
            "value": record.value,
            "attempt": record.attempt,
            "total": record.total_steps,
            "reports": repr(steps),
        }
    return found


def table(outcome: Outcome) -> Mapping[str, Any]:
    found = compare([outcome.folder.path])
    return {
        row.trial: {k: v for k, v in row.metrics.items() if k != "duration_s"} for row in found.rows
    }


@pytest.mark.slow
def test_a_script_is_treated_as_the_trainer_of_the_same_work(tmp_path: Path) -> None:
    program = Program(
        path="toy_curve.py",
        workdir=str(SCRIPTS),
        command=(sys.executable, "-u", "toy_curve.py", "--out", "${run_dir}", "${args}"),
        patterns=(PATTERN,),
        resume=Resume(("--resume", "${checkpoint}"), "last.ckpt"),
    )
    specs = {
        "script": toy_spec(tmp_path, TRIALS, trainer=None, program=program, name="script"),
        "trainer": toy_spec(tmp_path, TRIALS, name="trainer"),
    }
    first = {kind: run(spec, tmp_path) for kind, spec in specs.items()}
    known = {kind: facts(outcome) for kind, outcome in first.items()}
    assert known["script"] == known["trainer"]
    assert known["script"]["nan"]["state"] is TrialState.PRUNED
    assert known["script"]["once"]["state"] is TrialState.FAIL
    # Each goes on from its own checkpoint, and keeps the reports of before.
    again = {kind: run(spec, tmp_path, retry_failed=True) for kind, spec in specs.items()}
    known = {kind: facts(outcome) for kind, outcome in again.items()}
    assert known["script"] == known["trainer"]
    assert known["script"]["once"]["state"] is TrialState.COMPLETE
    for outcome in again.values():
        record = next(r for r in load_trials(outcome.folder) if r.name == "once")
        epochs = outcome.folder.run_dir(record.number, record.name).path / "epochs.txt"
        assert epochs.read_text().split() == ["1", "2", "3", "3", "4", "5"]
    assert table(again["script"]) == table(again["trainer"])
    np.testing.assert_array_equal(
        *(np.load(o.folder.run_dir(0, "good").predictions_file()) for o in again.values())
    )


def test_a_script_is_told_what_it_may_hold(tmp_path: Path) -> None:
    resources = Resources(gpu_memory_bytes=8 * GIB)
    program = Program(path="train.py", workdir=str(tmp_path))
    spec = toy_spec(tmp_path, {"a": {}}, trainer=None, program=program, resources=resources)
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), spec)
    attempt = desk.conductor.next_attempt("1")
    assert attempt is not None
    assert (attempt.cap_bytes, attempt.gpu_bytes) == (8 * GIB, 24 * GIB)
