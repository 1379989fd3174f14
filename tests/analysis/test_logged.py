"""Logged metrics count as much as recomputed ones: one rule, a default that exists, all shown."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.measure.logged import Rule
from orchestrator.analysis.table import compare, flat_rows
from orchestrator.errors import UsageError
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialState
from tests.analysis import made

POINTS = st.lists(st.tuples(st.integers(0, 9), st.floats()), min_size=1, max_size=20)


def csv_run(folder: Path, text: str, lr: float = 0.1) -> None:
    folder.mkdir(parents=True)
    (folder / "hparams.yaml").write_text(f"lr: {lr}\n")
    (folder / "metrics.csv").write_text(text)


def trials(root: Path, curves: list[list[dict[str, float]]], **sweep: object) -> list[RunDir]:
    made_sweep = made.sweep(root, **sweep)  # type: ignore[arg-type]
    found = []
    for number, curve in enumerate(curves):
        found.append(made.trial(made_sweep, number, config={"lr": number}))
        for step, metrics in enumerate(curve):
            made.report(found[-1], step, 0.0, **metrics)
    return found


def _chosen(rule: Rule, name: str, points: list[tuple[int, float]]) -> tuple[int, float] | None:
    return rule.choose((step, {name: value}) for step, value in points).get(name)


@given(points=POINTS, name=st.sampled_from(["val_loss", "val_acc", "foo"]))
def test_best_is_never_nan_and_last_is_the_last(points: list[tuple[int, float]], name: str) -> None:
    best = _chosen(Rule(), name, points)
    assert best in points
    finite = [value for _, value in points if math.isfinite(value)]
    if finite and name != "foo":
        assert best is not None
        assert best[1] == (min if name == "val_loss" else max)(finite)
    assert _chosen(Rule("last"), name, points) == points[-1]
    for step in range(10):
        chosen = _chosen(Rule(f"step:{step}"), name, points)
        assert chosen == next((p for p in reversed(points) if p[0] == step), None)


@pytest.mark.parametrize("text", ["", "first", "step", "step:", "step:x", "best ", "step:-1"])
def test_other_rules_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--at: expected best, last or step:N"):
        compare([tmp_path], at=text)


@pytest.mark.parametrize("metric", ["val_loss", "val_acc", ""])
@pytest.mark.parametrize(
    ("sort_by", "at", "expected"),
    [
        ("val_acc", "best", {"t0": 0.95, "t1": 0.85}),
        ("val_acc", "last", {"t1": 0.85, "t0": 0.7}),
        ("val_acc", "step:0", {"t1": 0.6, "t0": 0.5}),
        ("val_loss", "best", {"t0": 0.2, "t1": 0.3}),
        ("val_loss", "last", {"t1": 0.3, "t0": 0.6}),
    ],
)
def test_the_sweeps_metric_and_any_other_follow_one_rule(
    tmp_path: Path, metric: str, sort_by: str, at: str, expected: dict[str, float]
) -> None:
    goal = "maximize" if metric == "val_acc" else "minimize"
    curves = [[(0.9, 0.5), (0.2, 0.95), (0.6, 0.7)], [(0.8, 0.6), (0.5, 0.8), (0.3, 0.85)]]
    reports = [[{"val_loss": loss, "val_acc": acc} for loss, acc in curve] for curve in curves]
    trials(tmp_path, reports, metric=metric, goal=goal)
    found = compare([tmp_path], sort_by=sort_by, at=at)
    assert {row.trial: row.metrics[sort_by] for row in found.rows} == expected
    assert [row.trial for row in found.rows] == list(expected)
    assert (found.basis, found.at) == ("as logged", at)


def test_a_value_of_the_fifth_report_alone_is_found(tmp_path: Path) -> None:
    late = [{"train_loss": 1.0}] * 4 + [{"train_loss": 0.5, "val_f1": 0.4}]
    trials(tmp_path, [late, [{"train_loss": 1.0, "val_f1": 0.1}]], metric="")
    found = compare([tmp_path])
    assert found.sort_by == "val_f1"
    assert [row.metrics["val_f1"] for row in found.rows] == [0.4, 0.1]
    assert found.rows[0].steps["val_f1"] == 4


def test_nan_never_wins(tmp_path: Path) -> None:
    trials(
        tmp_path,
        [[{"val_acc": math.nan}], [{"val_acc": 0.1}, {"val_acc": math.nan}]],
        metric="val_acc",
        goal="maximize",
    )
    assert [row.trial for row in compare([tmp_path]).rows] == ["t1", "t0"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("epoch,train_loss,val_loss,lr", "val_loss"),
        ("epoch,loss,val_loss,val_accuracy,time", "val_accuracy"),
        ("epoch,train/box_loss,val/box_loss,metrics/precision(B),metrics/mAP50(B)",
         "metrics/mAP50(B)"),
        ("epoch,loss,accuracy,val_loss", "val_loss"),
        ("epoch,train_loss", "train_loss"),
        ("step,eval_samples_per_second,eval_runtime,eval_loss", "eval_loss"),
        ("epoch,reward,entropy", "reward"),
    ],
)  # fmt: skip
def test_the_default_is_a_metric_that_the_runs_have(
    tmp_path: Path, header: str, expected: str
) -> None:
    for place, name in enumerate("ab"):
        cells = ",".join(["0", *[str(0.5 + place)] * header.count(",")])
        csv_run(tmp_path / name, f"{header}\n{cells}\n")
    found = compare([tmp_path])
    assert found.sort_by == expected
    assert found.n_complete == 2
    assert any(f"{expected} ranks; --sort-by chooses another" in note for note in found.notes)


def test_all_logged_metrics_are_in_the_flat_table_and_sortable(tmp_path: Path) -> None:
    csv_run(tmp_path / "a", "epoch,val_loss,val_acc,foo\n0,0.5,0.7,3\n1,0.4,0.8,4\n")
    csv_run(tmp_path / "b", "epoch,val_loss,val_acc,foo\n0,0.5,0.7,5\n1,0.3,0.9,6\n", lr=0.2)
    columns, rows = flat_rows(compare([tmp_path]))
    assert {"val_loss", "val_acc", "foo"} <= set(columns)
    assert [row["foo"] for row in rows] == [6, 4]
    by_name = {name: compare([tmp_path], sort_by=name) for name in ("FOO", "LR", "val_loss,lr")}
    assert [row.trial for row in by_name["FOO"].rows] == ["a", "b"]
    assert any("does not show which way" in note for note in by_name["FOO"].notes)
    assert [row.trial for row in by_name["LR"].rows] == ["a", "b"]
    assert [row.trial for row in by_name["val_loss,lr"].rows] == ["b", "a"]
    turned = compare([tmp_path], sort_by="foo", goal="maximize")
    assert [row.metrics["foo"] for row in turned.rows] == [6, 4]
    assert not any("which way" in note for note in turned.notes)


def test_further_names_order_equal_rows(tmp_path: Path) -> None:
    for name, lr in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        csv_run(tmp_path / name, "epoch,val_loss\n0,0.5\n", lr=lr)
    found = compare([tmp_path], sort_by="val_loss,lr")
    assert [row.trial for row in found.rows] == ["b", "c", "a"]


def test_of_two_metrics_both_are_shown_and_the_front_is_marked(tmp_path: Path) -> None:
    points = [(1, 1), (2, 2), (0.5, 1.5), (0.4, None), (3, 2.5)]
    reports = [
        [{"val_err": err} if acc is None else {"val_err": err, "val_acc": acc}]
        for err, acc in points
    ]
    objectives = [
        {"name": "val_err", "goal": "minimize"},
        {"name": "val_acc", "goal": "maximize"},
    ]
    trials(tmp_path, reports, metric="val_err", spec={"objectives": objectives})
    found = compare([tmp_path])
    assert [row.trial for row in found.rows] == ["t2", "t0", "t1", "t4", "t3"]
    assert [row.on_front for row in found.rows] == [True, False, True, True, False]
    assert found.second == "val_acc"
    columns, _ = flat_rows(found)
    assert {"val_err", "val_acc", "on_front"} <= set(columns)


def test_seeds_of_logged_metrics_have_a_deviation(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, metric="val_loss")
    for number, value in enumerate((0.1, 0.2, 0.3)):
        run = made.trial(sweep, number, group=0, replicate=number, config={"seed": number})
        made.report(run, 1, 0.0, val_loss=value)
    (row,) = compare([tmp_path]).rows
    assert row.metrics["val_loss"] == pytest.approx(0.2)
    assert row.spread["val_loss"].deviation == pytest.approx(0.1)


def test_a_trial_is_complete_if_it_ended_well_and_has_a_metric(tmp_path: Path) -> None:
    runs = trials(tmp_path, [[{"val_acc": 0.1}], [{"lr": 0.1}], []], metric="")
    pruned = made.trial(made.SweepDir(tmp_path / "demo"), 3, state=TrialState.PRUNED)
    made.report(pruned, 1, 0.0, val_acc=0.9)
    found = compare([tmp_path])
    assert [row.path for row in found.rows] == [runs[0].path]
    assert len(found.incomplete) == 3


def test_lost_arrays_of_a_known_kind_are_a_warning(tmp_path: Path) -> None:
    (run,) = trials(tmp_path, [[{"val_mae": 0.1}]])
    made.metadata(run.path, data={"kind": "decay_curve", "rate_hz": 500})
    (row,) = compare([tmp_path]).rows
    assert any("predictions.npy and targets.npy are missing" in text for text in row.warnings)


@pytest.mark.parametrize("logged", ["summary.json", "metrics.csv", "*.csv"])
def test_the_named_file_counts_as_logged(tmp_path: Path, logged: str) -> None:
    (tmp_path / "sweep-runs.yaml").write_text(f'runs: "exp/*"\nlogged: "{logged}"\n')
    for name, value in (("0", 0.5), ("1", 0.4)):
        folder = tmp_path / "exp" / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"val_loss": value}))
        (folder / "metrics.csv").write_text(f"epoch,val_loss\n0,0.7\n1,{value}\n")
    found = compare([tmp_path])
    assert (found.sort_by, [row.trial for row in found.rows]) == ("val_loss", ["1", "0"])
    assert [row.warnings for row in found.rows] == [(), ()]
