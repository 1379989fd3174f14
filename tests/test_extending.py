"""Adding a concept takes one record, which the rest of the program finds by itself."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import trainers
from orchestrator.cli import app, commands
from orchestrator.divergence import Policy, Watch, symptoms
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.search.study import Study
from orchestrator.sweepfile.model import Domain, Sampler
from orchestrator.sweepfile.space import PRUNERS, SAMPLERS, PrunerRecord, SamplerRecord
from tests import test_docs
from tests.search.conftest import study_at
from tests.test_docs import undescribed_symptoms


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


class TestSymptom:
    MODULE = """
from orchestrator.divergence.symptom import Advice, Symptom, Verdict


class Loudness:
    def feed(self, seen):
        if seen.values.get("noise", 0) > 1:
            yield Verdict("warn", "too loud", seen.step, f"noise {seen.values['noise']:g}")

    def holds(self, found):
        return True


def advise(found, facts):
    return Advice("the window is open", ("close the window",), ("do not shout",))


SYMPTOM = Symptom("too loud", "warn", "likely", advise, Loudness)
"""

    @pytest.fixture(autouse=True)
    def _loud(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        folder = tmp_path / "more"
        folder.mkdir()
        (folder / "too_loud.py").write_text(self.MODULE)
        monkeypatch.setattr(symptoms, "__path__", [*symptoms.__path__, str(folder)])
        importlib.invalidate_caches()
        all_symptoms.cache_clear()
        yield
        monkeypatch.undo()
        sys.modules.pop(f"{symptoms.__name__}.too_loud", None)
        all_symptoms.cache_clear()

    def test_the_sweep_file_accepts_it(self, tmp_path: Path) -> None:
        schema = json.loads(run("schema"))
        assert "too loud" in schema["properties"]["divergence"]["anyOf"][0]["properties"]
        path = tmp_path / "sweep.yaml"
        path.write_text("trainer: edc\ndivergence: {too loud: stop}\n")
        run("check", str(path))

    def test_the_watch_finds_it(self) -> None:
        report = {"train_loss": 1.0, "noise": 2.0}
        (warned,) = Watch().update(3, report)
        assert (warned.action, warned.symptom, warned.reason) == ("warn", "too loud", "noise 2")
        (stopped,) = Watch(policy=Policy.of({"too-loud": "stop"})).update(3, report)
        assert stopped.action == "stop"

    def test_doctor_gives_its_advice(self, tmp_path: Path) -> None:
        log = tmp_path / "metrics.csv"
        log.write_text("epoch,train_loss,noise\n1,1.0,0.5\n2,0.9,2.0\n3,0.8,0.5\n")
        shown = run("doctor", str(log))
        assert "too loud (likely), since epoch 2" in shown
        assert "close the window" in shown

    def test_the_docs_test_demands_its_line(self) -> None:
        assert undescribed_symptoms() == ["too loud"]


SPACE = {"lr": Domain("uniform", low=0.0, high=1.0)}


def study(folder: Path, *, sampler: str = "random", pruner: str = "none") -> Study:
    path = folder / "study.journal"
    return study_at(path, method="bayes", pruner=pruner, sampler=Sampler(sampler))


class TestPruner:
    def test_it_prunes_with_a_reason(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        record = PrunerRecord("optuna.pruners:ThresholdPruner", defaults={"upper": 1.0})
        monkeypatch.setitem(PRUNERS, "threshold", record)
        opened = study(tmp_path, pruner="threshold")
        number = opened.ask(SPACE).number
        opened.report(number, 1, 2.0)
        reason = opened.should_prune(number)
        assert reason == "threshold pruner: val_mae 2 at step 1 cannot win any more"


class TestSampler:
    def test_it_proposes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        record = SamplerRecord("optuna.samplers:NSGAIIISampler", defaults={"population_size": 2})
        monkeypatch.setitem(SAMPLERS, "nsga3", record)
        proposal = study(tmp_path, sampler="nsga3").ask(SPACE)
        assert 0 <= proposal.params["lr"] <= 1


def test_the_pruner_for_other_studies_is_exported_at_the_top() -> None:
    import orchestrator
    from orchestrator.search.divergence_pruner import DivergencePruner

    assert orchestrator.DivergencePruner is DivergencePruner


class TestCommand:
    MODULE = '''"""Count the letters of a word."""
import click

@click.command()
@click.argument("word")
def command(word: str) -> None:
    """Count the letters of WORD."""
    click.echo(f"{len(word)} letters")
'''

    @pytest.fixture(autouse=True)
    def _letters(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / "letters.py").write_text(self.MODULE)
        monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        yield
        sys.modules.pop(f"{commands.__name__}.letters", None)

    def test_help_lists_it_and_it_runs(self) -> None:
        assert re.search(r"^  letters +Count the letters of a word\.$", run("--help"), re.M)
        assert "Count the letters of WORD." in run("letters", "--help")
        assert run("letters", "sweep") == "5 letters\n"

    def test_the_docs_tests_demand_its_section(self) -> None:
        with pytest.raises(AssertionError, match="one section '## sweep letters'"):
            test_docs.test_each_command_has_a_section_with_all_its_options_and_no_others("letters")
        with pytest.raises(AssertionError, match="`sweep letters` is missing"):
            test_docs.test_the_readme_names_every_command()


class TestKeyOfTheSweepFile:
    MODULE = """
from orchestrator.sweepfile.schema.fields import Whole
from orchestrator.sweepfile.schema.options import Option

def check(file, spec):
    if spec.options["loudness"] > 11:
        file.error(f"too loud (found {spec.options['loudness']}). Write 11.", "loudness")

OPTION = Option(Whole(0), "how loud the end of a sweep is", name="loudness", check=check)
"""
    # A process of its own: the table of keys is made once, when it is first imported.
    MAIN = """
import sys
from click.testing import CliRunner
from orchestrator.sweepfile.schema import options
options.__path__.append(sys.argv[1])
from orchestrator.cli import app
from tests import test_docs

def run(*arguments):
    done = CliRunner().invoke(app, arguments)
    print(done.output, done.exception)

run("schema")
run("check", "sweep.yaml")
run("check", "sweep.yaml", "--set", "loudness=12")
run("run", "sweep.yaml", "--inline")
run("run", "sweep.yaml", "--inline", "--set", "loudness=4")
try:
    test_docs.test_every_key_of_the_sweep_file_is_described()
except AssertionError as error:
    print(error)
"""

    def test_it_is_checked_saved_compared_and_demanded_in_the_docs(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "loudness.py").write_text(self.MODULE)
        (tmp_path / "train.py").write_text("import sys\nprint('val_mae=0.5', sys.argv[1])\n")
        (tmp_path / "sweep.yaml").write_text(
            "program: train.py\nmetric: val_mae\nparameters: {lr: {values: [0.1]}}\nloudness: 3\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", self.MAIN, str(tmp_path / "more")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "how loud the end of a sweep is" in done.stdout, done.stderr
        assert "sweep.yaml: ok, 1 trial" in done.stdout
        assert "--set: loudness: too loud (found 12). Write 11." in done.stdout
        assert "loudness: was 3, is 4" in done.stdout
        assert "docs/sweep-file.md does not name ['loudness']" in done.stdout
        record = json.loads((tmp_path / "results" / "sweep" / "spec.json").read_text())
        assert record["loudness"] == 3


class TestTrainer:
    CONFIG = '''
from dataclasses import dataclass
from trainers.base import Metric, parameter

DATA_KIND = "regression"

@dataclass(frozen=True)
class Config:
    """Pulls one number towards zero."""
    lr: float = parameter(0.5, "learning rate", low=0.0, high=1.0)
    epochs: int = parameter(3, "epochs", low=1)
    seed: int = parameter(0, "seed")

METRICS = {"train_loss": Metric(is_loss=True), "val_mae": Metric(goal="minimize")}
'''
    TRAIN = """
import numpy as np

def train(config, run):
    value = 1.0
    for epoch in range(config.epochs):
        value *= 1 - config.lr
        run.report(epoch + 1, train_loss=value**2, val_mae=value)
    for split in ("val", "test"):
        run.save_predictions(np.full((8, 1), value), np.zeros((8, 1)), split=split)
"""

    @pytest.fixture(autouse=True)
    def _pull(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        folder = tmp_path / "more" / "pull"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text('"""Pulls one number towards zero."""\n')
        (folder / "config.py").write_text(self.CONFIG)
        (folder / "train.py").write_text(self.TRAIN)
        monkeypatch.setattr(trainers, "__path__", [*trainers.__path__, str(folder.parent)])
        importlib.invalidate_caches()
        yield
        for name in [name for name in sys.modules if name.startswith("trainers.pull")]:
            del sys.modules[name]
        if hasattr(trainers, "pull"):
            del trainers.pull

    def test_it_is_listed_checked_run_and_ranked(self, tmp_path: Path) -> None:
        assert re.search(r"^pull +3 .*val_mae", run("trainers"), re.M)
        assert "learning rate" in run("trainers", "pull")
        assert json.loads(run("schema"))["properties"]["trainer"]
        path = tmp_path / "sweep.yaml"
        path.write_text("trainer: pull\nparameters: {lr: {values: [0.1, 0.9]}}\n")
        run("check", str(path))
        results = str(tmp_path / "results")
        table = run("run", str(path), "--results", results, "--inline")
        assert "2/2 complete, ranked by val_mae" in table
        rows = json.loads(run("compare", results, "--json"))["rows"]
        assert [row["config"]["lr"] for row in rows] == [0.9, 0.1]

    def test_the_docs_test_demands_its_row(self) -> None:
        with pytest.raises(AssertionError, match="pull"):
            test_docs.test_every_trainer_is_in_the_list_of_trainers()
