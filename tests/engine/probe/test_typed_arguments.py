from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.engine.probe.typed_arguments import (
    in_params_file,
    launched,
    read_options,
    sort_words,
)
from orchestrator.sweepfile.program import Argument

KNOWN = [Argument("batch-size", int, shorts=("b",)), Argument("amp", bool, is_switch=True)]


@pytest.mark.parametrize(
    ("typed", "known", "given", "rest", "style"),
    [
        ("-b 32 --amp data", KNOWN, {"batch_size": 32, "amp": True}, ["data"], None),
        ("--lr=0.1 --n=3", [], {"lr": 0.1, "n": 3}, [], "--k=v"),
        ("--lr 0.1 --name a --fast", [], {"lr": 0.1, "name": "a"}, ["--fast"], "--k v"),
        ("--lr -0.5", [], {"lr": -0.5}, [], "--k v"),
        ("-l 0.1 x", [], {"l": 0.1}, ["-l", "${params:l}", "x"], None),
        ("lr=0.1", [], {"lr": 0.1}, [], "k=v"),
        ("train --lr=0.1 -x", [], {"lr": 0.1}, ["train", "-x"], "--k=v"),
    ],
)
def test_typed_words_are_parameters_though_nothing_declares_them(
    typed: str, known: list[Argument], given: dict[str, object], rest: list[str], style: str | None
) -> None:
    found = sort_words(typed.split(), known, 0)
    assert (found.given, found.words, found.style) == (given, rest, style)


@pytest.mark.parametrize(
    ("program", "typed", "place"),
    [
        ("torchrun", "--nproc 2 train.py --lr 0.1", 2),
        ("launch.py", "--gpus 2 train.py", 2),
        ("plain.py", "train.py", None),  # its own argument
        ("launch.py", "data.py", None),  # no program: it reads no options
        ("make", "train", None),
        ("python", "-m pkg.train --lr 0.1", 1),
        ("torchrun", "-m pkg --lr 0.1", 1),
        ("python", "-m http.server 1", None),
    ],
)
def test_the_script_behind_a_launcher(
    program: str, typed: str, place: int | None, tmp_path: Path
) -> None:
    argparse = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr')\n"
    (tmp_path / "train.py").write_text(argparse)
    (tmp_path / "data.py").write_text("x = 1\n")
    (tmp_path / "plain.py").write_text(argparse)
    (tmp_path / "launch.py").write_text("import subprocess\n")
    (tmp_path / "pkg").mkdir()
    for name in ("train", "__main__"):
        (tmp_path / "pkg" / f"{name}.py").write_text(argparse)
    found = launched(program, typed.split(), tmp_path)
    assert (None if found is None else found[0]) == place


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--config a.yaml --fast", "--config ${params_file} --fast"),
        ("--model-config=a.yaml", "--model-config=${params_file}"),
        ("a.yaml", "${params_file}"),
        ("--data a.yaml", None),
        ("--config b.yaml", None),
        ("--config ../a.yaml", None),
    ],
)
def test_a_file_of_parameters_that_an_argument_names(
    typed: str, words: str | None, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("optim: {lr: 0.1}\n")
    file, found, leaves = in_params_file(typed.split(), tmp_path)
    assert (file, " ".join(found)) == (("a.yaml", words) if words else ("", typed))
    assert [item.option for item in leaves] == (["optim.lr"] if words else [])


def test_names_with_hyphens_that_only_the_help_of_a_subcommand_shows(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text(
        "import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n"
        "q = s.add_parser('train')\nfor name in ('max-epochs',):\n"
        "    q.add_argument('--' + name, help='(default: 3)')\np.parse_args()\n"
    )
    found = read_options(file, [sys.executable, str(file)], ["train"])
    assert [item.option for item in found.arguments] == ["max-epochs"]
    assert (found.leading, found.args) == (1, None)  # the style that suits hyphens
