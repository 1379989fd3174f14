"""The parsers of sweep files, of what users type, and of what scripts and their output hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.engine.probe.pattern_guess import not_understood, propose_patterns, reported
from orchestrator.engine.probe.typed_arguments import in_params_file, launched, sort_words
from orchestrator.engine.script.printed import read_line
from orchestrator.files import parse_duration, parse_size
from orchestrator.placement.hardware.gpu_options import hypothetical
from orchestrator.placement.memory_needs import oom
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.conditions import condition
from orchestrator.sweepfile.conditions.grammar import ConditionError, parse
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.model.program import ParamsFile
from orchestrator.sweepfile.program.macros import Macros, params_text
from orchestrator.sweepfile.program.parsers.help_text import read_help
from orchestrator.sweepfile.program.parsers.script_parser import read_parser
from tests.conftest import ROOT
from tests.faults.fuzzed import Parse, Parser, of_file, of_text
from tests.faults.fuzzed_files import BARS, NNUNET, TEXT
from tests.sweepfile.test_load import WHOLE
from tests.sweepfile.test_wandb_files import FILE

SPEC = b"""version: 1
name: s
trainer: edc
method: random
run_cap: 4
metric: {name: val_loss, goal: minimize}
fixed: {epochs: 3, lr: 1e-3}
parameters: {lr: {min: 1e-4, max: 1e-1, distribution: log_uniform_values}, seed: {values: [1, 2]}}
constraints: ["lr < 0.01 or seed == 1"]
stages: {quick: {set: {epochs: 1}, promote: {top: 1, if: "val_loss < 0.3"}}, full: {}}
targets: {mae: "<= 0.02"}
"""
SMALL = b"""program: env
command: ["${env}", "${args}"]
metric: {name: loss, goal: minimize}
metrics: {pattern: ['loss=(?P<loss>\\S+)'], files: [log.csv]}
parameters: {lr: {values: [1e-3, 1e-4]}, width: {min: 1, max: 8, q: 2}, opt: {values: [a, b]}}
timeout: 1h 30m
divergence: {plateau: stop}
"""
CONDITIONS = [
    b"lr < 0.01 or (seed == 1 and not `x y` is null)",
    b"val_loss@5 / val_loss@1 <= 0.5 and loss: 0.1..2e3",
    b"any loss < 1 and all complete or model != 'resnet 18'",
]
SETS = [b"lr=1e-3", b"optim.lr=[1e-3, 1e-4]", b"parameters.lr.min=0", b"stages.full.set.a={b: 1}",
        b"targets.mae='<= 0.2'", b"seeds=[1, 2]", b"run_cap=3"]  # fmt: skip
SCRIPT = b'''import argparse
from enum import Enum
from dataclasses import dataclass, field
import config
RATE = 0.1
class Kind(str, Enum):
    A = "a"
    B = "b"
@dataclass
class Options:
    """x"""
    lr: float = RATE
    kind: Kind = Kind.A
    layers: list[int] = field(default_factory=list)
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", "-l", type=float, default=RATE, help="rate")
    parser.add_argument("--kind", choices=["a", "b"], nargs="+", action="store_true")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--fast", dest="quick", action=argparse.BooleanOptionalAction)
    parser.set_defaults(lr=3)
    args = parser.parse_args()
'''
CLICK = b"""import click, typer, tyro, fire, hydra, os
from typing import Annotated, Literal, Optional
app = typer.Typer()
@click.group()
def cli(): ...
@cli.command("train")
@click.option("--lr/--no-lr", "-l", default=0.1, type=click.FloatRange(0, 1), show_default=True)
@click.option("--mode", type=click.Choice(["a", "b"]), multiple=True)
def train(lr, mode): os.environ.get("WIDTH", "8")
@app.command()
def run(a: int, b: Annotated[float, typer.Option("--bee")] = 1, *, c: Optional["int"] = None): ...
@hydra.main(config_path="conf", config_name="config")
def hy(cfg): ...
tyro.cli(run); fire.Fire({"a": run})
"""
SHELL = b'#!/bin/sh\nLR=${LR:-0.1}\npython train.py --lr "$LR" --width ${WIDTH:=8}\n'
NOTEBOOK = (
    b'{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["lr = 0.1"]'
    b'}], "nbformat": 4, "metadata": {}}'
)
CONF = b"defaults:\n  - model: small\n  - _self_\nlr: 1e-3\noptim: {name: adam, betas: [0.9, 1]}\n"
JSON = b'{"lr": 0.1, "optim": {"name": "adam"}, "path": "${run_dir}/a", "w": "${params:width}"}'
TOML = b'lr = 0.1\nwhen = 2024-01-01\n[optim]\nname = "adam"\nbetas = [0.9, 0.99]\n'
INI = b"[optim]\nlr = 0.1\nname: adam\n; note\n[model]\nwidth = ${params:width}\n"
MODULE = b'lr = 0.1\nopts = {"width": 8, "deep": {"a": 1}}\nclass Config:\n    name: str = "a"\n'
HELP = b"""Usage: train.py [OPTIONS] COMMAND
options:
  -h, --help            show this help message and exit
  --lr LR, -l LR        the rate (default: 0.1)
  --kind {a,b}          kind [default: a]
  --fast, --no-fast     quick [required]
 | --width  INTEGER RANGE  layers. [default: 8; 1<=x<=64] |
      --name=<n>   a name that goes on
          over two lines
"""
TYPED = b"train\n--lr=0.1\n--kind\na\nb\n-l\n0.2\noptim.lr=3\n--fast\n--conf\nconf.yaml\n7"
MEMORY = (
    b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
    b"capacity of 8.00 GiB of which 1.5 GiB is free. Of the allocated memory 5.00 GiB is allocated "
    b"by PyTorch, and 1.00 MiB is reserved by PyTorch but unallocated.\nKilled\n"
)
PREFERRED = {"lr": 0.5, "width": 4, "optim.name": "sgd", "new": [1, {"a": None}], "s": "a\"'\n"}


def parsers(folder: Path) -> dict[str, Parser]:
    """Return the parsers by name."""
    examples = [path.read_bytes() for path in sorted((ROOT / "sweeps" / "examples").glob("*.yaml"))]
    specs = [SPEC, SMALL, WHOLE.encode(), *examples]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "set.yaml").write_bytes(SPEC)
    (folder / "base.yaml").write_bytes((ROOT / "sweeps" / "examples" / "base.yaml").read_bytes())
    sources = [SCRIPT, CLICK, MODULE]
    values = (ValueError, OverflowError)
    return {
        "sweep file": Parser(of_file(folder, "s.yaml", _expanded), specs),
        "sweep file of W&B": Parser(of_file(folder, "w.yaml", _expanded), [FILE.encode()]),
        "values of --set": Parser(of_text(lambda text: _set(folder / "set.yaml", text)), SETS),
        "condition": Parser(of_text(_condition), CONDITIONS, None, (ConditionError,)),
        "bound": Parser(
            of_text(condition.bound), [b"<= 0.02", b"0.1..2e3"], None, (ConditionError,)
        ),
        "size": Parser(of_text(parse_size), [b"1.5GiB", b"500 MB"], None, values),
        "duration": Parser(of_text(parse_duration), [b"1h30m", b"90s", b"2d 3h"], None, values),
        "GPUs as typed": Parser(
            of_text(lambda text: hypothetical(text.split("\n"))), [b"a:24GB:X\nb:8GB"]
        ),
        "printed line": Parser(of_text(read_line), [TEXT, NNUNET, BARS]),
        "patterns that are found": Parser(of_text(_patterns), [TEXT * 2, NNUNET, TEXT + NNUNET]),
        "text of an out-of-memory": Parser(
            of_text(lambda text: (oom.classify(text), oom.figures(text))), [MEMORY]
        ),
        "script": Parser(of_file(folder, "t.py", read_parser), sources, None, (SyntaxError,)),
        "shell script": Parser(of_file(folder, "t.sh", read_parser), [SHELL], None, (SyntaxError,)),
        "notebook": Parser(
            of_file(folder, "t.ipynb", read_parser), [NOTEBOOK], None, (SyntaxError,)
        ),
        "notebook in a sweep file": Parser(_notebook(folder / "book"), [NOTEBOOK]),
        "config of Hydra": Parser(_hydra(folder / "hydra"), [CONF], None, (SyntaxError,)),
        "help text": Parser(of_text(read_help), [HELP]),
        "typed words": Parser(of_text(lambda text: _typed(folder, text)), [TYPED]),
        **{
            f"file of parameters, {kind}": Parser(_params(folder / "params", kind), [good])
            for kind, good in (
                ("json", JSON),
                ("yaml", CONF),
                ("toml", TOML),
                ("ini", INI),
                ("py", MODULE),
            )
        },
    }


def _expanded(path: Path) -> object:
    """Load a file and begin to expand it."""
    spec = load_spec(path)
    count_trials(spec)
    if spec.method != "bayes":
        return [trial.config for _, trial in zip(range(3), iter_configs(spec), strict=False)]
    return None


def _set(path: Path, text: str) -> object:
    return load_spec(path, overrides=text.split("\n"))


def _condition(text: str) -> object:
    found = parse(text)
    values: dict[str, Any] = {"lr": 0.1, "seed": 1, "loss": float("nan"), "model": "a", "x y": None}
    at: Callable[[str, int], Any] = lambda name, step: 0.5  # noqa: E731
    condition.names(found)
    condition.shortfall(found, values, at)
    condition.gap(found, values, at)
    return condition.evaluate(found, values, at=at, many=[values])


def _patterns(text: str) -> object:
    lines = text.split("\n")
    proposed = [one.pattern for one in propose_patterns(lines, ["lr"])]
    for pattern in proposed:
        re.compile(pattern)
    return reported(proposed, lines), not_understood(lines, proposed)


def _typed(folder: Path, text: str) -> object:
    words = text.replace("\0", "").split("\n")
    known = read_help(HELP.decode())
    return (
        sort_words(words, known, 0),
        sort_words(words, [], 1),
        in_params_file(words, folder),
        launched("torchrun", words, folder),
    )


def _notebook(folder: Path) -> Parse:
    folder.mkdir(parents=True)
    (folder / "s.yaml").write_text("program: a.ipynb\nmetric: loss\nparameters: {lr: {value: 1}}\n")
    return of_file(folder, "a.ipynb", lambda _: load_spec(folder / "s.yaml"))


def _hydra(folder: Path) -> Parse:
    (folder / "conf" / "model").mkdir(parents=True)
    script = folder / "train.py"
    script.write_bytes(CLICK)
    inner = folder / "conf" / "model" / "small.yaml"

    def read(path: Path) -> object:
        inner.write_bytes(path.read_bytes())
        return read_parser(script), read_parser(path)

    return of_file(folder / "conf", "config.yaml", read)


def _params(folder: Path, kind: str) -> Parse:
    few = {".ini": {"optim.lr": 0.5, "width": 4}, ".py": {"lr": 0.5, "opts.deep.a": "x"}}
    values = few.get(f".{kind}", PREFERRED)
    macros = Macros(values, passed=values)

    def read(path: Path) -> object:
        try:
            read_parser(path)
        except SyntaxError:
            assert kind == "py"
        return params_text(ParamsFile(write=f"w.{kind}", source=str(path)), macros)

    return of_file(folder, f"p.{kind}", read)
