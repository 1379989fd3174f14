from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.program.argument_styles import STYLES, arguments, hydra_value

CONFIG = {"use_amp": True, "clip": None, "layers": [1, 2], "lr": -1e-05, "off": False}


@pytest.mark.parametrize(
    ("style", "booleans", "words"),
    [
        ("--k v", "flag", ["--layers", "1", "2", "--lr=-1e-05", "--use_amp"]),
        ("--k v", "pair", ["--layers", "1", "2", "--lr=-1e-05", "--no-off", "--use_amp"]),
        ("hyphen-space", "pair", ["--layers", "1", "2", "--lr=-1e-05", "--no-off", "--use-amp"]),
        ("k=v", "flag", ["clip=None", "layers=[1, 2]", "lr=-1e-05", "off=False", "use_amp=True"]),
        ("hydra", "flag", ["clip=null", "layers=[1,2]", "lr=-1e-05", "off=false", "use_amp=true"]),
        ("+k=v", "value", ["+clip=null", "+layers=[1,2]", "+lr=-1e-05", "+off=false",
                           "+use_amp=true"]),
        ("none", "flag", []),
    ],
)  # fmt: skip
def test_styles_by_name(style: str, booleans: str, words: list[str]) -> None:
    assert arguments(CONFIG, style=style, booleans=booleans) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("adam", "adam"),
        ("conf/base.yaml", "conf/base.yaml"),
        ("null", "'null'"),
        ("True", "'True'"),
        ("nan", "'nan'"),
        ("1.0", "'1.0'"),
        ("", "''"),
        ("a b", "'a b'"),
        ("a,b", "'a,b'"),
        ("it's", "'it\\'s'"),
        ("back\\", "'back\\\\'"),
        ("${x}", "'\\${x}'"),
        ({"a": [1, None], "b": "x y"}, "{a:[1,null],b:'x y'}"),
        (float("inf"), "inf"),
    ],
)
def test_hydra_reads_back_what_was_meant(value: Any, text: str) -> None:
    """What Hydra 1.3 itself makes of these was tried; it is no dependency."""
    assert hydra_value(value) == text


names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.dictionaries(names, texts), st.sampled_from([s for s in STYLES if s != "none"]))
def test_every_parameter_is_named_once(config: dict[str, str], style: str) -> None:
    words = arguments(config, style=style)
    for name in config:
        option = name.replace("_", "-") if style == "hyphen-space" else name
        starts = {f"--{option}", f"{option}", f"+{option}", f"++{option}"}
        heads = [word.split("=")[0] for word in words]
        values = set(config.values())
        assert sum(head in starts for head in heads if head not in values) <= 1
        assert any(head in starts for head in heads)
