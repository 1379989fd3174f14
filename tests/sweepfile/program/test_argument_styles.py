from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, strategies as st

from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.program.parsers.script_options import Argument, declared, parse
from orchestrator.sweepfile.schema.starter import for_program, for_trainer
from orchestrator.sweepfile.trainer_schemas import trainer_schema


def read_arguments(source: str) -> list[Argument]:
    """Return the options that help shows, as `script_parser` takes them from a tree."""
    found, _ = declared(parse(source))
    return [argument for argument in found if not argument.is_hidden]


ARGPARSE = """
import argparse
raise RuntimeError("this must never run")
parser = argparse.ArgumentParser()
parser.add_argument("data", help="positional")
parser.add_argument("-l", "--learning-rate", "--lr", type=float, default=1e-3, help="step\\n  size")
parser.add_argument("--epochs", default=3)
parser.add_argument("--model", choices=["lstm", "cnn"], default="lstm")
parser.add_argument("--amp", action="store_true")
group = parser.add_argument_group("x").add_argument("--no-cache", action="store_false")
parser.add_argument("--fast", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--out", required=True, type=str)
parser.add_argument("--computed", default=1 + len("x"), type=int)
parser.add_argument("--path", type=pathlib.Path, default="x")
parser.add_argument("--version", action="version", version="1")
parser.add_argument("-v", action="count")
for name in ("--a", "--b"):
    parser.add_argument(name)
for name in ("--c_d", "--c-d"):
    parser.add_argument(name, dest="c_d", type=float)
parser.add_argument("--epochs", default=9)
"""
CLICK = """
import click
@click.command()
@click.option("--lr", "-l", default=0.1, show_default=True, help="rate")
@click.option("--amp/--no-amp", default=False)
@click.option("--flag", is_flag=True)
@click.option("--model", type=click.Choice(["a", "b"]), required=True)
@click.option("--n", type=click.INT)
@other.option("--not-ours")
@click.argument("file")
def main(lr): ...
"""


def test_argparse() -> None:
    assert read_arguments(ARGPARSE) == [
        Argument("learning-rate", float, 1e-3, help="step size", aliases=("lr",), shorts=("l",)),
        Argument("epochs", int, 3),
        Argument("model", str, "lstm", choices=("lstm", "cnn")),
        Argument("amp", bool, False, is_switch=True),
        Argument("no-cache", bool, False, is_switch=True, switches_off=True),
        Argument("fast", bool, True, is_switch=True, off="no-fast"),
        Argument("out", str, is_required=True),
        Argument("computed", int),
        Argument("path", str, "x"),
        Argument("c_d", float),
    ]
    assert read_arguments(ARGPARSE)[0].name == "learning_rate"


def test_click() -> None:
    assert read_arguments(CLICK) == [
        Argument("lr", float, 0.1, help="rate", shorts=("l",)),
        Argument("amp", bool, False, is_switch=True, off="no-amp"),
        Argument("flag", bool, False, is_switch=True),
        Argument("model", str, choices=("a", "b"), is_required=True),
        Argument("n", int),
    ]


def test_optparse() -> None:
    source = "p.add_option('-C', '--penalty', type='float', default=1.0)\np.add_option('--kernel')"
    assert read_arguments(source) == [
        Argument("penalty", float, 1.0, shorts=("C",)),
        Argument("kernel"),
    ]


@pytest.mark.parametrize("source", ["print 'two'", "def", "\0", "(" * 5000 + ")" * 5000])
def test_what_is_no_python(source: str) -> None:
    with pytest.raises(SyntaxError):
        read_arguments(source)


printable = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
arguments = st.lists(
    st.builds(
        Argument,
        option=st.from_regex(r"[A-Za-z_][\w.-]{0,8}", fullmatch=True),
        type=st.sampled_from([int, float, str, None]),
        default=st.none() | st.integers() | st.floats() | printable | st.booleans(),
        choices=st.lists(printable | st.integers(), max_size=2).map(tuple),
        is_switch=st.booleans(),
        help=printable,
    ),
    max_size=4,
    unique_by=lambda item: item.name,
)


@given(arguments, st.sampled_from(["train.py", "a b/it's.py", "ü.sh", "x: y #"]))
def test_what_is_written_is_a_good_sweep_file(
    tmp_path_factory: pytest.TempPathFactory, arguments: list[Argument], program: str
) -> None:
    text = for_program(program, arguments)
    path = tmp_path_factory.mktemp("init") / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    spec = load_spec(path)
    assert spec.program is not None
    assert spec.program.path.endswith(program)
    # Where the script mixes spellings, no style tells them: the file has them as they are.
    options = "".join(item.option for item in arguments)
    is_mixed = "-" in options and "_" in options
    names = [item.option if is_mixed else item.name for item in arguments]
    # Every option stands there, in a comment or as the one that varies.
    for name in names:
        assert name in text
    uncommented = "\n".join(
        line.replace("# ", "", 1) if line.startswith("  # ") and " {min" not in line else line
        for line in text.splitlines()
    )
    if len(spec.parameters) == 1:
        named = {*(yaml.safe_load(uncommented).get("fixed") or {}), *spec.parameters}
        assert {str(name) for name in named} >= set(names) - {
            "on", "off", "yes", "no", "y", "n", "null", "true", "false",
        }  # fmt: skip


@pytest.mark.parametrize("name", ["edc", "sweep_toy"])
def test_a_trainers_file(name: str, tmp_path: Path) -> None:
    schema = trainer_schema(name)
    text = for_trainer(schema)
    (tmp_path / "s.yaml").write_text(text)
    spec = load_spec(tmp_path / "s.yaml")
    assert spec.warnings == ()
    assert list(spec.parameters) == ["lr"]
    for parameter in schema.parameters:
        assert f"  # {parameter}: " in text or parameter == "lr"
    # The comments are what they say: without their marks the defaults are good values.
    opened = "\n".join(
        f"  {line[4:]}" if line[4:].partition(":")[0] in schema.parameters else line
        for line in text.splitlines()
    )
    (tmp_path / "s.yaml").write_text(opened)
    assert load_spec(tmp_path / "s.yaml").fixed.keys() >= schema.parameters.keys() - {"lr"}
