from __future__ import annotations

import configparser
import tomllib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.program import config_text

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), values))
def test_what_is_written_is_read_back(content: dict[str, Any]) -> None:
    assert tomllib.loads(config_text.dumps(content)) == content


def test_tables_are_written_as_people_write_them() -> None:
    content = {"name": "x", "none": None, "optim": {"lr": 1e-05, "sched": {"kind": "cos"}}}
    assert config_text.dumps(content) == (
        'name = "x"\n[optim]\nlr = 1e-05\n[optim.sched]\nkind = "cos"\n'
    )


def test_what_toml_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        config_text.dumps({"x": object()})


INI = "# first\n[optim]\nlr = 0.1\nname: adam\nempty =\n\n[train]\nepochs=3 \n"
PYTHON = (
    '"""Ä."""\nimport os\nLR = 0.1  # the räte\nNAME: str = "ä"; EPOCHS = 3\n\n'
    'class Optim:\n    betas = (0.9,\n      0.99)\nMODEL = {"dim": 8, "inner": {"depth": 2}}\n'
    "HOME = os.getcwd()\n"
)


def test_settings_are_found() -> None:
    found = {name: at.value for name, at in config_text.settings_in(INI, ".ini").items()}
    assert found == {
        **{"optim.lr": "0.1", "optim.name": "adam", "optim.empty": None, "train.epochs": "3"}
    }
    assert {name: at.value for name, at in config_text.settings_in(PYTHON, ".py").items()} == {
        **{"LR": 0.1, "NAME": "ä", "EPOCHS": 3, "Optim.betas": (0.9, 0.99)},
        **{"MODEL.dim": 8, "MODEL.inner.depth": 2},
    }
    with pytest.raises(ValueError, match=r"it sets no lr \(found: EPOCHS, LR"):
        config_text.with_settings(PYTHON, ".py", {"lr": 1})


plain = st.one_of(st.integers(), st.floats(-9, 9), st.booleans(), st.text(max_size=5))


@given(st.dictionaries(st.sampled_from(sorted(config_text.settings_in(PYTHON, ".py"))), plain))
def test_python_settings_are_set_and_nothing_else(values: dict[str, Any]) -> None:
    text = config_text.with_settings(PYTHON, ".py", values)
    known = {name: at.value for name, at in config_text.settings_in(PYTHON, ".py").items()}
    found = config_text.settings_in(text, ".py")
    assert {name: repr(at.value) for name, at in found.items()} == {
        name: repr(value) for name, value in {**known, **values}.items()
    }
    assert "# the räte" in text


@given(
    st.dictionaries(
        st.sampled_from(["optim.lr", "optim.empty", "train.epochs"]),
        st.integers() | st.floats(0, 9),
    )
)
def test_ini_settings_are_what_configparser_reads(values: dict[str, Any]) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(config_text.with_settings(INI, ".ini", values))
    for name, value in values.items():
        section, _, key = name.partition(".")
        assert parser[section][key] == str(value)
    assert parser["optim"]["name"] == "adam"


@given(st.text(max_size=80), st.sampled_from(config_text.SETTABLE))
def test_settings_of_any_text(text: str, kind: str) -> None:
    for at in config_text.settings_in(text, kind).values():
        assert 0 <= at.start <= at.end <= len(text)
