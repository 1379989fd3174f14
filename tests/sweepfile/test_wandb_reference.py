"""W&B's own package as the measure: the same grids in the same order, the same spaces and draws.

`sweeps` 0.2.0 is the search engine of W&B's local controller. Where the newest W&B differs from it
(bands count from 1), the newest wins and a test here says so.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st

from orchestrator.errors import SpecError
from orchestrator.sweepfile.expand.configs import count_trials, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.course import EarlyTerminate
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.space.distributions import quantile, share_of
from orchestrator.sweepfile.wandb_files import bands, should_stop

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    sweeps = pytest.importorskip("sweeps", reason="the reference is in the dev extra")
    from sweeps.grid_search import grid_search_next_runs
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.params import HyperParameterSet

Write = Callable[[str], Path]
MOST = 300

# What W&B calls its kinds, to our distributions; the _values forms are its "v2".
KINDS = {
    "param_single_value": "constant",
    "param_categorical": "categorical",
    "param_categorical_w_probabilities": "categorical_w_probabilities",
    "param_int_uniform": "int_uniform",
    "param_uniform": "uniform",
    "param_quniform": "q_uniform",
    "param_loguniform": "log_uniform",
    "param_loguniform_v2": "log_uniform_values",
    "param_inv_loguniform": "inv_log_uniform",
    "param_inv_loguniform_v2": "inv_log_uniform_values",
    "param_qloguniform": "q_log_uniform",
    "param_qloguniform_v2": "q_log_uniform_values",
    "param_normal": "normal",
    "param_qnormal": "q_normal",
    "param_lognormal": "log_normal",
    "param_qlognormal": "q_log_normal",
    "param_beta": "beta",
    "param_qbeta": "q_beta",
}

names = st.text("abcAB_.-01", min_size=1, max_size=4).filter(lambda name: name[0] in "abcAB_")
scalars = (
    st.integers(-50, 50)
    | st.floats(-2, 2, allow_nan=False).filter(lambda x: not float(x).is_integer())
    | st.booleans()
    | st.none()
    | st.text("abc 1'#:", max_size=4)
    | st.sampled_from(["None", "true", "1", "null", "~"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=3)
constant = st.fixed_dictionaries({"value": values})
choices = st.fixed_dictionaries({"values": st.lists(values, min_size=1, max_size=4)})
whole = st.tuples(st.integers(-5, 5), st.integers(1, 4)).map(
    lambda pair: {"min": pair[0], "max": pair[0] + pair[1]}
)
stepped = st.tuples(
    st.integers(-8, 8), st.integers(1, 8), st.sampled_from([1, 2, 0.1, 0.25, 0.3, 1.0, 2.5])
).map(
    lambda t: {
        "distribution": "q_uniform",
        "min": t[0] / 4,
        "max": (t[0] + t[1]) / 4,
        "q": t[2],
    }
)
in_a_grid = constant | choices | whole | stepped
nested = st.recursive(
    st.dictionaries(names, in_a_grid, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        names, in_a_grid | st.fixed_dictionaries({"parameters": inner}), min_size=1, max_size=3
    ),
    max_leaves=4,
)


def both_grids(parameters: dict[str, Any], path: Path) -> tuple[list[Any], list[Any]]:
    """Return our configs and the reference's, for the same file."""
    path.write_text(yaml.safe_dump({"program": "p", "method": "grid", "parameters": parameters}))
    spec = load_spec(path)
    read = yaml.safe_load(path.read_text())  # a fresh copy, as W&B reads it
    runs = grid_search_next_runs([], read, n=MOST + 1)
    theirs = [{k: v["value"] for k, v in run.config.items()} for run in runs if run is not None]
    assert count_trials(spec) == len(theirs)
    return [trial.config for trial in iter_configs(spec)], theirs


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict):
        keys = isinstance(theirs, dict) and ours.keys() == theirs.keys()
        return keys and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list):
        pairs = isinstance(theirs, list) and len(ours) == len(theirs)
        return pairs and all(map(same, ours, theirs))
    if type(ours) is type(theirs) is float:
        return math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=1e-12)  # 0.3 is our 0.1 + 0.2
    return type(ours) is type(theirs) and bool(ours == theirs)


def size_of(parameters: dict[str, Any]) -> int:
    size = 1
    for block in parameters.values():
        if "parameters" in block:
            size *= size_of(block["parameters"])
        elif "values" in block:
            size *= len(block["values"])
        elif "min" in block:
            size *= math.ceil((block["max"] - block["min"]) / block.get("q", 1)) + 1
    return size


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(parameters=nested)
def test_grids_are_the_same_in_the_same_order(parameters: dict[str, Any], tmp_path: Path) -> None:
    assume(size_of(parameters) <= MOST)
    ours, theirs = both_grids(parameters, tmp_path / "s.yaml")
    event(f"{min(len(theirs), 20)} configs")
    assert same(ours, theirs)


FIXED_GRIDS = [
    "{b: {values: [1, 2]}, a: {values: [x, y]}, B: {values: [0]}}",
    "{a-b: {values: [1, 2]}, a.b: {values: [3, 4]}, a_b: {values: [5, 6]}, aB: {values: [7, 8]}}",
    "{x: {values: [1, 1, true, '1', 'true', null, 'None', [1], [1, 2]]}}",
    "{x: {values: [3, 1, 2, 1, 3]}, y: {value: {lr: 0.1, deep: [1]}}}",
    "{x: {min: 1, max: 5}, y: {min: 0, max: 1, q: 0.1, distribution: q_uniform}}",
    "{x: {value: 1}, y: {value: 2}}",
    "{opt: {parameters: {lr: {values: [1, 2]}, b: {parameters: {c: {values: [a, b]}}}}},"
    " a: {values: [1, 2]}, z: {values: [3, 4]}}",
    "{net.width: {values: [8, 16]}, net: {value: {width: 4, depth: 2}}}",
    "{x: {values: [{a: 1, b: 2}, {b: 2, a: 1}, {a: 2}]}}",
    "{x: {values: [1, 2, 1.0, 2.0, 1]}}",
    "{x: {values: [on, off, yes, 012, 1_000, 1:30]}}",
]


@pytest.mark.parametrize("text", FIXED_GRIDS)
def test_fixed_grids(text: str, tmp_path: Path) -> None:
    ours, theirs = both_grids(yaml.safe_load(text), tmp_path / "s.yaml")
    assert same(ours, theirs)


@pytest.mark.parametrize("block", ["{min: 0.0, max: 1.0}", "{distribution: normal}",
    "{values: [1, 2], probabilities: [0.5, 0.5]}",
    "{min: 1, max: 2, distribution: log_uniform_values}",
    "{min: 1, max: 9, q: 2, distribution: q_log_uniform_values}"])  # fmt: skip
def test_what_a_grid_may_not_take(block: str, write: Write) -> None:
    path = write(f"program: p\nmethod: grid\nparameters:\n  x: {block}\n")
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (4, "parameters.x")
    with pytest.raises(ValueError, match="disallowed type"):
        grid_search_next_runs([], yaml.safe_load(path.read_text()))


# Spaces and draws --------------------------------------------------------------------------------

bound = st.integers(-20, 20) | st.floats(-20, 20).map(lambda x: round(x, 3))
above_zero = st.integers(1, 20) | st.floats(1e-3, 20).map(lambda x: round(x, 4))
step = st.sampled_from([1, 2, 5, 0.1, 0.5, 1.0, 3.0])


def ranged(low: st.SearchStrategy[Any], *kinds: str | None) -> st.SearchStrategy[dict[str, Any]]:
    """Return blocks with min and max; a kind of None leaves the distribution out."""

    def block(pair: tuple[Any, Any], kind: str | None, q: Any) -> dict[str, Any]:
        made = {"min": min(pair), "max": max(pair)}
        if kind is not None:
            made["distribution"] = kind
            if kind.startswith("q_") and q is not None:
                made["q"] = q
        return made

    bounds = st.tuples(low, low).filter(lambda pair: pair[0] != pair[1])
    return st.builds(block, bounds, st.sampled_from(kinds), st.none() | step)


def shaped(*kinds: str, **keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    def fixed(kind: str) -> st.SearchStrategy[dict[str, Any]]:
        optional = {**keys, **({"q": step} if kind.startswith("q_") else {})}
        return st.fixed_dictionaries({"distribution": st.just(kind)}, optional=optional)

    return st.sampled_from(kinds).flatmap(fixed)


@st.composite
def weighed(draw: st.DrawFn) -> dict[str, Any]:
    weights = draw(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))
    total = sum(weights)
    return {
        "values": draw(st.lists(scalars, min_size=len(weights), max_size=len(weights))),
        "probabilities": [weight / total for weight in weights],
    }


blocks = (
    constant
    | choices
    | weighed()
    | ranged(bound, "uniform", "q_uniform", None)
    | ranged(st.integers(-9, 9), "int_uniform", None)
    | ranged(
        above_zero, "log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values"
    )
    | ranged(
        st.integers(-5, 5) | st.floats(-5, 5).map(lambda x: round(x, 2)),
        "log_uniform", "q_log_uniform", "inv_log_uniform",
    )
    | shaped("normal", "q_normal", "log_normal", "q_log_normal",
             mu=st.integers(-3, 3) | st.just(0.5), sigma=st.sampled_from([0.1, 1, 2.5]))
    | shaped("beta", "q_beta", a=st.sampled_from([0.5, 1, 2, 7]), b=st.sampled_from([0.5, 1, 3]))
)  # fmt: skip


def read_space(parameters: dict[str, Any], path: Path, method: str = "random") -> Spec:
    text = yaml.safe_dump({"program": "p", "method": method, "parameters": parameters})
    path.write_text(text)
    return load_spec(path)


def filled(domain: Domain) -> dict[str, Any]:
    """Return a domain as the reference fills in a block."""
    if domain.is_constant:
        return {"distribution": "constant", "value": domain.values[0]}
    row: dict[str, Any] = {"distribution": domain.distribution}
    if domain.values:
        row["values"] = list(domain.values)
    if domain.probabilities:
        row["probabilities"] = list(domain.probabilities)
    rest = {"min": domain.low, "max": domain.high, "q": domain.q}
    rest |= {"mu": domain.mu, "sigma": domain.sigma, "a": domain.a, "b": domain.b}
    return row | {key: value for key, value in rest.items() if value is not None}


@pytest.mark.slow
@settings(max_examples=250, suppress_health_check=list(HealthCheck), deadline=None)
@given(block=blocks, share=st.floats(0.001, 0.999))
def test_spaces_and_draws_are_the_same(block: dict[str, Any], share: float, tmp_path: Path) -> None:
    parameters = {"x": block, "y": {"values": [1, 2]}}
    domain = read_space(parameters, tmp_path / "s.yaml").parameters["x"]
    (theirs,) = [
        p
        for p in HyperParameterSet.from_config(yaml.safe_load(yaml.safe_dump(parameters)))
        if p.name == "x"
    ]
    event(domain.distribution)
    assert KINDS[theirs.type] == domain.distribution
    expected = dict(theirs.config)
    expected.setdefault("distribution", domain.distribution)
    assert same(filled(domain), expected) or filled(domain) == expected
    drawn, reference = quantile(domain, share), theirs.ppf(share)
    if domain.values:
        if domain.distribution == "categorical":
            # At the very edge between two choices rounding decides.
            assume(abs(share * len(domain.values) - round(share * len(domain.values))) > 1e-9)
        assert same(drawn, reference) or drawn == reference
        return
    assert isinstance(drawn, int | float)
    if domain.distribution == "int_uniform":
        places = share * (theirs.config["max"] - theirs.config["min"] + 1)
        assume(abs(places - round(places)) > 1e-9)
    if domain.q is not None:
        assert isinstance(drawn, int) == isinstance(domain.q, int)
        exact = abs(float(reference) / domain.q) % 1  # halves may go either way by rounding
        assume(not 0.4999 < exact < 0.5001)
    assert drawn == pytest.approx(float(reference), rel=1e-9, abs=1e-12) or (
        domain.q is not None and abs(drawn - float(reference)) <= domain.q * 1.0001
        and _is_near_a_half(domain, share)
    )  # fmt: skip


def _is_near_a_half(domain: Domain, share: float) -> bool:
    """Tell whether a share so close by falls on the other side of a rounding."""
    return quantile(domain, share - 1e-9) != quantile(domain, share + 1e-9)


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(block=blocks, share=st.floats(0.02, 0.98))
def test_shares_are_the_references_cdf(block: dict[str, Any], share: float, tmp_path: Path) -> None:
    parameters = {"x": block, "y": {"values": [1, 2]}}
    domain = read_space(parameters, tmp_path / "s.yaml").parameters["x"]
    assume(not domain.values and domain.distribution != "int_uniform")
    (theirs,) = [p for p in HyperParameterSet.from_config(parameters) if p.name == "x"]
    drawn = quantile(domain, share)
    assert isinstance(drawn, int | float)
    assume("log" not in domain.distribution or drawn > 0)
    ours = share_of(domain, drawn)
    assert ours == pytest.approx(float(theirs.cdf(drawn)), rel=1e-6, abs=1e-9)
    if domain.q is None:
        assert ours == pytest.approx(share, rel=1e-6, abs=1e-9)


# Bands -------------------------------------------------------------------------------------------

rules = st.builds(
    EarlyTerminate,
    min_iter=st.integers(1, 5),
    eta=st.sampled_from([1.5, 2, 3, 4]),
    strict=st.just(False),
) | st.builds(
    EarlyTerminate,
    max_iter=st.integers(4, 81),
    s=st.integers(1, 5),
    eta=st.sampled_from([2, 3]),
    strict=st.just(False),
)
curves = st.lists(st.lists(st.floats(-5, 5), min_size=0, max_size=12), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(rule=rules, reports=curves, goal=st.sampled_from(["minimize", "maximize"]))
def test_bands_and_stops_are_the_references(
    rule: EarlyTerminate, reports: list[list[float]], goal: Any
) -> None:
    """0.2.0 counts reports from 0, so a curve there has one report in front of it."""
    stopping = {"type": "hyperband", "eta": rule.eta}
    stopping |= {"min_iter": rule.min_iter} if rule.max_iter is None else {}
    stopping |= {"max_iter": rule.max_iter, "s": rule.s} if rule.max_iter is not None else {}
    config = {"method": "random", "metric": {"name": "m", "goal": goal},
              "early_terminate": stopping, "parameters": {"a": {"values": [1]}}}  # fmt: skip
    shifted = [[-99.0 if goal == "maximize" else 99.0, *curve] for curve in reports]
    runs = [
        sweeps.SweepRun(
            name=str(index),
            state=sweeps.RunState.running,
            sampledHistory=[{"m": value} for value in curve],
        )
        for index, curve in enumerate(shifted)
    ]
    try:
        expected_bands = bands(rule)
    except ValueError:
        with pytest.raises(ValueError, match="Bands"):
            hyperband_stop_runs(runs, config)
        return
    stopped = {run.name for run in hyperband_stop_runs(runs, config)}
    assert runs[0].early_terminate_info["bands"] == expected_bands
    ours = {
        str(index)
        for index, curve in enumerate(reports)
        if should_stop(rule, goal, curve, [*reports[:index], *reports[index + 1 :]])
    }
    event("stops" if ours else "goes on")
    assert ours == stopped
