"""What W&B's own reader would grumble at, what its keys become, and other tools' files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import SpecError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import EarlyTerminate
from orchestrator.sweepfile.model.spec import Domain, MetricGoal
from orchestrator.sweepfile.wandb_files import bands, should_stop

Write = Callable[[str], Path]

FILE = """\
program: env
project: mine
entity: me
method: bayes
metric: {name: val/loss, goal: minimize, target: 0.1, impute: best, impute_while_running: latest}
run_cap: 10
early_terminate: {type: hyperband, min_iter: 3, eta: 2, strict: false}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1.0e-2}
  batch_size: {values: 224}
  dropout: {min: 0, max: 0.5}
  layers: {distribution: uniform, values: [1, 2]}
  width: {distribution: int_uniform, min: 2.0, max: 8.0}
  old: {distribution: log_uniform, min: -3, max: 0}
  noise: {distribution: normal}
command: ['${env}', '${interpreter}', '${program}', '${args}']
"""


def test_a_whole_file(write: Write) -> None:
    spec = load_spec(write(FILE))
    assert spec.metric == MetricGoal("val/loss", "minimize", 0.1, "best", "latest")
    assert spec.early_terminate == EarlyTerminate(min_iter=3, eta=2, strict=False)
    assert spec.parameters == {
        "learning_rate": Domain("log_uniform_values", low=1e-5, high=1e-2),
        "batch_size": Domain("categorical", (224,)),
        "dropout": Domain("uniform", low=0, high=0.5),
        "layers": Domain("categorical", (1, 2)),
        "width": Domain("int_uniform", low=2, high=8),
        "old": Domain("log_uniform", low=-3, high=0),
        "noise": Domain("normal", mu=0.0, sigma=1.0),
    }
    told = {int(text.split(":")[1]): text.split(": ", 1)[1] for text in spec.warnings}
    assert set(told) == {2, 3, 5, 9, 10, 11, 12, 13, 14}
    assert "has 1e-5, read as a number" in told[9]
    assert "read as [224]" in told[10]
    assert "mixes a whole bound with another" in told[11]
    assert "make it a categorical" in told[12]
    assert "whole numbers as 2 and 8" in told[13]
    assert "goes from 0.04979 to 1" in told[14]
    assert "impute_while_running: has no effect" in told[5]


def test_exponents_are_told_in_files_of_wandb_alone(write: Write) -> None:
    ours = "program: env\nfixed: {eps: 1e-8}\nparameters: {lr: {values: [1e-5, 2E3]}}\n"
    assert load_spec(write(ours)).warnings == ()
    theirs = "program: env\nmethod: grid\nparameters: {lr: {values: [1e-5, 2E3, 1.5e-3, 1.e+1]}}\n"
    (warning,) = load_spec(write(theirs)).warnings
    assert ":3: parameters.lr.values" in warning
    assert "1e-5, 2E3, 1.5e-3, read as numbers" not in warning
    assert "1e-5, 2E3, read as numbers" in warning


@pytest.mark.parametrize(
    ("goal", "read"),
    [("max", "maximize"), ("Maximize", "maximize"), ("MIN", "minimize"), ("minimise", "minimize")],
)
def test_goals_as_they_are_meant(write: Write, goal: str, read: str) -> None:
    spec = load_spec(write(f"program: env\nmetric: {{name: acc, goal: {goal}}}\n"))
    assert spec.metric is not None
    assert spec.metric.goal == read
    assert f"read as {read}" in spec.warnings[0]


def test_a_file_for_a_function_can_be_looked_at_and_not_run(write: Write) -> None:
    path = write("method: grid\nparameters: {x: {values: [1, 2]}}\n")
    spec = load_spec(path)
    assert spec.parameters["x"].values == (1, 2)
    assert "trainer: missing. Write trainer or program" in spec.warnings[0]
    with pytest.raises(SpecError, match=r"missing\. Write trainer or program"):
        load_spec(path, need_program=True)


class TestEarlyTerminate:
    @pytest.mark.parametrize(
        ("text", "key", "words"),
        [
            ("{}", "early_terminate.type", "missing ("),
            ("{type: envelope}", "early_terminate.type", "one of hyperband"),
            ("{type: hyperband}", "early_terminate", "Write min_iter"),
            ("{type: hyperband, max_iter: 9}", "early_terminate", "max_iter needs s"),
            ("{type: hyperband, max_iter: 2, s: 3}", "early_terminate", "a larger max_iter"),
            ("{type: hyperband, min_iter: 0}", "early_terminate.min_iter", "at least 1"),
            ("{type: hyperband, min_iter: 1, eta: 0}", "early_terminate.eta", "at least 1"),
            (
                "{type: hyperband, min_iter: 1}\npruner: median",
                "early_terminate",
                "exclusive with pruner",
            ),
            ("hyperband", "early_terminate", "a mapping such as"),
        ],
    )
    def test_mistakes(self, write: Write, text: str, key: str, words: str) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write(f"program: env\nmetric: loss\nearly_terminate: {text}\n"))
        (problem,) = caught.value.problems
        assert problem.key == key
        assert words in problem.message

    @pytest.mark.parametrize(
        ("text", "rule", "words"),
        [
            ("min_iter: 2, eta: 1", EarlyTerminate(min_iter=2), "3 is used"),
            ("min_iter: 2, s: 4", EarlyTerminate(min_iter=2, s=4), "without max_iter"),
            (
                "min_iter: 2, max_iter: 27, s: 2",
                EarlyTerminate(min_iter=2, max_iter=27, s=2), "no effect with max_iter",
            ),
        ],
    )  # fmt: skip
    def test_what_strangers_write(
        self, write: Write, text: str, rule: EarlyTerminate, words: str
    ) -> None:
        path = write(f"program: env\nmetric: loss\nearly_terminate: {{type: hyperband, {text}}}\n")
        spec = load_spec(path)
        assert spec.early_terminate == rule
        assert any(words in warning for warning in spec.warnings)

    def test_it_needs_a_metric(self, write: Write) -> None:
        with pytest.raises(SpecError, match="but early_terminate needs one"):
            load_spec(write("program: env\nearly_terminate: {type: hyperband, min_iter: 3}\n"))


class TestBands:
    def test_of_the_page(self) -> None:
        assert bands(EarlyTerminate(min_iter=3))[:4] == [3, 9, 27, 81]
        assert len(bands(EarlyTerminate(min_iter=3))) == 100
        assert bands(EarlyTerminate(max_iter=27, s=2)) == [3, 9]
        assert bands(EarlyTerminate(max_iter=27, s=9)) == [1, 3, 9]
        assert bands(EarlyTerminate(min_iter=2, eta=1.5))[:4] == [2, 3, 4, 6]

    def test_strict_looks_at_the_band_and_lenient_at_the_best(self) -> None:
        mine, others = [0.1, 0.2, 0.9], [[0.3, 0.3, 0.3], [0.4, 0.4, 0.4]]
        strict = should_stop(EarlyTerminate(min_iter=3), "minimize", mine, others)
        assert strict is not None
        assert (strict.band, strict.value, strict.threshold) == (3, 0.9, 0.4)
        lenient = EarlyTerminate(min_iter=3, strict=False)
        assert should_stop(lenient, "minimize", mine, others) is None
        up = should_stop(EarlyTerminate(min_iter=1), "maximize", [0.1], [[0.5], [0.2], [0.3]])
        assert up is not None
        assert up.threshold == 0.3

    def test_before_the_first_band_nothing_is_stopped(self) -> None:
        assert should_stop(EarlyTerminate(min_iter=3), "minimize", [9, 9], [[0, 0, 0]]) is None

    @given(st.lists(st.floats(-9, 9), min_size=1), st.floats(1.1, 9))
    def test_one_in_eta_and_a_tie_go_on(self, values: list[float], eta: float) -> None:
        rule = EarlyTerminate(min_iter=1, eta=eta)
        stops = [
            should_stop(
                rule, "minimize", [value], [[other] for other in (*values[:i], *values[i + 1 :])]
            )
            for i, value in enumerate(values)
        ]
        assert stops.count(None) >= len(values) / eta - 1e-9
        for value, stop in zip(values, stops, strict=True):
            if stop is not None:
                assert stop.threshold in values
                assert stops[values.index(stop.threshold)] is None
                assert value > stop.threshold


class TestOtherTools:
    @pytest.mark.parametrize(
        ("text", "tool"),
        [
            ("defaults:\n  - override hydra/sweeper: optuna\nhydra: {mode: MULTIRUN}\n", "Hydra"),
            ("gha_enabled: True\nbranch: main\nrules: [x]\n", "the Sweep bot"),
            ("stages: {train: {cmd: python train.py, deps: [x]}}\n", "DVC"),
            ("on: push\njobs: {a: {}}\n", "GitHub Actions"),
            ("apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {}\n", "Kubernetes"),
            ("searchSpace: {}\ntrialCommand: x\n", "NNI"),
            ("searcher: {}\nhyperparameters: {}\nname: x\n", "Determined"),
            ("services: {a: {image: b}}\n", "Docker Compose"),
        ],
    )
    def test_they_get_one_sentence(self, write: Write, text: str, tool: str) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write(text))
        (problem,) = caught.value.problems
        assert f"it looks like one of {tool}" in problem.message

    def test_our_own_are_not_taken_for_theirs(self, write: Write) -> None:
        assert load_spec(write("trainer: sweep_toy\nstages: {a: {set: {lr: 1}}}\n"))
        with pytest.raises(SpecError, match="unknown key"):
            load_spec(write("program: env\ndefaults: [x]\n"))


STEPS = """\
program: env
method: random
run_cap: 5
parameters:
  batch_size: {distribution: q_uniform, min: 1, max: 10, q: 4}
  weight_decay: {distribution: q_log_uniform_values, min: 1.0e-5, max: 0.1}
  share: {distribution: q_uniform, min: 0.1, max: 0.5, q: 0.2}
"""


def test_a_file_of_wandb_warns_of_steps_that_leave_the_range(write: Write) -> None:
    spec = load_spec(write(STEPS))
    found = [text.split(": ", 1)[1] for text in spec.warnings]
    assert found == [
        "parameters.batch_size: as in W&B, 0 may be drawn, outside 1 to 10: values are rounded to "
        "multiples of q (4).",
        "parameters.weight_decay: every value is 0, the nearest multiple of q (1, its default). "
        "Write a smaller q, or distribution: log_uniform_values.",
        "parameters.weight_decay: as in W&B, 0 may be drawn, outside 1e-05 to 0.1: values are "
        "rounded to multiples of q (1, its default).",
        "parameters.share: as in W&B, 0 may be drawn, outside 0.1 to 0.5: values are rounded to "
        "multiples of q (0.2).",
    ]


@pytest.mark.parametrize(
    ("block", "left_out"),
    [
        ("min: 0.1, max: 1.0, q: 0.1", "1"),
        ("min: 0.1, max: 0.7, q: 0.2", "0.7"),
        ("min: 0.0, max: 1.0, q: 0.3", None),
    ],
)
def test_a_grid_of_wandb_warns_of_the_max_that_it_leaves_out(
    write: Write, block: str, left_out: str | None
) -> None:
    text = f"program: env\nmethod: grid\nparameters: {{a: {{distribution: q_uniform, {block}}}}}\n"
    found = [warning for warning in load_spec(write(text)).warnings if "leaves out" in warning]
    assert [one.partition("leaves out ")[2] for one in found] == (
        [] if left_out is None else [f"{left_out}. Write version: 1 to include it."]
    )
    assert not load_spec(write(f"version: 1\n{text}")).warnings


def test_other_files_keep_steps_inside(write: Write) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(f"version: 1\n{STEPS}"))
    (problem,) = caught.value.problems
    assert problem.key == "parameters.weight_decay"
    assert problem.message.startswith("no multiple of q (1, its default) is from 1e-05 to 0.1. ")
    good = STEPS.replace("0.1}\n  share", "0.1, q: 0.01}\n  share")
    assert load_spec(write(f"version: 1\n{good}")).warnings == ()


@pytest.mark.parametrize("key", ["RUN: 10", "notes: hi", "early_stopping: {patience: 3}"])
def test_an_unknown_key_is_a_warning_in_a_file_of_wandb_alone(key: str, write: Write) -> None:
    text = f"program: env\nmethod: grid\nparameters: {{lr: {{values: [1, 2]}}}}\n{key}\n"
    (warning,) = load_spec(write(text)).warnings
    assert f"{key.partition(':')[0]}: unknown key, which is ignored." in warning
    for ours in (text.replace("method: grid\n", ""), f"{text}seeds: 2\n"):
        with pytest.raises(SpecError, match="unknown key"):
            load_spec(write(ours))


def test_a_program_is_found_as_wandb_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sweeps", "scripts", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "scripts/train.py").touch()
    file = tmp_path / "sweeps/grid.yaml"
    text = "program: scripts/train.py\nparameters: {lr: {values: [0.1, 0.01]}}\n"
    file.write_text(text)
    monkeypatch.chdir(tmp_path)
    spec = load_spec(file, need_program=True)
    assert spec.program is not None
    assert (spec.program.path, spec.program.workdir) == (
        str(tmp_path / "scripts/train.py"), str(tmp_path)
    )  # fmt: skip
    assert (
        f"is not in {file.parent}, the folder of the sweep file, but in {tmp_path}"
        in (spec.warnings[0])
    )
    file.write_text("command: [python, scripts/train.py, '${args}']\nparameters: {a: {value: 1}}\n")
    moved = load_spec(file, need_program=True).program
    assert moved is not None and moved.workdir == str(tmp_path)  # noqa: PT018
    monkeypatch.chdir(tmp_path / "empty")
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(file, need_program=True)
    message = caught.value.problems[0].message
    assert f"in {file.parent}, the folder of the sweep file, nor in {Path.cwd()}" in message
    file.write_text(f"{text}workdir: ..\n")
    found = load_spec(file, need_program=True).program
    assert found is not None and Path(found.path).samefile(tmp_path / "scripts/train.py")  # noqa: PT018


def test_a_command_of_one_text_says_what_to_write(write: Write) -> None:
    text = "command: python train.py ${args}\nparameters: {lr: {values: [1, 2]}}\n"
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    (problem,) = caught.value.problems
    assert problem.message == (
        "is one text, which no shell reads. Write a list, [python, train.py, '${args}'], or add "
        "shell: true."
    )
    assert load_spec(write(f"{text}shell: true\n")).warnings == ()


def test_keys_of_other_tools_name_those_of_wandb(write: Write) -> None:
    text = """\
program: env
zip: [y, z]
parameters:
  optimizer: {lr: {values: [1, 2]}, name: {value: adam}}
  x: {low: 1, high: 2, log: true}
  w: {min: 1, max: 3, step: 1}
  y: {min: 2, max: 1}
  z: {values: [1, 2]}
"""
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert found.pop("parameters.optimizer").endswith(
        "Write {parameters: {lr: ...}} for parameters inside this one."
    )
    assert found.pop("parameters.y") == "min is not below max (found 2 and 1)."
    assert found == {
        "parameters.x.low": "unknown key. Write min.",
        "parameters.x.high": "unknown key. Write max.",
        "parameters.x.log": "unknown key. Write distribution: log_uniform_values.",
        "parameters.w.step": "unknown key. Write q.",
    }


@pytest.mark.parametrize("version", ["version: 1\n", ""])
def test_a_grid_of_steps_that_are_larger_than_its_range_has_one_value(
    version: str, write: Write
) -> None:
    text = "program: env\nmethod: grid\nparameters: {lr: {min: 0.5, max: 1, q: 0.6}}\n"
    warnings = [str(warning) for warning in load_spec(write(version + text)).warnings]
    expected = "every value is 0.5, since q (0.6) is larger than the range. Write a smaller q"
    assert [text for text in warnings if expected in text], warnings
    assert not [text for text in warnings if "W&B" in text]
