"""What keeps the engine readable: few collaborators, one owner of each state, a short way down."""

from __future__ import annotations

import ast
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import app
from tests.conftest import ROOT
from tests.engine.sweeps import TOY
from tests.engine.toys.curve import train as toy

MOST_COLLABORATORS = 7
MOST_FRAMES, MOST_FILES = 10, 8

ORCHESTRATOR = ROOT / "orchestrator"
SOURCES = sorted(
    [*(ORCHESTRATOR / "engine").rglob("*.py"), *(ORCHESTRATOR / "placement").rglob("*.py")]
)

# Modules of others whose settings are changed for a while and restored, or once before Ray starts.
PATCHED = {"sys", "tempfile", "services", "ray._private.worker"}
# So is multiprocessing's forkserver, by `child.shared_forkserver`.
PATCHED |= {"shared", "module"}
# The process is started after the tree is watched, so that the tree misses no child.
SET_ONCE_KNOWN = {"root"}


def classes_in(paths: list[Path]) -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield path, node


def test_no_class_takes_more_than_seven_collaborators() -> None:
    counts = {
        f"{path.relative_to(ROOT)}: {found.name}": len(
            [*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs][1:]
        )
        for path, found in classes_in(SOURCES)
        for method in found.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    }
    assert len(counts) > 20, "the classes were found"
    assert {name: n for name, n in counts.items() if n > MOST_COLLABORATORS} == {}


@cache
def fields_of_mutable_records() -> set[str]:
    """Return the fields of dataclasses that are not frozen: data, which their owners change."""
    fields: set[str] = set()
    for _, found in classes_in(sorted(ORCHESTRATOR.rglob("*.py"))):
        decorators = [ast.unparse(decorator) for decorator in found.decorator_list]
        if any(text.startswith("dataclass") and "frozen" not in text for text in decorators):
            for item in found.body:
                if isinstance(item, ast.AnnAssign):
                    fields.add(ast.unparse(item.target))
    return fields


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ORCHESTRATOR)))
def test_objects_set_their_own_attributes(path: Path) -> None:
    """Only `self` gets attributes; of other objects only fields of plain data are changed."""
    allowed = fields_of_mutable_records() | SET_ONCE_KNOWN
    foreign = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            owner = ast.unparse(node.value)
            is_data = not node.attr.startswith("_") and node.attr in allowed
            if owner not in {"self", "cls"} | PATCHED and not is_data:
                foreign.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert foreign == []


def test_the_way_from_sweep_run_to_the_training_function_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts frames in files of ours; those of click, Ray and the standard library do not count."""
    stacks: list[traceback.StackSummary] = []

    def train(config: Any, run: Any) -> None:
        stacks.append(traceback.extract_stack())
        run.report(1, train_loss=0.1, val_loss=0.1, val_mae=0.1)

    monkeypatch.setattr(toy, "train", train)
    sweep = tmp_path / "toy.yaml"
    sweep.write_text(
        f"version: 1\nname: toy\ntrainer: {TOY}\ntrials: {{a: {{set: {{lr: 0.5}}}}}}\n"
    )
    arguments = ["run", str(sweep), "--inline", "--results", str(tmp_path / "results")]
    assert app.main(args=arguments, standalone_mode=False) == 0
    (stack,) = stacks
    ours = [frame for frame in stack if frame.filename.startswith(str(ORCHESTRATOR))]
    way = [f"{Path(frame.filename).relative_to(ROOT)}: {frame.name}" for frame in ours]
    # The function `main` of the command line above, and the training function below.
    assert len(way) + 2 <= MOST_FRAMES, way
    assert len({frame.filename for frame in ours}) + 2 <= MOST_FILES, way
