from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.program.argument_styles import plain_form
from orchestrator.sweepfile.program.macros import Macros
from orchestrator.sweepfile.program.resolve import DEFAULT

Write = Callable[[str], Path]
CONFIG = {
    "lr": 1e-5, "amp": True, "off": False, "none": None,
    "layers": [1, 2], "net": {"w": 3}, "s": "a b",
}  # fmt: skip


def line(*command: str, json_file: str | None = None) -> list[str]:
    environ = {"HOME": "/home/me", "EMPTY": ""}
    macros = Macros(CONFIG, environ=environ, passed=CONFIG, json_file=json_file)
    return macros.words(command)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("${env}", ["/usr/bin/env"]),
        ("${interpreter}", ["python"]),
        ("${args}", ["--amp=True", "--layers=[1, 2]", "--lr=1e-05", "--net={'w': 3}",
                     "--none=None", "--off=False", "--s=a b"]),
        ("${args_no_hyphens}", ["amp=True", "layers=[1, 2]", "lr=1e-05", "net={'w': 3}",
                                "none=None", "off=False", "s=a b"]),
        ("${args_no_boolean_flags}", ["--amp", "--layers=[1, 2]", "--lr=1e-05", "--net={'w': 3}",
                                      "--none=None", "--s=a b"]),
        ("${args_no_equals}", ["--amp", "True", "--layers", "[1, 2]", "--lr", "1e-05",
                               "--net", "{'w': 3}", "--none", "None", "--off", "False",
                               "--s", "a b"]),
        ("${args_append_hydra}", ["+amp=True", "+layers=[1, 2]", "+lr=1e-05", "+net={'w': 3}",
                                  "+none=None", "+off=False", "+s=a b"]),
        ("${args_override_hydra}", ["++amp=True", "++layers=[1, 2]", "++lr=1e-05",
                                    "++net={'w': 3}", "++none=None", "++off=False", "++s=a b"]),
        ("${envvar:HOME}/x", ["/home/me/x"]),
        ("${envvar:EMPTY}", [""]),
        ("--a=${envvar:NOPE}", ["--a=NOPE"]),
        ("--out=${args}", ["--out=${args}"]),
        ("${lr}", []),
        ("a b", ["a b"]),
        ("&&", ["&&"]),
    ],
)  # fmt: skip
def test_macros(item: str, words: list[str]) -> None:
    assert line(item) == words


def test_json() -> None:
    (word,) = line("${args_json}")
    assert json.loads(word) == CONFIG
    assert line("x", "${args_json_file}", json_file="/f.json") == ["x", "/f.json"]
    with pytest.raises(ValueError, match="needs a file"):
        line("${args_json_file}")


def test_a_macro_twice() -> None:
    assert line("${env}", "${env}") == ["/usr/bin/env", "/usr/bin/env"]


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        (DEFAULT, (None, "value")),
        (("python3", "${program}", "${args}"), ("python3", "value")),
        (("${env}", "python", "${program}", "${args_no_boolean_flags}"), ("python", "flag")),
        (("${env}", "${interpreter}", "${program}"), None),
        (("${interpreter}", "${program}", "--x", "${args}"), None),
        (("bash", "${program}", "${args}"), None),
    ],
)
def test_plain_forms(command: tuple[str, ...], plain: object) -> None:
    assert plain_form(command) == plain


class TestInAFile:
    def read(self, write: Write, command: str, program: str = "program: src\\train.py\n") -> Path:
        path = write(f"{program}command: {command}\nparameters: {{x: {{values: [1]}}}}\n")
        (path.parent / "src").mkdir()
        (path.parent / "src" / "train.py").touch()
        return path

    def test_the_program_is_put_in(self, write: Write) -> None:
        text = "['${env}', 3, '${program}', --fast, '${args}', true, 0.5]"
        spec = load_spec(self.read(write, text))
        assert spec.program is not None
        assert spec.program.command == (
            "${env}", "3", "src/train.py", "--fast", "${args}", "True", "0.5",
        )  # fmt: skip
        assert spec.warnings == ()

    def test_what_program_says_as_well_runs(self, write: Write) -> None:
        text = "['${env}', python3, '${program}', '${args_no_boolean_flags}']"
        program = load_spec(self.read(write, text), need_program=True).program
        assert program is not None
        assert (program.python, program.style, program.booleans) == ("python3", "--k=v", "flag")

    def test_any_other_command_runs_too(self, write: Write) -> None:
        path = self.read(write, "['${interpreter}', '${program}', run, '${args}']")
        spec = load_spec(path, need_program=True)
        assert spec.warnings == ()
        assert spec.program is not None
        assert spec.program.command == ("${interpreter}", "src/train.py", "run", "${args}")

    def test_without_program(self, write: Write) -> None:
        program = load_spec(self.read(write, "[python, src/train.py, '${args}']", "")).program
        assert program is not None
        assert program.path == "python"

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("python train.py", "not a list"),
            ("['${program}']", "passes no parameters"),
            ("['${program}', '${arg}', '${args}']", "'args'?"),
            ("['${program}', '--o=${program}', '${args}']", "the macro inside"),
            ("['${program}', '--lr=${lr}', '${args}']", "a parameter is ${params:NAME}"),
            ("['${program}', '${x}', '${args}']", "A parameter is ${params:x}"),
            ("['cd', x, '&&', '${program}', '${args}']", "no shell reads '&&'"),
        ],
    )
    def test_what_is_told(self, write: Write, command: str, words: str) -> None:
        (warning,) = load_spec(self.read(write, command)).warnings
        assert ":2: command: " in warning
        assert words in warning

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("command: []\n", "command"),
            ("command: [[a]]\n", "command.0"),
            ("command: {a: 1}\n", "command"),
            ("command: ['${program}']\n", "command"),
            ("command: [a, '${params:y}']\n", "command"),
            ("command: [a, '${args}', '${resume}']\n", "command"),
            ("command: [a, '--n=${epochs}']\n", "command"),
            ("command: [a, '${checkpoint}']\n", "command"),
            ("command: [a, '${params_file}']\n", "command"),
            ("trainer: sweep_toy\ncommand: [a, '${args}']\n", "command"),
        ],
    )
    def test_mistakes(self, write: Write, text: str, key: str) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec(write(text))
        assert [problem.key for problem in caught.value.problems] == [key]
