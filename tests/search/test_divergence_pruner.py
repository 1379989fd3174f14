"""The divergence rule in plain Optuna studies."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from orchestrator.divergence import Policy
from orchestrator.search.divergence_pruner import REASON, DivergencePruner, report, train_losses

optuna.logging.set_verbosity(optuna.logging.ERROR)

FALLING = [0.9**n for n in range(40)]
EXPLODES = [*FALLING[:15], *(5.0 * 2**n for n in range(25))]
FIVE_EPOCHS = [0.2847, 0.4059, 0.4111, 0.4625, 0.4580]


def study_of(pruner: BasePruner, direction: str = "minimize") -> optuna.Study:
    return optuna.create_study(direction=direction, pruner=pruner)


def run(study: optuna.Study, train: Sequence[float] | None, values: Sequence[float]) -> FrozenTrial:
    """Run one trial as a plain objective does, and return it."""

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        for step, value in enumerate(values):
            report(trial, step, value, train=train[step] if train is not None else None)
            if trial.should_prune():
                raise optuna.TrialPruned
        return values[-1]

    study.optimize(objective, n_trials=1)
    return study.trials[-1]


def test_a_training_loss_that_explodes_prunes_while_validation_looks_well() -> None:
    trial = run(study_of(DivergencePruner()), EXPLODES, FALLING)
    assert trial.state is TrialState.PRUNED
    assert trial.last_step == 17
    assert trial.user_attrs[REASON].startswith("diverged: train_loss 20 is more than twice")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_training_loss_that_is_no_number_prunes_at_once(bad: float) -> None:
    trial = run(study_of(DivergencePruner()), [1.0, 0.5, bad, 0.4], FALLING[:4])
    assert (trial.state, trial.last_step) == (TrialState.PRUNED, 2)


def test_validation_may_be_nan_while_the_training_loss_is_well() -> None:
    values = [*FALLING[:5], math.nan, math.nan, *FALLING[7:]]
    trial = run(study_of(DivergencePruner()), FALLING, values)
    assert trial.state is TrialState.COMPLETE


def test_what_was_reported_alone_is_judged_as_the_objective() -> None:
    assert run(study_of(DivergencePruner()), None, EXPLODES).state is TrialState.PRUNED
    psnr = [12 + 0.5 * n for n in range(16)] + [11.0, 10.0, 9.0, 9.0]
    study = study_of(DivergencePruner(), "maximize")
    assert run(study, None, psnr).state is TrialState.PRUNED
    assert run(study, None, psnr[:16]).state is TrialState.COMPLETE


@pytest.mark.parametrize(
    ("series", "state"),
    [
        ("train", TrialState.COMPLETE),
        ("value", TrialState.PRUNED),
        ("both", TrialState.PRUNED),
    ],
)
def test_which_series_is_judged(series: str, state: TrialState) -> None:
    assert run(study_of(DivergencePruner(series)), FALLING, EXPLODES).state is state


def test_another_series_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of train, value, both \(found 'val'\)"):
        DivergencePruner("val")


class Always(NopPruner):
    asked = 0

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        self.asked += 1
        return True


def test_divergence_comes_before_the_wrapped_pruner() -> None:
    wrapped = Always()
    lost = run(study_of(DivergencePruner(wrapped=wrapped)), [math.nan], [1.0])
    assert (lost.state, wrapped.asked) == (TrialState.PRUNED, 0)
    assert REASON in lost.user_attrs
    well = run(study_of(DivergencePruner(wrapped=wrapped)), [1.0], [1.0])
    assert (well.state, wrapped.asked) == (TrialState.PRUNED, 1)
    assert REASON not in well.user_attrs


def test_a_wrapped_median_pruner_still_prunes_what_cannot_win() -> None:
    study = study_of(DivergencePruner(wrapped=MedianPruner(n_startup_trials=3)))
    for _ in range(3):
        assert run(study, FALLING, FALLING).state is TrialState.COMPLETE
    poor = [value + 5 for value in FALLING]
    assert run(study, FALLING, poor).state is TrialState.PRUNED


def test_a_rising_loss_is_pruned_once_another_trial_fell() -> None:
    study = study_of(DivergencePruner())
    assert run(study, FIVE_EPOCHS, FIVE_EPOCHS).state is TrialState.COMPLETE
    assert run(study, FALLING, FALLING).state is TrialState.COMPLETE
    pruned = run(study, FIVE_EPOCHS, FIVE_EPOCHS)
    assert pruned.state is TrialState.PRUNED
    assert "never below its first value" in pruned.user_attrs[REASON]


def test_a_policy_decides() -> None:
    policy = Policy.of({"explosion": "warn", "lost progress": "warn"})
    assert run(study_of(DivergencePruner(policy=policy)), EXPLODES, FALLING).state is (
        TrialState.COMPLETE
    )


def test_two_objectives_where_optuna_refuses() -> None:
    pruner = DivergencePruner(wrapped=Always())
    study = optuna.create_study(directions=["minimize", "maximize"])

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        losses = EXPLODES if trial.number == 0 else FALLING
        for step, loss in enumerate(losses):
            with pytest.raises(NotImplementedError):
                trial.should_prune()
            report(trial, step, None, train=loss)
            if pruner.should_prune(trial):
                raise optuna.TrialPruned
        return losses[-1], 1.0

    study.optimize(objective, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert len(train_losses(study.trials[0])) == 18
    assert REASON in study.trials[0].user_attrs


def test_another_process_judges_the_same_from_the_storage(tmp_path: Path) -> None:
    path = str(tmp_path / "study.journal")
    first = optuna.create_study(storage=JournalStorage(JournalFileBackend(path)), study_name="s")
    trial = first.ask()
    for step, loss in enumerate([1.0, 0.5, math.nan]):
        report(trial, step, 0.1, train=loss)
    again = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(path)))
    fresh = DivergencePruner()
    assert fresh.prune(again, again.trials[0])
    assert again.trials[0].user_attrs[REASON] == "diverged: train_loss is nan since step 2"


def test_asking_again_gives_the_same_answer_and_costs_no_replay() -> None:
    pruner = DivergencePruner()
    study = study_of(pruner)
    trial = study.ask()
    for step, loss in enumerate([1.0, 0.5, 0.4, 9.0, 9.0, 9.0]):
        report(trial, step, None, train=loss)
        assert trial.should_prune() == trial.should_prune() == (step == 5)
    frozen = study.get_trials(deepcopy=False)[0]
    assert pruner.judge(study, frozen) == DivergencePruner().judge(study, frozen)


def test_it_can_be_pickled_and_stays_small() -> None:
    pruner = DivergencePruner(wrapped=MedianPruner())
    study = study_of(pruner)
    for _ in range(300):
        trial = study.ask()
        report(trial, 0, 1.0, train=1.0)
        trial.should_prune()
        study.tell(trial, 1.0)
    assert len(pruner._judged) <= 256
    assert isinstance(pickle.loads(pickle.dumps(pruner)), DivergencePruner)
