"""Which nodes can run the trials of a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.engine.runners.cluster.fitting import environment, misfit

HERE = {"python": "3.11.7", "sweep-orchestrator": "0.5", "torch": "2.13.0+cpu", "ray": "2.60.0"}


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ({}, ""),
        ({"python": "3.11.2"}, ""),
        ({"torch": "2.13.0+cu128"}, ""),
        ({"python": "3.12.1"}, "it has python 3.12.1, and this machine 3.11.7"),
        ({"torch": None}, "it has no torch, and this machine 2.13.0+cpu"),
        ({"torch": "2.12.0"}, "it has torch 2.12.0, and this machine 2.13.0+cpu"),
        ({"sweep-orchestrator": "0.4"}, "it has sweep-orchestrator 0.4, and this machine 0.5"),
        ({"missing": ["/data/train.py"]}, "it has no /data/train.py"),
    ],
)
def test_a_node_needs_the_environment_and_the_files(there: dict[str, Any], reason: str) -> None:
    assert misfit({**HERE, "missing": [], **there}, HERE, trains=True) == reason


def test_a_script_may_have_a_torch_of_its_own() -> None:
    assert misfit({**HERE, "missing": [], "torch": None}, HERE, trains=False) == ""
    assert misfit({**environment(), "missing": []}, environment(), trains=True) == ""
