from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, strategies as st

from orchestrator.engine.script.command_line import command, reporting_variables, variables
from orchestrator.errors import TrialError
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.argument_styles import arguments
from orchestrator.sweepfile.program.macros import Macros
from tests.engine.script.script_runner import SCRIPTS, run_trial


@pytest.mark.parametrize(
    ("value", "equals", "spaced"),
    [
        (3.0, ["--t20_weight=3.0"], ["--t20-weight", "3.0"]),
        (1e-05, ["--t20_weight=1e-05"], ["--t20-weight", "1e-05"]),
        (np.float64(0.5), ["--t20_weight=0.5"], ["--t20-weight", "0.5"]),
        (True, ["--t20_weight=True"], ["--t20-weight", "True"]),
        (False, ["--t20_weight=False"], ["--t20-weight", "False"]),
        (None, ["--t20_weight=None"], []),
        ("", ["--t20_weight="], ["--t20-weight", ""]),
        ("a b", ["--t20_weight=a b"], ["--t20-weight", "a b"]),
        (-1, ["--t20_weight=-1"], ["--t20-weight=-1"]),
        ("-x", ["--t20_weight=-x"], ["--t20-weight=-x"]),
        ([1, 2], ["--t20_weight=[1, 2]"], ["--t20-weight", "1", "2"]),
        ((0.5, -1e-05), ["--t20_weight=[0.5, -1e-05]"], ["--t20-weight", "0.5", "-0.00001"]),
        ([[1, 2], [3]], ["--t20_weight=[[1, 2], [3]]"], ["--t20-weight", "[1, 2]", "[3]"]),
        ({"a": 1}, ["--t20_weight={'a': 1}"], ["--t20-weight", '{"a": 1}']),
    ],
)
def test_each_style_has_its_words(value: Any, equals: list[str], spaced: list[str]) -> None:
    assert arguments({"t20_weight": value}) == equals
    assert arguments({"t20_weight": value}, style="hyphen-space") == spaced


@pytest.mark.parametrize(("style", "flag"), [("--k=v", "--use_amp"), ("hyphen-space", "--use-amp")])
def test_flags_stand_alone_or_not_at_all(style: str, flag: str) -> None:
    config = {"use_amp": True, "clip": False}
    assert arguments(config, style=style, booleans="flag") == [flag]


def test_arguments_come_in_the_order_of_the_names() -> None:
    assert arguments({"b": 1, "a": 2, "B": 3}) == ["--B=3", "--a=2", "--b=1"]


def test_no_argument_can_hold_nul() -> None:
    with pytest.raises(TrialError, match="argument --name: NUL characters"):
        arguments({"name": "a\0b"})


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(names, texts))
def test_each_value_is_exactly_one_word_behind_its_name(config: dict[str, str]) -> None:
    words = arguments(config)
    assert {word[2:].split("=", 1)[0]: word.split("=", 1)[1] for word in words} == config


@given(st.lists(st.floats(max_value=-1e-300, allow_infinity=False), min_size=1))
def test_numbers_in_a_list_survive_argparse(values: list[float]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", nargs="+", type=float)
    assert parser.parse_args(arguments({"weights": values}, style="hyphen-space")).weights == values


TORTURE = {
    "blank": " a  b ",
    "quotes": """it's "so" \\ `x`""",
    "newline": "one\ntwo\r\nthree\t",
    "unicode": "Ärger 数据 \U0001f600 e\u0301",
    "shell": "$(touch hacked); rm -rf x && echo $HOME | cat > out * ? ~ #",
    "hyphens": "--other=1",
    "hyphen": "-",
    "empty": "",
    "equals": "a=b=c",
    "control": "\x01\x1b[31m",
    "undecodable": "caf\udce9",
}


@pytest.mark.parametrize("style", ["--k=v", "hyphen-space"])
def test_torture(style: str, tmp_path: Path) -> None:
    program = Program(path=str(SCRIPTS / "print_argv.py"), style=style, workdir=str(tmp_path))
    trial = run_trial(program, TORTURE, tmp_path / "run")
    assert trial.error is None
    seen = json.loads((tmp_path / "run" / "seen.json").read_text())["argv"]
    assert seen == arguments(TORTURE, style=style)
    received = "\0".join(seen)
    assert all(value in received for value in TORTURE.values())
    assert not (tmp_path / "hacked").exists()


def make_file(path: Path, text: str = "", *, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def start_of(tmp_path: Path, path: str, python: str | None = None) -> list[str]:
    return command(Program(path=path, python=python, workdir=str(tmp_path)), {})


def test_a_python_file_runs_under_our_interpreter(tmp_path: Path) -> None:
    script = make_file(tmp_path / "train.py")
    assert start_of(tmp_path, str(script)) == [sys.executable, str(script)]
    assert start_of(tmp_path, "train.py") == [sys.executable, str(script)]


def test_another_interpreter_is_taken_without_resolving_its_links(tmp_path: Path) -> None:
    script = make_file(tmp_path / "here" / "train.py")
    (tmp_path / "venv").mkdir()
    link = tmp_path / "venv" / "python"
    link.symlink_to(sys.executable)
    expected = [str(link), str(script)]
    assert start_of(script.parent, "train.py", python="../venv/python") == expected
    assert start_of(script.parent, "train.py", python="sh")[0].endswith("/sh")


def test_other_files_are_executed_as_they_are(tmp_path: Path) -> None:
    script = make_file(tmp_path / "train.sh", "#!/bin/sh\n", mode=0o755)
    assert start_of(tmp_path, str(script)) == [str(script)]


def test_a_console_command_is_found_on_the_path_and_in_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path / "bin" / "mytrain", "#!/bin/sh\n", mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert start_of(tmp_path, "mytrain") == [str(tmp_path / "bin" / "mytrain")]
    assert start_of(tmp_path, "pytest") == [str(Path(sys.executable).parent / "pytest")]


@pytest.mark.parametrize(
    ("path", "python", "message"),
    [
        ("absent.py", None, "does not exist"),
        ("plain.sh", None, r"chmod \+x"),
        ("no-such-command", None, "neither a file in .* nor a command on PATH"),
        ("sub/absent", None, "neither a file in"),
        ("train.py", "./no/python", "is not an interpreter"),
        ("train.py", "no-such-python", "neither a command on PATH nor a path"),
    ],
)
def test_a_program_that_cannot_run_is_named(
    tmp_path: Path, path: str, python: str | None, message: str
) -> None:
    make_file(tmp_path / "train.py")
    make_file(tmp_path / "plain.sh")
    with pytest.raises(TrialError, match=message):
        start_of(tmp_path, path, python)


def seen_by(tmp_path: Path, *words: str, **config: Any) -> Any:
    program = Program(path="x", workdir=str(tmp_path), command=words)
    trial = run_trial(program, config, tmp_path / "run")
    return json.loads((trial.directory / "seen.json").read_text())


def test_a_command_runs_as_its_words_say(tmp_path: Path) -> None:
    script = str(SCRIPTS / "print_argv.py")
    config = {"lr": 1e-05, "net": {"depth": 2}, "amp": True}
    command_words = ("${env}", "${interpreter}", script, "run now", "${args_no_boolean_flags}")
    seen = seen_by(tmp_path, *command_words, **config)
    assert seen["argv"] == ["run now", "--amp", "--lr=1e-05", "--net={'depth': 2}"]
    # `python` and `python3` of one environment are the same interpreter.
    assert Path(seen["executable"]).parent == Path(sys.executable).parent
    assert seen["environment"]["WANDB_MODE"] == "offline"
    program = Program(
        path="x", workdir=str(tmp_path), command=("python", script, "${args_json_file}")
    )
    words = command(program, config, tmp_path)
    assert json.loads(Path(words[-1]).read_text()) == config
    assert Path(words[-1]).parent == tmp_path


def test_a_command_without_parameters_finds_them_where_wandb_looks(tmp_path: Path) -> None:
    program = Program(path="x", workdir=str(tmp_path), command=("python", "train.py"))
    config = {"lr": 1e-05, "net": {"depth": 2}, "name": "on"}
    macros = Macros.of(program, config, tmp_path)
    found = reporting_variables(config, tmp_path) | variables(program, macros)
    text = Path(found["WANDB_SWEEP_PARAM_PATH"]).read_text()
    entries = yaml.safe_load(text)
    assert entries.pop("wandb_version") == 1
    assert {name: entry["value"] for name, entry in entries.items()} == config
    assert found["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)
    assert variables(Program(path="x"), macros) == {}
    passing = Program(path="x", workdir=str(tmp_path), command=("python", "t.py", "${args}"))
    assert set(variables(passing, macros)) == {"PATH"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("${lr}",), "no word is left to run"),
        (("run", "a\0b"), "contains a NUL"),
        (("absent-program",), ""),
    ],
)
def test_a_command_that_cannot_be_is_named(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    program = Program(path="x", workdir=str(tmp_path), command=words)
    if not message:
        trial = run_trial(program, {}, tmp_path / "run")
        assert "cannot be started" in str(trial.of("failed"))
        return
    with pytest.raises(TrialError, match=message):
        command(program, {"x": 1})
