"""What choosing the best of many costs, and the cheapest of those that are as good."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.chance import estimate
from orchestrator.analysis.chance.choice import overtuning
from orchestrator.analysis.chance.confidence import grouped, mean_of_seeds
from orchestrator.analysis.chance.doubts import doubt
from orchestrator.analysis.measure.row import Lineage, Row
from orchestrator.analysis.table import compare, to_json
from orchestrator.metrics.resampling import resampled
from orchestrator.runs import SweepDir
from orchestrator.runs.read import SweepInfo
from tests.analysis import made


def equal_trials(tmp_path: Path, count: int, *, test_noise: float = 0.05) -> SweepDir:
    """Make trials whose validation errors differ by chance alone."""
    sweep = made.sweep(tmp_path)
    random = np.random.default_rng(3)
    targets = random.normal(size=(60, 4))
    for number in range(count):
        run = made.trial(sweep, number, error=0.1, config={"lr": number})
        for split in ("val", "test"):
            errors = random.normal(size=targets.shape)
            np.save(run.predictions_file(split), targets + errors)
            np.save(run.targets_file(split), targets)
    return sweep


def test_the_best_of_equal_trials_is_expected_to_be_worse_elsewhere(tmp_path: Path) -> None:
    equal_trials(tmp_path, 20)
    found = compare([tmp_path])
    assert found.expected is not None
    low, high = found.expected
    best = found.rows[0].metrics["val_mae"]
    truth = math.sqrt(2 / math.pi)  # the mean of |error|, the same for all
    assert best < low < high
    assert low - 0.01 < truth < high + 0.01
    (note,) = [note for note in found.notes if "was picked as the best of 20" in note]
    assert "on other samples, not" in note
    shown = json.loads(to_json(found))
    assert shown["best_expected"] == [low, high]


def test_a_clear_winner_loses_nothing(tmp_path: Path) -> None:
    sweep = equal_trials(tmp_path, 4)
    run = made.trial(sweep, 9, error=0.1, config={"lr": 9})
    targets = np.load(sweep.run_dir(0, "t0").targets_file("val"))
    np.save(run.targets_file("val"), targets)
    np.save(run.predictions_file("val"), targets + 0.01)
    found = compare([tmp_path])
    assert found.rows[0].trial == "t9"
    assert found.expected == pytest.approx((0.01, 0.01))
    assert not any("was picked" in note for note in found.notes)


def row(number: int, val: float, test: float) -> Row:
    return Row(
        trial=f"t{number}",
        path=Path(f"t{number}"),
        metrics={"val_mae": val, "mae": test},
        lineage=Lineage(number=number),
        info=SWEEP,
    )


SWEEP = SweepInfo("demo", Path("demo"))


@pytest.mark.parametrize(
    ("values", "relative"),
    [
        ([(5, 5), (4, 4), (3, 3)], 0.0),  # test follows validation
        ([(5, 5), (4, 3), (6, 0), (3, 4)], 0.5),  # half of what was gained is lost again
        ([(5, 5), (4, 3), (3, 6)], 1.5),  # worse than the first one tried
        ([(5, 5), (4, 6), (3, 7)], math.inf),  # the first was the best
    ],
)
def test_overtuning_is_what_is_lost_of_what_was_gained(
    values: list[tuple[float, float]], relative: float
) -> None:
    rows = [row(number, *pair) for number, pair in enumerate(values)]
    ranked = sorted(rows, key=lambda row: row.metrics["val_mae"])
    found = overtuning(ranked, "val_mae", "minimize")
    assert found is not None
    assert found.relative == relative
    flipped = [row(number, -val, -test) for number, (val, test) in enumerate(values)]
    again = overtuning(flipped, "val_mae", "maximize")
    assert again is not None
    assert again.relative == relative
    assert overtuning(ranked, "mae", "minimize") is None  # ranked on test already
    assert overtuning(rows[:2], "val_mae", "minimize") is None


def test_a_search_that_fits_the_validation_data_is_warned_of(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    random = np.random.default_rng(0)
    targets = random.normal(size=(40, 4))
    for number, (val, test) in enumerate([(0.5, 0.5), (0.4, 0.4), (0.35, 0.6)]):
        run = made.trial(sweep, number, error=0.1)
        for split, scale in (("val", val), ("test", test)):
            noise = scale * np.random.default_rng(1).normal(size=targets.shape)
            np.save(run.predictions_file(split), targets + noise)
            np.save(run.targets_file(split), targets)
    found = compare([tmp_path])
    (note,) = [note for note in found.notes if note.startswith("Overtuned")]
    assert note.startswith("Overtuned: t2 is better than t1 on validation")
    assert note.endswith("by more than chance.")
    shown = json.loads(to_json(found))["overtuning"]
    assert shown["best"] == "t1"
    assert [each["trial"] for each in shown["chosen"]] == ["t0", "t1", "t2"]


def test_the_trial_with_the_defaults_is_a_reference(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, spec={"trainer": "signal", "parameters": {"lr": {}}})
    for number, lr in enumerate((3e-3, 1e-3, 1e-2)):
        made.trial(sweep, number, error=0.1 + lr, val_error=0.1 + lr, config={"lr": lr})
    from trainers.signal.config import Config

    default = Config().lr
    made.trial(sweep, 7, error=0.2, val_error=0.3, config={"lr": default})
    (reference,) = compare([tmp_path]).references
    assert reference.trial == "defaults (t7)"
    assert reference.metrics == pytest.approx({"val_mae": 0.3, "mae": 0.2})


def test_select_names_the_cheapest_that_is_as_good(tmp_path: Path) -> None:
    sweep = equal_trials(tmp_path, 4)
    for number, parameters in enumerate((900, 500, 700, 800)):
        made.metadata(sweep.run_dir(number, f"t{number}").path, parameters=parameters, duration_s=9)
    found = compare([tmp_path], select="one-se")
    assert found.selected == "t1"
    (note,) = [note for note in found.notes if note.startswith("Selected")]
    assert note.endswith("parameters.")
    cut = compare([tmp_path], select="one-se", top=1)
    assert (cut.selected, len(cut.rows)) == ("t1", 1)
    assert compare([tmp_path]).selected == ""
    for number in range(4):
        (sweep.run_dir(number, f"t{number}").path / "metadata.json").unlink()
    (note,) = [n for n in compare([tmp_path], select="one-se").notes if n.startswith("Selected")]
    assert note.endswith("nothing states what the trials cost.")


def test_squared_errors_of_few_groups_have_no_interval() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(200, 4))
    errors = random.normal(size=targets.shape)
    for count, text in ((200, ""), (199, "large squared errors"), (5, "5 are too few")):
        found = resampled(None, (targets + errors)[:count], targets[:count], {})
        for name in ("val_r2", "t20_rmse"):
            of = grouped(found["r2"], squared=True)
            assert doubt(name, of) == "" if not text else text in doubt(name, of)
        assert (doubt("mae", grouped(found["mae"])) == "") is (count > 5)


@pytest.mark.parametrize("count", [60, 300])
def test_intervals_of_squared_errors_are_wider(count: int) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(count, 4))
    r2 = resampled(None, targets + random.standard_t(4, size=targets.shape), targets, {})["r2"]
    plain, wide = (estimate(grouped(r2, squared=squared)) for squared in (False, True))
    assert plain is not None
    assert wide is not None
    assert wide.high - wide.low > 1.05 * (plain.high - plain.low)
    assert wide.p_value > plain.p_value
    seeds = mean_of_seeds([grouped(r2, squared=True)] * 2)
    assert seeds.squared
    assert seeds.minus(seeds).squared


def test_a_loss_on_test_that_chance_explains_is_no_warning(tmp_path: Path) -> None:
    equal_trials(tmp_path, 12)
    found = compare([tmp_path])
    assert found.overtuning is not None
    assert found.overtuning.relative > 0
    assert not any(note.startswith("Overtuned") for note in found.notes)
