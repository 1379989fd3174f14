"""A grid that is extended runs what is missing, and nothing twice."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings, strategies as st

from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.planned_trials import PlannedTrials
from orchestrator.engine.queue.sweep_view import SweepLog, SweepView
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord
from orchestrator.sweepfile.expand import iter_configs
from orchestrator.sweepfile.model.course import Ablate, Change
from orchestrator.sweepfile.model.spec import Domain, Spec, TrialConfig

FOLDER = Path("nowhere")
VALUES = st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)


def planned(spec: Spec, records: dict[int, TrialRecord]) -> list[TrialConfig]:
    """Return the trials that are missing, in their order."""
    folder = SweepDir(FOLDER)
    log = SweepLog(folder, lambda event, record, details: None)
    plan = PlannedTrials(
        SweepView(spec, folder, records),
        Decisions(SweepRecord("s"), log),
        proposes=False,
        is_wanted=lambda name, number: True,
        only_some=False,
    )
    return [trial for trial in plan if isinstance(trial, TrialConfig)]


def run(trial: TrialConfig) -> TrialRecord:
    change = {} if trial.change is None else {"name": trial.change}
    return TrialRecord(
        trial.number,
        trial.name,
        trial.config,
        group=trial.group,
        replicate=trial.replicate,
        change=change,
    )


def grid(a: list[int], b: list[int], seeds: int, *, zipped: bool = False) -> Spec:
    domains = {
        "a": Domain("categorical", tuple(a)),
        "b": Domain("categorical", tuple(b)),
    }
    zips = (("a", "b"),) if zipped else ()
    return Spec("s", FOLDER, parameters=domains, seeds=tuple(range(seeds)), zips=zips)


def ablation(names: list[int], seeds: int) -> Spec:
    changes = {f"c{name}": Change({"a": name}) for name in names}
    ablate = Ablate({"a": 99}, changes)
    return Spec("s", FOLDER, ablate=ablate, seeds=tuple(range(seeds)))


def check_extension(before: Spec, after: Spec, ran: int, follower: bool) -> None:
    records = {trial.number: run(trial) for trial in list(iter_configs(before))[:ran]}
    first = dict(records)
    if follower:
        view = SweepView(before, SweepDir(FOLDER), records)
        number = view.next_number()
        records[number] = TrialRecord(number, "follows", {}, origin=0, link="remedy")
    added = planned(after, records)
    numbers = [trial.number for trial in added]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(records)
    mine = [*(run(trial) for trial in added), *first.values()]

    def contents(found: list[TrialRecord]) -> list[tuple[str, int]]:
        return sorted((repr(sorted(one.config.items())), one.replicate) for one in found)

    assert contents(mine) == contents([run(trial) for trial in iter_configs(after)])
    for one in mine:
        members = [other for other in mine if one.group is not None and other.group == one.group]
        bare = {key: value for key, value in one.config.items() if key != "seed"}
        assert all({**bare, "seed": other.config["seed"]} == other.config for other in members)
        assert all(other.number == one.group + other.replicate for other in members if one.group)


@settings(deadline=None, max_examples=60)
@given(VALUES, VALUES, VALUES, VALUES, st.integers(1, 3), st.integers(0, 30), st.booleans())
def test_a_grid_with_more_values_runs_what_is_missing(
    a: list[int], b: list[int], a2: list[int], b2: list[int], seeds: int, ran: int, follower: bool
) -> None:
    more_a, more_b = list(dict.fromkeys([*a2, *reversed(a)])), list(dict.fromkeys([*b2, *b]))
    check_extension(grid(a, b, seeds), grid(more_a, more_b, seeds), ran, follower)


@settings(deadline=None, max_examples=40)
@given(VALUES, VALUES, st.integers(1, 3), st.integers(0, 30), st.booleans())
def test_a_zip_with_more_rows_runs_what_is_missing(
    a: list[int], more: list[int], seeds: int, ran: int, follower: bool
) -> None:
    longer = list(dict.fromkeys([*more, *reversed(a)]))
    before = grid(a, [one * 10 for one in a], seeds, zipped=True)
    after = grid(longer, [one * 10 for one in longer], seeds, zipped=True)
    check_extension(before, after, ran, follower)


@settings(deadline=None, max_examples=40)
@given(VALUES, VALUES, st.integers(1, 3), st.integers(0, 30), st.booleans())
def test_an_ablation_with_more_changes_runs_what_is_missing(
    names: list[int], more: list[int], seeds: int, ran: int, follower: bool
) -> None:
    longer = list(dict.fromkeys([*more, *reversed(names)]))
    check_extension(ablation(names, seeds), ablation(longer, seeds), ran, follower)
