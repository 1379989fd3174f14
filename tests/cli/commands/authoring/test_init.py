"""`sweep init`, called as the console script calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from orchestrator.cli import main
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.yaml.node import Log
from orchestrator.sweepfile.yaml.parse import read_file

SCRIPT = (
    "import argparse\nopen('was_run', 'w')\np = argparse.ArgumentParser()\n"
    "p.add_argument('--batch-size', type=int, default=8, help='rows')\n"
    "p.add_argument('--lr', type=float, default=0.1)\n"
    "p.add_argument('--amp', action='store_true')\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def init(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["init", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_script_is_read_and_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("train.py") == 0
    assert "Next: sweep check sweep.yaml" in capsys.readouterr().out
    assert not (folder / "was_run").exists()
    text = (folder / "sweep.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=sweep.schema.json\n")
    assert "  # batch_size: 8                       # rows" in text
    spec = load_spec(folder / "sweep.yaml", need_program=True)
    assert spec.warnings == ()
    assert spec.program is not None
    assert spec.program.style == "auto"
    assert spec.program.spelling["amp"] == ("amp", "flag", "")
    assert spec.parameters["lr"].values == (0.033, 0.1, 0.3)
    schema = json.loads((folder / "sweep.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(
        read_file(folder / "sweep.yaml", Log()).plain()
    )


def test_the_path_starts_at_the_file(folder: Path) -> None:
    (folder / "sweeps").mkdir()
    assert init("train.py", "-o", "sweeps/s.yaml") == 0
    spec = load_spec(folder / "sweeps" / "s.yaml", need_program=True)
    assert spec.program is not None
    assert Path(spec.program.path).samefile(folder / "train.py")


def test_a_trainer_to_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init("--trainer", "edc", "-o", "-") == 0
    assert "trainer: edc\n" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["train.py"]


def test_a_file_that_is_there_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sweep.yaml").write_text("mine")
    assert init("train.py") == 2
    assert "--force" in capsys.readouterr().err
    assert (folder / "sweep.yaml").read_text() == "mine"
    assert init("train.py", "--force") == 0
    assert (folder / "sweep.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "needs either a script or --trainer"),
        (["train.py", "--trainer", "edc"], "not both"),
        (["none.py"], "No such file"),
        (["."], "Is a directory"),
        (["--trainer", "ecd"], "Did you mean 'edc'?"),
        (["train.py", "-o", "no/s.yaml"], "cannot write"),
    ],
)
def test_mistakes(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(*arguments) == 2
    assert words in capsys.readouterr().err


def test_a_script_that_is_no_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "old.py").write_text("print 'hello'\n")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n\xff\n")
    assert init("old.py", "-o", "a.yaml") == 0
    assert "it is not valid Python" in capsys.readouterr().err
    assert init("run.sh", "-o", "b.yaml") == 0
    assert "its options were not read" in capsys.readouterr().err
    assert load_spec(folder / "b.yaml").program is not None


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--seed", "# seeds: 3 "),
        ("--random-seed", "# seeds: {values: 3, parameter: random_seed}"),
        ("--rows", ""),
    ],
)
def test_seeds_are_offered_to_a_script_that_takes_one(folder: Path, option: str, line: str) -> None:
    with (folder / "train.py").open("a") as script:
        script.write(f"p.add_argument('{option}', type=int, default=0)\n")
    assert init("train.py") == 0
    text = (folder / "sweep.yaml").read_text()
    assert (line in text) if line else ("seeds" not in text)


@pytest.mark.parametrize("arguments", [("train.py",), ("--trainer", "edc")], ids=lambda a: a[-1])
def test_each_comment_is_a_good_key_as_it_stands(folder: Path, arguments: tuple[str, ...]) -> None:
    with (folder / "train.py").open("a") as script:
        script.write("p.add_argument('--seed', type=int, default=0)\n")
    assert init(*arguments) == 0
    path = folder / "sweep.yaml"
    text = path.read_text()
    head, _, more = text.partition("# What more a file can hold;")
    more = more.partition("\n")[2]
    blocks = re.findall(r"^# \w+:.*\n(?:#   .*\n)*", more, re.MULTILINE)
    assert "".join(blocks) == more
    named = {re.match(r"# (\w+)", block)[1] for block in blocks}  # type: ignore[index]  # it matches
    assert named >= {"stages", "ablate", "seeds", "remedy", "budget", "success", "sampler"}
    for block in blocks:
        body = re.sub("^# ?", "", block, flags=re.MULTILINE)
        good = head.partition("parameters:")[0] if body.startswith("ablate") else head
        if "metric: val" not in good.replace("# metric", "#"):
            good += "metric: val_loss\n"
        path.write_text(good + body)
        drawn = ["method=bayes", "run_cap=3"] if body.startswith("sampler") else []
        assert load_spec(path, overrides=drawn, need_program=True).warnings == ()
