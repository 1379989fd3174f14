"""Targets, references, gates, promotions and the like: read, checked, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from orchestrator.analysis.measure.targets import measured, parse_bound
from orchestrator.errors import SpecError
from orchestrator.sweepfile.conditions.condition import evaluate, names
from orchestrator.sweepfile.conditions.grammar import Name, parse
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import Budget, Promote
from orchestrator.sweepfile.model.spec import Bound, Reference

Write = Callable[[str], Path]
HEAD = "trainer: sweep_toy\nmetric: val_mae\n"


def problems(write: Write, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    return [(p.line, p.key, p.message) for p in caught.value.problems]


class TestOutcomes:
    def test_read(self, write: Write) -> None:
        text = """\
targets:
  mae: "<= 0.02"
  test_mae/train_mae: "< 1.5"
  minimum: {t20_mae: "<= 0.05"}
  good: {t20_mae: "<= 0.02", t20_r2: ">= 0.9"}
expect: {"val_mae@5": "< 0.2", "mae/train_mae@3": "< 2"}
reference: {paper: {mae: 1, t20_mae: 0.5}, before: other}
success: [all complete, any test_mae <= 0.02 or all not (mae > 1)]
budget: {trials: 9, hours: 0.5, gpu_hours: 3, failures: 2}
"""
        spec = load_spec(write(HEAD + text))
        assert spec.targets == {"mae": Bound("<=", 0.02), "test_mae/train_mae": Bound("<", 1.5)}
        assert list(spec.tiers) == ["minimum", "good"]
        assert spec.tiers["good"] == {"t20_mae": Bound("<=", 0.02), "t20_r2": Bound(">=", 0.9)}
        assert list(spec.expect) == ["val_mae@5", "mae/train_mae@3"]
        assert spec.references == {
            "paper": Reference({"mae": 1.0, "t20_mae": 0.5}),
            "before": Reference(path=str(spec.path.parent / "other")),
        }
        assert spec.success == ("all complete", "any test_mae <= 0.02 or all not (mae > 1)")
        assert spec.budget == Budget(9, 0.5, 3, 2)
        assert [text for text in spec.warnings if "reference.before" in text]
        assert load_spec(write(f"{HEAD}success: any mae < 1\n")).success == ("any mae < 1",)

    @pytest.mark.parametrize(
        ("text", "key", "words"),
        [
            ("targets: {mea: '< 1'}", "targets.mea", "Did you mean 'mae'?"),
            ("targets: {good: {mea: '< 1'}}", "targets.good.mea", "Did you mean 'mae'?"),
            ("targets: {good: {mae: 1}}", "targets.good.mae", 'Write "<= 1"'),
            ("targets: {good: {}}", "targets.good", "needs at least one bound."),
            ("targets: {mae/trian_mae: '< 1'}", "targets.mae/trian_mae", "'train_mae'?"),
            ("targets: {mae@3: '< 1'}", "targets.mae@3",
             "targets are about the end, not a step. Write it under expect."),
            ("expect: {mae: '< 1'}", "expect.mae",
             "needs a step, such as mae@5. Write bounds of the end under"),
            ("expect: {mea@3: '< 1'}", "expect.mea@3", "Did you mean 'mae'?"),
            ("reference: {a: {mea: 1}}", "reference.a.mea", "Did you mean 'mae'?"),
            ("reference: {a: {mae: '1'}}", "reference.a.mae", "Remove the quotes"),
            ("reference: {a: {}}", "reference.a", "needs at least one metric, or a run folder."),
            ("success: mae < 1", "success", "Write 'any mae < 1'."),
            ("success: [all complete, mae < 1]", "success.1",
             "'mae < 1' needs any or all. Write 'any mae < 1'."),
            ("success: any mea < 1", "success", "Did you mean 'mae'?"),
            ("success: any mae <", "success", "expected a condition"),
            ("budget: {hour: 1}", "budget.hour", "Did you mean 'hours'?"),
            ("budget: {hours: 0}", "budget.hours", "above 0"),
            ("stages: {a: {promote: {top: 1}}}", "stages.a.promote",
             "the last stage has no next one to promote to. Remove it."),
            ("stages: {a: {promote: {}}, b: {}}", "stages.a.promote",
             "needs top, fraction or if."),
            ("stages: {a: {promote: {or: not worse}}, b: {}}", "stages.a.promote.or",
             "adds to the best. Give top or fraction too."),
            ("stages: {a: {promote: {top: 1, or: worse}}, b: {}}", "stages.a.promote.or",
             "not worse"),
            ("stages: {a: {continue: true}, b: {}}", "stages.a.continue",
             "needs a stage before that promotes, but this stage is the"),
            ("stages: {a: {}, b: {continue: true}}", "stages.b.continue", "'a' promotes none"),
            ("stages: {a: {}, b: {promote: {top: 1}}, c: {}}", "stages.b.promote",
             "stage 'a' does not promote. Add promote there."),
            ("stages: {a: {promote: {if: any mae < 1}}, b: {}}", "stages.a.promote.if", "one"),
            ("stages: {a: {promote: {if: stabel}}, b: {}}", "stages.a.promote.if", "a comparison"),
            ("stages: {a: {promote: {fraction: 1.5}}, b: {}}", "stages.a.promote.fraction",
             "a number above 0 and at most 1"),
            ("ablate: {changes: {}}", "ablate.changes", "needs at least one change."),
            ("ablate: {}", "ablate.changes", "missing ("),
            ("ablate: {changes: {a: {}}}", "ablate.changes.a.set", "missing ("),
            ("ablate: {changes: {a: {set: {}}}}", "ablate.changes.a.set",
             "needs at least one parameter."),
            ("ablate: {changes: {a: {set: {lrr: 1}}}}", "ablate.changes.a.set.lrr", "'lr'?"),
            ("ablate: {changes: {a: {set: {lr: [1, 99]}}}}", "ablate.changes.a.set.lr",
             "expected a number from 0 to 10 (found 99)."),
            ("ablate: {baseline: {set: {lrr: 1}}, changes: {a: {set: {lr: 1}}}}",
             "ablate.baseline.set.lrr", "'lr'?"),
            ("ablate: {changes: {baseline: {set: {lr: 1}}}}", "ablate.changes.baseline", "another"),
            ("ablate: {gate: any mae < 1, changes: {a: {set: {lr: 1}}}}", "ablate.gate", "one"),
            ("ablate: {changes: {a: {set: {lr: 1}, gate: mea < 1}}}", "ablate.changes.a.gate",
             "Did you mean"),
            ("seeds: 0", "seeds", "a whole number of at least 1"),
            ("seeds: [1, 1]", "seeds", "1 is listed twice."),
            ("seeds: [1, -1]", "seeds.1", "of at least 0"),
            ("seeds: {values: 2, parameter: sed}", "seeds", "Did you mean 'seed'?"),
            ("seeds: {values: 2, parameter: amp}", "seeds",
             "amp is not a number, so it cannot take a seed."),
            ("seeds: [1, 5000]", "seeds",
             "seed takes a whole number from 0 to 1000 (found 5000)."),
            ("seeds: 5000", "seeds", "too many seeds (5,000; limit: 1,000)."),
        ],
    )  # fmt: skip
    def test_refused(self, write: Write, text: str, key: str, words: str) -> None:
        (line, where, message), *more = problems(write, f"{HEAD}{text}\n")
        assert (where, more) == (key, [])
        assert words in message
        assert line == 3

    def test_a_baseline_that_constraints_forbid(self, write: Write) -> None:
        text = f"{HEAD}ablate: {{changes: {{a: {{set: {{lr: 1}}}}}}}}\nconstraints: [lr > 0.5]\n"
        ((line, _, message),) = problems(write, text)
        assert line == 4
        assert "exclude the baseline of ablate, which breaks require lr > 0.5." in message

    def test_what_ranks_needs_a_metric(self, write: Write) -> None:
        stages = "stages: {a: {promote: {top: 2}}, b: {}}\n"
        assert "needs a metric to rank by" in problems(write, f"program: p.py\n{stages}")[0][2]
        keeps = "ablate: {keep_improvements: true, changes: {a: {set: {lr: 1}}}}\n"
        assert "needs a metric to rank by" in problems(write, f"program: p.py\n{keeps}")[0][2]
        spec = load_spec(write("program: p.py\nstages: {a: {promote: {if: stable}}, b: {}}\n"))
        assert spec.stages[0].promote == Promote(condition="stable")

    def test_a_bound_is_a_condition(self) -> None:
        values = {"mae": 1.0, "test_mae": 1.0, "train_mae": 0.8, "val/acc": 0.9, "odd name": 3.0}
        for name, bound, holds in [
            ("mae", Bound("<", 2), True),
            ("test_mae/train_mae", Bound("<", 1.2), False),
            ("val/acc", Bound(">=", 0.9), True),
            ("`odd name`", Bound("<", 3), False),
            ("nothing", Bound("<", 3), None),
        ]:
            assert evaluate(parse(f"{name} {bound}"), values) is holds
        reported = parse(f"mae@3 {Bound('<', 2)}")
        assert evaluate(reported, {}, at=lambda name, step: 1.0 if step == 3 else None) is True
        assert names(parse("mae/train_mae@3 < 2")) == {Name("mae"), Name("train_mae", 3)}

    def test_ranges_and_squares(self, write: Write) -> None:
        text = "mae: 0.5..1e1, mse/train_mse: '< 2', t20_r2: -1..-0.25, val_mae: '< 0.1234567'"
        spec = load_spec(write(f"{HEAD}targets: {{{text}}}\n"))
        assert spec.targets["mae"] == Bound("..", 10.0, 0.5)
        assert spec.targets["t20_r2"] == Bound("..", -0.25, -1.0)
        for bound in spec.targets.values():
            assert parse_bound(str(bound)) == bound
        held = parse(f"mae: {spec.targets['mae']}")
        for value, holds in [(0.4, False), (0.5, True), (10, True), (11, False)]:
            assert spec.targets["mae"].holds(value) is evaluate(held, {"mae": value}) is holds


class TestLoss:
    VARY = "parameters: {weight: {values: [1, 2]}}\n"

    @pytest.mark.parametrize(
        ("use", "key"),
        [
            ("targets: {val_loss: '< 1'}", "targets.val_loss"),
            ("targets: {good: {val_loss/train_loss: '< 1'}}", "targets.good.val_loss/train_loss"),
            ("success: any val_loss < 1", "success"),
            ("stages: {a: {promote: {if: val_loss < 1}}, b: {}}", "stages.a.promote.if"),
        ],
    )
    def test_it_may_not_judge_where_it_changes(self, write: Write, use: str, key: str) -> None:
        found = problems(write, f"{HEAD}{self.VARY}{use}\n")
        assert found[0][:2] == (4, key)
        assert (
            "val_loss cannot compare trials, since weight changes what it means. Use val_mae."
            in "".join(message for *_, message in found)
        )
        load_spec(write(f"{HEAD}{use}\n"))

    @pytest.mark.parametrize(
        "gate",
        [
            "gate: val_loss < 1, changes: {a: {set: {weight: 2}}}",
            "changes: {a: {set: {weight: 2}, gate: val_loss < 1}}",
        ],
    )
    def test_gates(self, write: Write, gate: str) -> None:
        ((_, key, message),) = problems(write, f"{HEAD}ablate: {{{gate}}}\n")
        assert key.endswith("gate")
        assert "val_loss cannot compare trials, since weight changes what it" in message
        load_spec(write(f"{HEAD}ablate: {{{gate.replace('weight: 2', 'lr: 2')}}}\n"))

    def test_what_makes_it_vary(self, write: Write) -> None:
        target = "targets: {val_loss: '< 1'}\n"
        for vary in (
            "ablate: {changes: {a: {set: {preset: heavy}}}}",
            "ablate: {baseline: {set: {weight: 2}}, changes: {a: {set: {weight: 3}}}}",
            "remedy: {rising: {set: {weight: 3}}}",
        ):
            assert (
                "val_loss cannot compare trials, since weight changes what it"
                in problems(write, f"{HEAD}{target}{vary}\n")[0][2]
            )
        same = "ablate: {baseline: {set: {weight: 2}}, changes: {a: {set: {lr: 3}}}}\n"
        load_spec(write(f"{HEAD}{target}{same}"))
        # Stages may differ: their trials are not compared with each other.
        staged = "stages: {a: {set: {weight: 2}, promote: {top: 1}}, b: {set: {weight: 3}}}\n"
        load_spec(write(f"{HEAD}{target}{staged}"))

    def test_two_metrics(self, write: Write) -> None:
        text = f"trainer: sweep_toy\nmetric: [val_mae, val_loss]\n{self.VARY}"
        ((_, key, _),) = problems(write, text)
        assert key == "metric.1.name"


def test_a_trainer_that_takes_anything(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(config, run):\n    pass\n")
    path = tmp_path / "s.yaml"
    path.write_text(
        "trainer: mine:train\nmetric: val_mae\nseeds: {values: 2, parameter: chance}\n"
        "stages: {a: {promote: {if: width > 3 and val_any < 1}}, b: {}}\n"
        "targets: {anything: '< 1'}\nsuccess: any anything < 1\n"
    )
    spec = load_spec(path)
    assert (spec.seed_parameter, list(spec.targets)) == ("chance", ["anything"])
    path.write_text("trainer: mine:train\nmetric: m\nremedy: {rising: {set: {rate: '*0.1'}}}\n")
    assert load_spec(path).remedy["rising"].set == {"rate": "*0.1"}


ANY = st.text(st.characters(min_codepoint=33, max_codepoint=0xD7FF), min_size=1, max_size=20)


@given(name=ANY.filter(str.strip), step=st.integers(0, 10**6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_metric_may_have_any_name(name: str, step: int, write: Write) -> None:
    assume("@" not in name and name.strip() == name)
    file = {
        "program": "env",
        "parameters": {"x": {"value": 1}},
        "metric": {"name": name},
        "targets": {name: "< 1"},
        "expect": {f"{name}@{step}": "< 1"},
    }
    spec = load_spec(write(json.dumps(file)))
    assert list(spec.expect) == [f"{name}@{step}"]
    reported = {(name, step): 0.5}
    assert measured(f"{name}@{step}", {}, lambda *key: reported.get(key)) == 0.5
