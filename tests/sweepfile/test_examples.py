"""Each file under sweeps/examples: what it asks for, to the last trial, and what comes of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState, load_trials
from orchestrator.sweepfile.expand.configs import count_trials, exclusion, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.schema.sweep import SPEC, WANDB_KEYS
from orchestrator.sweepfile.yaml.node import Log
from orchestrator.sweepfile.yaml.parse import read_file
from tests.conftest import ROOT

EXAMPLES = ROOT / "sweeps" / "examples"
COUNTS: dict[str, int | None] = {
    "ablate.yaml": 5,
    "base.yaml": 1,
    "budget.yaml": None,
    "distributions.yaml": 10,
    "early_terminate.yaml": 9,
    "extends.yaml": 4,
    "keep_improvements.yaml": 9,
    "lr_schedule.yaml": 2,
    "outcomes.yaml": 2,
    "relations.yaml": 10,
    "remedy.yaml": 2,
    "sampler.yaml": 8,
    "seeds.yaml": 4,
    "stages.yaml": 8,
    "two_metrics.yaml": 8,
    "wandb.yaml": 6,
}


def test_none_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == set(COUNTS)


def test_every_key_of_a_sweeps_course_is_shown_somewhere() -> None:
    used = {key for path in EXAMPLES.glob("*.yaml") for key in read_file(path, Log()).value}
    course = {"stages", "ablate", "seeds", "budget", "sampler", "divergence", "remedy", "success"}
    course |= {"targets", "expect", "reference", "lr_schedule", "pruner", "early_terminate"}
    course |= {"zip", "constraints", "trials", "parameters", "extends", "run_cap", "seed"}
    assert course <= used <= SPEC.keys.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_they_could_run(name: str) -> None:
    spec = load_spec(EXAMPLES / name, need_program=True)
    assert spec.warnings == ()
    assert count_trials(spec) == COUNTS[name]
    if spec.method != "bayes" and COUNTS[name] is not None:
        trials = list(iter_configs(spec))
        assert len(trials) == COUNTS[name]
        assert len({trial.name for trial in trials}) == len(trials)


def test_wandb_is_one_of_wandbs() -> None:
    assert set(read_file(EXAMPLES / "wandb.yaml", Log()).value) <= set(WANDB_KEYS)


def test_relations() -> None:
    spec = load_spec(EXAMPLES / "relations.yaml")
    pairs = {(trial.config["batch_size"], trial.config["lr"]) for trial in iter_configs(spec)}
    assert pairs == {(8, 0.1), (32, 0.3)}
    for trial in iter_configs(spec):
        config = trial.config
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert not (config.get("momentum") == 0.9 and config["clip"] is None)
    assert exclusion(spec).count == 8


def test_extends(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = load_spec(EXAMPLES / "extends.yaml")
    assert (spec.fixed["lr"], spec.fixed["epochs"]) == (0.2, 10)
    decays = [trial.config.get("weight_decay") for trial in iter_configs(spec)]
    assert decays == [None, 0.001, 0.01, 0.1]
    monkeypatch.setenv("SWEEP_EPOCHS", "3")
    assert load_spec(EXAMPLES / "extends.yaml").fixed["epochs"] == 3


def test_distributions_reach_the_program_as_one_mapping() -> None:
    for trial in iter_configs(load_spec(EXAMPLES / "distributions.yaml")):
        assert set(trial.config["network"]) == {"layers", "width"}
        assert trial.config["network"]["width"] % 8 == 0
        assert type(trial.config["rounded_logarithm"]) is int


# Run ---------------------------------------------------------------------------------------------


class Ran:
    """What a sweep left behind."""

    def __init__(self, folder: Path) -> None:
        sweep = SweepDir(folder)
        record = SweepRecord.load(sweep)
        assert record is not None
        self.record = record
        self.trials: list[TrialRecord] = load_trials(sweep)
        lines = sweep.events_file.read_text().splitlines()
        self.events: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def named(self, name: str) -> TrialRecord:
        return next(trial for trial in self.trials if trial.name == name)

    def linked(self, link: str) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.link == link]

    def all_complete(self, count: int) -> None:
        assert [trial.state for trial in self.trials] == [TrialState.COMPLETE] * count


def ablate(ran: Ran) -> None:
    ran.all_complete(5)
    assert any("gate" in str(event) for event in ran.events)


def keep_improvements(ran: Ran) -> None:
    ran.all_complete(9)
    # What gained stays for the changes after it.
    assert {trial.config["lr"] for trial in ran.trials if trial.name.startswith("decay")} == {0.5}


def budget(ran: Ran) -> None:
    ran.all_complete(6)
    assert ran.record.reason is not None
    assert ran.record.reason.startswith("budget: 6 of 6 allowed trials ended")


def early_terminate(ran: Ran) -> None:
    pruned = [trial for trial in ran.trials if trial.state is TrialState.PRUNED]
    assert len(ran.trials) == 9
    assert pruned
    assert all("early_terminate" in str(trial.reason) for trial in pruned)


def lr_schedule(ran: Ran) -> None:
    ran.all_complete(2)
    warned = [event["name"] for event in ran.events if event["event"] == "warning"]
    assert warned == ["schedule=constant"]


def outcomes(ran: Ran) -> None:
    ran.all_complete(2)
    assert ran.record.course["success"]["met"] is True


def remedy(ran: Ran) -> None:
    (successor,) = ran.linked("remedy")
    assert (ran.trials[1].state, ran.trials[1].symptom) == (TrialState.PRUNED, "explosion")
    assert successor.origin == 1
    assert successor.config["lr"] == pytest.approx(0.3)
    assert successor.state is TrialState.COMPLETE


def sampler(ran: Ran) -> None:
    assert len(ran.trials) == 8
    assert {trial.state for trial in ran.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}


def seeds(ran: Ran) -> None:
    ran.all_complete(4)
    assert sorted({trial.group for trial in ran.trials if trial.group is not None}) == [0, 2]
    order = [event["number"] for event in ran.events if event["event"] == "trial_started"]
    assert {number % 2 for number in order[:2]} == {0}  # both configs with the first seed


def stages(ran: Ran) -> None:
    promoted = ran.linked("promoted")
    assert len(promoted) == 3
    assert {trial.stage for trial in promoted} == {"full"}
    assert all(trial.config["epochs"] == 12 for trial in promoted)
    assert not {trial.config["lr"] for trial in promoted} & {0.02, 40.0}


def complete(count: int) -> Callable[[Ran], None]:
    return lambda ran: ran.all_complete(count)


RUNS: dict[str, tuple[Callable[[Ran], None], tuple[str, ...]]] = {
    "ablate": (ablate, ()),
    "base": (complete(1), ()),
    "budget": (budget, ()),
    "distributions": (complete(2), ("--count", "2")),
    "early_terminate": (early_terminate, ()),
    "extends": (complete(2), ("--count", "2")),
    "keep_improvements": (keep_improvements, ()),
    "lr_schedule": (lr_schedule, ()),
    "outcomes": (outcomes, ()),
    "relations": (complete(2), ("--count", "2")),
    "remedy": (remedy, ()),
    "sampler": (sampler, ()),
    "seeds": (seeds, ()),
    "stages": (stages, ()),
    "two_metrics": (complete(5), ("--count", "5")),
    "wandb": (complete(2), ("--count", "2")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_they_run(name: str, tmp_path: Path) -> None:
    assert {f"{name}.yaml" for name in RUNS} == set(COUNTS)
    judge, more = RUNS[name]
    with pytest.raises(SystemExit) as ended:
        main(["run", str(EXAMPLES / f"{name}.yaml"), "--inline", "--results", str(tmp_path), *more])
    assert ended.value.code == 0
    judge(Ran(tmp_path / name))


COMMAND = re.compile(r"#\s+sweep (?:run|plan|check)\s+(\S+\.yaml)(.*)")


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").rglob("*.yaml")), ids=lambda p: p.stem)
def test_the_commands_in_the_comments_of_a_file_are_accepted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for file, rest in COMMAND.findall(path.read_text(encoding="utf-8")):
        words = shlex.split(rest, comments=True)
        given = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
        load_spec(Path(file), overrides=given, quick="--quick" in words)
