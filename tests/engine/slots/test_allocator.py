"""A sweep's room with the conductor, without Ray or processes: the test plays cards and clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.child.memory import CONTEXT_BYTES
from orchestrator.engine.child.process import Attempt
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import SlotOptions
from orchestrator.engine.slots.trial_needs import TrialNeeds, known_need
from orchestrator.files import jsonl
from orchestrator.files.units import GIB, MIB
from orchestrator.placement.concurrency.throughput import Window
from orchestrator.placement.memory_needs.history import HISTORY_FILE, History
from orchestrator.placement.model import Device, Host, Need, Policy
from orchestrator.placement.planner import plan
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from orchestrator.sweepfile.expand.configs import count_trials
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Domain, Resources, Spec
from tests.engine.machines import FakeMachine
from tests.engine.sweeps import toy_spec

QUICK = Window(points=3, at_least_s=2.0, noisy_s=4.0, few_points=2, long_s=10.0)
OOM = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity"


@dataclass
class Desk:
    """One sweep on a scripted machine."""

    folder: Path
    machine: FakeMachine
    spec: Spec
    policy: Policy = field(default_factory=Policy)
    wait_timeout_s: float | None = None

    def __post_init__(self) -> None:
        self.sweep = SweepDir(self.folder / "results" / "sweep")
        self.sweep.trials_dir.mkdir(parents=True, exist_ok=True)
        self.events_seen: list[tuple[str, dict[str, Any]]] = []
        read = self.machine.read()
        devices: Sequence[Device] = [] if isinstance(read, Host) else read
        host = read if isinstance(read, Host) else Host(self.machine.cores, 64 * GIB, 64 * GIB)
        self.plan = plan(
            devices,
            host,
            Need.declared(self.spec.resources.gpu_memory_bytes),
            count_trials(self.spec),
            self.policy,
        )
        terms = SlotOptions(self.policy, None, self.wait_timeout_s, QUICK)
        self.history = History(self.folder / "results" / HISTORY_FILE)
        log = SweepLog(
            self.sweep,
            lambda event, record, details: self.events_seen.append((event, dict(details))),
        )
        self.allocator = SlotAllocator(
            self.spec,
            self.plan,
            terms,
            self.machine,
            log,
            history=self.history,
        )
        self.conductor = Conductor(
            self.spec,
            log,
            self.allocator,
            records={record.number: record for record in load_trials(self.sweep)},
        )
        self.running: dict[str, Attempt] = {}
        self.count = 0

    def start(self) -> Attempt | None:
        """Start the next trial, where there is room; its process id is 100 + its number."""
        self.count += 1
        attempt = self.conductor.next_attempt(str(self.count))
        if attempt is not None:
            self.running[str(self.count)] = attempt
        return attempt

    def start_all(self) -> list[int]:
        """Start all that have room; return their numbers."""
        self.pass_time(1.1)
        found = []
        while (attempt := self.start()) is not None:
            found.append(attempt.number)
        return found

    def id_of(self, number: int) -> str:
        return next(key for key, attempt in self.running.items() if attempt.number == number)

    def tell(self, number: int, *messages: list[Any]) -> None:
        self.conductor.on_messages(self.id_of(number), [list(message) for message in messages])

    def load(self, number: int, size: int, *, reports: bool = True) -> None:
        """Let a trial take memory on its devices, report once, and say so."""
        key = self.running[self.id_of(number)].slot["device"]
        self.machine.held[100 + number, key] = size
        self.tell(number, ["report", 1, {"val_mae": 1.0}])
        if reports:
            self.tell(number, ["memory", max(1, size - CONTEXT_BYTES), 100 + number])

    def end(self, number: int, message: list[Any] | None = None) -> None:
        key = self.id_of(number)
        self.conductor.on_messages(key, [message or ["done"]])
        self.free(number)
        self.conductor.on_gone(key)
        del self.running[key]

    def free(self, number: int) -> None:
        for held in [held for held in self.machine.held if held[0] == 100 + number]:
            del self.machine.held[held]

    def pass_time(self, seconds: float) -> None:
        self.machine.now += seconds

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in jsonl.read(self.sweep.events_file) if e["event"] == kind]

    def state(self, number: int) -> tuple[TrialState, str | None]:
        record = self.conductor.records[number]
        return record.state, record.reason


def many(folder: Path, count: int, gpu_memory: int | None = None, **fields: Any) -> Spec:
    trials = {f"t{n}": {"lr": 0.1 + n / 100} for n in range(count)}
    return toy_spec(folder, trials, resources=Resources(gpu_memory_bytes=gpu_memory), **fields)


# Needs -------------------------------------------------------------------------------------------


def test_a_trial_of_unknown_need_is_measured_alone_and_then_shares(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 3), Policy(placement="parallel"))
    assert desk.start_all() == [0]
    assert desk.conductor.records[0].need == {"memory_mib": None, "source": "unknown"}
    assert desk.running["1"].cap_bytes is None, "nobody knows what to hold it to"
    desk.load(0, 6 * GIB)
    need = desk.conductor.records[0].need
    assert (need["source"], need["peak_mib"]) == ("measured", 6144)
    assert need["memory_mib"] == pytest.approx(6144 * 1.05, abs=1)
    assert desk.start_all() == [1, 2], "24 GiB hold three of 6.3"
    for number in (1, 2):
        assert desk.conductor.records[number].need["source"] == "measured"
        assert desk.running[desk.id_of(number)].cap_bytes == need["memory_mib"] * MIB
    assert load_trials(desk.sweep)[0].need == need, "it stands in the trial's file"


def test_what_was_measured_is_known_to_the_next_sweep(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 1))
    desk.start_all()
    desk.load(0, 5 * GIB)
    desk.end(0)
    later = Desk(tmp_path / "later", machine, many(tmp_path, 4), Policy(placement="parallel"))
    later.history._path.write_bytes(desk.history._path.read_bytes())
    assert later.start_all() == [0, 1, 2, 3]
    cards = machine.cards
    known = known_need(later.spec, cards, desk.history._path.parent)
    assert (known.memory_bytes, known.source) == (5 * GIB + 256 * MIB, "history")
    other = [replace(cards[0], name="Another")]
    assert known_need(later.spec, other, desk.history._path.parent).memory_bytes is None
    assert later.conductor.records[0].need["source"] == "history"


def edc(folder: Path, **fixed: Any) -> Spec:
    return replace(toy_spec(folder, {"a": {}}), trainer="edc", fixed=fixed)


def test_what_one_preset_took_is_not_believed_of_another(tmp_path: Path) -> None:
    cards = FakeMachine([24 * GIB]).cards
    history = History(tmp_path / HISTORY_FILE)
    small = TrialNeeds(edc(tmp_path, preset="small"), history, on_cpu=False)
    small.keep({"preset": "small", "lr": 0.1, "epochs": 3}, cards[0], 2 * GIB)
    for fixed, source in (
        ({"preset": "small"}, "history"),
        ({}, "history"),  # which is the default
        ({"preset": "small", "epochs": 900, "lr": 0.5, "dropout": 0.1}, "history"),
        ({"preset": "paper"}, "unknown"),
        ({"preset": "small", "batch_size": 999}, "unknown"),
        ({"preset": "small", "model": "lstm"}, "unknown"),
    ):
        found = known_need(edc(tmp_path, **fixed), cards, tmp_path)
        assert found.source == source, fixed


def test_what_a_study_will_propose_is_not_known_from_the_defaults(tmp_path: Path) -> None:
    cards = FakeMachine([24 * GIB]).cards
    history = History(tmp_path / HISTORY_FILE)
    spec = replace(edc(tmp_path, preset="small"), trials={}, method="bayes")
    TrialNeeds(spec, history, on_cpu=False).keep({"preset": "small"}, cards[0], 2 * GIB)
    for name, source in (("lr", "history"), ("lstm_hidden", "unknown")):
        space = {name: Domain("uniform", low=1, high=9)}
        needs = TrialNeeds(replace(spec, parameters=space), history, on_cpu=False)
        assert needs.of(None, {"preset": "small"}, cards).source == source


def test_what_nearly_fills_a_card_has_room_on_it_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 2))
    assert desk.start_all() == [0]
    desk.load(0, 23 * GIB + 512 * MIB)
    desk.end(0)
    assert desk.start_all() == [1]


def test_a_declared_need_that_is_too_low_gives_way_to_what_was_measured(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 3, 4 * GIB), Policy())
    assert desk.start() is not None
    desk.load(0, 9 * GIB)
    assert desk.start() is not None
    assert desk.conductor.records[1].need["memory_mib"] > 9 * 1024
    desk.load(1, 9 * GIB)
    assert desk.start() is None


def test_what_a_study_proposes_is_taken_to_need_what_its_trials_needed(tmp_path: Path) -> None:
    space = {
        "epochs": Domain("int_uniform", low=2, high=99),
        "width": Domain("int_uniform", low=1, high=9),
    }
    fields: dict[str, Any] = {"method": "bayes", "parameters": space, "run_cap": 6}
    spec = toy_spec(tmp_path, {}, **fields)
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), spec, Policy(placement="parallel"))
    assert desk.start_all() == [0]
    desk.load(0, 6 * GIB)
    assert desk.start_all() == [1, 2]
    assert (
        desk.running[desk.id_of(1)].cap_bytes == desk.conductor.records[0].need["memory_mib"] * MIB
    )


def test_a_script_is_measured_by_what_the_driver_reports_of_its_processes(tmp_path: Path) -> None:
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 2, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, FakeMachine([16 * GIB]), spec, Policy(placement="parallel"))
    desk.start_all()
    desk.tell(0, ["memory", 0, 100])
    desk.load(0, 3 * GIB, reports=False)
    desk.pass_time(2.0)
    desk.allocator.tick()
    assert desk.conductor.records[0].need["peak_mib"] == 3072
    assert desk.running["1"].cap_bytes is None
    assert desk.start_all() == [1]


def test_a_script_whose_processes_are_unseen_is_measured_by_the_change(tmp_path: Path) -> None:
    machine = FakeMachine([16 * GIB])
    machine.comparable = False
    machine.others["0"] = 2 * GIB
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 2, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, machine, spec, Policy(placement="parallel"))
    desk.start_all()
    desk.tell(0, ["memory", 0, 7])
    desk.load(0, 3 * GIB, reports=False)
    desk.pass_time(2.0)
    desk.allocator.tick()
    assert desk.conductor.records[0].need["peak_mib"] == 3072, "not what others held before"
    for theirs in (6 * GIB, GIB):
        machine.others["0"] = theirs
        desk.pass_time(2.0)
        desk.allocator.tick()
        assert desk.conductor.records[0].need["peak_mib"] == 3072, "nor what they took since"


def test_a_stranger_who_comes_later_is_not_taken_for_the_script(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    machine.comparable = False
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 2, 8 * GIB, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, machine, spec, Policy(placement="parallel", max_parallel=1))
    desk.start_all()
    desk.tell(0, ["memory", 0, 7])
    desk.load(0, 6 * GIB, reports=False)
    for theirs in (0, 17 * GIB):
        machine.others["0"] = theirs
        desk.pass_time(2.0)
        desk.allocator.tick()
    assert desk.conductor.records[0].need["peak_mib"] == 6144
    machine.others["0"] = 0
    desk.end(0)
    assert desk.start_all() == [1]
    assert desk.conductor.records[1].need == {"memory_mib": 8192, "source": "declared"}


def test_a_stranger_who_comes_before_the_first_report_is_not_taken_for_the_script(
    tmp_path: Path,
) -> None:
    machine = FakeMachine([24 * GIB])
    machine.comparable = False
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 3, 8 * GIB, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, machine, spec, Policy(placement="parallel"))
    assert desk.start() is not None
    desk.tell(0, ["memory", 0, 7])
    machine.others["0"] = 13 * GIB
    desk.pass_time(2.0)
    desk.allocator.tick()
    assert desk.start_all() == [], "11 GiB are free, of which 8 are promised"
    desk.load(0, 6 * GIB, reports=False)
    desk.pass_time(2.0)
    desk.allocator.tick()
    assert "peak_mib" not in desk.conductor.records[0].need


@pytest.mark.parametrize("lists", [True, False])
def test_scripts_whose_processes_are_unseen_do_not_count_twice(tmp_path: Path, lists: bool) -> None:
    machine = FakeMachine([40 * GIB])
    machine.comparable, machine.lists = False, lists
    machine.others["0"] = 4 * GIB
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 9, 8 * GIB, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, machine, spec, Policy(placement="parallel"))
    assert desk.start_all() == [0, 1, 2, 3]
    for number in range(4):
        desk.tell(number, ["memory", 0, 7 + number])
        desk.load(number, 5 * GIB, reports=False)
    desk.pass_time(2.0)
    desk.allocator.tick()
    assert desk.start_all() == [], "16 GiB are free, of which 12 are promised"
    for number in range(3):
        desk.end(number)
        assert desk.start_all() == [4 + number], "as many as before"
        desk.tell(4 + number, ["memory", 0, 11 + number])
        desk.load(4 + number, 5 * GIB, reports=False)
        desk.pass_time(2.0)
        desk.allocator.tick()
    if lists:
        machine.others["0"] = 9 * GIB
        desk.end(3)
        assert desk.start_all() == [], "16 GiB are free, of which 9 are promised"
    assert not any("peak_mib" in desk.conductor.records[n].need for n in range(7))


def test_ram_is_measured_where_trials_run_on_cpus(tmp_path: Path) -> None:
    machine = FakeMachine(cores=4, ram_bytes=8 * GIB)
    desk = Desk(tmp_path, machine, many(tmp_path, 6))
    assert desk.start_all() == [0, 1, 2, 3]
    for number in range(4):
        machine.ram[100 + number] = int(2.4 * GIB) if number == 0 else 0
        desk.tell(number, ["report", 1, {"val_mae": 1.0}])
    desk.tell(0, ["memory", int(2.4 * GIB), 100])
    assert desk.conductor.records[0].need["source"] == "measured"
    desk.end(1)
    desk.pass_time(2)
    assert desk.start() is not None, "5.6 GiB are free, of which 2 are promised to two trials"
    desk.end(2)
    desk.pass_time(2)
    assert desk.start() is None, "a trial like the first one would not fit"


# Waiting -----------------------------------------------------------------------------------------


def test_it_waits_while_others_hold_the_memory_and_goes_on(tmp_path: Path) -> None:
    machine = FakeMachine([16 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 2, 8 * GIB))
    machine.others["0"] = 11 * GIB
    assert desk.start() is None
    assert desk.allocator.summary()["waiting"] == {
        "reason": "waits for 3.0 GiB on GPU 0",
        "missing_mib": 3072,
        "since": 1000.0,
        "device": "0",
    }
    desk.pass_time(600)
    assert desk.start() is None
    machine.others["0"] = 10 * GIB
    desk.pass_time(600)
    assert desk.start() is None
    assert desk.allocator.summary()["waiting"]["missing_mib"] == 2048
    assert desk.allocator.summary()["waiting"]["since"] == 1000.0
    machine.others.clear()
    assert desk.start_all() == [0, 1]
    assert desk.allocator.summary() == {}
    assert [e["missing_mib"] for e in desk.events("waiting")] == [3072]
    assert desk.events("waited")[0]["seconds"] > 1200


def test_a_card_that_is_lost_midway_is_waited_for(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 6, 8 * GIB))
    assert desk.start_all() == [0]
    desk.load(0, 7 * GIB)
    (card,), machine.cards = machine.cards, []
    desk.tell(0, ["memory", 7 * GIB, 100], ["report", 2, {"val_mae": 1.0}])
    desk.end(0, ["failed", OOM])
    assert desk.state(0)[0] is TrialState.WAITING, "nobody knows that it was alone there"
    assert desk.start_all() == []
    assert desk.allocator.summary()["waiting"]["reason"] == "waits for a GPU: too few can be read"
    machine.cards = [card]
    assert len(desk.start_all()) == 1
    assert desk.allocator.summary() == {}


def test_memory_that_seems_to_be_there_for_a_moment_ends_no_waiting(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 3, 8 * GIB), Policy(placement="parallel"))
    assert desk.start() is not None
    desk.load(0, 7 * GIB)
    machine.others["0"] = 17 * GIB
    desk.pass_time(2)
    assert desk.start() is None
    waiting = desk.allocator.summary()["waiting"]
    desk.free(0)  # its process is gone, its room is not given back yet
    desk.pass_time(2)
    assert desk.start() is None
    desk.end(0)
    desk.pass_time(2)
    assert desk.start() is None
    assert desk.allocator.summary()["waiting"]["since"] == waiting["since"]
    assert (len(desk.events("waiting")), desk.events("waited")) == (1, [])


def test_waiting_has_an_end_where_one_was_set(tmp_path: Path) -> None:
    machine = FakeMachine([16 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 2, 8 * GIB), wait_timeout_s=60)
    assert desk.start() is not None
    desk.load(0, 8 * GIB)
    machine.others["0"] = 8 * GIB
    desk.pass_time(2)
    assert desk.start() is None
    desk.pass_time(100)
    assert not desk.allocator.timeout_message, "one of ours still runs"
    desk.end(0)
    machine.others["0"] = 9 * GIB
    desk.pass_time(2)
    assert desk.start() is None
    desk.pass_time(61)
    assert desk.allocator.timeout_message
    assert "--wait-timeout 1m 00s" in desk.allocator.timeout_message
    assert "1.0 GiB on GPU 0" in desk.allocator.timeout_message


def test_politeness_leaves_a_shared_card_with_one_trial(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    machine.others["0"] = 1 * GIB
    polite = Policy(share="polite", placement="parallel")
    desk = Desk(tmp_path, machine, many(tmp_path, 3, 5 * GIB), polite)
    assert desk.start_all() == [0]
    desk.load(0, 5 * GIB)
    assert desk.start_all() == []
    machine.others.clear()
    assert desk.start_all() == [1, 2]


# Growth ------------------------------------------------------------------------------------------


def run_for(desk: Desk, seconds: int, speed: dict[int, float], steps: dict[int, float]) -> None:
    """Let what runs report each second, at a speed that depends on how many run; start more."""
    for _ in range(seconds):
        desk.start_all()
        for attempt in list(desk.running.values()):
            number = attempt.number
            if (100 + number, attempt.slot["device"]) not in desk.machine.held:
                desk.load(number, 2 * GIB)
            steps[number] = steps.get(number, 0) + speed[len(desk.running)]
            desk.tell(number, ["report", int(steps[number] * 100), {"val_mae": 0.5}])


def test_it_grows_while_that_brings_something_and_remembers_where_it_stopped(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 12))
    # Two get 1.62 times as much done as one, three no more.
    run_for(desk, 60, {1: 1.0, 2: 0.81, 3: 0.53}, {})
    decisions = [(e["at_once"], e["decision"]) for e in desk.events("growth")]
    assert decisions == [(1, "grow"), (2, "grow"), (3, "back")]
    words = desk.allocator.summary()["growth"]["0"]
    assert words.startswith("2 at once: 1.62 × the speed of 1; 3 at once: 1.5")
    assert words.endswith("staying at 2")
    assert len(desk.running) == 3, "what runs is not ended for it"
    for number in [attempt.number for attempt in desk.running.values()]:
        desk.end(number)
    assert len(desk.start_all()) == 2

    later = Desk(tmp_path / "later", FakeMachine([24 * GIB]), many(tmp_path, 12))
    later.history._path.write_bytes(desk.history._path.read_bytes())
    run_for(later, 3, {1: 1.0, 2: 0.81, 3: 0.53}, {})
    assert len(later.running) == 2
    assert later.allocator.summary()["growth"]["0"].endswith("(from an earlier sweep)")


def test_growth_ends_where_memory_ends(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([5 * GIB]), many(tmp_path, 9))
    run_for(desk, 60, {1: 1.0, 2: 1.0}, {})
    assert len(desk.running) == 2
    assert desk.allocator.summary()["growth"]["0"].endswith("3 at once when there is room")


def test_what_growth_finds_beside_somebody_else_is_no_rule_for_later(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    machine.others["0"] = GIB
    desk = Desk(tmp_path, machine, many(tmp_path, 12))
    run_for(desk, 30, {1: 1.0, 2: 0.5}, {})
    assert desk.allocator.summary()["growth"]["0"].endswith("staying at 1")
    for attempt in list(desk.running.values()):
        desk.end(attempt.number)
    kept = json.loads(desk.history._path.read_text())
    assert len(kept["needs"]) == 1
    assert kept["growth"] == {}


@pytest.mark.parametrize(("size", "most"), [(16 * GIB, 7), (8 * GIB, 3)])
def test_growth_believes_what_was_measured_and_not_what_was_declared(
    tmp_path: Path, size: int, most: int
) -> None:
    desk = Desk(tmp_path, FakeMachine([size]), many(tmp_path, 12, 8 * GIB))
    assert desk.start_all() == [0]
    assert desk.conductor.records[0].need == {"memory_mib": 8192, "source": "declared"}
    run_for(desk, 60, dict.fromkeys(range(1, 13), 1.0), {})
    assert len(desk.running) == most, "they take 2 GiB each, and are given 2.1"
    assert {record.need["source"] for record in desk.conductor.records.values()} == {"measured"}
    caps = {attempt.cap_bytes for attempt in desk.running.values() if attempt.number > 0}
    assert caps == {2151 * MIB}


def test_what_all_of_a_trial_took_outweighs_its_first_steps(tmp_path: Path) -> None:
    card = FakeMachine([24 * GIB]).cards[0]
    needs = TrialNeeds(many(tmp_path, 2, 4 * GIB), History(tmp_path / HISTORY_FILE), on_cpu=False)
    needs.keep({"lr": 0.1}, card, 6 * GIB)
    needs.measured({"lr": 0.1}, card, 3 * GIB)
    found = needs.of(0, {"lr": 0.1}, [card])
    assert (found.memory_bytes, found.source) == (needs.with_headroom(6 * GIB, [card]), "history")


def test_each_card_starts_with_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB, 16 * GIB]), many(tmp_path, 9))
    assert desk.start_all() == [0, 1]
    assert {attempt.slot["device"] for attempt in desk.running.values()} == {"0", "1"}


@pytest.mark.parametrize("cards", [[24], [24, 16], [24, 6, 16], [8, 0.5, 8]])
@pytest.mark.parametrize("need", [None, 7 * GIB, 8 * GIB])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_what_starts_is_what_the_plan_gives(
    tmp_path: Path, cards: list[float], need: int | None, count: int
) -> None:
    sizes = [int(card * GIB) for card in cards]
    desk = Desk(tmp_path, FakeMachine(sizes, cores=8), many(tmp_path, count, need))
    started = desk.start_all()
    slots = [attempt.slot for attempt in desk.running.values()]
    planned = desk.plan.slots[: desk.plan.start_parallel]
    assert len(started) == desk.plan.start_parallel
    assert sorted(slot["device"] for slot in slots) == sorted(slot.device for slot in planned)
    assert sorted(slot["threads"] for slot in slots) == sorted(slot.threads for slot in planned)


@pytest.mark.parametrize(
    ("placement", "first"), [("sequential", 1), ("parallel", 3), ("auto", 1), ("grow", 1)]
)
def test_placement_sets_how_many_start(tmp_path: Path, placement: Any, first: int) -> None:
    spec = many(tmp_path, 9, 8 * GIB)
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), spec, Policy(placement=placement))
    assert len(desk.start_all()) == first


@pytest.mark.parametrize(("placement", "first"), [("auto", 3), ("grow", 1), ("sequential", 1)])
def test_cores_are_shared_out_at_once_unless_growth_is_asked_for(
    tmp_path: Path, placement: Any, first: int
) -> None:
    spec = many(tmp_path, 9)
    desk = Desk(tmp_path, FakeMachine(cores=3), spec, Policy(placement=placement))
    assert len(desk.start_all()) == first


def test_cores_that_others_keep_busy_are_left_to_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine(cores=8, idle_cores=3.0), many(tmp_path, 2))
    assert desk.start_all() == [0, 1]
    assert [attempt.threads for attempt in desk.running.values()] == [2, 2]


def test_growth_on_cpus_never_uses_more_cores_than_there_are(tmp_path: Path) -> None:
    spec = toy_spec(
        tmp_path, {f"t{n}": {"lr": 0.1 + n} for n in range(9)}, resources=Resources(cpus=2)
    )
    policy = Policy(placement="grow", cpus_per_trial=2)
    desk = Desk(tmp_path, FakeMachine(cores=7), spec, policy)
    run_for(desk, 90, {1: 1.0, 2: 1.0, 3: 1.0}, {})
    threads = [attempt.threads for attempt in desk.running.values()]
    assert threads == [2, 2, 2]
    assert [e["at_once"] for e in desk.events("growth")] == [1, 2, 3]


def test_on_cpus_fewer_are_tried_where_the_sweep_is_long_enough(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine(cores=2), many(tmp_path, 40))
    steps: dict[int, float] = {}
    # Two trials get no more done than one: 1.05 times as much.
    speed = {1: 1.0, 2: 0.525}
    run_for(desk, 8, speed, steps)
    assert desk.events("growth") == [], "nobody knows yet how long trials take"
    assert len(desk.running) == 2
    desk.end(0)
    run_for(desk, 12, speed, steps)
    decisions = [(e["at_once"], e["decision"]) for e in desk.events("growth")]
    assert decisions == [(2, "fewer"), (1, "stay")]
    assert len(desk.running) == 1, "the slot that came free stays empty"
    assert desk.allocator.summary()["growth"]["cpu"] == (
        "1 at once: 0.95 × the speed of 2, staying at 1"
    )
    again = Desk(tmp_path / "later", FakeMachine(cores=2), many(tmp_path, 40))
    again.history._path.write_bytes(desk.history._path.read_bytes())
    assert len(again.start_all()) == 2, "it got no more done, so all start"


def test_a_short_sweep_on_cpus_leaves_no_slot_empty(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine(cores=2), many(tmp_path, 3))
    steps: dict[int, float] = {}
    run_for(desk, 8, {1: 1.0, 2: 0.9}, steps)
    desk.end(0)
    assert desk.start_all() == [2]
    run_for(desk, 8, {1: 1.0, 2: 0.9}, steps)
    desk.end(1)
    # The last one is alone, which shows how fast one is.
    run_for(desk, 12, {1: 1.0, 2: 0.9}, steps)
    assert [(e["at_once"], e["decision"]) for e in desk.events("growth")] == [(1, "back")]
    assert desk.allocator.summary()["growth"]["cpu"] == (
        "1 at once: 0.56 × the speed of 2, staying at 2"
    )


def test_trials_that_take_longer_start_first_once_that_is_known(tmp_path: Path) -> None:
    trials = {
        f"t{n}": {"lr": 0.1 + n / 100, "epochs": 200 if n in (1, 7, 8) else 2} for n in range(9)
    }
    desk = Desk(tmp_path, FakeMachine(cores=2), toy_spec(tmp_path, trials))
    assert desk.start_all() == [0, 1]
    for number, seconds in ((0, 5), (1, 300)):
        desk.pass_time(seconds)
        desk.end(number)
        found = desk.start_all()
        assert found == ([2] if number == 0 else [7])
    desk.pass_time(10)
    desk.end(2)
    assert desk.start_all() == [8]


def test_no_seed_overtakes_one_of_a_turn_before_however_long_it_takes(tmp_path: Path) -> None:
    lrs = Domain("categorical", (0.1, 0.2))
    spec = toy_spec(tmp_path, {}, parameters={"lr": lrs}, seeds=(1, 2, 3))
    desk = Desk(tmp_path, FakeMachine(cores=1), spec)
    started = desk.start_all()
    for seconds in (5, 300, 300, 5, 5):
        desk.pass_time(seconds)
        desk.end(started[-1])
        started += desk.start_all()
    assert [number % 3 for number in started] == [0, 0, 1, 1, 2, 2]
    assert started[2] == 4, "of a turn, what takes longer"


# Out of memory -----------------------------------------------------------------------------------


def test_a_trial_that_ran_out_of_memory_runs_again_with_more(tmp_path: Path) -> None:
    spec = many(tmp_path, 3, 8 * GIB)
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), spec)
    assert desk.start_all() == [0, 1, 2]
    for number in (0, 1, 2):
        desk.load(number, 7 * GIB)
    desk.end(1, ["failed", OOM])
    state, reason = desk.state(1)
    assert state is TrialState.WAITING
    assert reason is not None
    assert "out of memory with 8.0 GiB on GPU 0" in reason
    assert "waits to run again with 12.0 GiB" in reason
    assert desk.start_all() == [], "8 GiB are promised to nobody, but 12 are asked for"
    desk.end(0)
    desk.pass_time(2)
    again = desk.start()
    assert again is not None
    assert (again.number, again.attempt) == (1, 2)
    assert again.slot["memory_mib"] == 12 * 1024
    record = desk.conductor.records[1]
    assert (record.need["source"], record.need["retries"]) == ("measured", 1)
    event = desk.events("out_of_memory")[0]
    assert (event["number"], event["given_mib"], event["again_with_mib"]) == (1, 8192, 12288)
    desk.end(1)
    desk.end(2)
    assert desk.conductor.is_over
    assert {state for state, _ in map(desk.state, range(3))} == {TrialState.COMPLETE}


def test_what_was_given_less_than_declared_gets_that_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([16 * GIB]), many(tmp_path, 12, 8 * GIB))
    run_for(desk, 40, dict.fromkeys(range(1, 13), 1.0), {})
    assert len(desk.running) > 2
    desk.end(1, ["failed", OOM])
    _, reason = desk.state(1)
    assert reason is not None
    assert "out of memory with 2.1 GiB on GPU 0" in reason
    assert "waits to run again with 8.0 GiB" in reason


def test_the_plan_shrinks_down_to_sequential(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 2, 4 * GIB))
    assert desk.start_all() == [0, 1]
    desk.load(0, 3 * GIB)
    desk.load(1, 3 * GIB)
    desk.end(1, ["failed", OOM])
    assert desk.start_all() == [], "one at a time, though 20 GiB are free"
    words = "fell back to sequential after out-of-memory in trial 1"
    assert desk.allocator.summary()["fallback"] == words
    assert desk.events("fallback")[0]["words"] == words
    desk.end(0)
    assert desk.start_all() == [1]


def test_alone_on_an_empty_card_it_fails_with_the_numbers(tmp_path: Path) -> None:
    machine = FakeMachine([16 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 2))
    assert desk.start_all() == [0]
    desk.load(0, 15 * GIB)
    desk.end(0, ["failed", OOM])
    state, reason = desk.state(0)
    assert state is TrialState.FAIL
    assert reason is not None
    assert "alone on GPU 0 (Card) with 16.0 GiB of its 16.0 GiB" in reason
    assert "asked for 2.0 GiB more" in reason
    assert desk.start_all() == [1], "the others go on"


def test_not_enough_because_of_others_is_no_failure(tmp_path: Path) -> None:
    machine = FakeMachine([16 * GIB])
    machine.others["0"] = 6 * GIB
    desk = Desk(tmp_path, machine, many(tmp_path, 1))
    assert desk.start_all() == [0]
    desk.load(0, 9 * GIB)
    desk.end(0, ["failed", OOM])
    assert desk.state(0)[0] is TrialState.WAITING
    assert desk.conductor.records[0].need["retries"] == 1


def test_it_is_not_tried_for_ever(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([80 * GIB]), many(tmp_path, 1, 1 * GIB))
    for _ in range(20):
        if desk.start_all() != [0]:
            break
        desk.load(0, 1 * GIB)
        desk.end(0, ["failed", OOM])
    assert desk.state(0)[0] is TrialState.FAIL
    assert desk.conductor.is_over
    assert len(desk.events("out_of_memory")) <= 7


def test_a_script_is_recognised_by_what_it_printed(tmp_path: Path) -> None:
    program = Program(path="/x/train.py", workdir=str(tmp_path))
    spec = many(tmp_path, 2, 6 * GIB, trainer=None, program=program, metric=None)
    desk = Desk(tmp_path, FakeMachine([16 * GIB]), spec)
    assert desk.start_all() == [0, 1]
    attempt = desk.running[desk.id_of(0)]
    attempt.run_dir.log_file.write_text(f"Epoch 1\ntorch.{OOM}\n")
    desk.load(0, 5 * GIB, reports=False)
    desk.end(0, ["failed", "train.py: ended with exit code 1."])
    assert desk.state(0)[0] is TrialState.WAITING
    desk.end(1)
    assert desk.start_all() == [0]
    desk.end(0, ["failed", "train.py: ended with exit code 1."])
    assert desk.state(0)[0] is TrialState.FAIL, "what an earlier attempt printed does not count"
    assert len(desk.events("out_of_memory")) == 1


def test_a_kill_by_the_hosts_guard_is_told_apart(tmp_path: Path) -> None:
    machine = FakeMachine([24 * GIB])
    desk = Desk(tmp_path, machine, many(tmp_path, 2, 4 * GIB))
    assert desk.start_all() == [0, 1]
    machine.kills = 1
    desk.end(0, ["failed", "the process was killed by SIGKILL (the system may have run out)"])
    state, reason = desk.state(0)
    assert state is TrialState.WAITING
    assert reason is not None
    assert "the host ran out of memory while 1 other" in reason
    assert desk.events("out_of_memory")[0]["kind"] == "host"
    assert desk.conductor.records[0].need["memory_mib"] == 4096, "its GPU was large enough"
    desk.end(1)
    assert desk.start_all() == [0]
    desk.end(0, ["failed", "the process was killed by SIGKILL"])
    assert desk.state(0)[0] is TrialState.FAIL, "nobody's guard killed it this time"


def test_an_interrupted_sweep_remembers_the_raised_need(tmp_path: Path) -> None:
    spec = many(tmp_path, 2, 8 * GIB)
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), spec)
    desk.start_all()
    desk.load(0, 7 * GIB)
    desk.end(0, ["failed", OOM])
    desk.conductor.stop()
    desk.end(1, ["failed", "killed"])
    again = Desk(tmp_path, FakeMachine([24 * GIB]), spec)
    again.allocator.restore(again.conductor.records.values())
    assert 0 in again.start_all()
    assert again.running[again.id_of(0)].slot["memory_mib"] == 12 * 1024


def test_a_trial_that_was_asked_to_end_did_not_run_out_of_memory(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FakeMachine([24 * GIB]), many(tmp_path, 2, 8 * GIB))
    desk.start_all()
    desk.conductor.stop_trial(0, "by hand")
    desk.end(0, ["failed", OOM])
    assert desk.state(0) == (TrialState.PRUNED, "by hand")
    assert desk.events("out_of_memory") == []
