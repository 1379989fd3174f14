"""``divergence``, ``remedy`` and ``lr_schedule``: read, checked, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.divergence.schedule import SCHEDULES, STEPPING
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import Remedy
from orchestrator.sweepfile.schema.course import LrSchedule

Write = Callable[[str], Path]
HEAD = "trainer: sweep_toy\nmetric: val_mae\n"


def problems(write: Write, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    return [(p.line, p.key, p.message) for p in caught.value.problems]


class TestDivergence:
    @pytest.mark.parametrize("symptom", all_symptoms())
    def test_every_symptom_in_every_spelling(self, write: Write, symptom: str) -> None:
        for spelling in (symptom, symptom.replace(" ", "_"), symptom.replace("-", "_").upper()):
            spec = load_spec(write(f"{HEAD}divergence: {{{spelling}: ignore}}\n"))
            assert spec.divergence == {symptom: "ignore"}

    def test_read(self, write: Write) -> None:
        text = f"{HEAD}divergence: {{too_slow: stop, Plateau: ignore}}\n"
        assert load_spec(write(text)).divergence == {"plateau": "ignore", "too slow": "stop"}

    def test_what_has_a_remedy_leads_to_it(self, write: Write) -> None:
        text = (
            f"{HEAD}remedy: {{lost progress: {{set: {{lr: 0.1}}}}}}\ndivergence: {{rising: stop}}\n"
        )
        spec = load_spec(write(text))
        assert spec.divergence == {"lost progress": "remedy", "rising": "stop"}

    @pytest.mark.parametrize(
        ("text", "key", "words"),
        [
            ("divergence: {plateu: stop}", "divergence.plateu", "Did you mean 'plateau'?"),
            ("divergence: {x: stop}", "divergence.x", "Choices: explosion, lost progress"),
            ("divergence: {rising: halt}", "divergence.rising", "one of stop, warn, remedy"),
            ("divergence: {too slow: stop, too_slow: warn}", "divergence.too_slow",
             "the same symptom"),
            ("divergence: {rising: remedy}", "divergence.rising",
             "there is no remedy for rising. Write remedy: {rising: {set:"),
            ("divergence: {rising: remedy}\nremedy: {explosion: {set: {lr: 1}}}",
             "divergence.rising", "there is no remedy for rising. Write remedy: {rising: {set:"),
            ("divergence: {rising: stop}\nremedy: {rising: {set: {lr: 1}}}",
             "divergence.rising", "stop contradicts the remedy for rising. Remove one."),
            ("divergence: [rising]", "divergence", "expected a mapping from symptom"),
            ("remedy: {rising: {}}", "remedy.rising.set", "missing ("),
            ("remedy: {rising: {set: {}}}", "remedy.rising.set", "needs at least one parameter."),
            ("remedy: {rising: {set: {lrr: 1}}}", "remedy.rising.set.lrr", "Did you mean 'lr'?"),
            ("remedy: {rising: {set: {lr: 0.1x}}}", "remedy.rising.set.lr",
             "expected a number from 0 to 10 (found '0.1x')."),
            ("remedy: {rising: {set: {lr: x0.1}}}", "remedy.rising.set.lr", "such as '*0.1'"),
            ("remedy: {rising: {set: {lr: '*'}}}", "remedy.rising.set.lr", "such as '*0.1'"),
            ("remedy: {rising: {set: {lr: 10%}}}", "remedy.rising.set.lr", "such as '*0.1'"),
            ("remedy: {rising: {set: {lr: ['*0.1', 99]}}}", "remedy.rising.set.lr.1",
             "expected a number from 0 to 10 (found 99)."),
            ("remedy: {rising: {set: {lr: []}}}", "remedy.rising.set.lr",
             "needs at least one value (found an empty list)."),
            ("remedy: {rising: {set: {amp: '*2'}}}", "remedy.rising.set.amp",
             "amp is not a number that can be multiplied. Give a value."),
            ("remedy: {rising: {set: {lr: 1}, from: best}}", "remedy.rising.from", "of scratch"),
            ("remedy: {rising: {set: {lr: 1}, times: 0}}", "remedy.rising.times", "whole number"),
            ("remedy: {rising: {set: {lr: 1}, if: any mae < 1}}", "remedy.rising.if", "one trial"),
            ("remedy: {rising: {set: {lr: 1}, if: mea < 1}}", "remedy.rising.if", "Did you mean"),
        ],
    )  # fmt: skip
    def test_refused(self, write: Write, text: str, key: str, words: str) -> None:
        (line, where, message), *more = problems(write, f"{HEAD}{text}\n")
        assert (where, more) == (key, [])
        assert words in message
        assert line is not None

    def test_remedies(self, write: Write) -> None:
        text = """\
remedy:
  explosion: {set: {lr: "*0.1", clip: 1.0, amp: false}, from: checkpoint, times: 2}
  plateau: {set: {lr: ["*3", 0.5]}, if: val_mae > 0.1 and epochs > 3}
"""
        assert load_spec(write(HEAD + text)).remedy == {
            "explosion": Remedy({"lr": "*0.1", "clip": 1.0, "amp": False}, "checkpoint", None, 2),
            "plateau": Remedy({"lr": ["*3", 0.5]}, "scratch", "val_mae > 0.1 and epochs > 3", 2),
        }

    def test_text_of_a_program_is_taken_as_it_stands(self, write: Write) -> None:
        spec = load_spec(write("program: p.py\nremedy: {rising: {set: {opt: adam, lr: '*0.5'}}}\n"))
        assert spec.remedy["rising"].set == {"opt": "adam", "lr": "*0.5"}


class TestSchedule:
    def test_the_schema_has_every_schedule_with_its_parameters(self) -> None:
        properties = LrSchedule().schema()["properties"]
        assert properties.keys() == SCHEDULES.keys() | STEPPING.keys()
        for name, record in SCHEDULES.items():
            assert properties[name]["properties"].keys() == record.parameters.keys()

    GOOD = (
        {"constant": {"lr": 1e-3}},
        {"step": {"lr": 1e-3, "size": 30, "gamma": 0.5}, "per": "epoch"},
        {"step": {"lr": 1, "milestones": [30, 60], "warmup": 5, "warmup_start": 0.1}},
        {"cosine": {"lr": 1e-3, "total": 50, "warmup": 3}, "steps": "epoch"},
        {"linear": {"lr": 1e-3, "total": 50, "final": 1e-5}, "batches_per_epoch": 10},
        {"onecycle": {"max_lr": 3e-3, "total": 1000, "anneal": "linear", "three_phase": True}},
        {"plateau": {"lr": 1, "factor": 0.3, "final": 0}},
    )
    BAD = (
        {"per": "batch"}, {"cosine": {"lr": 0, "total": 9}},
        {"cosine": {"lr": 1, "total": 9, "warmup": 9}}, {"cosine": 3}, {"cosinus": {"lr": 1}},
        {"step": {"lr": 1}}, {"step": {"lr": 1, "size": 0}}, {"constant": {"lr": "1"}},
        {"onecycle": {"max_lr": 1, "total": 9, "pct_start": 1}}, {"constant": {"lr": -1}},
        {"onecycle": {"max_lr": 1, "total": 9, "anneal": "x"}}, {"constant": {"lr": 1}, "per": 3},
        {"onecycle": {"max_lr": 1, "total": 9, "warmup": 3}}, {"constant": {"lr": 1}, "steps": "x"},
        {"constant": {"lr": 1}, "linear": {"lr": 1, "total": 3}}, {"constant": {"lr": True}},
        {"constant": {"lr": 1}, "batches_per_epoch": 0}, {"step": {"lr": 1, "milestones": ["x"]}},
    )  # fmt: skip

    @pytest.mark.parametrize("raw", GOOD)
    def test_what_is_good_here_can_be_computed_with(
        self, write: Write, raw: dict[str, Any]
    ) -> None:
        from orchestrator.divergence.schedule.declared import declared

        spec = load_spec(write(f"{HEAD}lr_schedule: {json.dumps(raw)}\n"))
        assert spec.lr_schedule == raw
        assert declared(spec.lr_schedule).schedule.at(0) >= 0

    @pytest.mark.parametrize("raw", [{"cosine": {"lr": 1}}, {"onecycle": {}, "per": "batch"}])
    def test_what_each_trial_has_of_its_own_may_be_left_out(
        self, write: Write, raw: dict[str, Any]
    ) -> None:
        assert load_spec(write(f"{HEAD}lr_schedule: {json.dumps(raw)}\n")).lr_schedule == raw

    @pytest.mark.parametrize("raw", BAD)
    def test_what_cannot_be_is_refused_by_both(self, write: Write, raw: dict[str, Any]) -> None:
        from orchestrator.divergence.schedule.declared import declared

        with pytest.raises(UsageError):
            declared(raw)
        found = problems(write, f"{HEAD}lr_schedule: {json.dumps(raw)}\n")
        assert all(key.startswith("lr_schedule") for _, key, _ in found)


class TestMilestones:
    def test_conditions_are_keys_of_remedies(self, write: Write) -> None:
        text = (
            f"{HEAD}remedy:\n  val_mae@15 > 0.1: {{set: {{lr: 0.1}}, from: checkpoint}}\n"
            "  val_mae@10 < 0.1 and jump.val_mae <= 0.2: {set: {lr: '*2'}}\n"
        )
        spec = load_spec(write(text))
        assert list(spec.remedy) == ["val_mae@15 > 0.1", "val_mae@10 < 0.1 and jump.val_mae <= 0.2"]
        assert spec.divergence == {}

    def test_patience(self, write: Write) -> None:
        patient = "plateau: {action: stop, patience: 30}, rising: {patience: 5}"
        text = f"{HEAD}divergence: {{{patient}}}\n"
        assert load_spec(write(text)).divergence == {
            "plateau": {"action": "stop", "patience": 30},
            "rising": {"action": None, "patience": 5},
        }

    @pytest.mark.parametrize(
        ("text", "key", "words"),
        [
            ("remedy: {val_mae@15: {set: {lr: 1}}}", "remedy.val_mae@15", "expected a symptom or"),
            ("remedy: {val_mea@15 > 1: {set: {lr: 1}}}", "remedy.val_mea@15 > 1", "Did you mean"),
            ("remedy: {val_mae > 1: {set: {lr: 1}}}", "remedy.val_mae > 1", "needs a metric at"),
            ("divergence: {rising: {patience: 0}}", "divergence.rising.patience", "of at least 1"),
            ("divergence: {rising: {action: stop}}", "divergence.rising.patience", "missing"),
            ("divergence: {rising: {action: halt, patience: 1}}", "divergence.rising.action",
             "one of stop, warn"),
        ],
    )  # fmt: skip
    def test_refused(self, write: Write, text: str, key: str, words: str) -> None:
        found = problems(write, HEAD + text + "\n")
        assert [(where, words in message) for _, where, message in found] == [(key, True)]
