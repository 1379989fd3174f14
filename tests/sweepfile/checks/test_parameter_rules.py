"""zip, when and constraints: what runs, what is left out and why, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.errors import SpecError
from orchestrator.sweepfile.conditions.condition import evaluate
from orchestrator.sweepfile.conditions.grammar import parse
from orchestrator.sweepfile.expand.build import Excluded, make_config, varied_of
from orchestrator.sweepfile.expand.configs import count_trials, exclusion, iter_all, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import (
    Constraint,
    Domain,
    Method,
    NamedTrial,
    Spec,
    TrialConfig,
)

Write = Callable[[str], Path]


def spec_of(parameters: dict[str, Domain], **rest: Any) -> Spec:
    return Spec(name="s", path=Path("/s.yaml"), parameters=parameters, **rest)


def choice(*values: Any, when: str | None = None) -> Domain:
    return Domain("categorical", values, when=when)


def configs(spec: Spec) -> list[dict[str, Any]]:
    return [trial.config for trial in iter_configs(spec)]


class TestZip:
    PAIRS: ClassVar = {"lr": choice(1, 2, 3), "bs": choice("a", "b", "c"), "m": choice(0, 9)}

    def test_members_move_together_at_the_place_of_the_first(self) -> None:
        spec = spec_of(self.PAIRS, zips=(("lr", "bs"),))
        found = [(c["bs"], c["lr"], c["m"]) for c in configs(spec)]
        assert found == [
            ("a", 1, 0),
            ("a", 1, 9),
            ("b", 2, 0),
            ("b", 2, 9),
            ("c", 3, 0),
            ("c", 3, 9),
        ]
        assert count_trials(spec) == 6

    def test_equal_rows_come_once(self) -> None:
        spec = spec_of({"a": choice(1, 1, 1), "b": choice(2, 3, 2)}, zips=(("a", "b"),))
        assert configs(spec) == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]

    def test_a_trial_that_sets_one_leaves_the_others(self) -> None:
        trials = {"t": NamedTrial({"lr": 7})}
        found = configs(spec_of(self.PAIRS, zips=(("lr", "bs"),), trials=trials))
        assert [(c["lr"], c["bs"]) for c in found[::2]] == [(7, "a"), (7, "b"), (7, "c")]

    def test_random_draws_rows(self) -> None:
        spec = spec_of(self.PAIRS, zips=(("lr", "bs"),), method="random", run_cap=60)
        rows = {(c["lr"], c["bs"]) for c in configs(spec)}
        assert rows == {(1, "a"), (2, "b"), (3, "c")}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("zip: [a]", "needs two parameters (found a)."),
            ("zip: [a, zz]", "no parameter 'zz' under parameters."),
            ("zip: [a, b, a]", "a is listed twice."),
            ("zip: [[a, b], [b, c]]", "b is listed twice."),
            ("zip: [[a, b], c]", "mixes parameters and lists of parameters. Write lists only."),
            ("zip: [a, d]", "a has 2, d has 3"),
            ("zip: [a, e]", "but e has int_uniform"),
            ("zip: [a, f]", "but f has a condition"),
            ("zip: {a: b}", "a list of parameters"),
            (
                "zip: [a, b]\nmethod: bayes\nmetric: loss",
                "cannot be used with method bayes, whose sampler chooses. Write",
            ),
        ],
    )
    def test_mistakes(self, write: Write, text: str, words: str) -> None:
        block = (
            "parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}, c: {values: [1, 2]}, "
            "d: {values: [1, 2, 3]}, e: {min: 1, max: 2}, f: {values: [1, 2], when: a == 1}}\n"
        )
        block = block.replace(", when: a == 1", "") if "bayes" in text else block
        with pytest.raises(SpecError) as caught:
            load_spec(write(f"program: p\n{block}{text}\n"))
        (problem,) = caught.value.problems
        assert words in problem.message


class TestWhen:
    def test_an_absent_parameter_makes_no_repetition(self) -> None:
        spec = spec_of(
            {
                "opt": choice("adam", "sgd"),
                "beta": choice(0.9, 0.99, when="opt == adam"),
                "nesterov": choice(True, False, when="momentum > 0"),
                "momentum": choice(0, 0.9, when="opt == sgd"),
            }
        )
        assert configs(spec) == [
            {"beta": 0.9, "opt": "adam"},
            {"momentum": 0, "opt": "sgd"},
            {"momentum": 0.9, "nesterov": True, "opt": "sgd"},
            {"momentum": 0.9, "nesterov": False, "opt": "sgd"},
            {"beta": 0.99, "opt": "adam"},
        ]
        assert count_trials(spec) == 5
        assert len({str(c) for c in configs(spec)}) == 5
        assert [trial.number for trial in iter_configs(spec)] == list(range(5))

    def test_constants_and_draws(self) -> None:
        spec = spec_of(
            {"opt": choice("adam", "sgd"), "m": Domain("constant", (0.9,), when="opt == sgd"),
             "b": Domain("uniform", low=0, high=1, when="opt == adam")},
            method="random", run_cap=20,
        )  # fmt: skip
        for trial in iter_configs(spec):
            assert set(trial.config) == {"opt", "m" if trial.config["opt"] == "sgd" else "b"}
            assert set(trial.varied) <= {"opt", "b"}

    def test_a_trial_that_sets_it_keeps_it(self) -> None:
        parameters = {"opt": choice("adam", "sgd"), "m": choice(1, 2, when="opt == sgd")}
        spec = spec_of(parameters, trials={"t": NamedTrial({"m": 5})})
        assert configs(spec) == [{"opt": "adam", "m": 5}, {"opt": "sgd", "m": 5}]

    @pytest.mark.parametrize(
        ("parameters", "key", "words"),
        [
            ("{a: {values: [1, 2], when: 'b =='}}", "parameters.a.when", "As a condition"),
            ("{a: {values: [1, 2], when: zz > 1}}", "parameters.a.when", "no parameter 'zz'"),
            ("{a: {values: [1, 2], when: stable}}", "parameters.a.when", "about results"),
            ("{a: {values: [1, 2], when: b@3 > 1}, b: {value: 1}}", "parameters.a.when", "results"),
            (
                "{a: {values: [1, 2], when: b > 1}, b: {values: [1], when: a > 1}}",
                "parameters", "circular when: a, b.",
            ),
            ("{a: {values: [1], when: a > 1}}", "parameters", "circular when: a."),
        ],
    )  # fmt: skip
    def test_mistakes(self, write: Write, parameters: str, key: str, words: str) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write(f"program: p\nparameters: {parameters}\n"))
        (problem,) = caught.value.problems
        assert problem.key == key
        assert words in problem.message


class TestConstraints:
    def test_what_is_left_out_is_told_with_the_reason(self, write: Write) -> None:
        spec = load_spec(
            write(
                "program: p\nparameters: {lr: {values: [0.1, 0.01]}, bs: {values: [2, 16]}}\n"
                "constraints:\n  - lr < 0.1 or bs > 4\n"
                "  - {forbid: bs < 4 and lr == 0.01, reason: too noisy}\n"
            )
        )
        assert configs(spec) == [{"bs": 16, "lr": 0.1}, {"bs": 16, "lr": 0.01}]
        found = exclusion(spec)
        assert found.count == 2
        assert [(item.config, str(item.constraint)) for item in found.examples] == [
            ({"bs": 2, "lr": 0.1}, "require lr < 0.1 or bs > 4"),
            ({"bs": 2, "lr": 0.01}, "forbid bs < 4 and lr == 0.01 (too noisy)"),
        ]
        assert spec.to_dict()["constraints"][1] == {
            "condition": "bs < 4 and lr == 0.01", "forbid": True, "reason": "too noisy",
        }  # fmt: skip

    def test_a_trainers_defaults_and_preset_count(self, write: Write) -> None:
        text = (
            "trainer: sweep_toy\n"
            "parameters: {preset: {values: [small, heavy]}, lr: {values: [1, 2]}}\n"
            "constraints: [epochs < 10, {forbid: clip is null}]\n"
        )
        spec = load_spec(write(text))
        assert [c["preset"] for c in configs(spec)] == ["small", "small"]
        assert count_trials(spec) == 2
        spec = load_spec(write(text), overrides=["epochs=3", "clip=[null, 1.0]"])
        assert count_trials(spec) == 4

    def test_huge_grids_are_counted_without_being_gone_through(self) -> None:
        wide = Domain("int_uniform", low=0, high=10**12)
        spec = spec_of(
            {"a": wide, "b": wide, "c": choice(1, 2, 3), "d": choice(1, 2, 3)},
            constraints=(Constraint("c < d"),),
        )
        assert count_trials(spec) == (10**12 + 1) ** 2 * 3
        assert len(list(islice(iter_configs(spec), 10))) == 10

    def test_a_random_sweep_takes_the_next_draw(self) -> None:
        free = spec_of({"x": Domain("uniform", low=0, high=1)}, method="random", run_cap=50)
        bound = spec_of(
            {"x": Domain("uniform", low=0, high=1)}, method="random", run_cap=20,
            constraints=(Constraint("x < 0.5"),),
        )  # fmt: skip
        kept = [c for c in configs(free) if c["x"] < 0.5]
        assert configs(bound)[: len(kept)] == kept[:20]
        assert len(configs(bound)) == count_trials(bound) == 20
        assert [trial.number for trial in iter_configs(bound)] == list(range(20))
        assert exclusion(bound).count == sum(isinstance(i, Excluded) for i in iter_all(bound)) > 0

    def test_run_cap_counts_what_runs(self) -> None:
        spec = spec_of({"x": choice(1, 2, 3, 4)}, run_cap=2, constraints=(Constraint("x > 1"),))
        assert [c["x"] for c in configs(spec)] == [2, 3]
        assert count_trials(spec) == 2

    @pytest.mark.parametrize(
        ("text", "line", "key", "words"),
        [
            ("constraints: x < 3", 3, "constraints", "a list of conditions"),
            ("constraints: [x <]", 3, "constraints.0", "As a condition"),
            ("constraints: [3]", 3, "constraints.0", "a condition such as"),
            ("constraints: [zz < 3]", 3, "constraints.0", "no parameter 'zz'"),
            (
                "constraints:\n- x < 9\n- {}",
                5,
                "constraints.1",
                "needs one of require and forbid (found neither)",
            ),
            ("constraints: [{forbid: x < 1, require: x < 1}]", 3, "constraints.0", "(found both)"),
            ("constraints: [{forbit: x < 1}]", 3, "constraints.0.forbit", "'forbid'?"),
            ("constraints: [x > 9]", 3, "constraints", "exclude every config"),
            (
                "constraints: [x > 9]\nmethod: random\nrun_cap: 3",
                3,
                "constraints",
                "exclude every random config",
            ),
            (
                "constraints: [x > 0]\nmethod: bayes\nmetric: loss",
                3,
                "constraints",
                "method: random",
            ),
            ("constraints: [all complete]", 3, "constraints.0", "about results"),
            (
                "constraints: [wide > 3]",
                3,
                "constraints",
                "1,000,001 combinations (limit: 200,000)",
            ),
        ],
    )
    def test_mistakes(self, write: Write, text: str, line: int, key: str, words: str) -> None:
        body = "parameters: {x: {values: [1, 2]}, wide: {min: 0, max: 1000000}}"
        with pytest.raises(SpecError) as caught:
            load_spec(write(f"program: p\n{body}\n{text}\n"))
        found = [problem for problem in caught.value.problems if words in problem.message]
        assert [(problem.line, problem.key) for problem in found] == [(line, key)]


words_of_three = st.sampled_from(["a < 2", "b > 0", "a == c", "not b == 1", "c: 0..1", "a < b"])


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    constraints=st.lists(words_of_three, max_size=2),
    whens=st.dictionaries(st.sampled_from("bc"), st.sampled_from(["a > 0", "a == 1"])),
    method=st.sampled_from(["grid", "random"]),
)
def test_what_runs_keeps_the_rules_and_nothing_is_lost(
    sizes: list[int], constraints: list[str], whens: dict[str, str], method: Method
) -> None:
    values = {name: range(size) for name, size in zip("abc", sizes, strict=True)}
    spec = spec_of(
        {name: choice(*values[name], when=whens.get(name)) for name in "abc"},
        constraints=tuple(Constraint(text) for text in constraints),
        method=method,
        run_cap=None if method == "grid" else 10,
    )
    expected, broken = [], 0
    for row in itertools.product(*values.values()):
        config = dict(zip("abc", row, strict=True))
        config = {n: v for n, v in config.items()
                  if n not in whens or evaluate(parse(whens[n]), config)}  # fmt: skip
        keeps = all(evaluate(parse(text), config) is not False for text in constraints)
        if keeps and config not in expected:
            expected.append(config)
        broken += not keeps
    found = configs(spec)
    if method == "grid":
        assert sorted(map(str, found)) == sorted(map(str, expected))
        assert count_trials(spec) == len(expected)
        assert (exclusion(spec).count > 0) == (broken > 0)
    else:
        assert all(config in expected for config in found)
        assert len(found) == count_trials(spec) == min(10, len(expected))
        assert len(set(map(str, found))) == len(found)


class TestNested:
    def test_names_and_configs(self, write: Write) -> None:
        spec = load_spec(
            write(
                "program: p\nfixed: {opt: {eps: 1}}\nparameters:\n"
                "  opt:\n    parameters:\n      lr: {values: [1, 2]}\n"
                "      sched: {parameters: {t: {value: 3}}}\n"
                "  a: {values: [x]}\n"
            )
        )
        assert list(spec.parameters) == ["opt.lr", "opt.sched.t", "a"]
        assert configs(spec)[1] == {"opt": {"eps": 1, "lr": 2, "sched": {"t": 3}}, "a": "x"}
        (first, _) = iter_configs(spec)
        assert first.name == "opt.lr=1"
        assert varied_of(spec, first.config) == first.varied == {"opt.lr": 1, "a": "x"}
        assert spec.fixed == {"opt": {"eps": 1}}
        with_set = load_spec(spec.path, overrides=["opt.lr=7"])
        assert configs(with_set) == [{"opt": {"eps": 1, "lr": 7, "sched": {"t": 3}}, "a": "x"}]
        with_list = load_spec(spec.path, overrides=["opt.lr=[7, 8, 9]"])
        assert [c["opt"]["lr"] for c in configs(with_list)] == [7, 8, 9]

    def test_a_flat_name_of_the_same_letters_stays_another(self, write: Write) -> None:
        spec = load_spec(
            write(
                "program: p\nparameters: {o: {parameters: {lr: {values: [1]}}}, "
                "o.lr: {values: [2]}}\n"
            )
        )
        assert configs(spec) == [{"o": {"lr": 1}, "o.lr": 2}]

    def test_bayes(self, write: Write) -> None:
        spec = load_spec(
            write(
                "program: p\nmethod: bayes\nmetric: loss\n"
                "parameters: {o: {parameters: {lr: {min: 0.0, max: 1.0}}}}\n"
            )
        )
        made = make_config(spec, 0, {"o.lr": 0.5})
        assert (made.config, made.varied) == ({"o": {"lr": 0.5}}, {"o.lr": 0.5})

    @pytest.mark.parametrize(
        ("block", "key", "words"),
        [
            ("{parameters: {}}", "parameters.o.parameters", "a mapping from parameter"),
            ("{parameters: {a: 1}}", "parameters.o.parameters.a", "Write {value: 1}"),
            ("{parameters: {a: {value: 1}}, value: 2}", "parameters.o", "no other key"),
            ("{parameters: {a: {vals: 1}}}", "parameters.o.parameters.a.vals", "'values'?"),
        ],
    )
    def test_mistakes(self, write: Write, block: str, key: str, words: str) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write(f"program: p\nparameters: {{o: {block}}}\n"))
        (problem,) = caught.value.problems
        assert problem.key == key
        assert words in problem.message


class TestSets:
    def test_lists_make_trials(self, write: Write) -> None:
        spec = load_spec(
            write(
                "trainer: sweep_toy\n"
                "trials:\n  bold: {set: {lr: [1, 2], amp: [true, false], epochs: 3},"
                " note: n}\n  mild: {set: {clip: [null]}}\n  bold-lr-1-amp-true: {}\n"
            )
        )
        assert list(spec.trials) == [
            "bold-lr-1-amp-true-2", "bold-lr-1-amp-false", "bold-lr-2-amp-true",
            "bold-lr-2-amp-false", "mild", "bold-lr-1-amp-true",
        ]  # fmt: skip
        assert spec.trials["bold-lr-2-amp-true"] == NamedTrial(
            {"lr": 2, "amp": True, "epochs": 3}, note="n"
        )
        assert spec.trials["mild"].set == {"clip": None}
        trials = list(iter_configs(spec))
        assert all(isinstance(trial, TrialConfig) for trial in trials)
        assert len({trial.name for trial in trials}) == 6

    def test_a_list_that_is_one_value(self, write: Write) -> None:
        spec = load_spec(write("program: p\ntrials: {a: {set: {layers: [[1, 2]]}}}\n"))
        assert spec.trials["a"].set == {"layers": [1, 2]}

    def test_mistakes_name_what_is_written(self, write: Write) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write("trainer: sweep_toy\ntrials:\n  a:\n    set: {lr: [1,\n      99]}\n"))
        (problem,) = caught.value.problems
        assert (problem.line, problem.key) == (5, "trials.a.set.lr")

    def test_too_many(self, write: Write) -> None:
        lists = ", ".join(f"p{i}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]" for i in range(5))
        with pytest.raises(SpecError, match="makes 100,000"):
            load_spec(write(f"program: p\ntrials: {{a: {{set: {{{lists}}}}}}}\n"))


@pytest.mark.parametrize(
    ("when", "rest", "message"),
    [
        (
            "opt == rms",
            "",
            "b.when: never holds, so that no trial has b (opt is adam, sgd)",
        ),
        ("opt > 3", "", "never holds"),
        ("opt == sgd", "", ""),
        ("opt == rms", "trials: {x: {set: {opt: rms}}}", ""),
        ("c > 3", "", ""),
    ],
)
def test_a_condition_that_never_holds_is_warned_of(
    when: str, rest: str, message: str, write: Write
) -> None:
    space = f"opt: {{values: [adam, sgd]}}, b: {{values: [1, 2], when: {when}}}, c: {{value: 5}}"
    spec = load_spec(write(f"program: env\nmetric: x\nparameters: {{{space}}}\n{rest}\n"))
    found = [text for text in spec.warnings if "never holds" in text]
    assert len(found) == bool(message)
    assert message in "".join(found)


def test_a_stage_that_sets_what_varies_is_warned_of(write: Write) -> None:
    text = "program: env\nmetric: x\nparameters: {a: {values: [1, 2]}}\n"
    spec = load_spec(write(text + "stages: {quick: {set: {a: 3, b: 4}}}\n"))
    found = [warning for warning in spec.warnings if "stages" in warning]
    assert [one.partition("stages.")[2] for one in found] == [
        "quick.set.a: has no effect, since the values of parameters.a win."
    ]
