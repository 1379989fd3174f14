"""What goes with what, cell by cell, and the reasons."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.checks.keys import APART
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec

Write = Callable[[str], Path]
# A blank means that the same pair is in another row, or has no meaning.
TABLE = """
| | grid | random | bayes | trials | zip | ablate | stages | promote | seeds | remedy |
|-|-|-|-|-|-|-|-|-|-|-|
| trials | y | y | y | | | | | | | |
| zip | y | y | no | y | | | | | | |
| ablate | y | no | no | no | no | | | | | |
| stages | y | y | y | y | y | y | | | | |
| promote | y | y | y | y | y | no | y | | | |
| seeds | y | y | y | y | y | y | y | y | | |
| remedy | y | y | y | y | y | no | y | y | no | |
| when | y | y | no | y | no | no | y | y | y | y |
| constraints | y | y | no | y | y | y | y | y | y | y |
| probabilities | no | y | y | y | no | no | y | y | y | y |
| sampler | no | no | y | y | no | no | y | y | y | y |
| pruner | y | y | y | y | y | y | y | y | y | y |
| two metrics | y | y | y | y | y | y | y | by if alone | y | y |
"""

LR = "lr: {values: [0.1, 0.2]}"
CLIP = "clip: {values: [1.0, 2.0]}"
# What each part writes: top-level lines, and entries of `parameters`.
WRITES: dict[str, tuple[str, tuple[str, ...]]] = {
    "grid": ("method: grid", ()),
    "random": ("method: random\nrun_cap: 4", (LR,)),
    "bayes": ("method: bayes\nrun_cap: 4", (LR,)),
    "trials": ("trials: {a: {set: {amp: true}}, b: {}}", ()),
    "zip": ("zip: [lr, clip]", (LR, CLIP)),
    "ablate": ("ablate: {changes: {a: {set: {model: hybrid}}}}", ()),
    "stages": ("stages: {quick: {set: {epochs: 2}}, full: {}}", ()),
    "promote": ("stages: {quick: {set: {epochs: 2}, promote: {top: 1}}, full: {}}", ()),
    "seeds": ("seeds: 2", ()),
    "remedy": ("remedy: {rising: {set: {lr: '*0.1'}}}", ()),
    "when": ("", (LR, "clip: {values: [1.0, 2.0], when: lr < 0.15}")),
    "constraints": ("constraints: [lr < 0.15]", ()),
    "probabilities": ("", ("lr: {values: [0.1, 0.2], probabilities: [0.5, 0.5]}",)),
    "sampler": ("sampler: tpe", (LR,)),
    "pruner": ("pruner: median", ()),
    "two metrics": ("metric: [val_mae, val_r2]", ()),
}
# What else a part needs to be tried at all.
NEEDS = {"sampler": "method: bayes\nrun_cap: 4", "probabilities": "method: random\nrun_cap: 4"}


def cells() -> list[tuple[str, str, str]]:
    """Return row, column and verdict of each filled cell of the table."""
    lines = TABLE.strip().splitlines()
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    return [
        (row[0], column, verdict)
        for row in rows
        for column, verdict in zip(head[1:], row[1:], strict=True)
        if verdict
    ]


def file_of(*parts: str) -> str:
    lines = ["trainer: sweep_toy"]
    parameters: dict[str, str] = {}
    for part in parts:
        top, entries = WRITES[part]
        lines += [top] if top else []
        parameters |= {entry.split(":")[0]: entry for entry in reversed(entries)}
    for part in parts:
        known = "\n".join(lines)
        if part in NEEDS and "method:" not in known:
            lines.append(NEEDS[part])
    if "stages" in parts and "promote" in parts:
        lines.remove(WRITES["stages"][0])
    if not any(line.startswith("metric:") for line in lines):
        lines.append("metric: val_mae")
    if parameters:
        lines.append(f"parameters: {{{', '.join(parameters.values())}}}")
    return "\n".join(lines) + "\n"


def test_the_table_names_what_the_issue_of_combining_is_about() -> None:
    rows, columns = ({cell[place] for cell in cells()} for place in (0, 1))
    assert rows | columns == set(WRITES)
    assert len(cells()) > 100


@pytest.mark.parametrize(("row", "column", "verdict"), cells())
def test_each_cell_is_what_the_checker_says(
    write: Write, row: str, column: str, verdict: str
) -> None:
    text = file_of(column, row)
    if verdict == "y":
        spec = load_spec(write(text))
        if spec.method != "bayes":
            assert len(list(iter_configs(spec))) == count_trials(spec)
        return
    with pytest.raises(SpecError) as caught:
        load_spec(write(text))
    refusal = r"cannot be (combined|used) with|needs|no effect in a grid"
    assert any(re.search(refusal, p.message) for p in caught.value.problems)
    if verdict != "no":
        assert verdict == "by if alone"
        load_spec(write(text.replace("top: 1", "if: stable")))


OF_PART = {
    "ablate": "ablate: {changes: {a: {set: {model: hybrid}}}}",
    "method random": "method: random\nrun_cap: 3",
    "method bayes": "method: bayes\nrun_cap: 3",
    "trials": "trials: {a: {}}",
    "parameters with several values": f"parameters: {{{LR}, {CLIP}}}",
    "zip": f"zip: [lr, clip]\nparameters: {{{LR}, {CLIP}}}",
    "promote": "stages: {a: {promote: {if: stable}}, b: {}}",
    "promote by top or fraction": "stages: {a: {promote: {fraction: 0.5}}, b: {}}",
    "remedy": "remedy: {rising: {set: {lr: 1}}}",
    "seeds": "seeds: 2",
    "keep_improvements": "ablate: {keep_improvements: true, changes: {a: {set: {lr: 1}}}}",
    "pruner": "pruner: median",
    "start": "start: [{lr: 0.1}]",
    "early_terminate": "early_terminate: {type: hyperband, min_iter: 3}",
    "two metrics": "metric: [val_mae, val_r2]",
}


@pytest.mark.parametrize(("first", "second"), APART)
def test_each_pair_that_stays_apart_is_told_with_its_reason(
    write: Write, first: str, second: str
) -> None:
    assert {name for pair in APART for name in pair} == OF_PART.keys()
    with pytest.raises(SpecError) as caught:
        load_spec(write(f"trainer: sweep_toy\n{OF_PART[first]}\n{OF_PART[second]}\n"))
    said = [p for p in caught.value.problems if APART[first, second] in p.message]
    assert len(said) == 1
    assert said[0].line is not None
    assert said[0].message.startswith(f"cannot be combined with {first}: ")
