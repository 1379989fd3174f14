from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.script.config_check import agreements, differences, same


def test_the_difference_is_said_in_the_words_of_the_issue() -> None:
    recorded = {"hyperparameters": {"t20_weight": 1.5}}
    assert differences({"t20_weight": 3.0}, recorded) == ["asked t20_weight 3.0, recorded 1.5"]


@pytest.mark.parametrize(
    "recorded",
    [
        {"t20_weight": 1.5},
        {"config": {"loss": {"T20-Weight": 1.5}}},
        {"args": {"t20_weight": "1.5"}, "history": {"t20_weight": [3.0]}},
        {"config": {"t20_weight": {"value": 1.5, "desc": None}}},
        {"run": {"details": {"t20_weight": 1.5}}},
        {"args": {"t20_weight": 3.0}, "effective": {"t20_weight": 1.5}},
    ],
)
def test_it_is_found_wherever_it_stands(recorded: dict[str, Any]) -> None:
    assert len(differences({"t20_weight": 3.0}, recorded)) == 1
    assert agreements({"t20_weight": 3.0}, recorded) == 0


@pytest.mark.parametrize(
    "recorded",
    [
        {},
        {"t20_weight": 3},
        {"args": {"t20_weight": 3.0000001}},
        {"weights": {"t20": 1.5}},
        {"defaults": {"t20_weight": 1.5}},
        {"history": {"t20_weight": 1.5}, "results": {"t20_weight": 1.5}},
        {"config": {"t20_weight": 3.0}, "checkpoint": {"t20_weight": 1.5}},
        {"args": [{"t20_weight": 1.5}]},
    ],
)
def test_no_false_alarm(recorded: dict[str, Any]) -> None:
    assert differences({"t20_weight": 3.0}, recorded) == []


def test_dotted_names_are_paths_or_names() -> None:
    recorded = {"config": {"optim": {"lr": 0.1}, "net": {"lr": 0.5}}}
    assert differences({"optim.lr": 0.1}, recorded) == []
    assert differences({"net.lr": 0.1}, recorded) == ["asked net.lr 0.1, recorded 0.5"]
    assert differences({"optim.lr": 0.1}, {"optim.lr": 0.2}) == ["asked optim.lr 0.1, recorded 0.2"]


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        (0.1, float(np.float32(0.1))),
        (1e-5, "1e-05"),
        (True, "true"),
        (True, 1),
        (False, "False"),
        (None, None),
        (None, "None"),
        ([1, 2], (1.0, 2.0)),
        ([1, 2], "[1, 2]"),
        (["a", "b"], "['a', 'b']"),
        ([64], 64),
        ({"a": 1}, {"A": 1.0, "b": 2}),
        ("Adam", "adam"),
        ("data/train", "/home/me/project/data/train"),
        ("./data", "/home/me/data"),
        (float("nan"), "nan"),
        ("", ""),
    ],
)
def test_same_in_other_types(asked: Any, recorded: Any) -> None:
    assert same(asked, recorded)


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        (0.1, 0.1001),
        (3, None),
        (None, 0),
        (True, False),
        (True, 2),
        (False, "no thanks"),
        ([1, 2], [2, 1]),
        ([1, 2], [1, 2, 3]),
        ([1, 2], "12"),
        ({"a": 1}, {"a": 2}),
        ("adam", "sgd"),
        ("data", "/home/me/mydata"),
        (1, "one"),
        (float("nan"), 0.0),
    ],
)
def test_different(asked: Any, recorded: Any) -> None:
    assert not same(asked, recorded)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=6), values), values)
def test_metadata_of_any_shape_are_read(config: dict[str, Any], metadata: Any) -> None:
    recorded = {"config": metadata, "config.x": [metadata], "args": config}
    assert len(differences(config, recorded)) <= len(config)


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,5}", fullmatch=True), values))
def test_a_config_agrees_with_its_copy(config: dict[str, Any]) -> None:
    flat = {name: value for name, value in config.items() if not isinstance(value, dict)}
    assert differences(flat, {"config": flat}) == []
    assert agreements(flat, {"config": flat}) == len(flat)
