from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.runs.layout import safe_name
from orchestrator.sweepfile.checks import shortage
from orchestrator.sweepfile.expand.build import make_config
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.model.spec import Constraint, Domain, Method, NamedTrial, Spec
from orchestrator.sweepfile.space.distributions import quantile
from orchestrator.sweepfile.space.grid import canonical, grid_values


def spec_of(parameters: Mapping[str, Domain], **rest: Any) -> Spec:
    return Spec(name="s", path=Path("/s.yaml"), trainer="sweep_toy", parameters=parameters, **rest)


def choice(*values: Any) -> Domain:
    return Domain("categorical", values)


class TestGrid:
    def test_names_are_sorted_and_the_last_is_fastest(self) -> None:
        spec = spec_of({"b": choice(2, 1), "a": choice("x", "y"), "B": choice(0, 5)})
        found = [tuple(trial.config[n] for n in ("B", "a", "b")) for trial in iter_configs(spec)]
        assert found == list(itertools.product((0, 5), ("x", "y"), (2, 1)))
        assert [trial.number for trial in iter_configs(spec)] == list(range(8))

    def test_repetitions_of_a_value_are_dropped(self) -> None:
        found = grid_values(choice(1, 2, 1.0, 2, True, "1", "1", None, [1], [1.0], [1]))
        assert list(map(repr, found)) == ["1", "2", "1.0", "True", "'1'", "None", "[1]", "[1.0]"]

    def test_ranges(self) -> None:
        assert list(grid_values(Domain("int_uniform", low=2, high=5))) == [2, 3, 4, 5]
        assert list(grid_values(Domain("q_uniform", low=1, high=9, q=4))) == [1, 5, 9]
        assert list(grid_values(Domain("q_uniform", low=1, high=8, q=4))) == [1, 5]
        tenths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
        assert list(grid_values(Domain("q_uniform", low=0.1, high=1.0, q=0.1))) == tenths
        wandb = Domain("q_uniform", low=0.1, high=1.0, q=0.1, as_wandb=True)
        assert list(grid_values(wandb)) == tenths[:-1]

    @given(st.integers(-20, 20), st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.3, 1, 2.5, 7]))
    def test_quantised_ranges_are_those_of_arange(self, low: int, span: int, q: float) -> None:
        numpy = pytest.importorskip("numpy")
        domain = Domain("q_uniform", low=low / 4, high=(low + span) / 4, q=q, as_wandb=True)
        found = list(grid_values(domain))
        assert found == pytest.approx(numpy.arange(low / 4, (low + span) / 4, q), abs=1e-12)
        inside = list(grid_values(replace(domain, as_wandb=None)))
        assert inside[: len(found)] == found[: len(inside)]
        assert inside[-1] <= domain.high < inside[-1] + q

    @given(st.integers(0, 10**6), st.integers(1, 10**4), st.integers(0, 6))
    def test_a_grid_has_no_more_decimals_than_its_bounds(
        self, low: int, steps: int, digits: int
    ) -> None:
        scale = 10**digits
        start, end, q = low / scale, (low + steps) / scale, 1 / scale
        values = grid_values(Domain("q_uniform", low=start, high=end, q=q))
        assert (len(values), values[0], values[steps]) == (steps + 1, start, end)
        assert all(len(repr(values[i])) <= 15 for i in range(0, steps, 97))

    def test_other_ranges_have_no_grid(self) -> None:
        with pytest.raises(ValueError, match="uniform"):
            grid_values(Domain("uniform", low=0, high=1))

    def test_constants_ride_along(self) -> None:
        spec = spec_of({"a": Domain("constant", (3,)), "b": choice(1)}, fixed={"c": 2})
        (trial,) = iter_configs(spec)
        assert trial.config == {"c": 2, "a": 3, "b": 1}
        assert trial.varied == {"b": 1}
        assert trial.name == "run"

    def test_named_trials_in_the_order_of_the_file(self) -> None:
        trials = {"z": NamedTrial({"x": 1}), "a": NamedTrial({"x": 2})}
        spec = spec_of({}, trials=trials)
        assert [(t.name, t.trial, t.config) for t in iter_configs(spec)] == [
            ("z", "z", {"x": 1}),
            ("a", "a", {"x": 2}),
        ]

    def test_both_multiply_with_the_names_outermost(self) -> None:
        trials = {"z": NamedTrial({"x": 1}), "a": NamedTrial({"x": 2})}
        spec = spec_of({"lr": choice(0.1, 0.01)}, trials=trials)
        assert [t.name for t in iter_configs(spec)] == [
            "z+lr=0.1", "z+lr=0.01", "a+lr=0.1", "a+lr=0.01",
        ]  # fmt: skip
        assert count_trials(spec) == 4

    def test_a_named_trial_is_not_repeated_for_what_it_sets_itself(self) -> None:
        trials = {"base": NamedTrial({"lr": 1}), "other": NamedTrial()}
        spec = spec_of({"lr": choice(0.1, 0.01)}, trials=trials)
        assert [(t.name, t.config["lr"]) for t in iter_configs(spec)] == [
            ("base", 1), ("other+lr=0.1", 0.1), ("other+lr=0.01", 0.01),
        ]  # fmt: skip
        assert count_trials(spec) == 3

    def test_order_of_strength(self) -> None:
        spec = spec_of(
            {"p": choice("p"), "q": choice("p"), "r": choice("p")},
            fixed=dict.fromkeys("fspqr", "f"),
            stage_set=dict.fromkeys("spqr", "s"),
            trials={"t": NamedTrial({"q": "t", "r": "t"})},
            overrides={"r": "o"},
        )
        (trial,) = iter_configs(spec)
        assert trial.config == {"f": "f", "s": "s", "p": "p", "q": "t", "r": "o"}

    def test_run_cap(self) -> None:
        spec = spec_of({"a": choice(*range(5))}, run_cap=3)
        assert count_trials(spec) == 3
        assert len(list(iter_configs(spec))) == 3
        assert count_trials(spec_of({"a": choice(1)}, run_cap=3)) == 1

    def test_huge_grids_are_counted_and_begun_without_being_written_out(self) -> None:
        wide = Domain("int_uniform", low=0, high=10**30)
        spec = spec_of({f"p{i}": wide for i in range(10)})
        assert count_trials(spec) == (10**30 + 1) ** 10
        first = list(islice(iter_configs(spec), 3))
        assert [trial.config["p9"] for trial in first] == [0, 1, 2]

    @given(
        st.dictionaries(
            st.text("abcAB.-_", min_size=1, max_size=3),
            st.lists(st.integers(0, 3) | st.booleans() | st.text("ab", max_size=1), min_size=1),
            max_size=4,
        ),
        st.integers(0, 3),
    )
    def test_it_is_the_product_without_repetitions(
        self, lists: dict[str, list[Any]], names: int
    ) -> None:
        trials = {f"t{i}": NamedTrial() for i in range(names)}
        spec = spec_of({k: choice(*v) for k, v in lists.items()}, trials=trials)
        found = list(iter_configs(spec))
        keys = sorted(lists)
        rows: dict[Any, None] = {}
        for trial in trials or (None,):
            for values in itertools.product(*(lists[key] for key in keys)):
                rows[(trial, *map(canonical, values))] = None
        assert [(t.trial, *(canonical(t.config[k]) for k in keys)) for t in found] == list(rows)
        assert count_trials(spec) == len(found)
        assert [t.number for t in found] == list(range(len(found)))


RANDOM = {
    "lr": Domain("log_uniform_values", low=1e-5, high=1e-1),
    "width": Domain("int_uniform", low=1, high=3),
    "drop": Domain("uniform", low=0.0, high=0.5),
    "step": Domain("q_uniform", low=0, high=10, q=2),
    "model": choice("a", "b"),
    "batch": Domain("constant", (8,)),
}


class TestRandom:
    def test_a_longer_sweep_begins_with_the_shorter(self) -> None:
        short = list(iter_configs(spec_of(RANDOM, method="random", run_cap=5)))
        longer = list(iter_configs(spec_of(RANDOM, method="random", run_cap=50)))
        endless = list(islice(iter_configs(spec_of(RANDOM, method="random")), 50))
        assert short == longer[:5]
        assert longer == endless

    @pytest.mark.slow
    @given(
        sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        cap=st.integers(1, 70),
        q=st.booleans(),
        names=st.integers(0, 2),
    )
    def test_no_config_is_drawn_twice_and_all_are_drawn(
        self, sizes: list[int], cap: int, q: bool, names: int
    ) -> None:
        parameters = {f"p{i}": choice(*range(size)) for i, size in enumerate(sizes)}
        if q:
            parameters["q"] = Domain("q_uniform", low=0.1, high=0.5, q=0.2)
        trials = {f"t{i}": NamedTrial({"w": i}) for i in range(names)}
        space = math.prod(sizes) * (2 if q else 1) * max(names, 1)
        spec = spec_of(parameters, method="random", run_cap=cap, trials=trials)
        found = [canonical(trial.config) for trial in iter_configs(spec)]
        assert len(set(found)) == len(found) == count_trials(spec) == min(cap, space)
        assert (shortage(spec) is None) == (cap <= space)
        again = replace(spec, repeats=True)
        assert len(list(iter_configs(again))) == count_trials(again) == cap
        assert count_trials(replace(spec, seeds=(1, 2, 3))) == min(cap, 3 * space)

    def test_constraints_and_conditions_count_what_is_drawn(self) -> None:
        domains = {"a": choice(1, 2, 3), "b": Domain("int_uniform", low=1, high=3, when="a == 1")}
        spec = spec_of(domains, method="random", run_cap=9)
        assert count_trials(spec) == len(list(iter_configs(spec))) == 5
        kept = replace(spec, constraints=(Constraint("a < 3"),))
        assert count_trials(kept) == len(list(iter_configs(kept))) == 4
        assert "9 trials are requested, but only 4 can be drawn" in (shortage(kept) or "")

    def test_a_rare_config_is_found(self) -> None:
        spec = spec_of(
            {"a": Domain("uniform", low=0, high=1)},
            method="random", run_cap=2, constraints=(Constraint("a < 0.001"),),
        )  # fmt: skip
        assert count_trials(spec) == 2

    def test_the_seed_decides(self) -> None:
        def drawn(seed: int) -> list[dict[str, Any]]:
            spec = spec_of(RANDOM, method="random", run_cap=5, seed=seed)
            return [trial.config for trial in iter_configs(spec)]

        assert drawn(1) == drawn(1)
        assert drawn(1) != drawn(2)

    def test_a_parameter_keeps_its_draws_when_another_comes(self) -> None:
        less = {name: domain for name, domain in RANDOM.items() if name != "drop"}
        pairs = zip(
            iter_configs(spec_of(RANDOM, method="random", run_cap=9)),
            iter_configs(spec_of(less, method="random", run_cap=9)),
            strict=True,
        )
        assert all(a.config["lr"] == b.config["lr"] for a, b in pairs)

    def test_the_draws_of_today_are_those_of_tomorrow(self) -> None:
        # A continued sweep must draw what it drew before, whatever release it is continued with.
        spec = spec_of({"x": Domain("uniform", low=0.0, high=1.0)}, method="random", run_cap=2)
        drawn = [trial.config["x"] for trial in iter_configs(spec)]
        assert drawn == pytest.approx(EXPECTED_DRAWS, abs=1e-15)

    def test_named_trials_share_each_draw(self) -> None:
        trials = {"a": NamedTrial({"w": 1}), "b": NamedTrial({"w": 2})}
        spec = spec_of(RANDOM, method="random", run_cap=5, trials=trials)
        found = list(iter_configs(spec))
        assert [t.trial for t in found] == ["a", "b", "a", "b", "a"]
        assert found[0].varied == found[1].varied
        assert found[1].varied != found[2].varied
        assert [t.config["w"] for t in found] == [1, 2, 1, 2, 1]

    def test_what_is_drawn_is_spread_over_the_range(self) -> None:
        spec = spec_of(RANDOM, method="random", run_cap=2000)
        found = [trial.config for trial in iter_configs(spec)]
        assert Counter(c["width"] for c in found).keys() == {1, 2, 3}
        assert min(Counter(c["width"] for c in found).values()) > 550
        assert min(Counter(c["model"] for c in found).values()) > 850
        assert Counter(c["step"] for c in found).keys() == {0, 2, 4, 6, 8, 10}
        assert 0.4 < sum(c["lr"] < 1e-3 for c in found) / 2000 < 0.6
        assert 0.2 < sum(c["drop"] for c in found) / 2000 < 0.3
        assert all(c["batch"] == 8 for c in found)

    def test_counts(self) -> None:
        methods: list[Method] = ["random", "bayes"]
        for method in methods:
            assert count_trials(spec_of(RANDOM, method=method)) is None
            assert count_trials(spec_of(RANDOM, method=method, run_cap=7)) == 7


class TestBayes:
    def test_it_has_no_configs_beforehand(self) -> None:
        with pytest.raises(ValueError, match="bayes"):
            iter_configs(spec_of(RANDOM, method="bayes"))

    def test_the_sampler_chooses_and_names_take_turns(self) -> None:
        trials = {"a": NamedTrial({"w": 1}), "b": NamedTrial({"lr": 2.0})}
        spec = spec_of(RANDOM, method="bayes", trials=trials, fixed={"f": 1}, overrides={"f": 2})
        varied = {"lr": 0.01, "width": 2, "drop": 0.1, "step": 4, "model": "a", "batch": 99}
        first, second = (make_config(spec, number, varied) for number in (2, 3))
        assert (first.trial, second.trial) == ("a", "b")
        assert first.config == {**varied, "batch": 8, "f": 2, "w": 1}
        assert first.varied == {k: v for k, v in varied.items() if k != "batch"}
        assert second.config["lr"] == 2.0
        assert "lr" not in second.varied
        assert first.name.endswith("+2")
        assert second.name.endswith("+3")


bounds = st.floats(-1e300, 1e300) | st.integers(-(10**20), 10**20)


class TestDraw:
    @given(bounds, bounds, st.floats(0, 1, exclude_max=True))
    def test_uniform_stays_within(self, a: float, b: float, share: float) -> None:
        low, high = min(a, b), max(a, b)
        drawn = quantile(Domain("uniform", low=low, high=high), share)
        assert float(low) <= drawn <= float(high)

    @given(st.integers(-(10**9), 10**9), st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
    def test_int_uniform_stays_within(self, low: int, span: int, share: float) -> None:
        value = quantile(Domain("int_uniform", low=low, high=low + span), share)
        assert type(value) is int
        assert low <= value <= low + span

    @given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), st.floats(0, 1, exclude_max=True))
    def test_log_uniform_stays_within(self, a: float, b: float, share: float) -> None:
        domain = Domain("log_uniform_values", low=min(a, b), high=max(a, b))
        assert min(a, b) <= quantile(domain, share) <= max(a, b)

    @given(st.floats(0, 1, exclude_max=True), st.sampled_from([1, 4, 0.5, 1.0]))
    def test_quantised_values_are_multiples(self, share: float, q: float) -> None:
        value = quantile(Domain("q_uniform", low=1, high=10, q=q), share)
        assert value / q == round(value / q)
        assert type(value) is type(q)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2) | st.sampled_from(["1", "true", "a_b=1", "x" * 70, "+3"])
)  # fmt: skip


@pytest.mark.slow
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(SCALARS, min_size=1, max_size=4),
                    max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=70) | st.sampled_from(["a", "a_b", "a=1", "b+2"]),
                    st.just(NamedTrial()), max_size=3),
    st.sampled_from(["grid", "random"]),
)  # fmt: skip
def test_names_are_safe_short_and_different(
    lists: dict[str, list[Any]], trials: dict[str, NamedTrial], method: Method
) -> None:
    parameters = {name: choice(*values) for name, values in lists.items()}
    spec = spec_of(parameters, trials=trials, method=method, run_cap=60)
    names = [trial.name for trial in iter_configs(spec)]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._=+-]{1,60}", name)
        assert safe_name(name) == name


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"lr": 0.001, "dropout": 0.3}, "dropout=0.3_lr=0.001"),
        ({"lr": 1e-5}, "lr=1e-05"),
        ({"lr": 1e20}, "lr=1e20"),
        ({"amp": True, "clip": None}, "amp=true_clip=null"),
        ({"model": "hybrid_v2"}, "model=hybrid_v2"),
        ({"path": "a/b c"}, "path=a_b_c+0"),
        ({"size": [1, 2]}, "size=1_2+0"),
        ({"n": "1"}, "n=1+0"),
    ],
)
def test_names_read_well(values: dict[str, Any], name: str) -> None:
    spec = spec_of({key: choice(value, "other") for key, value in values.items()})
    assert next(iter_configs(spec)).name == name


EXPECTED_DRAWS = [0.912977915597747, 0.4282991448586835]  # of seed 0, parameter x


@pytest.mark.parametrize("kind", ["normal", "log_normal", "q_normal"])
def test_a_distribution_without_deviation_has_one_value(kind: str) -> None:
    domain = Domain(kind, mu=1.0, sigma=0.0, q=1.0 if kind.startswith("q") else None)
    spec = spec_of({"a": domain}, method="random", run_cap=4)
    assert count_trials(spec) == len(list(iter_configs(spec))) == 1
