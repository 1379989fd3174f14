from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.program import toml

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
    assert tomllib.loads(toml.dumps(content)) == content


def test_tables_are_written_as_people_write_them() -> None:
    content = {"name": "x", "none": None, "optim": {"lr": 1e-05, "sched": {"kind": "cos"}}}
    assert toml.dumps(content) == ('name = "x"\n[optim]\nlr = 1e-05\n[optim.sched]\nkind = "cos"\n')


def test_what_toml_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        toml.dumps({"x": object()})
