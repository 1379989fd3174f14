"""Records of any shape: every command that reads reports them, and none ends with a traceback.

``SWEEP_FUZZ=100000`` tries so many damaged sweeps.
"""

from __future__ import annotations

import copy
import fcntl
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.cli import main
from orchestrator.files import atomic, jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.record_fields import checked, checked_spec
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.sweepfile.model.course import Promote, Stage
from orchestrator.sweepfile.model.spec import MetricGoal
from tests.engine.sweeps import toy_spec

TRIES = int(os.environ.get("SWEEP_FUZZ", "25"))

DEEP: list[Any] = []
for _ in range(600):
    DEEP = [DEEP]
ODD: list[Any] = [
    *(None, 0, 5, -1, 1e308, 10**400, -(10**400), float("nan"), float("inf"), True),
    *("", "nan", "x" * 3000, "\ud800", "a\x1b]52;c;QUJD\x07\x1b[2J", "=1+1", "2020"),
    *("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00"),
    *([], [1], [None, {}], {}, {"a": 1}, {"": {"": None}}, {"value": [1]}, DEEP),
]
COMMANDS = [
    *(["status"], ["status", "--json"], ["logs"], ["logs", "0"], ["audit", "SWEEP"]),
    *(["compare", "SWEEP"], ["compare", "SWEEP", "--json"], ["compare", "SWEEP", "--md"]),
    *(["doctor", "SWEEP"], ["doctor", "SWEEP", "--json"], ["doctor", "SWEEP", "--md"]),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with one sweep."""
    results = tmp_path_factory.mktemp("whole")
    sweep = SweepDir(results / "s")
    stages = (Stage("quick", promote=Promote(top=1)), Stage("full"))
    spec = toy_spec(
        results, {"a": {"lr": 0.1}, "b": {}}, metric=MetricGoal("val_mae"), stages=stages
    )
    sweep.trials_dir.mkdir(parents=True)
    atomic.write_json(sweep.spec_file, spec.to_dict())
    record = SweepRecord("s", SweepState.FINISHED, n_trials=3, metric="val_mae")
    record.placement = {"waiting": None, "growth": {"0": "grew"}, "fallback": None}
    record.course = {"stages": {"quick": {"to": "full", "promoted": [0], "words": "top 1"}}}
    record.save(sweep)
    for number, state in enumerate([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]):
        trial = TrialRecord(number, f"t{number}", {"lr": 0.1 * number}, state, attempt=1)
        trial.slot = {"device": "cpu", "memory_mib": 100, "threads": 1}
        trial.need = {"memory_mib": 100, "source": "measured", "peak_mib": 90}
        trial.note = {"note": "n", "expect": "improves"}
        trial.change = {"name": "c", "set": {"lr": 1}}
        trial.started_at = trial.ended_at = trial.created_at
        trial.total_steps, trial.value, trial.stage = 3, 0.5, "quick"
        run = sweep.run_dir(number, trial.name)
        trial.save(run)
        atomic.write_json(run.metadata_file, {"config": {"lr": 1}, "total_steps": 3})
        for step in range(3):
            values = {"train_loss": 1.0 / (step + 1), "val_mae": 2.0 / (step + 1)}
            jsonl.append(run.metrics_file, {"step": step, "time": 1.8e9 + step, "metrics": values})
    jsonl.append(sweep.events_file, {"time": record.started_at, "event": "sweep_started"})
    return results


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, item in inside:
        yield from places(item, (*at, key))


def put(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    if not at:
        return odd
    value = copy.copy(value)
    value[at[0]] = put(value[at[0]], at[1:], odd)
    return value


def damage(results: Path, chance: random.Random) -> str:
    """Put odd values into a record or two; return what was done."""
    files = sorted(path for path in results.rglob("*.json*") if path.is_file())
    done = []
    for _ in range(chance.choice([1, 1, 3])):
        file = chance.choice(files)
        lines = [file.read_text()] if file.suffix == ".json" else file.read_text().splitlines()
        line = chance.randrange(len(lines))
        value = json.loads(lines[line])
        at, odd = chance.choice(list(places(value))), chance.choice(ODD)
        lines[line] = json.dumps(put(value, at, odd))
        file.write_text("\n".join(lines))
        done.append(f"{file.relative_to(results)} {at} {str(odd)[:40]!r}")
    return "; ".join(done)


@pytest.mark.parametrize("seed", range(TRIES))
def test_no_command_breaks(
    whole: Path, tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    done = damage(results, chance)
    # Half of the sweeps run.
    with (results / "s" / ".lock").open("w") as lock:
        if seed % 2:
            fcntl.flock(lock, fcntl.LOCK_EX)
        for words in chance.sample(COMMANDS, 3):
            arguments = [str(results / "s") if word == "SWEEP" else word for word in words]
            options = ["--results", str(results)] if words[0] in ("status", "logs") else []
            with pytest.raises(SystemExit):
                main([*arguments, *options])
            shown = capfd.readouterr()
            assert "\x1b" not in shown.out + shown.err, f"{words} after {done}"


def test_a_damaged_record_is_named_and_the_others_are_shown(
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that no reason is cut
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    for number, (field, odd) in enumerate([("name", None), ("need", 5)]):
        file = results / "s" / "trials" / f"{number:04d}-t{number}" / "state.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), field: odd}))
    with pytest.raises(SystemExit) as ended:
        main(["status", "--results", str(results)])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "state.json: name is not text" in shown
    assert "t1: state.json: need is not a mapping (found 5)" in shown
    assert "t2" in shown


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TrialRecord, SweepRecord])
@given(data=st.data())
def test_what_is_accepted_has_the_right_types(kind: type, data: st.DataObject) -> None:
    known = {"number": 1, "name": "a", "config": {}, "sweep": "s"}
    names = [one.name for one in fields(kind)]
    raw = {**known, **data.draw(st.dictionaries(st.sampled_from(names), ANY))}
    found, problems = checked(kind, raw)
    if found is None:
        assert problems or not known.keys() & raw.keys()
        return
    record = kind(**found)
    assert not checked(kind, json.loads(json.dumps(atomic.plain(vars(record)))))[1]


@given(st.dictionaries(st.sampled_from(["metric", "stages", "trials", "tiers", "name"]), ANY))
def test_a_spec_of_any_shape_is_read(raw: dict[str, Any]) -> None:
    assert checked_spec(checked_spec(raw)) == checked_spec(raw)
