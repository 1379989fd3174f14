"""Samplers and metrics: read, checked, refused."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.checks.keys import refuse_unbounded
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.model.spec import MetricGoal
from orchestrator.sweepfile.space.optuna_options import SAMPLERS, UNWRITABLE
from orchestrator.sweepfile.yaml.node import Log, Node

Write = Callable[[str], Path]
HEAD = "trainer: sweep_toy\nmetric: val_mae\n"
BAYES = HEAD + "method: bayes\nrun_cap: 3\nparameters: {lr: {min: 0.1, max: 1}}\n"


def problems(write: Write, text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    return [(p.line, p.key, p.message) for p in caught.value.problems]


class TestSamplers:
    def test_the_table_is_that_of_the_installed_optuna(self) -> None:
        pytest.importorskip("optuna")
        for name, record in SAMPLERS.items():
            module, _, kind = record.optuna.partition(":")
            parameters = inspect.signature(
                getattr(importlib.import_module(module), kind)
            ).parameters
            taken = dict(parameters)
            assert taken.keys() == record.options.keys() | (taken.keys() & UNWRITABLE.keys()), name
            for key, option in record.options.items():
                # What Optuna does without the option is a value that a file may hold.
                log = Log()
                option.read(Node(taken[key].default), key, log)
                assert not log.problems, (name, key)

    def test_good_ones_make_their_sampler_without_a_complaint(self) -> None:
        """Deprecated options are no options here, so that no sweep begins with a warning."""
        samplers = pytest.importorskip("optuna").samplers
        import warnings

        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            samplers.TPESampler(
                n_startup_trials=3, n_ei_candidates=9, group=True, multivariate=True
            )
            samplers.CmaEsSampler(n_startup_trials=3, popsize=4, lr_adapt=True)
            samplers.QMCSampler(qmc_type="halton", scramble=True, warn_asynchronous_seeding=False)
            samplers.NSGAIISampler(population_size=9, mutation_prob=0.1, crossover_prob=1)

    def test_read(self, write: Write) -> None:
        assert load_spec(write(f"{BAYES}sampler: gp\n")).sampler == Sampler("gp")
        text = f"{BAYES}sampler: {{name: cmaes, options: {{popsize: 9, lr_adapt: true}}}}\n"
        chosen = Sampler("cmaes", {"popsize": 9, "lr_adapt": True})
        assert load_spec(write(text)).sampler == chosen

    @pytest.mark.parametrize(
        ("sampler", "words"),
        [
            (
                "tpee",
                "qmc, random, nsga2, nsga3, or module:Class (found 'tpee'). Did",
            ),
            ("{name: tpe, options: {n_startup: 3}}", "Did you mean 'n_startup_trials'?"),
            (
                "{name: tpe, options: {popsize: 3}}",
                "sampler tpe has no such option. Choices: n_startup_trials,",
            ),
            ("{name: random, options: {x: 3}}", "Choices: none."),
            (
                "{name: tpe, options: {seed: 3}}",
                "cannot be set in a file: it comes from the sweep's seed.",
            ),
            (
                "{name: tpe, options: {gamma: 3}}",
                "cannot be set in a file: Optuna is removing it.",
            ),
            ("{name: gp, options: {n_startup_trials: -1}}", "a whole number of at least 0"),
            ("{name: gp, options: {n_startup_trials: true}}", "a whole number of at least 0"),
            ("{name: gp, options: {n_startup_trials: '3'}}", "Remove the quotes."),
            (
                "{name: nsga2, options: {crossover_prob: 2}}",
                "expected a number of at least 0 and at most 1 (found 2).",
            ),
            (
                "{name: qmc, options: {qmc_type: lattice}}",
                "expected one of sobol, halton (found 'lattice').",
            ),
            (
                "{name: cmaes, options: {lr_adapt: true, with_margin: true}}",
                "lr_adapt and with_margin are mutually exclusive. Remove one.",
            ),
            (
                "{name: tpe, options: {group: true, multivariate: false}}",
                "group needs multivariate. Remove multivariate: false.",
            ),
        ],
    )
    def test_refused(self, write: Write, sampler: str, words: str) -> None:
        (line, key, message), *more = problems(write, f"{BAYES}sampler: {sampler}\n")
        assert (line, more) == (6, [])
        assert key.startswith("sampler")
        assert words in message

    def test_it_goes_with_bayes(self, write: Write) -> None:
        ((_, key, message),) = problems(write, f"{HEAD}sampler: tpe\n")
        assert key == "sampler"
        assert "Write method: bayes, or remove it." in message

    def test_two_metrics(self, write: Write) -> None:
        two = BAYES.replace("val_mae", "[val_mae, {name: val_r2}]")
        spec = load_spec(write(f"{two}sampler: nsga2\n"))
        assert spec.metric == MetricGoal("val_mae")
        assert spec.objectives == (MetricGoal("val_mae"), MetricGoal("val_r2", "maximize"))
        for name, record in SAMPLERS.items():
            if record.two_metrics:
                load_spec(write(f"{two}sampler: {name}\n"))
            else:
                assert "two metrics" in problems(write, f"{two}sampler: {name}\n")[0][2]
        assert load_spec(write(BAYES.replace("val_mae", "[val_mae]"))).objectives == ()

    @pytest.mark.parametrize(
        ("metric", "key", "words"),
        [
            ("[val_mae, val_r2, lr]", "metric", "needs one metric or two (found 3)."),
            ("[val_mae, val_mae]", "metric", "val_mae is listed twice."),
            ("[val_mae, {name: val_r}]", "metric.1.name", "Did you mean 'val_r2'?"),
            ("[val_mae, {goal: minimize}]", "metric.1.name", "missing ("),
            ("[]", "metric", "expected a list of metrics (found an empty list)"),
        ],
    )
    def test_bad_metrics(self, write: Write, metric: str, key: str, words: str) -> None:
        (_, where, message), *_ = problems(write, BAYES.replace("val_mae", metric))
        assert where == key
        assert words in message

    def test_optuna_is_not_loaded_to_check_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "s.yaml"
        path.write_text("program: env\nmetric: loss\nmethod: bayes\nrun_cap: 1\nsampler: gp\n"
                        "parameters: {a: {min: 0, max: 1}}\n")  # fmt: skip
        code = (
            "import sys; from pathlib import Path; "
            "from orchestrator.sweepfile.load import load_spec;"
            "load_spec(Path(sys.argv[1]));"
            "print([m for m in ('optuna', 'torch', 'numpy') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestPruners:
    def test_read(self, write: Write) -> None:
        def read(text: str) -> tuple[str, Any]:
            spec = load_spec(write(f"{HEAD}pruner: {text}\n"))
            return spec.pruner, spec.pruner_options

        assert read("median") == ("median", {})
        given = {"n_warmup_steps": 6, "n_min_trials": 2}
        assert read("{name: median, n_warmup_steps: 6, n_min_trials: 2}") == ("median", given)
        assert read("{name: median, options: {n_warmup_steps: 6, n_min_trials: 2}}")[1] == given
        wrapped = {"patience": 3, "wrapped_pruner": {"name": "hyperband", "max_resource": 9}}
        text = "{name: patient, patience: 3, wrapped_pruner: {name: hyperband, max_resource: 9}}"
        assert read(text) == ("patient", wrapped)
        assert read("{name: optuna.pruners:NopPruner, power: 3}")[1] == {"power": 3}

    @pytest.mark.parametrize(
        ("pruner", "words"),
        [
            ("medain", "Did you mean 'median'?"),
            ("MedianPruner", "Write median."),
            ("optuna.pruners.SuccessiveHalvingPruner", "Write successive_halving."),
            ("asha", "Write successive_halving."),
            ("'a:b:c'", "or module:Class (found 'a:b:c')."),
            ("{n_warmup_steps: 3}", "expected a name, or a mapping"),
            ("{name: percentile}", "needs percentile"),
            ("{name: threshold, n_warmup_steps: 3}", "needs lower or upper"),
            ("{name: median, n_warmup: 3}", "Did you mean 'n_warmup_steps'?"),
            ("{name: median, n_warmup_steps: -1}", "a whole number of at least 0"),
            ("{name: hyperband, max_resource: all}", "a whole number of at least 1"),
            ("{name: patient, patience: 1, wrapped_pruner: {name: threshold}}", "needs lower"),
        ],
    )
    def test_refused(self, write: Write, pruner: str, words: str) -> None:
        ((_, key, message),) = problems(write, f"{HEAD}pruner: {pruner}\n")
        assert key.startswith("pruner")
        assert words in message


class TestBounds:
    DRAWN = "trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 0.1, max: 1.0}}\n"

    def test_what_never_ends_is_refused(self, write: Write) -> None:
        spec = load_spec(write(self.DRAWN))
        assert any("run_cap: missing" in text for text in spec.warnings)
        with pytest.raises(SpecError, match=r"Write run_cap: 20 or budget: .*, or pass --count 20"):
            refuse_unbounded(spec)

    @pytest.mark.parametrize("more", ["run_cap: 3", "budget: {trials: 3}", "budget: {hours: 1}"])
    def test_what_ends_is_not(self, write: Write, more: str) -> None:
        spec = load_spec(write(f"{self.DRAWN}{more}\n"))
        assert spec.warnings == ()
        refuse_unbounded(spec)

    def test_count_is_a_cap(self, write: Write) -> None:
        assert load_spec(write(self.DRAWN), count=4).run_cap == 4
        assert load_spec(write(f"{self.DRAWN}run_cap: 3\n"), count=4).run_cap == 3
        assert load_spec(write(f"{self.DRAWN}run_cap: 9\n"), count=4).run_cap == 4
        refuse_unbounded(load_spec(write(self.DRAWN), count=4))

    def test_gpu_hours_and_failures_alone_may_never_come(self, write: Write) -> None:
        spec = load_spec(write(f"{self.DRAWN}budget: {{gpu_hours: 3, failures: 2}}\n"))
        with pytest.raises(SpecError):
            refuse_unbounded(spec)


class TestGoal:
    def test_a_name_that_means_more_is_better_is_maximized_with_a_line(self, write: Write) -> None:
        spec = load_spec(write("program: env\nmetric: val/mAP50\nmethod: bayes\nrun_cap: 2\n"
                               "parameters: {a: {min: 0, max: 1}}\n"))  # fmt: skip
        assert spec.metric is not None
        assert spec.metric.goal == "maximize"
        (line,) = [text for text in spec.warnings if "metric" in text]
        assert "'val/mAP50' means more is better: maximized" in line

    def test_a_name_that_means_less_is_better_needs_no_line(self, write: Write) -> None:
        spec = load_spec(
            write("program: env\nmetric: {name: val_wer}\nparameters: {a: {value: 1}}\n")
        )
        assert spec.metric is not None
        assert spec.metric.goal == "minimize"
        assert not [text for text in spec.warnings if "metric" in text]

    @pytest.mark.parametrize(
        ("steered", "key"),
        [
            ("method: bayes\nrun_cap: 3", "method"),
            ("pruner: median", "pruner"),
            ("early_terminate: {type: hyperband, min_iter: 2}", "early_terminate"),
            ("stages: {a: {promote: {top: 1}}, b: {}}", "stages.a.promote.top"),
        ],
    )
    def test_a_name_that_shows_nothing_needs_a_goal_if_it_steers(
        self, write: Write, steered: str, key: str
    ) -> None:
        text = "program: env\nmetric: foo\nparameters: {a: {values: [0, 1]}}\n"
        spec = load_spec(write(text))
        assert any("so the lowest is first" in line for line in spec.warnings)
        with pytest.raises(SpecError, match=f"'foo' does not show .* but {key} depends on it"):
            load_spec(write(text + steered))
        load_spec(write(text.replace("foo", "{name: foo, goal: maximize}") + steered))
