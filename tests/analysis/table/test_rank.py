from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.measure.row import NO_SWEEP, Row
from orchestrator.analysis.measure.targets import Tally, judge, parse_bound
from orchestrator.analysis.rank.ranked import goal_of, rank
from orchestrator.analysis.relate.relations import relate
from orchestrator.analysis.table import compare
from orchestrator.errors import UsageError
from orchestrator.runs.read import SweepInfo
from orchestrator.runs.records import SweepState, TrialState
from tests.analysis import made

VALUES = st.lists(st.floats() | st.sampled_from([0.5, math.nan, math.inf]), max_size=12)


def row(name: str, info: SweepInfo = NO_SWEEP, **metrics: float) -> Row:
    return Row(name, Path(name), info.name or None, metrics=metrics, info=info)


def sweep_info(name: str = "s", metric: str = "val_mae", goal: str = "minimize") -> SweepInfo:
    return SweepInfo(name, Path("/results") / name, metric, goal)


@given(values=VALUES, metric=st.sampled_from(["mae", "r2"]), top=st.none() | st.integers(1, 15))
def test_ranking_is_an_order_of_all_rows(values: list[float], metric: str, top: int | None) -> None:
    rows = [row(str(index), **{metric: value}) for index, value in enumerate(values)]
    found = relate(rank(rows, sort_by=metric), top=top)
    whole = rank(rows, sort_by=metric).rows
    assert sorted(item.trial for item in whole) == sorted(item.trial for item in rows)
    assert found.rows == whole[:top]
    assert found.n_complete == len(rows)
    assert [item.rank for item in whole] == list(range(1, len(rows) + 1))

    sign = -1 if metric == "r2" else 1
    ranked = [item.metrics[metric] for item in whole]
    finite = [value for value in ranked if math.isfinite(value)]
    # Values that say nothing come last, and are counted in a note.
    assert ranked[: len(finite)] == finite
    assert finite == sorted(finite, key=lambda value: sign * value)
    missing = len(rows) - len(finite)
    assert any(f"{missing} of {len(rows)}" in note for note in found.notes) is bool(missing)
    # Equal ones keep their order.
    for one, other in itertools.pairwise(whole):
        if one.metrics[metric] == other.metrics[metric]:
            assert int(one.trial) < int(other.trial)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True), data=st.data())
def test_the_order_of_finding_does_not_matter(values: list[float], data: st.DataObject) -> None:
    rows = [row(str(value), mae=value) for value in values]
    mixed = data.draw(st.permutations(rows))
    assert rank(rows, sort_by="mae").rows == rank(mixed, sort_by="mae").rows


@pytest.mark.parametrize(
    ("metric", "goal"),
    [("mae", "minimize"), ("val_t20_r2", "maximize"), ("c50_rmse", "minimize")],
)
def test_direction_follows_the_meaning(metric: str, goal: str) -> None:
    assert goal_of(metric, [row("a", **{metric: 1.0})]) == goal


def test_the_sweep_knows_the_direction_of_its_own_metric() -> None:
    rows = [row("a", sweep_info(metric="val_liking", goal="maximize"), val_liking=1.0, liking=1.0)]
    assert goal_of("val_liking", rows) == "maximize"
    assert goal_of("liking", rows) == "maximize"


def test_one_sweep_is_ranked_by_its_own_validation_metric() -> None:
    info = sweep_info(metric="val_t20_mae")
    rows = [
        row("a", info, mae=0.1, val_mae=0.1, t20_mae=0.1, val_t20_mae=0.2),
        row("b", info, mae=0.2, val_mae=0.2, t20_mae=0.2, val_t20_mae=0.1),
    ]
    found = rank(rows)
    assert (found.sort_by, found.basis) == ("val_t20_mae", "validation")
    assert [item.trial for item in found.rows] == ["b", "a"]


def test_a_bare_metric_of_a_sweep_ranks_by_its_validation_twin() -> None:
    found = rank([row("a", sweep_info(metric="mae"), mae=0.1, val_mae=0.2)])
    assert found.sort_by == "val_mae"


def test_several_sweeps_are_ranked_by_val_mae() -> None:
    rows = [
        row("a", sweep_info("s", "val_t20_mae"), mae=0.1, val_mae=0.2, val_t20_mae=0.1),
        row("b", sweep_info("z", "val_r2", "maximize"), mae=0.2, val_mae=0.1, val_r2=0.1),
    ]
    found = rank(rows)
    assert found.sort_by == "val_mae"
    assert [item.trial for item in found.rows] == ["b", "a"]


def test_where_some_lack_validation_arrays_mae_ranks_and_says_so() -> None:
    found = rank([row("a", mae=0.1, val_mae=0.2), row("b", mae=0.2)])
    assert found.sort_by == "mae"
    assert "Only 1 of 2 have validation arrays, so mae ranks." in found.notes


def test_a_metric_that_was_only_logged_ranks_as_logged() -> None:
    info = sweep_info(metric="val_loss")
    rows = [
        Row("a", Path("a"), info=info, metrics={"mae": 0.1}, logged={"val_loss": 2.0}),
        Row("b", Path("b"), info=info, metrics={"mae": 0.2}, logged={"val_loss": 1.0}),
        Row("c", Path("c"), info=info, metrics={"mae": 0.2}),
    ]
    found = rank(rows)
    assert (found.sort_by, found.basis) == ("val_loss", "as logged")
    assert [item.trial for item in found.rows] == ["b", "a", "c"]
    assert found.rows[0].metrics["val_loss"] == 1.0


def test_a_recomputed_metric_is_never_mixed_with_logged_ones() -> None:
    rows = [
        Row("a", Path("a"), metrics={"mae": 0.5}),
        Row("b", Path("b"), metrics={"rmse": 0.2}, logged={"mae": 0.1}),
    ]
    found = rank(rows, sort_by="mae")
    assert [item.trial for item in found.rows] == ["a", "b"]
    assert "mae" not in found.rows[1].metrics


def test_pairs_that_a_ranking_or_a_target_leaves_out_are_told() -> None:
    judged = judge({"c50_mae": "<= 1", "mae": "<= 1"}, {"c50_mae": 0.5, "mae": 0.5})
    rows = [
        replace(row("a", val_t20_mae=1.0, c50_mae=0.5, c50_undefined=1200.0), targets=judged),
        replace(row("b", val_t20_mae=2.0, c50_mae=0.5, c50_undefined=3.0), targets=judged),
    ]
    told = (
        "c50_mae is of the pairs that define it; c50_undefined counts the others, "
        "up to 1,200 in one run."
    )
    assert [note for note in rank(rows, sort_by="val_t20_mae").notes if "pairs" in note] == [told]
    rows.append(row("c", val_t20_mae=0.1, val_t20_undefined=7.0))
    notes = rank(rows, sort_by="val_t20_mae").notes
    assert "val_t20_mae is of the pairs that define it; val_t20_undefined counts" in notes[0]
    assert notes[0].endswith("up to 7 in one run.")


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--sort-by: .* parameter 'rsme'\. Did you mean 'rmse'\?"):
        rank([row("a", mae=0.1, rmse=0.2)], sort_by="rsme")


def test_without_any_run_any_metric_may_be_typed() -> None:
    assert rank([], sort_by="rsme").rows == ()


def test_ranking_on_test_says_among_how_many(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    for number in range(5):
        made.trial(sweep, number, error=0.1 + number, val_error=0.5 - number / 10)
    assert compare([tmp_path]).basis == "validation"
    found = compare([tmp_path], sort_by="mae", top=2)
    assert found.basis == "selected on test among 5"
    assert [item.trial for item in found.rows] == ["t0", "t1"]


def test_a_foreign_pair_of_files_is_of_an_unknown_split(tmp_path: Path) -> None:
    made.pair(tmp_path / "a", 0.2)
    made.pair(tmp_path / "b", 0.1)
    found = compare([tmp_path])
    assert (found.sort_by, found.basis) == ("mae", "split unknown")
    assert [item.path.name for item in found.rows] == ["b", "a"]
    assert found.rows[0].metrics["mae"] == pytest.approx(0.1)
    assert [note for note in found.notes if "--metrics edc --rate" in note]


def test_arrays_of_a_persons_script_are_of_an_unknown_split_too(tmp_path: Path) -> None:
    made.trial(made.sweep(tmp_path, program="train_model.py"), 0, error=0.1, value=0.3)
    found = compare([tmp_path], sort_by="mae")
    assert found.basis == "split unknown"
    assert compare([tmp_path]).sort_by == "val_mae"
    assert compare([tmp_path]).basis == "as logged"


def test_scripts_that_save_no_arrays_are_ranked_as_they_logged(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, program="train_model.py")
    made.trial(sweep, 0, value=0.3)
    made.trial(sweep, 1, value=0.2)
    failed = made.trial(sweep, 2, state=TrialState.FAIL, reason="it fell\n  over\n  and over")
    cut = made.trial(sweep, 3, error=0.1, value=0.1)
    cut.targets_file().unlink()
    found = compare([tmp_path])
    assert [row.trial for row in found.rows] == ["t1", "t0"]
    assert (found.sort_by, found.basis) == ("val_mae", "as logged")
    problems = {item.path: item.problem for item in found.incomplete}
    assert problems[failed.path] == "FAIL: it fell"
    assert problems[cut.path] == "COMPLETE, but without its arrays"
    silent = made.trial(sweep, 9)
    (problem,) = (run.problem for run in compare([silent.path]).incomplete)
    assert problem is not None
    assert problem.startswith("COMPLETE, but no metric was found: nothing was reported")


def test_the_hint_goes_once_the_kind_is_told(tmp_path: Path) -> None:
    made.curves(tmp_path / "a")
    found = compare([tmp_path], kind="decay_curve", data={"rate_hz": made.RATE_HZ})
    assert found.notes == ()
    assert found.rows[0].metrics["t20_mae"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<= 0.020", "<= 0.02"),
        (">=0.98", ">= 0.98"),
        (" < 1e-3 ", "< 0.001"),
        ("0.02", None),
        ("<= x", None),
        ("=< 1", None),
    ],
)
def test_bounds_are_read_back(text: str, expected: str | None) -> None:
    bound = parse_bound(text)
    assert (None if bound is None else str(bound)) == expected


def test_targets_are_met_missed_or_cannot_be_judged() -> None:
    targets = {"mae": "<= 0.1", "r2": ">= 0.9", "c50_mae": "<= 0.9", "t20_mae": "<= 0.02"}
    judged = judge(targets, {"mae": 0.1, "r2": 0.5, "c50_mae": math.nan})
    assert {name: target.met for name, target in judged.items()} == {
        "mae": True,
        "r2": False,
        "c50_mae": False,
        "t20_mae": None,
    }


def test_targets_are_judged_on_test_metrics_as_typed(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, targets={"mae": "<= 0.2"})
    made.trial(sweep, 0, error=0.1, val_error=0.9)
    made.trial(sweep, 1, error=0.3, val_error=0.1)
    found = compare([tmp_path])
    assert {item.trial: item.targets["mae"].met for item in found.rows} == {"t0": True, "t1": False}


def test_targets_are_judged_on_what_is_recomputed_not_on_what_a_run_says_of_itself(
    tmp_path: Path,
) -> None:
    run = made.trial(made.sweep(tmp_path, targets={"mae": "<= 0.15"}), 0, error=0.2)
    made.metadata(run.path, final_metrics={"mae": 0.01})
    (found,) = compare([tmp_path]).rows
    assert found.targets["mae"].value == pytest.approx(0.2)
    assert found.targets["mae"].met is False


def test_config_comes_from_metadata_and_what_was_asked_wins(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    run = made.trial(
        sweep,
        0,
        error=0.1,
        config={"t20_weight": 3.0},
        warnings=["asked t20_weight 3.0, recorded 1.5"],
    )
    made.metadata(run.path, config={"t20_weight": 1.5, "epochs": 10}, warnings=["amp was off"])
    (found,) = compare([tmp_path], sort_by="mae").rows
    assert found.config == {"t20_weight": 3.0, "epochs": 10}
    assert found.warnings == ("asked t20_weight 3.0, recorded 1.5", "amp was off")


@pytest.mark.parametrize("content", ["[1]", '{"config": [1], "data": 3, "x": {}}', "null", "{"])
def test_metadata_of_any_shape_does_not_matter(tmp_path: Path, content: str) -> None:
    made.pair(tmp_path / "run", 0.1)
    (tmp_path / "run" / "metadata.json").write_text(content)
    assert compare([tmp_path]).n_complete == 1


def test_json_is_strict_whatever_the_runs_hold(tmp_path: Path) -> None:
    made.pair(tmp_path / "flat")
    np.save(tmp_path / "flat" / "targets.npy", np.zeros((4, 5)))
    made.metadata(tmp_path / "flat", lr=math.nan)

    def refuse(word: str) -> float:
        raise AssertionError(word)

    found = json.loads(json.dumps(compare([tmp_path]).to_dict()), parse_constant=refuse)
    assert found["rows"][0]["metrics"]["r2"] == "nan"
    assert found["rows"][0]["config"]["lr"] == "nan"


def incomplete_in_every_way(results: Path) -> Mapping[str, tuple[list[str], str | None]]:
    """Make 17 runs that cannot be ranked; return what should be said of each."""
    both = ["predictions.npy", "targets.npy"]
    expected: dict[str, tuple[list[str], str | None]] = {}

    ours = made.sweep(results, "edc", state=SweepState.RUNNING)
    for number, (state, reason, said) in enumerate(
        [
            (TrialState.WAITING, None, "WAITING"),
            (TrialState.WAITING, "waits for memory", "WAITING: waits for memory"),
            (TrialState.RUNNING, None, "WAITING: interrupted"),
            (
                TrialState.PRUNED,
                "diverged: train_loss is nan",
                "PRUNED: diverged: train_loss is nan",
            ),
            (TrialState.FAIL, "exit code 1", "FAIL: exit code 1"),
            (TrialState.COMPLETE, None, "COMPLETE, but without its arrays"),
        ]
    ):
        run = made.trial(ours, number, state=state, reason=reason)
        expected[run.path.name] = (both, said)
    torn = made.trial(ours, 6)
    torn.state_file.write_text("{")
    expected[torn.path.name] = (both, "state.json is missing or cannot be read")

    def foreign(name: str, missing: list[str], problem: str | None) -> Path:
        folder = results / "others" / name
        made.pair(folder)
        for file in missing:
            (folder / file).unlink()
        expected[name] = (missing, problem)
        return folder

    (results / "others" / "empty").mkdir(parents=True)
    expected["empty"] = (both, "the folder is empty")
    foreign("no_targets", ["targets.npy"], None)
    foreign("no_predictions", ["predictions.npy"], None)
    made.metadata(results / "others" / "metadata_only", lr=0.1)
    expected["metadata_only"] = (both, None)
    (foreign("metrics_only", both, None) / "metrics.csv").write_text("step,loss\n")
    pickled = foreign(
        "pickle", ["predictions.npy"], "only .npy arrays are read, not predictions.pkl"
    )
    (pickled / "predictions.pkl").touch()
    np.save(foreign("shapes", [], "shapes differ") / "targets.npy", np.zeros((2, 3)))
    np.save(foreign("nan", [], "are not finite") / "predictions.npy", np.full((4, 5), np.nan))
    (foreign("cut", [], "targets.npy is cut short") / "targets.npy").write_bytes(
        (results / "others" / "nan" / "targets.npy").read_bytes()[:-20]
    )
    np.save(
        foreign("objects", [], "holds Python objects") / "targets.npy",
        np.array([{}], dtype=object),
        allow_pickle=True,
    )
    return expected


def test_of_35_runs_17_are_incomplete_and_each_says_why(tmp_path: Path) -> None:
    expected = incomplete_in_every_way(tmp_path)
    assert len(expected) == 17
    for number in range(18):
        made.pair(tmp_path / "others" / f"good{number}", 0.5 - number / 50)
    found = compare([tmp_path], top=10)
    assert (found.n_complete, found.n_total, len(found.rows)) == (18, 35, 10)
    assert found.rows[0].path.name == "good17"
    assert {item.path.name for item in found.incomplete} == set(expected)
    for item in found.incomplete:
        missing, problem = expected[item.path.name]
        assert list(item.missing) == missing, item
        if problem is None:
            assert item.problem is None
        else:
            assert problem in (item.problem or ""), item


def test_metadata_that_is_not_json_is_a_warning_of_its_row(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made.pair(tmp_path / name)
        made.metadata(tmp_path / name, lr=0.1)
    (tmp_path / "b" / "metadata.json").write_text("{'lr': 0.1}")
    first, second = compare([tmp_path]).rows
    assert (first.warnings, first.config) == ((), {"lr": 0.1})
    assert second.warnings == ("metadata.json cannot be read: it is not JSON, see line 1",)


def test_targets_are_counted_among_all_that_could_be_ranked(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, targets={"mae": "<= 0.15", "r2": ">= 0.0", "psnr": ">= 30"})
    for number, error in enumerate((0.1, 0.12, 0.2)):
        made.trial(sweep, number, error=error, val_error=error)
    made.trial(sweep, 3)
    found = compare([tmp_path], top=1)
    assert len(found.rows) == 1
    assert found.tallies["mae"] == Tally(("<= 0.15",), met=2, judged=3)
    assert found.tallies["psnr"] == Tally((">= 30",), met=0, judged=0)
