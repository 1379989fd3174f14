"""Rows of trials that belong together: seeds, stages, changes, references, milestones."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import metrics
from orchestrator.analysis.measure.row import Lineage
from orchestrator.analysis.table import compare
from orchestrator.analysis.table.flat_table import flat_rows
from orchestrator.cli.render.comparison import render_comparison
from orchestrator.cli.render.comparison_columns import by_stage
from orchestrator.runs.records import TrialState
from tests.analysis import made


def seeds(where: Path, **spec: object) -> Path:
    sweep = made.sweep(where, "seeds", spec=spec)
    for number, (group, replicate, error) in enumerate(
        [(0, 0, 0.1), (1, 0, 0.4), (0, 1, 0.2), (1, 1, 0.5), (0, 2, 0.3)]
    ):
        made.trial(
            sweep,
            number,
            name=f"lr={group} seed={replicate}",
            error=error,
            val_error=error,
            config={"lr": group, "seed": replicate},
            group=group,
            replicate=replicate,
        )
    made.trial(sweep, 5, state=TrialState.PRUNED, reason="diverged", group=1, replicate=2)
    return where


def test_seeds_of_a_config_are_one_row_with_mean_deviation_and_number(tmp_path: Path) -> None:
    found = compare([seeds(tmp_path)])
    first, second = found.rows
    assert (first.trial, second.trial) == ("lr=0", "lr=1")
    assert first.metrics["mae"] == pytest.approx(0.2)
    assert first.spread["mae"].deviation == pytest.approx(0.1)
    assert (first.spread["mae"].n, second.spread["mae"].n) == (3, 2)
    assert first.config == {"lr": 0}
    assert (found.n_complete, found.n_rows, found.n_total) == (5, 2, 6)
    table = render_comparison(found, width=200)
    assert "0.2000 ± 0.1" in table
    assert "5/6 complete" in table


def test_a_seed_that_diverged_is_no_part_of_the_mean_and_is_told(tmp_path: Path) -> None:
    first, second = compare([seeds(tmp_path)]).rows
    assert first.warnings == ()
    assert second.warnings == ("1 of 3 seeds do not count (1 PRUNED); the mean is of the other 2",)
    assert second.metrics["mae"] == pytest.approx(0.45)


def test_a_seed_that_diverged_is_no_part_of_the_mean_whatever_it_saved(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, "seeds")
    for number, (error, state) in enumerate(
        [(0.1, TrialState.COMPLETE), (1e9, TrialState.PRUNED), (0.3, TrialState.COMPLETE)]
    ):
        made.trial(
            sweep,
            number,
            name=f"lr=1_seed={number}+full",
            state=state,
            error=error,
            config={"lr": 1, "seed": number},
            group=0,
            replicate=number,
        )
    found = compare([tmp_path])
    (row,) = found.rows
    assert row.trial == "lr=1+full"
    assert row.metrics["mae"] == pytest.approx(0.2)
    assert row.warnings[0].startswith("1 of 3 seeds do not count (1 PRUNED)")
    assert (found.n_complete, found.n_total) == (2, 3)
    assert "no part of the mean" in render_comparison(found, width=200)


def test_single_runs_can_be_opened(tmp_path: Path) -> None:
    found = compare([seeds(tmp_path)], single=True)
    assert [row.metrics["mae"] for row in found.rows] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert not any(row.members for row in found.rows)


def test_targets_and_tiers_of_seeds_are_judged_on_their_mean(tmp_path: Path) -> None:
    tiers = {"minimum": {"mae": "< 0.5"}, "good": {"mae": "< 0.25", "rmse": "< 0.25"}}
    first, second = compare([seeds(tmp_path, tiers=tiers, targets={"mae": "< 0.3"})]).rows
    assert (first.tier, second.tier) == ("good", "minimum")
    assert (first.targets["mae"].met, second.targets["mae"].met) == (True, False)


def staged(where: Path, after: list[float]) -> Path:
    stages = [{"name": "quick"}, {"name": "full"}]
    sweep = made.sweep(where, "staged", spec={"stages": stages})
    for number, error in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]):
        made.trial(sweep, number, error=error, val_error=error, stage="quick")
    for number, error in enumerate(after):
        made.trial(
            sweep,
            6 + number,
            name=f"t{number} full",
            error=error,
            val_error=error,
            stage="full",
            origin=number,
            link="promoted",
        )
    return where


def test_the_last_stage_ranks_first_and_shows_what_was_reached_before(tmp_path: Path) -> None:
    found = compare([staged(tmp_path, [0.9, 0.8])])
    assert [row.lineage.stage for row in found.rows] == ["full"] * 2 + ["quick"] * 6
    assert [row.earlier for row in found.rows[:3]] == [
        {"quick": pytest.approx(0.2)},
        {"quick": pytest.approx(0.1)},
        {},
    ]
    table = render_comparison(found, width=200)
    assert "quick val_mae" in table
    assert by_stage(
        [
            replace(row, config={"lr": n, "epochs": row.lineage.stage})
            for n, row in enumerate(found.rows)
        ]
    ) == {"epochs"}
    assert "too few to trust it" in table


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05, 0.06], "rank correlation 1.00"),
        ([0.06, 0.05, 0.04, 0.03, 0.02, 0.01], "rank correlation -1.00"),
        ([0.01], "cannot be told from 1 trial"),
    ],
)
def test_a_note_says_whether_quick_foretold_full(
    tmp_path: Path, after: list[float], said: str
) -> None:
    (note,) = (one for one in compare([staged(tmp_path, after)]).notes if "foretold" in one)
    assert said in note


def ablated(where: Path) -> Path:
    sweep = made.sweep(where, "ablation", spec={"ablate": {"baseline": {}, "changes": {}}})
    made.trial(sweep, 0, name="baseline", error=0.3, val_error=0.3)
    change = {"name": "adamw", "set": {"optimizer": "adamw"}}
    made.trial(sweep, 1, name="adamw", error=0.2, val_error=0.2, change=change)
    worse = {"name": "dropout=0.5", "set": {"dropout": 0.5}}
    made.trial(sweep, 2, name="dropout=0.5", error=0.4, val_error=0.4, change=worse)
    for run in sweep.run_dirs():  # enough samples to pair
        error = 0.3 + (0.0, -0.1, 0.1)[run.number or 0]
        made.pair(run.path, error, split="val", size=400)
    return where


def test_each_change_shows_what_it_changed_and_gained(tmp_path: Path) -> None:
    found = compare([ablated(tmp_path)])
    differences = {row.trial: row.differences for row in found.rows}
    assert differences["baseline"] == {}
    assert differences["adamw"]["baseline"]["val_mae"].value == pytest.approx(-0.1)
    assert differences["dropout=0.5"]["baseline"]["val_mae"].value == pytest.approx(0.1)
    table = render_comparison(found, width=200)
    assert "what changed" in table
    assert "adamw: optimizer=adamw" in table
    assert " dropout=0.5 " in table
    assert "vs baseline" in table
    assert "-0.1" in table
    assert "better below 0" in table


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("dropout=0.0", {"dropout": 0.0}, "dropout=0.0"),
        ("more+lr=0.2", {"lr": 0.2}, "more+lr=0.2"),
        ("wider", {"lr": 0.1 + 0.2, "clip": None}, "wider: lr=0.3, clip=null"),
        ("", {"lr": 1e-05}, "lr=1e-05"),
    ],
)
def test_a_change_is_said_once(name: str, values: dict[str, object], words: str) -> None:
    assert Lineage(change={"name": name, "set": values}).words == words


def test_changes_with_seeds_are_held_against_the_baselines_seeds(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, "both", spec={"ablate": {"baseline": {}}})
    errors = {0: (0.30, 0.32, 0.28), 1: (0.31, 0.29, 0.33)}
    number = 0
    for replicate in range(3):
        for group, change in ((0, {}), (1, {"name": "x", "set": {"lr": 1}})):
            error = errors[group][replicate]
            made.trial(
                sweep,
                number,
                name=f"c{group} seed={replicate}",
                error=error,
                val_error=error,
                group=group,
                replicate=replicate,
                change=change,
            )
            number += 1
    found = compare([tmp_path])
    (row,) = (row for row in found.rows if row.lineage.change)
    difference = row.differences["baseline"]["val_mae"]
    assert (difference.basis, difference.is_noise) == ("seeds", True)
    assert "+0.01 ~" in render_comparison(found, width=200)
    assert any("within the noise of the seeds" in note for note in found.notes)


def test_differences_have_the_unit_of_their_metric(tmp_path: Path) -> None:
    references = {"paper": {"metrics": {"psnr": 20.0, "mae": 0.05}, "path": None}}
    sweep = made.sweep(tmp_path, metric="psnr", goal="maximize", spec={"references": references})
    run = made.trial(sweep, 0, error=0.1)
    made.metadata(run.path, final_metrics={"psnr": 20.77})
    table = render_comparison(compare([tmp_path], sort_by="psnr"), width=300)
    assert "+0.77 dB" in table
    assert "mae vs paper" in table
    assert metrics.unit("val_c50_mae", "decay_curve") == "dB"
    assert metrics.unit("mae", "decay_curve") == ""


def test_references_stand_below_with_signed_differences(tmp_path: Path) -> None:
    before = tmp_path / "before"
    made.pair(before, 0.25)
    references = {
        "published": {"metrics": {"mae": 0.05, "test_rmse": 0.2, "psnr": 20.47}, "path": None},
        "last year": {"metrics": {}, "path": str(before)},
        "gone": {"metrics": {}, "path": str(tmp_path / "nowhere")},
    }
    sweep = made.sweep(tmp_path / "results", spec={"references": references})
    made.trial(sweep, 0, error=0.1, val_error=0.1)
    found = compare([tmp_path / "results"], sort_by="mae")
    (row,) = found.rows
    assert row.differences["published"]["mae"].value == pytest.approx(0.05)
    assert row.differences["published"]["test_rmse"].value == pytest.approx(-0.1)
    assert "psnr" not in row.differences["published"]
    assert row.differences["last year"]["mae"].value == pytest.approx(-0.15)
    assert [reference.trial for reference in found.references] == ["published", "last year"]
    assert any(note.startswith("Reference gone: ") for note in found.notes)
    table = render_comparison(found, width=300)
    assert "vs published" in table
    assert "+0.05" in table
    assert "20.47" in table


def test_milestones_are_judged_at_their_step_and_ratios_as_ratios(tmp_path: Path) -> None:
    expect = {"train_mse@5": "< 0.2", "train_mse@15": "< 0.05"}
    targets = {
        "test_mae/val_mae": "< 1.5",
        "test_mae/train_mae": "< 2",
        "test_mse/val_mse": "< 1.5",
        "mse": "< 0.02",
    }
    sweep = made.sweep(tmp_path, targets=targets, spec={"expect": expect})
    run = made.trial(sweep, 0, error=0.1, val_error=0.1, note={"expect": {"mae": "< 0.05"}})
    made.report(run, 5, 1.0, train_mse=0.3)
    made.report(run, 5, 2.0, train_mse=0.1)
    (row,) = compare([tmp_path]).rows
    assert {name: target.met for name, target in row.expected.items()} == {
        "train_mse@5": True,
        "train_mse@15": None,
        "mae": False,
    }
    assert row.targets["test_mae/val_mae"].value == pytest.approx(1.0)
    assert row.targets["test_mae/train_mae"].met is None
    assert row.targets["test_mse/val_mse"].value == pytest.approx(1.0)
    assert row.targets["mse"].value == pytest.approx(0.01), "the square of rmse"
    table = render_comparison(compare([tmp_path]), width=200)
    assert "Expected mae < 0.05: t0 had 0.1." in table
    assert "0.1000 ✗ +0.05" in table
    assert "0.1000 ✓ -0.1" in table


def test_the_flat_table_and_json_hold_it_all(tmp_path: Path) -> None:
    found = compare([seeds(tmp_path / "one"), ablated(tmp_path / "two")])
    columns, rows = flat_rows(found)
    assert {"seeds", "sd.mae", "changed"} < set(columns)
    assert len([row for row in rows if row.get("seeds") == 3]) == 1
    whole = json.loads(json.dumps(found.to_dict()))
    assert [len(row["runs"]) for row in whole["rows"]].count(3) == 1


def test_a_lone_seed_has_no_deviation(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    made.trial(sweep, 0, error=0.1, group=0)
    (row,) = compare([tmp_path]).rows
    assert math.isnan(row.spread["mae"].deviation)
    assert "±" not in render_comparison(compare([tmp_path]), width=200)
