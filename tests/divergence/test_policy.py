"""What each symptom leads to."""

from __future__ import annotations

import pytest

from orchestrator.divergence import Policy, Verdict, Watch
from orchestrator.divergence.symptoms import CHOICES, all_symptoms
from orchestrator.errors import UsageError


def test_by_default_only_what_is_lost_ends_a_run() -> None:
    policy = Policy()
    ends = {symptom for symptom in all_symptoms() if policy.action(symptom) == "stop"}
    assert ends == {"non-finite", "explosion", "lost progress"}
    assert policy.action("rising", loss_can_fall=True) == "stop"
    assert policy.action("plateau", loss_can_fall=True) == "warn"


def test_a_choice_replaces_the_default() -> None:
    policy = Policy.of({"plateau": "stop", "lost_progress": "remedy", "overfitting": "ignore"})
    assert policy.apply(Verdict("warn", "plateau", 3, "flat")).stops
    assert policy.apply(Verdict("stop", "lost progress", 3, "lost")).action == "remedy"
    assert policy.apply(Verdict("warn", "overfitting", 3, "over")) == Verdict()


def test_validation_values_that_may_pass_stay_a_warning() -> None:
    passing = Verdict("warn", "non-finite", 3, "val_loss is nan at step 3, which may pass")
    assert Policy().apply(passing) == passing
    assert Policy.of({"non-finite": "remedy"}).apply(passing) == passing
    assert Policy.of({"non-finite": "ignore"}).apply(passing) == Verdict()


def test_a_rising_loss_waits_for_another_that_fell_unless_the_policy_names_an_action() -> None:
    rising = Verdict("warn", "rising", 2, "up")
    assert Policy().apply(rising).action == "warn"
    assert Policy().apply(rising, loss_can_fall=True).action == "stop"
    for choice in ("stop", "remedy"):
        policy = Policy.of({"rising": choice})
        assert policy.apply(rising).action == choice
        assert policy.apply(rising, loss_can_fall=True).action == choice


def test_nothing_found_stays_nothing() -> None:
    assert Policy.of(dict.fromkeys(all_symptoms(), "stop")).apply(Verdict()) == Verdict()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            {"plateaux": "stop"},
            "unknown symptom 'plateaux'. Did you mean 'plateau'.* Choices: .*explosion",
        ),
        (
            {"plateau": "halt"},
            "plateau: unknown choice 'halt'. Choices: stop, warn, remedy, ignore",
        ),
        ({"plateau": None}, "unknown choice None"),
    ],
)
def test_unknown_words_are_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Policy.of(raw)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("symptom", all_symptoms())
def test_every_symptom_takes_every_choice(symptom: str, choice: str) -> None:
    policy = Policy.of({symptom.replace(" ", "_"): choice})
    assert policy.action(symptom, loss_can_fall=True) == choice


def test_patience_waits_from_the_onset_on_and_forgets_what_recovers() -> None:
    def stops_at(patience: int, losses: list[float]) -> tuple[int | None, list[str | None]]:
        policy = Policy.of({"explosion": {"patience": patience}}) if patience else Policy()
        watch = Watch(policy=policy)
        warned: list[str | None] = []
        for step, loss in enumerate(losses):
            for verdict in watch.update(step, {"train_loss": loss}):
                if verdict.stops:
                    return step, warned
                warned.append(verdict.symptom)
        return None, warned

    exploded = [1.0, 0.9, 0.8, 0.7, *[5.0] * 40]
    assert stops_at(0, exploded)[0] == 6
    assert stops_at(3, exploded)[0] == 6
    assert stops_at(12, exploded) == (15, ["explosion"])
    recovered = [1.0, 0.9, 0.8, 0.7, *[5.0] * 8, *(0.6 - 0.01 * n for n in range(30))]
    assert stops_at(12, recovered) == (None, ["explosion"])
    assert stops_at(0, recovered)[0] == 6


def test_a_patient_warning_is_given_late_and_only_while_it_holds() -> None:
    losses = [1.0, *[0.9] * 60]
    for patience, expected in ((0, [16]), (30, [30])):
        policy = Policy.of({"plateau": {"patience": patience}} if patience else {})
        watch = Watch(policy=policy)
        found = [
            step
            for step, loss in enumerate(losses)
            for verdict in watch.update(step, {"train_loss": loss})
            if verdict.symptom == "plateau"
        ]
        assert found == expected
