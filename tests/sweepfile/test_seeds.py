"""Ablations, seeds and stages: which configs they make, in which order, under which numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.sweepfile.expand.build import Excluded, for_stage, make_change, make_config
from orchestrator.sweepfile.expand.configs import (
    count_trials,
    exclusion,
    iter_all,
    iter_configs,
    numbers_end,
)
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Constraint, Domain, Spec

Write = Callable[[str], Path]

ABLATION = """\
trainer: sweep_toy
metric: val_mae
fixed: {epochs: 3}
ablate:
  baseline: {set: {lr: 0.1}}
  changes:
    lr: {set: {lr: [0.2, 0.3]}}
    amp: {set: {amp: true}, note: half of the memory}
    both: {set: {amp: true, clip: [null, 2], model: hybrid}}
"""


RANDOM = "trainer: sweep_toy\nmethod: random\nparameters: {lr: {min: 0.1, max: 1}}\n"


class TestAblate:
    def test_the_baseline_then_one_change_at_a_time(self, write: Write) -> None:
        spec = load_spec(write(ABLATION))
        trials = list(iter_configs(spec))
        base = {"epochs": 3, "seed": 0, "lr": 0.1}
        both = {"amp": True, "model": "hybrid"}
        assert [(trial.name, trial.change, trial.config) for trial in trials] == [
            ("baseline", None, base),
            ("lr=0.2", "lr=0.2", {**base, "lr": 0.2}),
            ("lr=0.3", "lr=0.3", {**base, "lr": 0.3}),
            ("amp", "amp", {**base, "amp": True}),
            ("both+clip=null", "both+clip=null", {**base, **both, "clip": None}),
            ("both+clip=2", "both+clip=2", {**base, **both, "clip": 2}),
        ]  # fmt: skip
        assert [trial.number for trial in trials] == list(range(6))
        assert count_trials(spec) == numbers_end(spec) == 6
        assert spec.ablate is not None
        assert spec.ablate.changes["amp"].note == "half of the memory"

    def test_a_change_on_top_of_kept_ones(self, write: Write) -> None:
        spec = load_spec(write(ABLATION), overrides=["epochs=4"])
        made = make_change(spec, 3, "amp", ("lr=0.2",))
        assert not isinstance(made, Excluded)
        assert made.config == {"epochs": 4, "seed": 0, "lr": 0.2, "amp": True}
        assert (made.number, made.name, made.change) == (3, "amp", "amp")
        for trial in iter_configs(spec):
            assert make_change(spec, trial.number, trial.change) == trial

    def test_constraints_leave_changes_out(self, write: Write) -> None:
        text = (
            ABLATION
            + "constraints: [{forbid: amp == true and clip is null, reason: it overflows}]\n"
        )
        spec = load_spec(write(text))
        assert [trial.name for trial in iter_configs(spec)][3:] == ["amp", "both+clip=2"]
        assert [trial.number for trial in iter_configs(spec)] == list(range(5))
        found = exclusion(spec)
        assert (found.count, found.examples[0].trial) == (1, "both+clip=null")
        assert count_trials(spec) == 5
        assert isinstance(make_change(spec, 4, "both+clip=null"), Excluded)

    def test_a_change_may_have_any_name(self, write: Write) -> None:
        text = (
            "trainer: sweep_toy\nablate: {changes: {ä/b: {set: {lr: 1}}, 'a b': {set: {lr: 2}}}}\n"
        )
        names = [trial.name for trial in iter_configs(load_spec(write(text)))]
        assert len(set(names)) == 3
        assert not set("".join(names)) & set("ä/ ")


class TestSeeds:
    def test_all_configs_with_the_first_seed_then_the_second(self, write: Write) -> None:
        text = "trainer: sweep_toy\nseeds: [4, 9]\nparameters: {lr: {values: [0.1, 0.2]}}\n"
        trials = list(iter_configs(load_spec(write(text))))
        assert [(t.config["lr"], t.config["seed"]) for t in trials] == [
            (0.1, 4), (0.2, 4), (0.1, 9), (0.2, 9),
        ]  # fmt: skip
        assert [(t.number, t.group, t.replicate) for t in trials] == [
            (0, 0, 0), (2, 2, 0), (1, 0, 1), (3, 2, 1),
        ]  # fmt: skip
        assert [t.name for t in trials] == [
            "lr=0.1_seed=4", "lr=0.2_seed=4", "lr=0.1_seed=9", "lr=0.2_seed=9",
        ]  # fmt: skip
        assert all("seed" not in trial.varied for trial in trials)

    def test_a_number_counts_up_from_the_seed_of_the_sweep(self, write: Write) -> None:
        assert load_spec(write("trainer: sweep_toy\nseeds: 3\n")).seeds == (0, 1, 2)
        assert load_spec(write("trainer: sweep_toy\nseeds: 3\nseed: 7\n")).seeds == (7, 8, 9)
        assert load_spec(write("trainer: sweep_toy\nseeds: 3\n"), overrides=["seed=5"]).seeds == (
            5,
            6,
            7,
        )

    def test_one_seed_is_no_replicate(self, write: Write) -> None:
        (trial,) = iter_configs(load_spec(write("trainer: sweep_toy\nseeds: [5]\n")))
        assert (trial.name, trial.group, trial.config["seed"]) == ("run", None, 5)

    def test_another_parameter_of_a_program(self, write: Write) -> None:
        text = "program: p.py\nseeds: {values: 2, parameter: random-state}\nfixed: {lr: 1}\n"
        trials = list(iter_configs(load_spec(write(text))))
        assert [trial.config for trial in trials] == [
            {"lr": 1, "random-state": 0}, {"lr": 1, "random-state": 1},
        ]  # fmt: skip
        assert [trial.name for trial in trials] == ["random-state=0", "random-state=1"]

    def test_a_longer_random_sweep_keeps_its_numbers(self, write: Write) -> None:
        text = RANDOM + "seeds: 3\nrun_cap: "
        short = list(iter_configs(load_spec(write(f"{text}7\n"))))
        long = {trial.number: trial for trial in iter_configs(load_spec(write(f"{text}20\n")))}
        assert len(short) == 7
        assert all(long[trial.number] == trial for trial in short)
        # Seven trials are three configs, of which the third misses its last seeds.
        assert [(trial.number // 3, trial.replicate) for trial in short] == [
            (0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2),
        ]  # fmt: skip

    def test_without_a_bound_each_config_takes_all_its_seeds_first(self, write: Write) -> None:
        text = RANDOM + "seeds: 2\n"
        first = [trial for trial, _ in zip(iter_configs(load_spec(write(text))), range(4))]  # noqa: B905
        assert [trial.number for trial in first] == [0, 1, 2, 3]

    def test_a_gate_waits_for_all_replicates_of_the_baseline(self, write: Write) -> None:
        text = ABLATION.replace("ablate:\n", "seeds: 2\nablate:\n  gate: val_mae < 1\n")
        names = [trial.change for trial in iter_configs(load_spec(write(text)))]
        assert names[:2] == [None, None]
        assert names[2:7] == names[7:]
        text = ABLATION.replace("ablate:\n", "seeds: 2\nablate:\n  keep_improvements: true\n")
        numbers = [trial.number for trial in iter_configs(load_spec(write(text)))]
        assert numbers == list(range(12))

    def test_bayes_takes_the_replicates_of_a_proposal_by_number(self, write: Write) -> None:
        text = (
            f"{RANDOM.replace('random', 'bayes')}run_cap: 8\nseeds: 2\n"
            "trials: {a: {set: {amp: true}}, b: {}}\n"
        )
        spec = load_spec(write(text))
        made = [make_config(spec, number, {"lr": 0.5}) for number in range(4)]
        assert [trial.name.split("+")[0] for trial in made] == ["a", "a", "b", "b"]
        assert [trial.config["seed"] for trial in made] == [0, 1, 0, 1]
        assert [trial.group for trial in made] == [0, 0, 2, 2]

    @pytest.mark.parametrize("place", [
        "fixed: {seed: 1}", "parameters: {seed: {values: [1, 2]}}", "trials: {a: {set: {seed: 1}}}",
        "stages: {a: {set: {seed: 1}}}", "ablate: {changes: {a: {set: {seed: 1}}}}",
        "ablate: {baseline: {set: {seed: 1}}, changes: {a: {set: {lr: 1}}}}",
    ])  # fmt: skip
    def test_no_config_may_set_it(self, write: Write, place: str) -> None:
        with pytest.raises(Exception, match="seed: cannot be set here: seeds sets it"):
            load_spec(write(f"trainer: sweep_toy\nseeds: 2\n{place}\n"))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 4), max_size=3),
    seeds=st.lists(st.integers(0, 99), unique=True, max_size=4),
    cap=st.none() | st.integers(1, 60),
    forbidden=st.booleans(),
)
def test_replicates_are_all_there_once(
    lengths: list[int], seeds: list[int], cap: int | None, forbidden: bool
) -> None:
    names = "abc"[: len(lengths)]
    spec = Spec(
        name="s",
        path=Path("/s.yaml"),
        parameters={
            name: Domain("categorical", tuple(range(length)))
            for name, length in zip(names, lengths, strict=True)
        },
        constraints=(Constraint("a == 1", forbid=True),) if forbidden else (),
        seeds=tuple(seeds),
        run_cap=cap,
    )
    whole = list(iter_configs(replace(spec, run_cap=None)))
    trials = list(iter_configs(spec))
    assert trials == (whole if cap is None else whole[:cap])
    assert len(trials) == count_trials(spec)
    assert len(whole) == numbers_end(spec)
    numbers = [trial.number for trial in whole]
    assert sorted(numbers) == list(range(len(whole)))
    assert len({trial.name for trial in whole}) == len(whole)
    many = max(len(seeds), 1)
    for place, trial in enumerate(whole):
        assert place // (len(whole) // many) == trial.replicate == trial.number % many
        assert trial.config.get("seed") == (seeds[trial.replicate] if seeds else None)
        rest = {name: value for name, value in trial.config.items() if name != "seed"}
        same = [other for other in whole if other.number // many == trial.number // many]
        assert all(rest.items() <= other.config.items() for other in same)
        assert trial.group == (trial.number // many * many if many > 1 else None)
    left_out = [
        item for item in iter_all(replace(spec, run_cap=None)) if isinstance(item, Excluded)
    ]
    assert len(left_out) == exclusion(spec, limit=10**6).count


STAGED = """\
trainer: sweep_toy
metric: val_mae
fixed: {epochs: 9}
stages:
  quick: {set: {epochs: 2, data_fraction: 0.1}, promote: {fraction: 0.5}}
  middle: {set: {epochs: 4}, promote: {top: 1, if: stable}, continue: true}
  full: {set: {data_fraction: 1.0}}
parameters: {lr: {values: [0.1, 0.2]}}
"""


class TestStages:
    def test_where_one_promotes_all_run_and_the_first_makes_the_configs(self, write: Write) -> None:
        spec = load_spec(write(STAGED))
        assert (spec.stage, spec.stage_set) == (None, {})
        assert [stage.name for stage in spec.stages] == ["quick", "middle", "full"]
        assert [stage.resumes for stage in spec.stages] == [False, True, False]
        assert list(iter_configs(spec)) == list(iter_configs(for_stage(spec, "quick")))
        assert next(iter_configs(spec)).config["epochs"] == 2

    def test_one_by_name_and_the_first(self, write: Write) -> None:
        assert load_spec(write(STAGED), stage="full").stage_set == {"data_fraction": 1.0}
        assert load_spec(write(STAGED), quick=True).stage == "quick"
        with pytest.raises(Exception, match="--quick: cannot be combined with --stage"):
            load_spec(write(STAGED), quick=True, stage="full")
        with pytest.raises(Exception, match="--quick: there is no first stage"):
            load_spec(write("trainer: sweep_toy\n"), quick=True)
        with pytest.raises(ValueError, match="no stage slow"):
            for_stage(load_spec(write(STAGED)), "slow")


def test_a_cap_that_cuts_the_seeds_of_the_last_config_is_warned_of(write: Write) -> None:
    text = (
        "program: env\nmetric: x\nmethod: random\nseeds: 2\nparameters: {a: {min: 0.1, max: 1}}\n"
    )
    warnings = load_spec(write(text + "run_cap: 3\n")).warnings
    assert [one for one in warnings if "no multiple of 2 seeds: the last config has 1" in one]
    even = load_spec(write(text + "run_cap: 4\n")).warnings
    assert not [one for one in even if "multiple" in one]
