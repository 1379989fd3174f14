"""W&B's bands over trials that run, ran before, or go on."""

from __future__ import annotations

import math
from pathlib import Path

from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from orchestrator.search.pruners import Bands
from orchestrator.sweepfile.model.course import EarlyTerminate
from orchestrator.sweepfile.model.spec import MetricGoal


def record(number: int, **fields: object) -> TrialRecord:
    found = TrialRecord(number, f"t{number}", {}, state=TrialState.RUNNING, attempt=1)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def write(sweep: SweepDir, of: TrialRecord, values: list[float]) -> None:
    run = sweep.run_dir(of.number, of.name)
    run.path.mkdir(parents=True, exist_ok=True)
    for step, value in enumerate(values, 1):
        jsonl.append(run.metrics_file, {"step": step, "metrics": {"val_mae": value}})


def play(bands: Bands, of: TrialRecord, values: list[float]) -> list[int]:
    """Return the steps at which the trial would be stopped."""
    return [step for step, value in enumerate(values, 1) if bands.should_stop(of, step, value)]


def make(folder: Path, records: list[TrialRecord], **rule: object) -> Bands:
    return Bands(
        EarlyTerminate(**{"min_iter": 2, "eta": 2, **rule}),  # type: ignore[arg-type]  # a test's
        MetricGoal("val_mae"),
        SweepDir(folder),
        {item.number: item for item in records},
    )


def test_the_worse_half_stops_at_its_band(tmp_path: Path) -> None:
    trials = [record(number) for number in range(3)]
    bands = make(tmp_path, trials)
    assert play(bands, trials[0], [5.0, 1.0, 1.0]) == []
    assert play(bands, trials[1], [5.0, math.nan, 2.0]) == [], "one of two is the limit itself"
    reason = [bands.should_stop(trials[2], step, 3.0) for step in (1, 2)]
    assert reason[0] is None
    assert reason[1] == (
        "early_terminate: val_mae 3 at band 2 is worse than 2, which the best 1/2 of the 3 trials "
        "that came this far reach"
    )


def test_what_ran_before_counts_and_a_continued_trial_goes_on_counting(tmp_path: Path) -> None:
    before, again, other = record(0, state=TrialState.PRUNED), record(1), record(2, stage="full")
    sweep = SweepDir(tmp_path)
    write(sweep, before, [1.0, 1.0])
    write(sweep, again, [9.0])
    write(sweep, other, [0.0, 0.0])
    again.attempt = 2
    bands = make(tmp_path, [before, again, other], eta=3)
    assert bands.should_stop(again, 1, 9.0) is None, "the same report again"
    assert bands.should_stop(again, 2, 9.0) is not None, "its second, against one other"
    again.attempt = 3
    (tmp_path / "trials" / "0001-t1" / "metrics.jsonl").unlink()
    assert bands.should_stop(again, 1, 9.0) is None, "it started anew"


def test_of_several_seeds_the_first_decides(tmp_path: Path) -> None:
    first, second, good = record(0), record(1, replicate=1, group=0), record(2)
    bands = make(tmp_path, [first, second, good], eta=3)
    assert play(bands, good, [0.1, 0.1]) == []
    assert play(bands, second, [9.0, 9.0]) == []
    assert play(bands, first, [9.0, 9.0]) == [2]
