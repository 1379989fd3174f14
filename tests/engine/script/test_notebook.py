from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.script import command_line
from orchestrator.engine.script.command_line import command
from orchestrator.errors import TrialError
from orchestrator.sweepfile.model.program import Program
from tests.engine.script.script_runner import run_trial


def made(folder: Path, *cells: str, tags: tuple[str, ...] = ("parameters",)) -> Program:
    """Write a notebook whose first cell has the tags."""
    content: dict[str, Any] = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{place}",
                "execution_count": None,
                "outputs": [],
                "metadata": {"tags": list(tags)} if place == 0 else {},
                "source": source,
            }
            for place, source in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = folder / "train.ipynb"
    path.write_text(json.dumps(content))
    return Program(path=str(path), workdir=str(folder))


def test_without_papermill_the_next_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = made(tmp_path, "lr = 1")
    monkeypatch.setattr(command_line, "_NOTEBOOK_PACKAGES", ("absent_papermill", "json"))
    with pytest.raises(TrialError, match=r"lacks absent_papermill\. Run .*pip install"):
        command(program, {"lr": 2}, tmp_path)


def test_another_interpreter_is_asked_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "_NOTEBOOK_PACKAGES", ("nothing_like_it", "json"))
    monkeypatch.setattr(sys, "executable", "/somewhere/else")
    assert command_line._missing_packages("python3") == "nothing_like_it"


def test_what_is_no_notebook_or_takes_no_parameters_is_refused(tmp_path: Path) -> None:
    program = made(tmp_path, "lr = 1", tags=())
    with pytest.raises(TrialError, match="has no cell with the tag parameters"):
        command(program, {"lr": 2}, tmp_path)
    Path(program.path).write_text("{}")
    with pytest.raises(TrialError, match="is not a notebook"):
        command(program, {"lr": 2}, tmp_path)


def test_the_words_and_the_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "_NOTEBOOK_PACKAGES", ("json",))
    program = made(tmp_path, "lr = 1")
    words = command(program, {"lr": 1e-5, "name": "a b"}, tmp_path)
    assert words[:4] == [sys.executable, "-m", "papermill", program.path]
    text = (tmp_path / command_line.PARAMETERS_FILE).read_text()
    assert text == "lr: 1.0e-05\nname: a b\n"


@pytest.mark.slow
def test_a_notebook_is_a_trial(tmp_path: Path) -> None:
    pytest.importorskip("papermill", reason="papermill is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    program = made(
        tmp_path,
        "lr = 1.0",
        "from orchestrator import report\nfor epoch in (1, 2):\n"
        "    report(epoch, val_mae=lr / epoch)\nprint('lr is', lr)",
    )
    trial = run_trial(program, {"lr": 1e-5}, tmp_path / "run")
    assert trial.error is None
    assert trial.reports == [(1, {"val_mae": 1e-5}), (2, {"val_mae": 5e-6})]
    assert b"lr is 1e-05" in trial.log
    assert (tmp_path / "run" / command_line.FILLED_FILE).is_file()
