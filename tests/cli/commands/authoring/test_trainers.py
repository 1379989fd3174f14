"""`sweep trainers`, `sweep init --trainer`, and the function of one's own that the docs show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.analysis.measure.measuring import evaluate_run
from orchestrator.cli import app
from orchestrator.cli.render.text import number
from orchestrator.engine.child.process import Attempt, TrialProcess
from orchestrator.metrics import known_metrics
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.trainer_schemas import trainer_names, trainer_schema
from tests.conftest import ROOT
from tests.engine.sweeps import run_to_end
from trainers.conformance import conformance
from trainers.loading import load_trainer

PAGE = ROOT / "docs" / "trainers.md"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "220"})


def shown_module() -> str:
    found = re.search(r"^```python\n(# my_trainer\.py\n.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert found is not None
    return found[1]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the module that the docs show."""
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "my_trainer.py").write_text(shown_module(), encoding="utf-8")
    return folder


def test_all_trainers_are_listed_with_what_ranks_them() -> None:
    done = call("trainers")
    assert done.exit_code == 0
    for name in trainer_names():
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert str(len(trainer_schema(name).parameters)) in row
        assert trainer_schema(name).default_metric in row.split()


_SOURCE = "scikit-learn, mean_squared_error"


def test_one_trainer_is_shown_with_defaults_presets_bounds_and_metrics() -> None:
    lines = call("trainers", "signal").stdout.splitlines()
    assert lines[0].startswith("signal: ")
    width = next(line for line in lines if line.startswith("hidden_size "))
    assert re.search(r"64 +1 to 4096 +units of each LSTM layer", width)
    slots = next(line for line in lines if line.startswith("batch_size "))
    assert slots.split()[1:4] == ["1", "32", "1"]
    assert any(
        re.search(r"^val_mse +minimize +ranks by default +scikit-learn, mean_squared_error$", line)
        for line in lines
    )
    assert any(line.startswith("loss*") for line in call("trainers", "edc").stdout.splitlines())


@pytest.mark.parametrize("name", trainer_names())
def test_each_parameter_is_shown_with_its_values_and_meaning_on_a_narrow_terminal(
    name: str,
) -> None:
    done = CliRunner().invoke(app, ["trainers", name], env={"COLUMNS": "80"})
    schema = trainer_schema(name)
    table = done.stdout.split("\n\n")[1].splitlines()
    starts = [found.start() for found in re.finditer("-+", table[1])]
    rows: list[list[str]] = []
    for line in table[2:]:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1][-1] += f" {cells[-1]}"
    shown = {row[0].rstrip("*"): row for row in rows}
    assert list(shown) == list(schema.parameters)
    for known in schema.parameters.values():
        values = [
            known.default,
            *(preset.get(known.name, "") for preset in schema.presets.values()),
        ]
        cells = shown[known.name][1 : 1 + len(values)]
        assert cells == ["null" if value is None else number(value, 6) for value in values]
        assert shown[known.name][-1] == " ".join(known.help.split())


def test_a_trainer_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    done = call("trainers", "singal")
    assert done.exit_code != 0
    assert "Did you mean 'signal'?" in str(done.exception)


def test_json_holds_everything_that_is_declared() -> None:
    every: list[dict[str, Any]] = json.loads(call("trainers", "--json").stdout)
    assert [item["trainer"] for item in every] == trainer_names()
    one = json.loads(call("trainers", "signal", "--json").stdout)
    assert one == next(item for item in every if item["trainer"] == "signal")
    slots = next(item for item in one["parameters"] if item["name"] == "batch_size")
    assert (slots["type"], slots["unit"], slots["alters_memory"]) == ("int", "slots", True)
    assert one["presets"]["small"]["batch_size"] == 32
    text = (PAGE.parent / "files.md").read_text()
    for name in {*one, *slots, *one["metrics"]["val_mse"]}:
        assert f"`{name}`" in text, f"docs/files.md does not name {name}"


@pytest.mark.parametrize("name", trainer_names())
def test_a_first_file_for_each_trainer_is_good(name: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    assert call("init", "--trainer", name, "-o", str(path)).exit_code == 0
    assert load_spec(path).trainer == name
    every = path.read_text().replace("\n  # ", "\n  ")
    path.write_text(every.replace("\n  other:", "\n  # other:"))
    assert load_spec(path).warnings == ()


@pytest.mark.slow
def test_a_first_file_for_a_function_of_ones_own(own: Path) -> None:
    path = own / "sweep.yaml"
    assert call("init", "--trainer", "my_trainer:train", "-o", str(path)).exit_code == 0
    spec = load_spec(path)
    assert spec.trainer == "my_trainer:train"
    assert spec.metric is not None
    assert spec.metric.name == "val_mae"


@pytest.mark.slow
def test_the_shown_function_keeps_the_contract(own: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    report = conformance(load_trainer("my_trainer:train", own), {"epochs": 4}, runs)
    assert not report.broken, str(report)
    assert not report.unseen
    for promise in report.kept:
        assert f"  yes      {promise}\n" in PAGE.read_text()


@pytest.mark.slow
def test_the_shown_function_runs_in_a_process_of_its_own(own: Path, tmp_path: Path) -> None:
    slot = {"device": "cpu", "threads": 1, "memory_mib": 1024, "visible": ""}
    run = tmp_path / "trial"
    run.mkdir()
    values = {"lr": 1e-3, "epochs": 5}
    name = "my_trainer:train"
    process = TrialProcess(
        Attempt(str(run), 0, "own", 1, values, name, None, slot, folder=str(own))
    )
    messages = run_to_end(process)
    assert messages[-1] == ["done"], messages
    assert [message[1] for message in messages if message[0] == "report"] == [1, 2, 3, 4, 5]
    metadata = json.loads((run / "metadata.json").read_text())
    assert metadata["config"] == {"lr": 1e-3, "hidden": 16, "epochs": 5, "seed": 0}
    assert metadata["set"] == values
    plain = set(known_metrics())
    assert set(evaluate_run(run)) == plain | {f"val_{name}" for name in plain}

    (own / "gone").mkdir()
    (own / "gone" / "my_other.py").write_text("import nothing_that_is_there\n")
    again = Attempt(
        str(run), 0, "own", 1, {}, "my_other:train", None, slot, folder=str(own / "gone")
    )
    failed = run_to_end(TrialProcess(again))[-1]
    assert failed[0] == "failed"
    assert "my_other:train: my_other cannot be imported: ModuleNotFoundError" in failed[1]
