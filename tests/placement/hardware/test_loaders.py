from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.placement.hardware.cpu_slots import loader_workers
from orchestrator.placement.model import Host
from orchestrator.placement.sweep_plan import decide
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec

GIB = 1 << 30
Write = Callable[..., Spec]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def call(text: str, **how: object) -> Spec:
        (tmp_path / "train.py").touch()
        path = tmp_path / "sweep.yaml"
        path.write_text(f"version: 1\nname: one\nprogram: train.py\nresources: {{gpus: 0}}\n{text}")
        return load_spec(path, **how)  # type: ignore[arg-type]

    return call


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("fixed: {lr: 1}", 0),
        ("fixed: {num_workers: 3}", 3),
        ("fixed: {data.num-workers: 3}", 3),
        ("fixed: {num_workers_used: 3, num_workers: true}", 0),
        ("fixed: {num_workers: '4'}", 0),
        ("parameters: {num_workers: {values: [0, 5, 2]}}", 5),
        ("parameters: {num_workers: {min: 1, max: 7}}", 7),
        ("parameters: {num_workers: {value: 2}}", 2),
        ("fixed: {num_workers: 1}\ntrials: {a: {set: {num_workers: 6}}, b: {set: {lr: 1}}}", 6),
        ("trials: {a: {set: {lr: 1}}, b: {set: {num_workers: 2}}}", 2),
        # A named trial that sets it leaves nothing to search; the other still does.
        ("parameters: {num_workers: {values: [4]}}\ntrials: {a: {set: {num_workers: 1}}}", 1),
    ],
)
def test_workers_are_read_from_what_trials_will_get(write: Write, text: str, workers: int) -> None:
    assert loader_workers(write(text)) == workers


def test_the_command_line_is_stronger(write: Write) -> None:
    text = "fixed: {num_workers: 3}\nparameters: {lr: {values: [1, 2]}}"
    assert loader_workers(write(text, overrides=["num_workers=1"])) == 1


def test_a_trainers_default_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loads").mkdir()
    (tmp_path / "loads" / "__init__.py").touch()
    (tmp_path / "loads" / "config.py").write_text(
        "from dataclasses import dataclass\n"
        "from trainers.base import parameter, Metric\n"
        "@dataclass(frozen=True)\n"
        "class Config:\n"
        "    preset: str = parameter('plain', 'values to start from')\n"
        "    num_workers: int = parameter(2, 'loaders', low=0, high=64)\n"
        "    lr: float = parameter(0.1, 'step', low=0.0, high=1.0)\n"
        "PRESETS = {'plain': {}, 'wide': {'num_workers': 8}}\n"
        "METRICS = {'val_mae': Metric('minimize')}\n"
    )
    import trainers

    monkeypatch.setattr(trainers, "__path__", [*trainers.__path__, str(tmp_path)])
    head = "version: 1\nname: one\ntrainer: loads\n"
    path = tmp_path / "sweep.yaml"

    def workers(text: str) -> int:
        path.write_text(head + text)
        return loader_workers(load_spec(path))

    try:
        assert workers("parameters: {lr: {values: [0.1, 0.2]}}") == 2
        assert workers("fixed: {preset: wide}\nparameters: {lr: {values: [0.1, 0.2]}}") == 8
        assert workers("fixed: {num_workers: 0}\nparameters: {lr: {values: [0.1, 0.2]}}") == 0
        assert workers("parameters: {num_workers: {values: [0, 1]}}") == 1
    finally:
        for name in ("trainers.loads", "trainers.loads.config"):
            sys.modules.pop(name, None)


def test_the_plan_counts_them(write: Write) -> None:
    spec = write("fixed: {num_workers: 1}\nparameters: {lr: {values: [1, 2, 3, 4]}}")
    decided = decide(spec, devices=[], host=Host(6, 64 * GIB, 64 * GIB))
    assert [slot.threads for slot in decided.slots] == [1, 1, 1]
    assert "1 loader worker each" in decided.reason
