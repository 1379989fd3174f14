"""Several drivers of one sweep in one process, which are killed at any moment."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from orchestrator.engine.driver import shared_conductor
from orchestrator.engine.driver.drivers import Drivers, refuse_local_locks
from orchestrator.engine.driver.shared_conductor import SharedConductor
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.errors import SweepError, UsageError
from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState, load_trials
from orchestrator.search.studies import Studies
from orchestrator.sweepfile.model.spec import Domain, Spec
from tests.engine.machines import FakeMachine
from tests.engine.sweeps import cpu_plan, toy_spec


class KilledError(BaseException):
    """Stands for SIGKILL."""


class Driver:
    """A driver whose trials end when the test wants it."""

    def __init__(self, sweep: SweepDir, spec: Spec) -> None:
        self.drivers = Drivers(sweep)
        self.writes_left: int | None = None  # until it is killed
        self.sweep = sweep
        self.drivers.enter()
        is_first = self.drivers.join()
        records = {record.number: record for record in load_trials(sweep)} if is_first else {}
        for record in records.values():
            if record.state is TrialState.RUNNING:
                record.state = TrialState.WAITING
        self.events: list[tuple[str, TrialRecord | None]] = []
        log = SweepLog(sweep, lambda event, record, details: self.events.append((event, record)))
        allocator = SlotAllocator(spec, cpu_plan(2), SlotOptions(), FakeMachine(cores=2), log)
        studies = Studies(sweep.study_file, "sweep", spec, is_shared=not is_first)
        self.conductor = SharedConductor(
            spec,
            log,
            allocator,
            self.drivers,
            records=records,
            state=SweepRecord("sweep"),
            studies=studies,
        )
        self.drivers.leave()
        self.running: dict[str, int] = {}
        self.count = 0
        write = self.drivers.write

        def may_be_killed(**entry: Any) -> None:
            if self.writes_left is not None:
                if self.writes_left == 0:
                    raise KilledError
                self.writes_left -= 1
            write(**entry)

        self.drivers.write = may_be_killed  # type: ignore[method-assign]

    def start(self) -> int | None:
        self.count += 1
        attempt = self.conductor.next_attempt(f"a{self.count}")
        if attempt is not None:
            self.running[f"a{self.count}"] = attempt.number
        return None if attempt is None else attempt.number

    def end(self, message: list[Any] | None = None) -> None:
        for attempt_id, number in list(self.running.items())[:1]:
            del self.running[attempt_id]
            metrics = {"train_loss": 1.0, "val_mae": float(number + 1)}
            record = self.conductor.records[number]
            run = self.sweep.run_dir(number, record.name)
            jsonl.append(run.metrics_file, {"step": 1, "metrics": metrics})
            self.conductor.on_messages(attempt_id, [["report", 1, metrics]])
            self.conductor.on_messages(attempt_id, [message or ["done"]])
            self.conductor.on_gone(attempt_id)

    def do(self, move: int) -> None:
        """Do one of ten things; 7 is to be killed at once, 8 and 9 at a coming word to others."""
        if move <= 2:
            self.start()
        elif move <= 4:
            self.end()
        elif move <= 6:
            self.look()
        elif move == 7:
            raise KilledError
        else:
            self.writes_left = move - 8

    def look(self) -> None:
        self.conductor.tick()

    def kill(self) -> None:
        """Release what the kernel releases, and nothing else."""
        self.drivers._locks.close()
        self.drivers._files.close()


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_conductor, "LOOK_EVERY_S", 0.0)


def grid(folder: Path, n_trials: int = 4, **fields: Any) -> Spec:
    named = range(0 if "method" in fields else n_trials)
    rates = {f"t{index}": {"lr": 0.1 * (index + 1)} for index in named}
    return toy_spec(folder, rates, **fields)


def sweep_in(folder: Path) -> SweepDir:
    sweep = SweepDir(folder / "sweep")
    sweep.trials_dir.mkdir(parents=True)
    return sweep


SPECS: dict[str, dict[str, Any]] = {
    "grid": {},
    "seeds": {"seeds": (1, 2), "seed_parameter": "seed"},
    "bayes": {
        "method": "bayes",
        "run_cap": 4,
        "parameters": {"lr": Domain("uniform", low=0.01, high=1.0)},
    },
}


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(sorted(SPECS)),
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=40),
)
@example(kind="grid", moves=[(0, 0), (1, 0), (0, 8), (1, 5), (1, 0), (0, 0)])
@example(kind="bayes", moves=[(0, 0), (1, 0), (0, 9), (0, 3), (1, 5), (1, 0)])
def test_each_trial_is_run_once_however_drivers_end(
    kind: str, moves: list[tuple[int, int]]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        spec, sweep = grid(Path(name), **SPECS[kind]), sweep_in(Path(name))
        team: list[Driver | None] = [Driver(sweep, spec), None, None]
        for place, move in moves:
            driver = team[place] = team[place] or Driver(sweep, spec)
            try:
                driver.do(move)
            except KilledError:
                driver.kill()
                team[place] = None
            alive = [one for one in team if one is not None]
            held = Counter(number for one in alive for number in one.running.values())
            assert max(held.values(), default=0) <= 1, "two drivers run one trial"
        last = Driver(sweep, spec)
        rest = [one for one in team if one is not None]
        for one in rest:
            one.writes_left = None
        for _ in range(100):
            for one in [*rest, last]:
                one.look()
                while one.start() is not None:
                    pass
                one.end()
            if all(one.conductor.is_over for one in [*rest, last]):
                break
        n_trials = 8 if kind == "seeds" else 4
        records = load_trials(sweep)
        assert [record.state for record in records] == [TrialState.COMPLETE] * n_trials
        assert [record.number for record in records] == list(range(n_trials))
        for one in [*rest, last]:
            seen = {n: (r.state, r.value) for n, r in one.conductor.records.items()}
            assert seen == {r.number: (r.state, r.value) for r in records}
        states = Counter(Studies(sweep.study_file, "sweep", spec).of(None).states().values())
        assert states["RUNNING"] == 0
        assert states["COMPLETE"] == 4


def test_a_trial_of_a_killed_driver_continues_at_another(tmp_path: Path) -> None:
    spec, sweep = grid(tmp_path, 1), sweep_in(tmp_path)
    first, second = Driver(sweep, spec), Driver(sweep, spec)
    assert (first.start(), second.start()) == (0, None)
    second.look()
    assert not second.conductor.is_over
    first.kill()
    second.look()
    assert second.start() == 0
    assert second.conductor.records[0].attempt == 2


def test_a_driver_that_lost_a_trial_ends_without_touching_it(tmp_path: Path) -> None:
    spec, sweep = grid(tmp_path, 1), sweep_in(tmp_path)
    first = Driver(sweep, spec)
    first.start()
    first.drivers._files.release(first.drivers.name)  # as a server of NFS does after its lease
    second = Driver(sweep, spec)
    assert second.start() is None or second.conductor.records[0].attempt == 2
    second.look()
    second.start()
    with pytest.raises(SweepError, match="trial 0: another driver has taken it over"):
        first.look()
    first.conductor.mark_interrupted()
    assert load_trials(sweep)[0].state is TrialState.RUNNING
    assert load_trials(sweep)[0].attempt == 2


def test_the_budget_counts_the_trials_of_all(tmp_path: Path) -> None:
    spec, sweep = grid(tmp_path, 4), sweep_in(tmp_path)
    spec.budget.__dict__["trials"] = 2
    first, second = Driver(sweep, spec), Driver(sweep, spec)
    assert (first.start(), second.start(), first.start(), second.start()) == (0, 1, None, None)


def test_a_request_to_stop_reaches_all_drivers(tmp_path: Path) -> None:
    spec, sweep = grid(tmp_path, 4), sweep_in(tmp_path)
    first, second = Driver(sweep, spec), Driver(sweep, spec)
    assert first.conductor.pass_on([None, 3]) == [None, 3]
    second.look()
    assert second.conductor.pass_on([]) == [None, 3]
    assert second.conductor.pass_on([]) == []


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ("rw,vers=4.2,local_lock=none", False),
        ("rw,vers=3,local_lock=all", True),
        ("rw,nolock,vers=3", True),
        ("rw,local_lock=posix", False),
    ],
)
def test_locks_of_nfs_that_hold_on_one_machine_only_are_refused(
    tmp_path: Path, options: str, refused: bool
) -> None:
    mounts = f"/dev/sda / ext4 rw 0 0\nhost:/x {tmp_path} nfs4 {options} 0 0\n"
    if not refused:
        refuse_local_locks(tmp_path / "results", mounts)
        return
    with pytest.raises(UsageError, match="its locks hold on this machine only"):
        refuse_local_locks(tmp_path / "results", mounts)
    refuse_local_locks(Path("/usr"), mounts)
