"""Trainers of a user's own: found, held to the contract, looked at from outside, and run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.trainer_schemas import inspect_trainer, trainer_schema
from tests.engine.sweeps import is_alive, wait_until
from trainers.loading import TrainerError, load_trainer

Write = Callable[[str], str]

DECLARED = """
'''Fit a line.'''
from dataclasses import dataclass
from trainers.base import Metric, parameter

@dataclass(frozen=True)
class Config:
    lr: float = parameter(0.1, "learning rate", unit="1", low=1e-6, high=1.0)
    width: int = parameter(8, "units", low=1, alters_memory=True)
    kind: str = parameter("flat", "kind of line", choices=("flat", "steep"))
    clip: float | None = None
    preset: str = "small"

PRESETS = {"small": {}, "large": {"width": 64}}
METRICS = {"train_loss": Metric(is_loss=True), "val_mae": Metric(unit="m")}

def train(config, run):
    run.report(1, train_loss=1.0, val_mae=config.lr)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a module of a new name and returns the name of its train."""
    count = 0

    def written(text: str) -> str:
        nonlocal count
        count += 1
        module = f"own_{tmp_path.name.replace('-', '_')}_{count}"
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        return f"{module}:train"

    return written


def test_a_module_of_ones_own_declares_what_a_shipped_trainer_does(
    write: Write, tmp_path: Path
) -> None:
    schema = trainer_schema(write(DECLARED), tmp_path)
    assert list(schema.parameters) == ["lr", "width", "kind", "clip", "preset"]
    rate = schema.parameters["lr"]
    assert (rate.type, rate.default, rate.low, rate.high) == (float, 0.1, 1e-6, 1.0)
    assert schema.parameters["clip"].nullable
    assert schema.parameters["width"].alters_memory
    assert schema.parameters["preset"].choices == ("small", "large")
    assert schema.default_metric == "val_mae"
    assert schema.description == "Fit a line."
    assert not schema.takes_anything


def test_a_wrong_name_or_value_is_found_before_anything_starts(
    write: Write, tmp_path: Path
) -> None:
    name = write(DECLARED)
    path = tmp_path / "sweep.yaml"
    path.write_text(
        f"trainer: {name}\nfixed: {{widht: 3}}\nparameters: {{lr: {{values: [0.1, 7]}}}}\n"
    )
    with pytest.raises(SpecError) as found:
        load_spec(path)
    assert "Did you mean 'width'?" in str(found.value)
    assert "from 1e-06 to 1 (found 7)" in str(found.value)


def test_a_bare_function_takes_whatever_the_file_gives_with_a_warning(
    write: Write, tmp_path: Path
) -> None:
    name = write("def train(config, run):\n    run.report(1, train_loss=config['lr'])\n")
    path = tmp_path / "sweep.yaml"
    text = f"trainer: {name}\nmetric: train_loss\nparameters: {{lr: {{values: [0.1, 7]}}}}\n"
    path.write_text(text + "constraints: [lr < 5]\n")
    spec = load_spec(path)
    assert any("cannot be checked" in warning for warning in spec.warnings)
    assert spec.fixed == {}
    path.write_text(text.replace("metric: train_loss\n", "method: bayes\nrun_cap: 3\n"))
    with pytest.raises(SpecError, match="metric: missing, but method bayes needs one"):
        load_spec(path)


def test_a_package_laid_out_as_ours_is_found_in_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "laid_out" / "mine"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    head, _, tail = DECLARED.partition("\ndef train")
    (folder / "config.py").write_text(head)
    (folder / "train.py").write_text(f"def train{tail}")
    for name in ("laid_out.mine", "laid_out.mine.train:train"):
        schema = trainer_schema(name, tmp_path)
        assert set(schema.metrics) == {"train_loss", "val_mae"}
        assert "width" in schema.parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero (own_"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def train(", "SyntaxError"),
        ("trian = print", "expected train(config, run)"),
        ("train = 3", "has no function train"),
        ("def train(c, r): ...\nConfig = dict", "Config must be a dataclass"),
        (DECLARED.replace("float | None = None", "list = None"), "Config.clip must be bool, int"),
        (DECLARED.replace("float | None = None", "float"), "non-default argument 'clip'"),
        (DECLARED.replace('{"width": 64}', '{"height": 1}'), "must set fields of Config"),
        (DECLARED.replace('Metric(unit="m")', "'minimize'"), "must be a trainers.base.Metric"),
        (DECLARED.replace("high=1.0", "high='x'"), "Config.lr: high must be a number"),
        (DECLARED.replace("float = parameter(0.1", "float = parameter(2"), "must be at most 1"),
        (DECLARED.replace("int = parameter(8", "int = parameter(8.5"), "default must be int"),
        (DECLARED.replace('"steep")', "3)"), "Config.kind: choices must be str"),
        (DECLARED.replace('"width": 64', '"width": 0'), "PRESETS['large']['width'] must be at"),
        ("import os\nos.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("import os\nprint('half way')\nos._exit(4)", "ended with exit code 4"),
    ],
)
def test_what_is_wrong_with_a_module_is_told(
    text: str, message: str, write: Write, tmp_path: Path
) -> None:
    name = write(text)
    with pytest.raises(UsageError) as found:
        inspect_trainer(name, tmp_path)
    assert message in str(found.value)
    assert str(tmp_path) in str(found.value)
    assert "Traceback" not in str(found.value)


def test_a_module_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no module nowhere_at_all") as found:
        trainer_schema("nowhere_at_all.mine:train", tmp_path)
    assert str(tmp_path) in str(found.value)


def test_a_module_that_takes_too_long_is_ended_with_what_it_started(
    write: Write, tmp_path: Path
) -> None:
    name = write(
        "import subprocess, sys, time\n"
        f"other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(other.pid))\n"
        "time.sleep(60)\n"
    )
    began = time.monotonic()
    with pytest.raises(UsageError, match="still loading after 1 s"):
        inspect_trainer(name, tmp_path, timeout_s=1.0)
    assert time.monotonic() - began < 30
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_what_is_declared_is_kept_until_a_file_changes(write: Write, tmp_path: Path) -> None:
    looks = tmp_path / "looks"
    text = f"open({str(looks)!r}, 'a').write('x')\n" + DECLARED
    name = write(text)
    for _ in range(3):
        assert trainer_schema(name, tmp_path).parameters["width"].default == 8
    assert looks.read_text() == "x"
    path = tmp_path / f"{name.partition(':')[0]}.py"
    path.write_text(text.replace("parameter(8,", "parameter(16,"))
    os.utime(path, ns=(1, 1))
    assert trainer_schema(name, tmp_path).parameters["width"].default == 16
    assert looks.read_text() == "xx"
    for kept in (tmp_path / "cache").iterdir():
        kept.write_text("{ half")
    assert trainer_schema(name, tmp_path).parameters["width"].default == 16


@pytest.mark.parametrize("name", ["", "a b", "a:b:c", "1a:train", "a.:train", "../x", "x;y"])
def test_what_is_no_name_is_refused_before_anything_is_imported(name: str) -> None:
    with pytest.raises(TrainerError, match="must be the name of a trainer"):
        load_trainer(name)


def test_shipped_trainers_load_with_all_that_they_declare() -> None:
    trainer = load_trainer("signal")
    assert trainer.make_config({"hidden_size": 8}).hidden_size == 8
    assert trainer.evaluate is not None
    assert set(trainer.goals) > {"mse", "mse_1hz"}
    assert trainer.full_config(trainer.make_config({}))["preset"] == "small"
    with pytest.raises(TrainerError, match="no module"):
        load_trainer("nothing")
