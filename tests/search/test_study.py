"""The study on a real journal: states are told truthfully, pruners prune, proposals are seeded."""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from orchestrator.errors import UsageError
from orchestrator.search.study import Proposal, Study
from orchestrator.sweepfile.model.spec import Domain
from tests.search.conftest import Opener, study_at

SPACE = {
    "lr": Domain("log_uniform_values", low=1e-5, high=1e-1),
    "layers": Domain("int_uniform", low=1, high=4),
    "hidden": Domain("categorical", values=([64], [64, 64], 64, 64.0)),
    "epochs": Domain("constant", values=(10,)),
}


def trials_in(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Read the journal as any Optuna user would."""
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="tests", storage=storage).trials


def run(study: Study, params: dict[str, Any], curve: list[float]) -> tuple[str, str | None]:
    number = study.ask(SPACE, params).number
    for step, value in enumerate(curve, start=1):
        study.report(number, step, value)
        reason = study.should_prune(number)
        if reason:
            return study.tell(number, "PRUNED"), reason
    return study.tell(number, "COMPLETE", curve[-1]), None


# --- asking -----------------------------------------------------------------------------------


def test_a_given_config_is_stored_and_returned_as_it_is(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    given = {"lr": 1e-3, "layers": 2, "hidden": 64.0, "epochs": 10, "notes": {"a": [1, math.nan]}}
    proposal = study.ask(SPACE, given)
    assert proposal == Proposal(0, given)
    assert type(proposal.params["hidden"]) is float
    (trial,) = trials_in(tmp_path)
    assert trial.params == {"lr": 1e-3, "layers": 2, "hidden": "64.0"}
    assert trial.user_attrs == {"config": {"epochs": 10, "notes": {"a": [1, "nan"]}}}
    assert trial.state.name == "RUNNING"


def test_a_value_outside_the_space_is_no_parameter(open_study: Opener, tmp_path: Path) -> None:
    open_study().ask(SPACE, {"lr": 5.0, "layers": 3})
    (trial,) = trials_in(tmp_path)
    assert trial.params == {"layers": 3}
    assert trial.user_attrs == {"config": {"lr": 5.0}}


@pytest.mark.parametrize("method", ["bayes", "random", "grid"])
def test_a_proposal_is_in_the_space(open_study: Opener, method: str) -> None:
    study = open_study(method=method)
    for _ in range(15):
        number, params = (proposal := study.ask(SPACE)).number, proposal.params
        assert set(params) == set(SPACE)
        assert 1e-5 <= params["lr"] <= 1e-1
        assert params["epochs"] == 10
        assert any(
            type(params["hidden"]) is type(value) and params["hidden"] == value
            for value in SPACE["hidden"].values
        )
        study.tell(number, "COMPLETE", params["lr"])


def test_bayes_learns(open_study: Opener) -> None:
    study = open_study(method="bayes")
    drawn = []
    for _ in range(60):
        proposal = study.ask(SPACE)
        drawn.append(abs(math.log10(proposal.params["lr"]) + 2))
        study.tell(proposal.number, "COMPLETE", drawn[-1])
    assert sum(drawn[-20:]) / 20 < sum(drawn[:10]) / 10 / 2
    assert min(drawn) < 0.1


def proposals(study: Study, count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        proposal = study.ask(SPACE)
        found.append(proposal.params)
        study.tell(proposal.number, "COMPLETE", proposal.params["lr"])
    return found


def test_the_same_seed_proposes_the_same_also_when_it_was_interrupted(tmp_path: Path) -> None:
    def study(folder: str, seed: int = 7) -> Study:
        return study_at(tmp_path / folder / "study.journal", method="bayes", seed=seed)

    at_once = proposals(study("a"), 24)
    in_parts = proposals(study("b"), 5) + proposals(study("b"), 12) + proposals(study("b"), 7)
    assert at_once == in_parts
    assert proposals(study("c", seed=8), 24) != at_once
    assert len({params["lr"] for params in at_once}) == 24


def test_given_configs_teach_the_sampler(open_study: Opener, tmp_path: Path) -> None:
    study = open_study(method="bayes")
    for index in range(12):
        given = {"lr": 1e-3 * (1 + index), "layers": 1, "hidden": [64]}
        study.tell(study.ask(SPACE, given).number, "COMPLETE", float(index))
    proposal = study.ask(SPACE)
    stored = trials_in(tmp_path)[-1]
    assert stored.params["lr"] == proposal.params["lr"]
    assert [trial.params["layers"] for trial in trials_in(tmp_path)[:12]] == [1] * 12


# --- telling ----------------------------------------------------------------------------------


def test_states_are_told_as_they_are(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    numbers = [study.ask(SPACE, {"lr": 1e-3}).number for _ in range(6)]
    for number in numbers:
        study.report(number, 1, 0.5)
        study.report(number, 4, 0.25)
    assert study.tell(0, "COMPLETE", 0.2) == "COMPLETE"
    assert study.tell(1, "PRUNED") == "PRUNED"
    assert study.tell(2, "FAIL") == "FAIL"
    assert study.tell(3, "COMPLETE", math.nan) == "FAIL"
    assert study.tell(4, "COMPLETE", -math.inf) == "FAIL"
    assert study.tell(5, "COMPLETE") == "FAIL"
    trials = trials_in(tmp_path)
    assert [trial.state.name for trial in trials] == list(study.states().values())
    assert [trial.value for trial in trials] == [0.2, 0.25, None, None, None, None]


@pytest.mark.parametrize(("value", "expected"), [(0.7, 0.7), (None, None), (math.nan, None)])
def test_a_pruned_trial_without_reports_keeps_what_it_was_told(
    open_study: Opener, tmp_path: Path, value: float | None, expected: float | None
) -> None:
    study = open_study()
    study.report(study.ask(SPACE, {}).number, 1, math.nan)
    study.tell(0, "PRUNED", value)
    assert trials_in(tmp_path)[0].value == expected


@pytest.mark.parametrize(
    ("method", "goal", "expected"),
    [
        ("bayes", "minimize", ("COMPLETE", 0.9)),
        ("bayes", "maximize", ("COMPLETE", 0.1)),
        ("random", "minimize", ("PRUNED", 0.2)),
    ],
)
def test_a_lost_trial_teaches_a_sampler_to_stay_away(
    open_study: Opener, tmp_path: Path, method: str, goal: str, expected: tuple[str, float]
) -> None:
    study = open_study(method=method, goal=goal)
    early = study.ask(SPACE).number
    study.report(early, 1, 0.3)
    assert study.tell(early, "LOST") == "PRUNED", "nothing is known that it could be worse than"
    for value in (0.5, 0.9, 0.1):
        study.tell(study.ask(SPACE).number, "COMPLETE", value)
    lost = study.ask(SPACE).number
    study.report(lost, 1, 0.2)  # it looked well before it was lost
    study.report(lost, 2, math.nan)
    study.tell(lost, "LOST")
    study.import_finished({"lr": 0.1}, SPACE, "LOST", reports={1: 0.2, 2: math.nan})
    for trial in trials_in(tmp_path)[-2:]:
        assert (trial.state.name, trial.value) == expected


def test_telling_twice_and_strangers_are_errors(open_study: Opener) -> None:
    study = open_study()
    study.tell(study.ask(SPACE, {}).number, "PRUNED")
    with pytest.raises(ValueError, match=r"trial 0 has already ended \(PRUNED\)"):
        study.tell(0, "COMPLETE", 1.0)
    with pytest.raises(ValueError, match=r"no trial 1 \(the study has 1\)"):
        study.tell(1, "FAIL")
    with pytest.raises(ValueError, match="trial 0 does not run here"):
        study.report(0, 1, 0.5)
    with pytest.raises(ValueError, match="trial 0 does not run here"):
        study.should_prune(0)
    number = study.ask(SPACE, {}).number
    with pytest.raises(ValueError, match="state: expected one of COMPLETE, PRUNED, FAIL"):
        study.tell(number, "RUNNING")
    with pytest.raises(ValueError, match="step: expected 0 or more"):
        study.report(number, -1, 0.5)
    assert study.states() == {0: "PRUNED", 1: "RUNNING"}


# --- reports ----------------------------------------------------------------------------------


def test_only_finite_reports_of_new_steps_are_held(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    number = study.ask(SPACE, {}).number
    reports = [(1, 0.5), (2, math.nan), (3, -math.inf), (3, 0.1), (2, 0.1), (4, 0.4), (4, 0.9)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step, value in reports:
            study.report(number, step, value)
    study.tell(number, "PRUNED")
    (trial,) = trials_in(tmp_path)
    assert trial.intermediate_values == {1: 0.5, 4: 0.4}
    assert trial.value == 0.4


def test_a_long_run_is_thinned_and_its_last_value_kept(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    number = study.ask(SPACE, {}).number
    for step in range(1, 100_000, 7):
        study.report(number, step, 1 / step)
    study.tell(number, "PRUNED")
    (trial,) = trials_in(tmp_path)
    assert len(trial.intermediate_values) < 2_500
    assert trial.last_step == step
    assert trial.value == 1 / step


# --- pruners ----------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_the_median_pruner_prunes_what_is_worse(
    open_study: Opener, tmp_path: Path, goal: str
) -> None:
    sign = 1 if goal == "minimize" else -1
    study = open_study(pruner="median", goal=goal)
    ended = []
    for index in range(36):
        level = 0.1 + 0.01 * (index % 12)
        curve = [sign * (level + 1 / step) for step in range(1, 9)]
        ended.append(run(study, {"lr": 1e-3, "layers": 1, "hidden": 64}, curve))
    assert [state for state, _ in ended[:5]] == ["COMPLETE"] * 5
    counts = Counter(state for state, _ in ended)
    assert counts["PRUNED"] >= 10
    assert counts["PRUNED"] + counts["COMPLETE"] == 36
    for state, reason in ended:
        assert (reason is not None) == (state == "PRUNED")
        assert reason is None or reason.startswith("median pruner: val_mae ")
    assert [trial.state.name for trial in trials_in(tmp_path)] == [state for state, _ in ended]


def test_the_reason_of_the_median_pruner_names_the_numbers(open_study: Opener) -> None:
    study = open_study(pruner="median", pruner_options={"n_warmup_steps": 0})
    for value in (0.20, 0.21, 0.22, 0.23, 0.24):
        run(study, {}, [0.9, value, value])
    assert run(study, {}, [0.9, 0.31]) == (
        "PRUNED",
        "median pruner: val_mae 0.31, the best up to step 2, is worse than the median 0.22 "
        "of 5 trials at that step",
    )


def test_by_default_nothing_is_pruned_before_its_warm_up(open_study: Opener) -> None:
    slow_start = [0.9] * 6 + [0.9 - 0.15 * step for step in range(1, 7)]
    study = open_study(pruner="median")
    for _ in range(6):
        run(study, {}, [0.8 - 0.01 * step for step in range(1, 13)])
    proposal = study.ask(SPACE, {})
    stopped = []
    for step in range(1, 13):
        study.report(proposal.number, step, 0.9)
        stopped += [step] if study.should_prune(proposal.number) else []
    assert stopped[0] == 9
    assert run(study, {}, slow_start) == ("COMPLETE", None)
    study = open_study(name="own", pruner="median", pruner_options={"n_warmup_steps": 0})
    for _ in range(6):
        run(study, {}, [0.8 - 0.01 * step for step in range(1, 13)])
    assert run(study, {}, slow_start)[0] == "PRUNED"
    planned = open_study(name="planned", pruner="median")
    for _ in range(6):
        run(planned, {}, [0.5] * 5)
    proposal = planned.ask(SPACE, {})
    planned.report(proposal.number, 4, 0.9)
    assert planned.should_prune(proposal.number, 12) is None
    assert planned.should_prune(proposal.number, 4) is None, "at its last step it is complete"
    assert planned.should_prune(proposal.number, 5) is not None


def test_hyperband_prunes(open_study: Opener, tmp_path: Path) -> None:
    study = open_study(pruner="hyperband")
    ended = []
    for index in range(40):
        level = 0.1 + 0.03 * ((index * 7) % 10)
        ended.append(run(study, {"lr": 1e-3}, [level + 1 / step for step in range(1, 28)]))
    counts = Counter(state for state, _ in ended)
    assert ended[0] == ("COMPLETE", None)
    assert counts["PRUNED"] >= 15
    reason = next(reason for state, reason in ended if state == "PRUNED")
    assert reason is not None
    assert reason.startswith("hyperband pruner: val_mae ")
    assert [trial.state.name for trial in trials_in(tmp_path)] == [state for state, _ in ended]


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruner_waits_while_nan_may_pass_and_no_longer(open_study: Opener, pruner: str) -> None:
    study = open_study(pruner=pruner)
    for _ in range(6):
        run(study, {}, [0.5 / step for step in range(1, 41)])
    assert run(study, {}, [0.01, *[math.nan] * 13, *[0.005] * 10]) == ("COMPLETE", None)
    state, reason = run(study, {}, [math.nan] * 40)
    assert state == "PRUNED"
    assert reason == f"{pruner} pruner: val_mae is nan since step 1, 14 reports in a row"


class AtStepTwo(optuna.pruners.BasePruner):
    """A pruner of the user's own, with options that are called as what a reason names."""

    def __init__(self, metric: str, step: int, value: float, best: float, median: float) -> None:
        self._step = step

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.last_step == self._step


def test_a_pruner_of_the_users_own_may_have_any_options(open_study: Opener) -> None:
    options = {"metric": "x", "step": 2, "value": 0.5, "best": 0.1, "median": 0.2}
    study = open_study(pruner=f"{__name__}:AtStepTwo", pruner_options=options)
    _, reason = run(study, {"lr": 1e-3}, [0.5, 0.25, 0.1])
    expected = "stopped at step 2, with val_mae 0.25"
    assert reason == f"{__name__}:AtStepTwo pruner: {expected}"


def test_no_pruner_prunes_nothing(open_study: Opener) -> None:
    study = open_study()
    for _ in range(6):
        run(study, {}, [0.1] * 5)
    assert run(study, {}, [math.nan, 1e30, math.inf] * 10 + [9.0]) == ("COMPLETE", None)


# --- continuing -------------------------------------------------------------------------------


def test_a_continued_study_knows_its_trials(open_study: Opener, tmp_path: Path) -> None:
    first = open_study()
    for index in range(3):
        number = first.ask(SPACE, {"lr": 1e-3}).number
        first.report(number, 1, 0.5)
        if index:
            first.tell(number, "COMPLETE", 0.5)
    again = open_study()
    assert again.states() == {0: "RUNNING", 1: "COMPLETE", 2: "COMPLETE"}
    alive = again.ask(SPACE, {"lr": 1e-2}).number
    assert alive == 3
    assert again.close_stale() == [0]
    assert again.close_stale() == []
    assert again.states()[0] == "FAIL"
    assert again.tell(alive, "COMPLETE", 0.1) == "COMPLETE"


def test_a_trial_of_an_earlier_driver_can_be_told(open_study: Opener) -> None:
    open_study().ask(SPACE, {"lr": 1e-3})
    assert open_study().tell(0, "FAIL") == "FAIL"


def test_a_study_can_be_rebuilt_from_what_folders_tell(open_study: Opener, tmp_path: Path) -> None:
    study = open_study(pruner="median", method="bayes")
    for index in range(12):
        reports = {step: 0.1 + 0.01 * index + 1 / step for step in range(1, 5)}
        params = {"lr": 1e-3, "layers": 1, "hidden": [64], "epochs": 10}
        assert (
            study.import_finished(params, SPACE, "COMPLETE", reports[4], reports=reports) == index
        )
    reports = {1: 0.5, 2: math.nan, 3: 0.4}
    facts = {"trial": "high rate"}
    study.import_finished({"lr": 9.0}, SPACE, "PRUNED", None, reports=reports, facts=facts)
    study.import_finished({"lr": 1e-3}, SPACE, "FAIL", 0.3)
    study.import_finished({"lr": 1e-3}, SPACE, "COMPLETE", math.nan)
    assert Counter(study.states().values()) == {"COMPLETE": 12, "PRUNED": 1, "FAIL": 2}
    pruned = trials_in(tmp_path)[12]
    assert pruned.intermediate_values == {1: 0.5, 3: 0.4}
    assert (pruned.value, pruned.params) == (0.4, {})
    assert pruned.user_attrs == {"config": {"lr": 9.0}, "trial": "high rate"}
    assert run(study, {"lr": 1e-3}, [3.0] * 4)[0] == "PRUNED"
    assert set(study.ask(SPACE).params) == set(SPACE)


def test_another_goal_than_before_is_refused(open_study: Opener) -> None:
    open_study(method="bayes")
    with pytest.raises(UsageError, match=r"started with the goal minimize \(now maximize\)"):
        open_study(method="bayes", goal="maximize")


def test_a_corrected_goal_starts_a_study_of_its_own_if_nothing_was_proposed(
    open_study: Opener,
) -> None:
    study = open_study()
    run(study, {"lr": 1e-3}, [3.0])
    assert open_study(goal="maximize").states() == {}
    assert list(open_study().states().values()) == ["COMPLETE"]


def test_nothing_is_printed(open_study: Opener, capfd: pytest.CaptureFixture[str]) -> None:
    study = open_study(method="bayes", pruner="hyperband")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(12):
            proposal = study.ask(SPACE)
            study.report(proposal.number, 1, 0.5)
            study.should_prune(proposal.number)
            study.tell(proposal.number, "COMPLETE", 0.5)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


class NoPruner:
    """No class of Optuna's."""


class Fails(optuna.pruners.BasePruner):
    def __init__(self, *, at_once: bool = False) -> None:
        if at_once:
            raise KeyError("at once")

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        raise KeyError("later")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("NoPruner", {}, "is no class of Optuna's kind BasePruner"),
        ("run", {"study": 1, "params": {}, "curve": []}, "is no class of Optuna's kind"),
        ("Fails", {"at_once": True}, "fails: KeyError: 'at once'"),
        ("Fails", {"at": 1}, "does not accept the options"),
        ("nothing", {}, "can be imported"),
        ("Fails", {}, "fails: KeyError: 'later'"),
    ],
)
def test_what_a_pruner_of_the_users_own_does_wrong_is_named(
    name: str, options: dict[str, Any], message: str, open_study: Opener
) -> None:
    with pytest.raises(UsageError) as caught:
        run(open_study(pruner=f"{__name__}:{name}", pruner_options=options), {"lr": 1e-3}, [1, 2])
    assert str(caught.value).startswith("pruner: ")
    assert message in str(caught.value)


def test_a_class_is_found_in_the_folder_of_the_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_pruner_here.py").write_text(
        "import optuna\nclass Never(optuna.pruners.NopPruner): pass\n"
    )
    study = study_at(tmp_path / "study.journal", pruner="own_pruner_here:Never")
    assert run(study, {"lr": 1e-3}, [1.0, 2.0])[0] == "COMPLETE"
