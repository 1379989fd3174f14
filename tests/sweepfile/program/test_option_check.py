"""What a script's own parser knows of the parameters, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from orchestrator.errors import SpecError
from orchestrator.sweepfile.expand import iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.program.argument_styles import arguments
from orchestrator.sweepfile.program.option_check import spelled
from orchestrator.sweepfile.program.parsers.script_parser import read_parser
from tests.cli.commands.authoring.twenty_scripts import NOTEBOOK

MIXED = """
import argparse
p = argparse.ArgumentParser()
p.add_argument('--tied', action='store_true')
p.add_argument('--cuda', action='store_false')
p.add_argument('--no-bias', dest='bias', action='store_false')
p.add_argument('--amp', type=bool, default=False)
p.add_argument('--fast', action=argparse.BooleanOptionalAction, default=True)
p.add_argument('--layers', type=int, nargs='+', default=[1])
p.add_argument('--batch-size', type=int, default=8)
p.add_argument('--opt', choices=['sgd', 'adam'], default='sgd')
"""


PARTS = """\
import argparse
p = argparse.ArgumentParser()
p.add_argument('--optimizer.lr', type=float)
p.add_argument('--optimizer.sgd.momentum', type=float)
p.add_argument('--model')
p.add_argument('--depth', type=int)
"""


def problems(folder: Path, script: str, text: str) -> list[str]:
    """Return errors and warnings of a sweep file for a script."""
    (folder / "p.py").write_text(script)
    (folder / "s.yaml").write_text("program: p.py\n" + text)
    try:
        return list(load_spec(folder / "s.yaml", need_program=True).warnings)
    except SpecError as error:
        return [problem.message for problem in error.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {parameters: {lr: {values: [0.1]}}}", "--optimizer.lr=0.1"),
        (
            "optimizer: {parameters: {sgd: {parameters: {momentum: {value: 0.9}}}}}",
            "--optimizer.sgd.momentum=0.9",
        ),
        ("optimizer: {value: {lr: 0.1}}", "--optimizer.lr=0.1"),
        ("optimizer: {parameters: {lrr: {values: [0.1]}}}", "no option --optimizer.lrr. Did you"),
        ("optimizer: {parameters: {lr: {values: [fast]}}}", "expected a number (found 'fast')"),
        ("model: {parameters: {name: {value: big}}}", "--model={'name': 'big'}"),
        ("modle: {parameters: {name: {value: big}}}", "has no option --modle. Did you mean 'mod"),
        ("depth: {parameters: {name: {value: 3}}}", "takes one value, but the parameters below"),
    ],
)
def test_nested_parameters_are_checked_as_they_are_sent(
    text: str, message: str, tmp_path: Path
) -> None:
    found = problems(tmp_path, PARTS, f"args: auto\nparameters:\n  {text}\n")
    if message.startswith("--"):
        assert found == []
        spec = load_spec(tmp_path / "s.yaml")
        assert spec.program is not None
        config = next(iter_configs(spec)).config
        words = arguments(config, style=spec.program.style, spelling=spec.program.spelling)
        assert words == [message]
    else:
        assert len(found) == 1
        assert message in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed: {bogus: 1}", "p.py has no option --bogus."),
        ("fixed: {layer: 3}", ""),  # argparse takes the beginning of a name
        ("fixed: {layes: 3}", "Did you mean 'layers'?"),
        ("fixed: {batch_size: 3}", "It has --batch-size: write args: auto."),
        ("parameters: {tied: {values: [true, false]}}", "takes no value, it is a switch"),
        ("parameters: {amp: {values: [true, false]}}", "to which any text is true"),
        ("args: {style: --k v, booleans: flag}\nfixed: {amp: true}", "needs a value"),
        ("fixed: {layers: 20.0}", "expected a whole number (found 20.0)"),
        ("fixed: {opt: lion}", "expected one of sgd, adam (found 'lion')"),
        ("args: auto\nfixed: {tied: 3}", "is a switch: expected true or false (found 3)"),
        ("args: auto\nfixed: {tied: true, amp: false, batch_size: 3, layers: [1, 2]}", ""),
        ("fixed: {bogus: 1}\nunused: true", ""),
        ("fixed: {opt: sgd}\nseeds: 3", "p.py has no option --seed."),
        ("seeds: {values: 3, parameter: layer}", ""),
        ("seeds: {values: 3, parameter: layes}", "Did you mean 'layers'?"),
        ("fixed: {'--opt': sgd}", "Write the name without hyphens: opt."),
        ("args: auto\nfixed: {'--opt': sgd}", "Write the name without hyphens: opt."),
        ("fixed: {opt: '${run_dir}/x'}", ""),
        ("fixed: {opt: '${epochs}'}", "${epochs} has no value"),
        ("args: none\nparameters: {opt: {values: [a, b]}}", "args: none passes no parameters"),
        ("args: none\nenv: {O: '${params:opt}'}\nparameters: {opt: {values: [a, b]}}", ""),
    ],
)
def test_parameters_and_options(text: str, message: str, tmp_path: Path) -> None:
    found = problems(tmp_path, MIXED, text + "\n")
    assert len(found) == bool(message), found
    assert message in "".join(found)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('val_loss', 1)", "p.py reads no arguments"),
        ("import sys\nprint(sys.argv)", ""),
        ("import os\nprint(os.environ)", ""),
        ("import unknown_package\nunknown_package.main()", ""),
        (
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr')\n"
            "a, _ = p.parse_known_args()",
            "ignores those that it does not know (parse_known_args)",
        ),
        (
            "import argparse\np = argparse.ArgumentParser()\n"
            "p.add_argument('--x')\np.add_argument('--data', required=True)\np.parse_args()",
            "p.py requires --data",
        ),
        (
            "import argparse\np = argparse.ArgumentParser()\n"
            "for name in ('--x', '--y'):\n    p.add_argument(name)\n",
            "",
        ),
        (
            "import argparse\np = argparse.ArgumentParser()\n"
            "for name in ('--x', '--a-x'):\n    p.add_argument(name, dest='a_x')\n",
            "",
        ),
        (
            "import yaml\nprint(yaml.safe_load(open('params.yaml')))",
            "reads no arguments, but params.yaml. Write params_file: params.yaml and workdir: copy",
        ),
        ("from options import parser\nparser.parse_args()", "p.py has no option --x"),
    ],
)
def test_scripts(script: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "options.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--lr')\n"
    )
    (tmp_path / "params.yaml").write_text("x: 1\n")
    found = problems(tmp_path, script, "parameters: {x: {values: [1, 2]}}\n")
    assert len(found) == bool(message), found
    assert message in "".join(found)


SCRIPTS = {
    "click": "import click\n@click.command()\n@click.option('--lr', default=0.1)\n"
    "@click.option('--amp/--no-amp', default=True)\ndef main(lr, amp): ...\n",
    "typer": "import typer\nfrom typing import Annotated\napp = typer.Typer()\n@app.command()\n"
    "def main(data: str, lr: float = 0.1, amp: Annotated[bool, typer.Option()] = True): ...",
    "tyro": "import tyro\nfrom dataclasses import dataclass\n@dataclass\nclass Config:\n"
    "    lr: float = 0.1\n    amp: bool = True\ntyro.cli(Config)\n",
    "fire": "import fire\ndef main(lr=0.1, amp=True): ...\nfire.Fire(main)\n",
    "transformers": "from transformers import HfArgumentParser\nfrom dataclasses import dataclass\n"
    "@dataclass\nclass A:\n    lr: float = 0.1\n    amp: bool = True\nHfArgumentParser(A)\n",
    "absl": "from absl import flags\nflags.DEFINE_float('lr', 0.1, 'rate')\n"
    "flags.DEFINE_bool('amp', True, '')\n",
    "configurator": "lr = 0.1\namp = True\nexec(open('configurator.py').read())\n",
    "draccus": "import draccus\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n"
    "    lr: float = 0.1\n    amp: bool = True\n@draccus.wrap()\ndef main(cfg: C): ...\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_parsers(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text(SCRIPTS[kind])
    parser = read_parser(file)
    assert parser.kind == kind
    assert parser.is_complete
    found = {item.name: (item.type, item.default) for item in parser.parameters}
    assert found == {"lr": (float, 0.1), "amp": (bool, True)}


KINDS = "import enum\nclass Kind(str, enum.Enum):\n    SGD = 's-gd'\n    adam = 'a'\n"


@pytest.mark.parametrize(
    ("script", "choices", "default"),
    [
        ("import typer\ndef main(k: Kind = Kind.SGD): ...\ntyper.run(main)", "s-gd a", "s-gd"),
        (
            "import typer\napp = typer.Typer()\n@app.command()\n"
            "def main(k: Kind = typer.Option(Kind.adam, help='x')): ...\napp()",
            "s-gd a",
            "a",
        ),
        (
            "import typer\nfrom typing import Annotated, Optional\n"
            "def main(k: Annotated[Optional[Kind], typer.Option(case_sensitive=False)] "
            "= None): ...\ntyper.run(main)",
            "",
            None,
        ),
        ("import tyro\ndef main(k: Kind = Kind.SGD): ...\ntyro.cli(main)", "SGD adam", "SGD"),
        (
            "from dataclasses import dataclass\nfrom transformers import HfArgumentParser\n"
            "@dataclass\nclass C:\n    k: Kind = Kind.SGD\nHfArgumentParser(C)",
            "s-gd a",
            "s-gd",
        ),
        (
            "import click\n@click.command()\n@click.option('--k', type=click.Choice(Kind))\n"
            "def main(k): ...",
            "SGD adam",
            None,
        ),
        (
            "from argparse import ArgumentParser\np = ArgumentParser()\n"
            "p.add_argument('--k', type=Kind, choices=list(Kind))",
            "s-gd a",
            None,
        ),
        (
            "from argparse import ArgumentParser\nK = {'x': print, 'y': 1}\nD = 'y'\n"
            "p = ArgumentParser()\np.add_argument('--k', choices=K.keys(), default=D)",
            "x y",
            "y",
        ),
        (
            "from argparse import ArgumentParser\np = ArgumentParser()\n"
            "p.add_argument('--k', choices=[e.name for e in Kind])",
            "SGD adam",
            None,
        ),
    ],
)
def test_choices_of_enumerations_and_constants(
    script: str, choices: str, default: Any, tmp_path: Path
) -> None:
    (tmp_path / "q.py").write_text(KINDS + script)
    (found,) = read_parser(tmp_path / "q.py").parameters
    assert (" ".join(found.choices), found.default) == (choices, default)
    texts = problems(tmp_path, KINDS + script, "args: auto\nparameters: {k: {values: [b]}}")
    assert [text.partition(" (")[0] for text in texts] == (
        [f"p.py --k: expected one of {', '.join(found.choices)}"] if choices else []
    )


@pytest.mark.parametrize(
    "script",
    [
        "import fire\nclass T:\n    def __init__(self, a=1): ...\n    def train(self, lr=0.1): "
        "...\nfire.Fire(T)",
        "import fire\ndef train(lr=0.1, a=1): ...\nfire.Fire()",
        "import fire\ndef train(lr=0.1, a=1): ...\nfire.Fire({'train': train})",
        "import getopt, sys\ngetopt.getopt(sys.argv[1:], 'l:', ['lr=', 'a='])",
        "import jsonargparse\ndef train(a: int, lr: float = 0.1): ...\n"
        "jsonargparse.auto_cli(train)",
    ],
)
def test_options_of_commands(script: str, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(script)
    parser = read_parser(tmp_path / "p.py")
    assert {item.name: item.is_required for item in parser.parameters} == {"lr": False, "a": False}
    assert parser.is_complete


@pytest.mark.parametrize(
    ("script", "name", "text", "found"),
    [
        (
            "import configparser as c\nc.ConfigParser().read('a.ini')",
            "a.ini",
            "[o]\nlr = 0.1",
            "o.lr",
        ),
        ("import yaml\nyaml.safe_load(open('exp1.yml'))", "exp1.yml", "lr: 0.1", "lr"),
        ("import yaml\nyaml.safe_load(open('names.yml'))", "names.yml", "a: x", None),  # no number
        ("from conf.params import LR", "conf/params.py", "LR = 0.1", "LR"),
        ("from conf.models import LR", "conf/models.py", "LR = 0.1", None),
    ],
)
def test_files_of_parameters(
    script: str, name: str, text: str, found: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "p.py").write_text(script)
    parser = read_parser(tmp_path / "p.py")
    expected = ("", []) if found is None else (name, [(found, 0.1)])
    assert (parser.params_file, [(x.option, x.default) for x in parser.parameters]) == expected


@pytest.mark.parametrize(
    ("call", "options"),
    [
        ("add_arguments(O, dest='o')", {"lr", "n", "x"}),
        ("add_class_arguments(O, 'o')", {"o.lr", "o.n", "x"}),
    ],
)
def test_classes_that_are_added_to_a_parser(call: str, options: set[str], tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "from x import ArgumentParser\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass O:\n    lr: float = 0.1\n    n: int = 3\n"
        f"p = ArgumentParser()\np.add_argument('--x')\np.{call}\np.parse_args()\n"
    )
    parser = read_parser(tmp_path / "p.py")
    assert {item.option for item in parser.parameters} == options
    assert not parser.is_complete


def test_hydra_reads_a_dataclass_of_its_config_store(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import hydra\nfrom dataclasses import dataclass, field\n"
        "from hydra.core.config_store import ConfigStore\n"
        "@dataclass\nclass Optim:\n    lr: float = 0.1\n"
        "@dataclass\nclass Config:\n    optim: Optim = field(default_factory=Optim)\n"
        "ConfigStore.instance().store(name='main', node=Config)\n"
        "@hydra.main(version_base=None, config_name='main')\ndef main(cfg): ...\n"
    )
    found = [(item.option, item.default) for item in read_parser(tmp_path / "p.py").parameters]
    assert found == [("optim.lr", 0.1)]


def test_hydra_reads_its_config(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("defaults: [model: a]\noptim: {lr: 0.1}\n")
    (tmp_path / "conf" / "model").mkdir()
    (tmp_path / "conf" / "model" / "a.yaml").write_text("width: 8\n")
    file = tmp_path / "p.py"
    file.write_text("import hydra\n@hydra.main(config_path='conf', config_name='config')\n"
                    "def main(cfg): ...\n")  # fmt: skip
    parser = read_parser(file)
    assert [(item.option, item.default) for item in parser.parameters] == [
        ("optim.lr", 0.1),
        ("model.width", 8),
    ]
    found = problems(
        tmp_path, file.read_text(), "args: auto\nparameters: {optim.lr: {values: [1]}}"
    )
    assert found == []
    program = load_spec(tmp_path / "s.yaml").program
    assert program is not None
    assert program.style == "hydra"


def test_options_that_no_source_shows_are_read_from_help(tmp_path: Path) -> None:
    script = (
        "import argparse\np = argparse.ArgumentParser()\n"
        "for name in ('lr', 'decay'):\n"
        "    p.add_argument('--' + name, help='(default: 0.5)')\np.parse_args()\n"
    )
    (found,) = problems(tmp_path, script, "args: auto\nparameters: {lrr: {values: [1]}}")
    assert "no option --lrr" in found
    assert "lr" in found
    assert problems(tmp_path, script, "args: auto\nparameters: {lr: {values: [1]}}") == []


def test_parameters_that_a_notebook_does_not_set(tmp_path: Path) -> None:
    pytest.importorskip("papermill", reason="papermill is not installed")
    (tmp_path / "p.ipynb").write_text(NOTEBOOK)
    text = "program: p.ipynb\nparameters: {%s: {values: [1, 2]}}\n"
    (tmp_path / "s.yaml").write_text(text % "lrr")
    with pytest.raises(SpecError, match=r"parameters cell of p.ipynb does not set it.*lr"):
        load_spec(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text(text % "lr")
    assert load_spec(tmp_path / "s.yaml").warnings == ()


values = st.fixed_dictionaries(
    {},
    optional={
        "tied": st.booleans(), "cuda": st.booleans(), "bias": st.booleans(), "amp": st.booleans(),
        "fast": st.booleans(), "layers": st.lists(st.integers(-5, 5), min_size=1, max_size=3),
        "batch_size": st.integers(), "opt": st.sampled_from(["sgd", "adam"]),
    },
)  # fmt: skip


@given(config=values)
@settings(max_examples=60)
def test_what_auto_sends_is_what_the_parser_gets(
    config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "mixed.py"
    if not file.exists():
        file.write_text(MIXED)
    known: dict[str, Any] = {}
    exec(MIXED, known)
    style, spelling = spelled(read_parser(file))
    words = arguments(config, style=style, spelling=spelling)
    got = vars(known["p"].parse_args(words))
    assert {name: got[name] for name in config} == config


SUBCOMMANDS = """
import argparse
p = argparse.ArgumentParser()
sub = p.add_subparsers(dest='what', required=True)
sub.add_parser('fit').add_argument('--lr', type=float, default=0.1)
sub.add_parser('test').add_argument('--checkpoint')
"""
CLICK = """
import click
@click.command()
@click.option('--layers', type=click.IntRange(1, 8), default=2)
@click.option('--dropout', type=click.FloatRange(min=0), default=0.1)
def main(layers, dropout): ...
"""
GROUP = """
import click
@click.group()
def main(): ...
@main.command()
@click.option('--lr', default=0.1)
def fit_it(lr): ...
@main.command('eval')
def evaluate(): ...
"""


ALONE = """
import click
@click.command()
@click.option('--lr', default=0.1)
def main(lr): ...
@click.command()
@click.option('--depth', default=3)
def other(depth): ...
if __name__ == "__main__":
    main()
"""
TYPER = """
import typer
app = typer.Typer()
@app.command()
def main(lr: float = 0.1): ...
app()
"""


@pytest.mark.parametrize(
    ("script", "text", "message"),
    [
        (ALONE, "fixed: {lr: 0.1}", ""),  # two programs in one module
        (TYPER, "fixed: {lr: 0.1}\nargs: auto", ""),  # the only command is the app
        (GROUP + "import re\nre.match('a', 'a').group()\n", "fixed: {lr: 0.1}", "sub-commands"),
        (SUBCOMMANDS, "fixed: {lr: 0.1}", "has sub-commands (fit, test). Name one: command: "),
        (SUBCOMMANDS.replace("True", "False"), "fixed: {lr: 0.1}", "has sub-commands"),
        (SUBCOMMANDS, "fixed: {lr: 0.1}\ncommand: [python, p.py, fit, '${args}']", ""),
        (GROUP, "fixed: {lr: 0.1}", "has sub-commands (fit-it, eval)"),
        (CLICK, "fixed: {layers: 8, dropout: 2}\nargs: auto", ""),
        (CLICK, "fixed: {layers: 9}", "--layers: expected a number up to 8 (found 9)"),
        (CLICK, "parameters: {layers: {values: [0, 1]}}", "expected a number from 1 (found 0)"),
        (
            CLICK,
            "method: random\nrun_cap: 2\nparameters: {dropout: {min: -0.5, max: 0.5}}",
            "--dropout: expected a number from 0 (found -0.5)",
        ),
        (MIXED, "fixed: {layers: [1, 2]}", "--layers: takes several words, but would get the list"),
        (MIXED, "fixed: {layers: [1, 2]}\nargs: auto", ""),
        (MIXED, "fixed: {batch-size: [1, 2]}", "--batch-size: takes one value (found a list)"),
    ],
)
def test_subcommands_ranges_and_lists(script: str, text: str, message: str, tmp_path: Path) -> None:
    found = problems(tmp_path, script, text + "\n")
    assert [message in one for one in found] == ([True] if message else [])


def test_keys_that_the_file_of_parameters_lacks(tmp_path: Path) -> None:
    (tmp_path / "conf.yaml").write_text("lr: 0.1\nmodel: {depth: 2}\n")
    text = (
        "params_file: conf.yaml\nworkdir: copy\nfixed: {lr: 1, model.depth: 3, moddel.depth: 4}\n"
    )
    (found,) = problems(tmp_path, "import yaml\nprint(yaml.safe_load(open('conf.yaml')))\n", text)
    assert "conf.yaml has no key 'moddel.depth', which is added to it" in found
    assert "Did you mean 'model.depth'?" in found


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python p.py '${args}'", "${args} is between single quotes"),
        ("python p.py --lr '${params:lr}'", "${params:lr} is between single quotes"),
        ('echo "it\'s" && python p.py ${args}', ""),
        ("python p.py --lr ${lr} ${args}", "the parameter is ${params:lr}"),
    ],
)
def test_macros_in_the_text_of_a_shell(command: str, message: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({"command": command, "shell": True, "fixed": {"lr": 1}})
    found = problems(tmp_path, "", text)
    assert [message in one for one in found] == ([True] if message else [])


def test_a_group_in_another_module_may_be_another_programs(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(GROUP)
    script = (
        "import argparse, tools\np = argparse.ArgumentParser()\n"
        "p.add_argument('--depth', type=int)\nprint(p.parse_args())\n"
    )
    assert problems(tmp_path, script, "fixed: {depth: 3}\n") == []
