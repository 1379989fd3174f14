"""Which trials a table tells from the best one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.table import compare
from orchestrator.cli.render.comparison import render_comparison
from orchestrator.runs import SweepDir
from tests.analysis import made


def sweep_of(tmp_path: Path, shifts: list[float], *, count: int = 60, groups: int = 0) -> SweepDir:
    """Return a sweep whose trials have the errors of the first, times 1 + shift, plus noise."""
    sweep = made.sweep(tmp_path)
    random = np.random.default_rng(0)
    targets = random.normal(size=(count, 4))
    errors = random.normal(size=targets.shape)
    for number, shift in enumerate(shifts):
        run = made.trial(sweep, number, name=f"t{number}", config={"lr": number}, error=0.1)
        noise = 0.05 * random.normal(size=targets.shape)
        for split in ("test", "val"):
            np.save(run.predictions_file(split), targets + errors * (1 + shift) + noise)
            np.save(run.targets_file(split), targets)
            if groups:
                np.save(run.groups_file(split), np.arange(count) % groups)
    return sweep


def test_near_trials_are_tied_and_far_ones_are_not(tmp_path: Path) -> None:
    sweep_of(tmp_path, [0.0, 0.002, 0.3])
    found = compare([tmp_path])
    assert [row.tied for row in found.rows] == [None, True, False]
    for row in found.rows:
        assert row.interval is not None
        assert row.interval.low < row.metrics["val_mae"] < row.interval.high
        assert row.interval.basis == "samples"
    (sentence,) = [note for note in found.notes if "told" in note]
    assert "paired over 60 samples" in sentence
    assert "cannot be told apart by val_mae" in sentence
    assert "Another seed may change more" in sentence
    text = render_comparison(found, width=200)
    assert text.count("≈ ") == 1
    assert "95 %" in text


def test_a_clear_winner_is_called_one(tmp_path: Path) -> None:
    sweep_of(tmp_path, [0.0, 0.4])
    (sentence,) = [note for note in compare([tmp_path]).notes if "chance" in note]
    assert sentence.startswith("t0 is better than t1 by more than chance")


@pytest.mark.parametrize(("groups", "shown"), [(12, True), (5, False)])
def test_groups_are_resampled_and_few_give_the_reason(
    tmp_path: Path, groups: int, shown: bool
) -> None:
    sweep_of(tmp_path, [0.0, 0.3], groups=groups)
    found = compare([tmp_path])
    assert (found.rows[0].interval is not None) is shown
    texts = " ".join(found.notes)
    if shown:
        assert found.rows[0].interval is not None
        assert found.rows[0].interval.basis == "groups"
        assert "12 groups of samples" in texts
    else:
        assert "No 95 % interval over groups of samples: 5 are too few." in texts
        assert found.rows[1].tied is None


def test_other_samples_are_not_compared(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [0.0, 0.3])
    run = next(iter(sorted(sweep.run_dirs(), key=lambda each: each.path.name)))
    for split in ("test", "val"):
        targets = np.load(run.targets_file(split))
        np.save(run.targets_file(split), targets[::-1])
        np.save(run.predictions_file(split), np.load(run.predictions_file(split))[::-1])
    found = compare([tmp_path])
    assert [row.tied for row in found.rows] == [None, None]
    assert found.rows[1].interval is not None


def test_json_has_interval_and_tie(tmp_path: Path) -> None:
    sweep_of(tmp_path, [0.0, 0.002])
    first, second = compare([tmp_path]).to_dict()["rows"]
    assert first["interval"]["basis"] == "samples"
    assert first["tied"] is None
    assert second["tied"] is True


def test_a_sweep_file_names_the_groups_of_its_scripts_arrays(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [0.0, 0.3])
    for run in sweep.run_dirs():
        made.metadata(run.path, data={"groups": "speakers.npy"})
        for split in ("", "val_"):
            np.save(run.path / f"{split}speakers.npy", np.arange(60) % 15)
    found = compare([tmp_path])
    assert found.rows[0].interval is not None
    assert found.rows[0].interval.basis == "groups"
    for run in sweep.run_dirs():
        np.save(run.path / "val_speakers.npy", np.arange(7))
    assert compare([tmp_path]).rows[0].interval is None


def test_groups_that_do_not_fit_are_named(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [0.0, 0.01, 0.3])
    for number in (1, 2):
        np.save(sweep.run_dir(number, f"t{number}").groups_file("val"), np.arange(7))
    notes = compare([tmp_path]).notes
    (note,) = [note for note in notes if note.startswith("No 95 %")]
    assert note == (
        "No 95 % interval over samples of t1 and 1 more: val_groups.npy has the shape (7,) for 60 "
        "samples."
    )


def test_equal_errors_and_constant_differences_are_not_lost_to_rounding(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    targets = np.random.default_rng(0).normal(size=(60, 4))
    for number, offset in enumerate((0.1, -0.1, 0.2)):
        run = made.trial(sweep, number, name=f"t{number}", error=0.1)
        np.save(run.predictions_file("val"), targets + offset)
        np.save(run.targets_file("val"), targets)
    assert [row.tied for row in compare([tmp_path]).rows] == [None, True, False]


def test_one_seed_is_compared_with_what_the_seeds_of_the_other_show(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    random = np.random.default_rng(0)
    targets = random.normal(size=(200, 4))
    errors = random.normal(size=targets.shape)
    for number, (group, seed, scale) in enumerate(
        [(0, 0, 0.8), (0, 1, 1.0), (0, 2, 1.2), (1, 0, 1.1)]
    ):
        run = made.trial(
            sweep,
            number,
            error=0.1,
            group=group,
            replicate=seed,
            config={"lr": group, "seed": seed},
        )
        np.save(run.predictions_file("val"), targets + scale * errors)
        np.save(run.targets_file("val"), targets)
    found = compare([tmp_path])
    # Paired over the samples alone, the difference would be certain.
    assert [row.tied for row in found.rows] == [None, True]
    assert any("over 3 seeds and 200 samples" in note for note in found.notes)
