"""Adding a concept takes one record, which the rest of the program finds by itself."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import app
from orchestrator.divergence import Policy, Watch, symptoms
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.search.study import Study
from orchestrator.sweepfile.model import Domain, Sampler
from orchestrator.sweepfile.space import PRUNERS, SAMPLERS, PrunerRecord, SamplerRecord
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
    return Study.open(
        folder / "study.journal",
        name="extended",
        goal="minimize",
        method="bayes",
        seed=0,
        pruner=pruner,
        metric="val_mae",
        sampler=Sampler(sampler),
    )


class TestPruner:
    def test_it_prunes_with_a_reason(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        record = PrunerRecord("optuna.pruners:ThresholdPruner", {"upper": 1.0})
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
