from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Problem, SpecError
from orchestrator.sweepfile.checks.keys import refuse_unbounded
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Bound, Domain, MetricGoal, Spec

Write = Callable[[str], Path]

WHOLE = """\
version: 1
name: whole
description: every key
trainer: sweep_toy
method: grid
metric: {name: val_r2, goal: maximize}
fixed: {model: hybrid, clip: null}
parameters:
  lr: {values: [1e-3, 5e-4]}
  amp: {value: true}
trials:
  plain:
  heavy: {set: {weight: 2}, note: n, risk: r, expect: {t20_mae: 0.01..0.02}}
run_cap: 3
seed: 11
targets: {t20_mae: "<= 0.020", r2: '>= 0.98'}
resources: {gpu_memory: 8GB, cpus: 2, gpus: 1}
stages:
  quick: {set: {data_fraction: 0.05, epochs: 2}}
  full: {set: {epochs: 20}}
pruner: median
"""


def problems(path: Path, **how: Any) -> list[Problem]:
    """Return the mistakes for which a file is refused."""
    with pytest.raises(SpecError) as caught:
        load_spec(path, **how)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def only(path: Path, **how: Any) -> Problem:
    """Return the one mistake of a file."""
    (problem,) = problems(path, **how)
    return problem


class TestGood:
    def test_every_key(self, write: Write) -> None:
        path = write(WHOLE)
        spec = load_spec(path)
        assert spec.name == "whole"
        assert spec.path == path
        assert (spec.trainer, spec.program, spec.method) == ("sweep_toy", None, "grid")
        assert spec.metric == MetricGoal("val_r2", "maximize")
        assert spec.fixed == {"model": "hybrid", "clip": None, "seed": 11}
        assert spec.parameters == {
            "lr": Domain("categorical", (1e-3, 5e-4)),
            "amp": Domain("constant", (True,)),
        }
        assert list(spec.trials) == ["plain", "heavy"]
        assert spec.trials["heavy"].set == {"weight": 2}
        assert spec.trials["heavy"].expect == {"t20_mae": "0.01..0.02"}
        assert (spec.trials["heavy"].note, spec.trials["heavy"].risk) == ("n", "r")
        assert spec.targets == {"t20_mae": Bound("<=", 0.02), "r2": Bound(">=", 0.98)}
        assert spec.resources.gpu_memory_bytes == 8 << 30
        assert (spec.resources.cpus, spec.resources.gpus) == (2, 1)
        assert (spec.run_cap, spec.seed, spec.pruner) == (3, 11, "median")
        assert (spec.stage, spec.stage_set) == ("full", {"epochs": 20})
        assert spec.warnings == ()

    def test_to_dict_survives_json(self, write: Write) -> None:
        saved = load_spec(write(WHOLE)).to_dict()
        assert json.loads(json.dumps(saved)) == saved

    def test_a_stage_by_name(self, write: Write) -> None:
        spec = load_spec(write(WHOLE), stage="quick")
        assert (spec.stage, spec.stage_set) == ("quick", {"data_fraction": 0.05, "epochs": 2})

    def test_defaults(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\n"))
        assert spec == Spec(
            name="sweep",
            path=spec.path,
            trainer="sweep_toy",
            metric=MetricGoal("val_mae", "minimize"),
            fixed={"seed": 0},
        )

    def test_null_keys_say_nothing(self, write: Write) -> None:
        keys = ("parameters", "fixed", "metric", "method", "program", "trials", "stages")
        text = "trainer: sweep_toy\n" + "".join(f"{key}:\n" for key in keys)
        assert load_spec(write(text)).parameters == {}

    @pytest.mark.parametrize(
        ("block", "domain"),
        [
            ("{value: 3}", Domain("constant", (3,))),
            ("{value: 3, distribution: constant}", Domain("constant", (3,))),
            ("{values: [1, 2], distribution: categorical}", Domain("categorical", (1, 2))),
            ("{values: [1, 1.0, 2]}", Domain("categorical", (1, 1.0, 2))),
            ("{min: 1, max: 3}", Domain("int_uniform", low=1, high=3)),
            (
                "{min: 2.0, max: 8.0, distribution: int_uniform}",
                Domain("int_uniform", low=2, high=8),
            ),
            ("{min: 0, max: 0.5}", Domain("uniform", low=0, high=0.5)),
            ("{min: 1, max: 3, distribution: uniform}", Domain("uniform", low=1, high=3)),
            ("{min: 1, max: 9, q: 2}", Domain("q_uniform", low=1, high=9, q=2, as_wandb=True)),
            (
                "{min: 1, max: 9, distribution: q_uniform}",
                Domain("q_uniform", low=1, high=9, q=1.0, as_wandb=True),
            ),
            (
                "{min: 1e-5, max: 1e-2, distribution: log_uniform_values}",
                Domain("log_uniform_values", low=1e-5, high=1e-2),
            ),
        ],
    )  # fmt: skip
    def test_domains(self, write: Write, block: str, domain: Domain) -> None:
        other = "  lr2: {values: [1, 2]}\n"
        text = f"program: p.py\nmethod: random\nparameters:\n  lr: {block}\n{other}"
        assert load_spec(write(text)).parameters["lr"] == domain

    def test_a_single_value_for_values_is_read_with_a_warning(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\nparameters:\n  epochs: {values: 9}\n"))
        assert spec.parameters["epochs"] == Domain("categorical", (9,))
        (warning,) = spec.warnings
        assert ":3: parameters.epochs.values" in warning


class TestSeed:
    def test_it_is_the_trainers_where_nothing_else_sets_it(self, write: Write) -> None:
        assert load_spec(write("trainer: sweep_toy\nseed: 3\n")).fixed["seed"] == 3
        assert (
            load_spec(write("trainer: sweep_toy\nseed: 3\nfixed: {seed: 4}\n")).fixed["seed"] == 4
        )

    def test_on_the_command_line_it_is_stronger_than_fixed(self, write: Write) -> None:
        path = write("trainer: sweep_toy\nseed: 3\nfixed: {seed: 4}\n")
        spec = load_spec(path, overrides=["seed=5"])
        assert (spec.seed, spec.fixed["seed"]) == (5, 5)

    def test_several_are_values_of_the_parameter(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\nseed: 3\n"), overrides=["seed=[1, 2]"])
        assert spec.seed == 3
        assert spec.parameters["seed"].values == (1, 2)

    def test_a_program_gets_none_unasked(self, write: Write) -> None:
        assert load_spec(write("program: p.py\nseed: 3\n")).fixed == {}

    def test_it_keeps_the_trainers_bounds(self, write: Write) -> None:
        problem = only(write("trainer: sweep_toy\nseed: 5000\n"))
        assert (problem.line, problem.key) == (2, "seed")


BAD = [
    # file, line, key, words of the message
    ("version: 2\ntrainer: sweep_toy\n", 1, "version",
     "version 2 is unknown (this release reads 1). Update sweep."),
    ("name: x\n", 1, "trainer", "missing. Write trainer or program (trainers: "),
    ("trainer: sweep_toy\nprogram: p.py\n", 2, "program",
     "cannot be combined with trainer"),
    ("trainer: sweep_toy\noutputs: x/*\n", 2, "outputs",
     "needs program, but the sweep has a trainer. Remove it."),
    ("trainer: sweep_toi\n", 1, "trainer", "Did you mean 'sweep_toy'?"),
    ("trainer: 3\n", 1, "trainer", "Put it in quotes"),
    ("trainer: sweep_toy\ntrails: {}\n", 2, "trails", "Did you mean 'trials'?"),
    ("trainer: sweep_toy\nmethod: gird\n", 2, "method", "Did you mean 'grid'?"),
    ("trainer: sweep_toy\nmethod: bays\n", 2, "method", "Did you mean 'bayes'?"),
    ("trainer: sweep_toy\nmethod: bayesian\n", 2, "method", "expected one of grid, random, bayes"),
    ("trainer: sweep_toy\nrun_cap: 0\n", 2, "run_cap", "whole number of at least 1 (found 0)"),
    ("trainer: sweep_toy\nrun_cap: 5.0\n", 2, "run_cap", "Write 5."),
    ("trainer: sweep_toy\nrun_cap: 1.0e30\n", 2, "run_cap", "(found 1e+30). Write all its digits."),
    ("trainer: sweep_toy\ntimeout: .inf\n", 2, "timeout", "30m or 1h 30m (found inf)."),
    ("trainer: sweep_toy\ntargets: {val_mae: '=< 3'}\n", 2, "targets.val_mae", 'Write "<= 3".'),
    ("trainer: sweep_toy\ntargets: {val_mae: 0.1 to 0.2}\n", 2, "targets.val_mae",
     'Write "0.1..0.2".'),
    ("trainer: sweep_toy\ntargets: {val_mae: 0.2 .. 0.1}\n", 2, "targets.val_mae",
     'Write "0.1..0.2".'),
    ("trainer: sweep_toy\nexpect: {val_mae@-1: '< 1'}\n", 2, "expect.val_mae@-1",
     "such as val_mae@5."),
    ("program: env\nparameters: {lr: {values: [1, 2]}}\nremedy: {explosion: {set: {lr: 0.1*}}}\n",
     3, "remedy.explosion.set.lr", "expected a number or a factor such as '*0.1' (found '0.1*')."),
    ("trainer: sweep_toy\npruner: nothere.pruners:Mine\n", 2, "pruner",
     "there is no module 'nothere' in /"),
    ("trainer: sweep_toy\npruner: __main__x:Mine\n", 2, "pruner", "no module '__main__x'"),
    ("trainer: sweep_toy\npruner: {name: median, n_min_trials: 2, options: {n_min_trials: 3}}\n",
     2, "pruner.options.n_min_trials", "is set twice. Remove one."),
    ("trainer: sweep_toy\nrun_cap: true\n", 2, "run_cap", "(found true)"),
    ("trainer: sweep_toy\nseed: -1\n", 2, "seed", "at least 0"),
    ("trainer: sweep_toy\nname: ' '\n", 2, "name", "expected a name"),
    ("trainer: sweep_toy\npruner: medain\n", 2, "pruner", "Did you mean 'median'?"),
    ("trainer: sweep_toy\npruner: asha\n", 2, "pruner", "none, median, percentile"),
    ("trainer: sweep_toy\nfixed: [lr]\n", 2, "fixed", "expected a mapping from parameter to value"),
    ("trainer: sweep_toy\nfixed: {lrr: 1}\n", 2, "fixed.lrr", "Did you mean 'lr'?"),
    ("trainer: sweep_toy\nfixed: {zzz: 1}\n", 2, "fixed.zzz", "Choices: preset, lr, epochs"),
    ("trainer: sweep_toy\nfixed: {lr: -1}\n", 2, "fixed.lr",
     "expected a number from 0 to 10 (found -1)."),
    ("trainer: sweep_toy\nfixed: {lr: '1e-3'}\n", 2, "fixed.lr", "Remove the quotes"),
    ("trainer: sweep_toy\nfixed: {lr: .nan}\n", 2, "fixed.lr", "must be finite"),
    ("trainer: sweep_toy\nfixed: {lr: true}\n", 2, "fixed.lr", "(found true)"),
    ("trainer: sweep_toy\nfixed: {lr: null}\n", 2, "fixed.lr",
     "expected a number from 0 to 10 (found null)."),
    ("trainer: sweep_toy\nfixed: {lr: [1, 2]}\n",
     2, "fixed.lr", "parameters: {lr: {values: [...]}}"),
    ("trainer: sweep_toy\nfixed: {epochs: 3.0}\n", 2, "fixed.epochs", "Write 3."),
    ("trainer: sweep_toy\nfixed: {epochs: true}\n", 2, "fixed.epochs", "whole number"),
    ("trainer: sweep_toy\nfixed: {epochs: 0}\n", 2, "fixed.epochs",
     "expected a whole number from 1 to 1000 (found 0)."),
    ("trainer: sweep_toy\nfixed: {amp: 1}\n", 2, "fixed.amp", "expected true or false (found 1)."),
    ("trainer: sweep_toy\nfixed: {model: hybird}\n", 2, "fixed.model", "Did you mean 'hybrid'?"),
    ("trainer: sweep_toy\nfixed: {note: on}\n", 2, "fixed.note", "Put it in quotes"),
    ("trainer: sweep_toy\nfixed: {preset: hevy}\n", 2, "fixed.preset", "Did you mean 'heavy'?"),
    ("trainer: sweep_toy\nparameters: [lr]\n", 2, "parameters", "expected a mapping"),
    ("trainer: sweep_toy\nparameters: {lr: 1}\n", 2, "parameters.lr", "Write {value: 1}"),
    ("trainer: sweep_toy\nparameters: {lr: [1]}\n", 2, "parameters.lr", "Write {values: [...]}"),
    ("trainer: sweep_toy\nparameters: {lr: {}}\n", 2, "parameters.lr", "(found nothing)"),
    ("program: env\nparameters: {opt: {b: {values: [1, 2]}, q: {value: 1}}}\n", 2, "parameters.opt",
     "Write {parameters: {b: ...}} for parameters inside this one."),
    ("trainer: sweep_toy\nparameters: {lr: {value: 1, min: 0}}\n",
     2, "parameters.lr", "value and min"),
    ("trainer: sweep_toy\nparameters: {lr: {min: 0}}\n", 2, "parameters.lr", "needs max"),
    ("trainer: sweep_toy\nparameters: {lr: {values: []}}\n",
     2, "parameters.lr.values", "at least one"),
    ("trainer: sweep_toy\nparameters: {lr: {values: {}}}\n", 2, "parameters.lr.values", "a list"),
    ("trainer: sweep_toy\nparameters: {lr: {vals: [1]}}\n", 2, "parameters.lr.vals", "'values'?"),
    ("trainer: sweep_toy\nparameters: {lr: {mu: 1}}\n",
     2, "parameters.lr", "Write distribution: normal"),
    (
        "trainer: sweep_toy\nparameters:\n  lr:\n    values: [0.1,\n      20]\n",
        5, "parameters.lr.values", "expected a number from 0 to 10 (found 20).",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters:\n  lr:\n    min: 2.0\n    max: 1.0\n",
        5, "parameters.lr", "min is not below max (found 2.0 and 1.0)",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 0, max: 99.0}}\n",
        3, "parameters.lr.max", "expected a number from 0 to 10 (found 99.0).",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: '0', max: 9.0}}\n",
        3, "parameters.lr.min", "Remove the quotes",
    ),
    (
        "trainer: sweep_toy\nmethod: random\n"
        "parameters: {lr: {min: 0, max: 1, distribution: loguniform}}\n",
        3, "parameters.lr.distribution", "Did you mean 'log_uniform_values'?",
    ),
    (
        "trainer: sweep_toy\nmethod: random\n"
        "parameters: {lr: {min: 0, max: 1, distribution: log_uniform_values}}\n",
        3, "parameters.lr.min", "not above 0",
    ),
    (
        "trainer: sweep_toy\nmethod: random\n"
        "parameters: {lr: {values: [1], max: 2, distribution: uniform}}\n",
        3, "parameters.lr", "uniform needs min and does not take values",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {epochs: {min: 1.0, max: 9.5}}\n",
        3, "parameters.epochs", "expected whole numbers, but uniform from 1.0 to 9.5 draws",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {model: {min: 1, max: 9}}\n",
        3, "parameters.model", "expected one of lstm, hybrid (found a range). Write {values:",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {epochs: {min: 1, max: 3, q: 4}}\n",
        3, "parameters.epochs", "no multiple of q (4) is from 1 to 3",
    ),
    (
        "trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 0.0, max: 1.0, q: 0}}\n",
        3, "parameters.lr.q", "a number above 0 (found 0)",
    ),
    (
        "trainer: sweep_toy\nparameters:\n  lr: {min: 0.0, max: 1.0}\n",
        3, "parameters.lr", "method: random",
    ),
    ("trainer: sweep_toy\nmethod: random\n", 2, "parameters",
     "method random needs a parameter with several values. Add one,"),
    ("trainer: sweep_toy\nmethod: bayes\nparameters: {lr: {value: 1}}\n",
     3, "parameters", "method bayes needs a parameter with several values. Add one,"),
    ("trainer: sweep_toy\ntrials: [a]\n", 2, "trials", "expected a mapping from name"),
    ("trainer: sweep_toy\ntrials: {'': {}}\n", 2, "trials", "a name for each entry"),
    ("trainer: sweep_toy\ntrials: {a: 3}\n", 2, "trials.a", "expected a mapping such as"),
    ("trainer: sweep_toy\ntrials: {a: {lr: 3}}\n", 2, "trials.a.lr", "unknown key"),
    ("trainer: sweep_toy\ntrials:\n  a:\n    set: {lr: x}\n",
     4, "trials.a.set.lr", "expected a number"),
    ("trainer: sweep_toy\nstages: {a: {set: {lr: x}}}\n", 2, "stages.a.set.lr",
     "expected a number"),
    ("trainer: sweep_toy\npromote: {top: 3}\n", 2, "promote", "not supported yet"),
    ("trainer: sweep_toy\ngate: stable\n", 2, "gate", "not supported yet. Write it under ablate"),
    ("trainer: sweep_toy\nmetric: {goal: minimize}\n", 2, "metric.name", "missing ("),
    ("trainer: sweep_toy\nmetric: {name: val_mea}\n", 2, "metric.name", "Did you mean 'val_mae'?"),
    ("trainer: sweep_toy\nmetric: mae\n", 2, "metric.name", "Did you mean 'val_mae'?"),
    ("trainer: sweep_toy\nmetric: {name: val_mae, goal: low}\n",
     2, "metric.goal", "minimize, maximize"),
    ("trainer: sweep_toy\nmetric: {name: val_mae, target: low}\n", 2, "metric.target", "a number"),
    ("trainer: sweep_toy\nmetric: {name: val_mae, impute: 0}\n",
     2, "metric.impute", "latest, best"),
    ("trainer: sweep_toy\ntargets: {t20_mea: '< 1'}\n",
     2, "targets.t20_mea", "Did you mean 't20_mae'?"),
    ("trainer: sweep_toy\ntargets: {mae: 0.02}\n", 2, "targets.mae", 'Write "<= 0.02"'),
    ("trainer: sweep_toy\ntargets: {mae: '== 1'}\n", 2, "targets.mae", "expected a bound"),
    ("trainer: sweep_toy\nresources: {gpu_memory: 8}\n", 2, "resources.gpu_memory", "Write 8GB."),
    ("trainer: sweep_toy\nresources: {gpu_mem: 8GB}\n", 2, "resources.gpu_mem", "'gpu_memory'?"),
    ("trainer: sweep_toy\nresources: {gpus: -1}\n", 2, "resources.gpus", "at least 0"),
    ("trainer: sweep_toy\nearly_terminate: {}\n", 2, "early_terminate.type", "missing ("),
    ("trainer: sweep_toy\nfixed: {lr: 1}\nfixed: {lr: 2}\n", 3, "fixed", "repeated key"),
    ("program: p.py\nmethod: bayes\nparameters: {x: {values: [1, 2]}}\n", 2, "metric",
     "missing, but method bayes needs one. Write metric: {name: ...,"),
    ("program: p.py\npruner: median\n", 2, "metric",
     "missing, but pruner median needs one. Write metric: {name:"),
    ("program: p.py\nargs: --k:v\n", 2, "args", "--k=v, --k v, hyphen-space"),
    ("program: p.py\nargs: {style: x}\n", 2, "args.style", "--k=v, --k v"),
    ("program: p.py\nargs: {booleans: x}\n", 2, "args.booleans", "flag, pair, value"),
    ("program: p.py\nmetrics: {}\n", 2, "metrics", "expected a mapping such as {pattern"),
    ("program: p.py\nmetrics: {files: []}\n", 2, "metrics.files", "expected a list of files"),
    ("program: p.py\nmetrics: {pattern: '(?P<a'}\n", 2, "metrics.pattern", "does not compile"),
    ("program: p.py\nmetrics: {pattern: 'x=(.*)'}\n", 2, "metrics.pattern", "named group"),
    ("program: p.py\nmetrics: {pattern: '(?P<step>.*)'}\n", 2, "metrics.pattern",
     "no group is a metric"),
    ("program: p.py\nmetrics: {pattern: ['(?P<a>.)', 3]}\n", 2, "metrics.pattern.1", "(found 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "words"), BAD, ids=[bad[0] for bad in BAD])
def test_one_mistake(write: Write, text: str, line: int, key: str, words: str) -> None:
    path = write(text)
    problem = only(path)
    assert (problem.line, problem.key, problem.origin) == (line, key, str(path))
    assert words in problem.message


def test_all_mistakes_come_together_in_the_order_of_the_file(write: Write) -> None:
    text = (
        "trainer: sweep_toy\nmetod: grid\nfixed:\n  lr: fast\n  epochs: 0\nmetric: val_loss\n"
        "trials:\n  a: {set: {weight: 1}}\n  b: {set: {weight: 2, amp: 1}}\nrun_cap: x\n"
        "targets: {mea: '< 1'}\n"
    )
    found = problems(write(text), overrides=["lrr=1"])
    assert [(p.line, p.key) for p in found] == [
        (2, "metod"),
        (4, "fixed.lr"),
        (5, "fixed.epochs"),
        (6, "metric.name"),
        (9, "trials.b.set.amp"),
        (10, "run_cap"),
        (11, "targets.mea"),
        (None, "lrr"),
    ]


def test_very_many_mistakes_are_cut(write: Write) -> None:
    text = "trainer: sweep_toy\n" + "".join(f"key{i}: 1\n" for i in range(5000))
    found = problems(write(text))
    assert len(found) == 201
    assert found[-1].message == "4800 more mistakes."


class TestLoss:
    """A loss cannot rank trials that define it differently."""

    @pytest.mark.parametrize(
        "body",
        [
            "parameters: {weight: {values: [1, 2]}}",
            "method: random\nparameters: {weight: {min: 1.0, max: 2.0}}",
            "trials: {a: {set: {weight: 1}}, b: {set: {weight: 2}}}",
            "trials: {a: , b: {set: {weight: 2}}}",
            "trials: {a: {set: {preset: small}}, b: {set: {preset: heavy}}}",
            "parameters: {preset: {values: [small, heavy]}}",
        ],
    )
    @pytest.mark.parametrize("metric", ["val_loss", "train_loss"])
    def test_refused(self, write: Write, body: str, metric: str) -> None:
        problem = only(write(f"trainer: sweep_toy\nmetric: {metric}\n{body}\n"))
        assert (problem.line, problem.key) == (2, "metric.name")
        assert "weight" in problem.message
        assert problem.message.endswith("Use val_mae.")

    @pytest.mark.parametrize(
        "body",
        [
            "parameters: {lr: {values: [1, 2]}}\nfixed: {weight: 2}",
            "parameters: {weight: {values: [2]}}",
            "parameters: {weight: {value: 2}}",
            "trials: {a: {set: {weight: 2}}, b: {set: {weight: 2.0}}}",
            "trials: {a: , b: {set: {weight: 1}}}",
            "trials: {a: {set: {weight: 2}}}\nparameters: {weight: {values: [1, 2]}}",
            "parameters: {preset: {values: [small, heavy]}}\nfixed: {weight: 2}",
        ],
    )
    def test_a_loss_that_stays_the_same_may_rank(self, write: Write, body: str) -> None:
        spec = load_spec(write(f"trainer: sweep_toy\nmetric: val_loss\n{body}\n"))
        assert spec.metric == MetricGoal("val_loss")

    def test_the_command_line_can_cause_it_and_cure_it(self, write: Write) -> None:
        path = write("trainer: sweep_toy\nmetric: val_loss\nparameters: {lr: {values: [1, 2]}}\n")
        assert only(path, overrides=["weight=[1, 2]"]).key == "metric.name"
        path = write(
            "trainer: sweep_toy\nmetric: val_loss\nparameters: {weight: {values: [1, 2]}}\n"
        )
        assert load_spec(path, overrides=["weight=3"]).overrides == {"weight": 3}

    def test_other_metrics_may_rank(self, write: Write) -> None:
        assert load_spec(write("trainer: sweep_toy\nparameters: {weight: {values: [1, 2]}}\n"))


class TestWarnings:
    def test_cloud_keys(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\nproject: p\nentity: e\n"))
        assert [w.split(": ")[1] for w in spec.warnings] == ["project", "entity"]

    def test_a_goal_against_the_trainers(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\nmetric: {name: val_r2, goal: minimize}\n"))
        assert spec.metric == MetricGoal("val_r2", "minimize")
        assert "would maximize val_r2" in spec.warnings[0]

    def test_whole_bounds_of_a_number(self, write: Write) -> None:
        spec = load_spec(
            write("trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 1, max: 3}}\n")
        )
        assert "Write {min: 1.0, max: 3.0}" in spec.warnings[0]

    def test_an_unknown_expectation(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\ntrials: {a: {expect: {t20_mea: low}}}\n"))
        assert "Did you mean 't20_mae'?" in spec.warnings[0]

    def test_a_name_that_no_folder_can_have(self, write: Write) -> None:
        spec = load_spec(write("trainer: sweep_toy\nname: my sweep / one\n"))
        assert spec.name == "my_sweep_one"
        assert "'my_sweep_one'" in spec.warnings[0]


class TestProgram:
    def test_it_runs_in_the_folder_of_the_file(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("")
        spec = load_spec(
            write("program: train.py\noutputs: experiments/*/\nmetrics: {pattern: '(?P<mae>.*)'}\n")
        )
        assert spec.program == Program(
            path=str(tmp_path / "train.py"),
            outputs="experiments/*/",
            patterns=("(?P<mae>.*)",),
            workdir=str(tmp_path),
        )
        assert spec.warnings == ()

    @pytest.mark.parametrize(
        ("args", "style", "booleans"),
        [
            ("--k=v", "--k=v", "value"),
            ("hyphen-space", "hyphen-space", "flag"),
            ("{booleans: flag}", "--k=v", "flag"),
            ("{style: hyphen-space, booleans: value}", "hyphen-space", "value"),
        ],
    )
    def test_styles(self, write: Write, args: str, style: str, booleans: str) -> None:
        program = load_spec(write(f"program: p.py\nargs: {args}\n")).program
        assert program is not None
        assert (program.style, program.booleans) == (style, booleans)

    def test_a_missing_one_is_a_mistake_of_run_alone(self, write: Write, tmp_path: Path) -> None:
        path = write("name: x\nprogram: no.py\npython: bin/python\n")
        spec = load_spec(path)
        assert [w.split(": ")[0] for w in spec.warnings] == [f"{path}:2", f"{path}:3"]
        assert spec.program is not None
        assert spec.program.path == str(tmp_path / "no.py")
        assert spec.program.python == str(tmp_path / "bin" / "python")
        assert [(p.line, p.key) for p in problems(path, need_program=True)] == [
            (2, "program"),
            (3, "python"),
        ]

    def test_a_command_on_the_path(self, write: Write) -> None:
        program = load_spec(write("program: env\n"), need_program=True).program
        assert program is not None
        assert program.path == "env"

    def test_a_windows_path(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "train.py").write_text("")
        program = load_spec(write("program: src\\train.py\n"), need_program=True).program
        assert program is not None
        assert program.path == str(tmp_path / "src" / "train.py")

    def test_a_metric_that_no_pattern_finds(self, write: Write) -> None:
        text = "program: env\nmetric: val_mae\nmetrics: {pattern: ['(?P<mae>.)', '(?P<x>.)']}\n"
        assert (
            "metrics.pattern does not find 'val_mae' (it finds: mae, x)"
            in load_spec(write(text)).warnings[0]
        )
        with pytest.raises(SpecError) as caught:
            load_spec(write(text.replace("val_mae", "val_lss").replace("<x>", "<val_loss>")))
        (problem,) = caught.value.problems
        assert (problem.line, problem.key) == (2, "metric.name")
        assert "Did you mean 'val_loss'?" in problem.message

    def test_any_parameter_goes(self, write: Write) -> None:
        spec = load_spec(write("program: env\nparameters: {a.b: {values: [1, '1', null, [2]]}}\n"))
        assert spec.parameters["a.b"].values == (1, "1", None, [2])


class TestTrainers:
    def test_a_config_that_fails_is_told(self, write: Write, tmp_path: Path) -> None:
        folder = tmp_path / "more_trainers" / "sweep_toy"
        (folder / "config.py").write_text("raise RuntimeError('oh no')\n")
        problem = only(write("trainer: sweep_toy\n"))
        assert "RuntimeError: oh no" in problem.message

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("base", "no trainer 'base'"),
            ("../sweep_toy", "must be the name of a trainer"),
            (".", "must be the name of a trainer"),
        ],
    )
    def test_what_is_no_trainer(self, write: Write, name: str, words: str) -> None:
        assert words in only(write(f"trainer: '{name}'\n")).message


class TestStage:
    def test_unknown(self, write: Write) -> None:
        problem = only(write(WHOLE), stage="quik")
        assert (problem.line, problem.origin) == (None, "--stage")
        assert "Did you mean 'quick'?" in problem.message

    def test_none_there(self, write: Write) -> None:
        assert "has no stages" in only(write("trainer: sweep_toy\n"), stage="quick").message


class TestUnbounded:
    TEXT = "trainer: sweep_toy\nmethod: random\nparameters: {lr: {values: [1, 2]}}\n"

    def test_refused_with_the_line_to_write(self, write: Write) -> None:
        with pytest.raises(SpecError, match="Write run_cap: 20") as caught:
            refuse_unbounded(load_spec(write(self.TEXT)))
        assert caught.value.exit_code == 2

    def test_bounded(self, write: Write) -> None:
        refuse_unbounded(load_spec(write(self.TEXT), overrides=["run_cap=4"]))
        refuse_unbounded(load_spec(write(self.TEXT), overrides=["method=grid"]))
