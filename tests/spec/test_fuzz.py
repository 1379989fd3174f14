"""No text of a sweep file, however broken, gives anything but sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from orchestrator.errors import SpecError, UsageError
from orchestrator.spec.distributions import DISTRIBUTIONS
from orchestrator.spec.expand import count_trials, exclusion, iter_configs
from orchestrator.spec.keys import SPEC
from orchestrator.spec.load import load_spec
from tests.spec.test_load import WHOLE
from tests.spec.test_wandb import FILE

EXAMPLES = Path(__file__).parent.parent.parent / "sweeps" / "examples"
SEEDS = [WHOLE, FILE, *(path.read_text() for path in sorted(EXAMPLES.glob("*.yaml")))]
PIECES = [
    "\t", "\r\n", "\ufeff", "\0", "---\n", "...\n", "&a ", "*a", "<<: *a\n", "!!python/name:os.x ",
    "{", "}", "[", "]", ": ", "- ", "? ", "| ", "> ", "'", '"', "#", "%", "@", "`", "1e999", ".nan",
    "${env:X}", "${env:X:-}", "null", "true", "-1", "1" * 400, "extends: s.yaml\n", "when: a == 1",
    "zip: [a, b]\n", "constraints: [a < 1]\n", "parameters:\n", "method: random\n", "\u2028", "é",
]  # fmt: skip


@st.composite
def broken(draw: st.DrawFn) -> str:
    """Return a good file with pieces cut out, put in and doubled."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 30))
        what = draw(st.sampled_from(["cut", "put", "double", "swap"]))
        piece = text[start : start + length]
        if what == "cut":
            text = text[:start] + text[start + length :]
        elif what == "put":
            text = text[:start] + draw(st.sampled_from(PIECES)) + text[start:]
        elif what == "double":
            text = text[:start] + piece + text[start:]
        else:
            text = text[:start] + draw(st.sampled_from(PIECES)) + text[start + length :]
    return text


def try_out(path: Path) -> None:
    """Load a file and begin to expand it, or see that it is refused in sentences."""
    try:
        spec = load_spec(path)
    except SpecError as error:
        event("refused")
        for problem in error.problems:
            assert problem.message
            assert "\n" not in problem.message
            assert "Traceback" not in problem.message
        return
    except UsageError:
        event("unreadable")
        return
    event("taken")
    spec.to_dict()
    count_trials(spec)
    if spec.method != "bayes":
        for _, trial in zip(range(5), iter_configs(spec), strict=False):
            assert isinstance(trial.config, dict)
        if spec.run_cap is not None and spec.run_cap < 50:
            exclusion(spec)


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(text=broken())
def test_broken_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try_out(path)


names = st.sampled_from(["a", "b", "a.b", "lr", "x y", "seed", "on"])
conditions = st.sampled_from(
    ["a < 1", "a == b", "lr: 0..1", "stable", "a <", "not a == 1", "`x y` is null", ""]
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | conditions
    | st.sampled_from(["grid", "random", "bayes", "${env:NO:-1}", "1e-3", "<= 1", "8GB", "env"])
    | st.sampled_from(list(DISTRIBUTIONS)) | st.text(max_size=5)
)  # fmt: skip
keys = names | st.text(max_size=3)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
block = st.dictionaries(
    st.sampled_from(["value", "values", "min", "max", "q", "distribution", "probabilities", "mu",
                     "sigma", "a", "b", "when", "parameters"]),
    anything | st.lists(scalars, min_size=1, max_size=3),
    max_size=4,
)  # fmt: skip
good_block = st.sampled_from([
    {"values": [1, 2]}, {"min": 0.0, "max": 1.0}, {"value": 3, "when": "a == 1"},
    {"values": [1, 2, 3], "when": "b > 1"}, {"parameters": {"c": {"values": [1]}}},
    {"distribution": "q_normal", "q": 2}, {"values": ["x", "y"], "probabilities": [0.5, 0.5]},
])  # fmt: skip
documents = st.fixed_dictionaries(
    {"program": st.just("env")},
    optional={
        **dict.fromkeys(SPEC.keys.keys() - {"program"}, anything),
        "method": st.sampled_from(["grid", "random", "bayes"]),
        "metric": st.just("m") | anything,
        "run_cap": st.integers(1, 9),
        "parameters": st.dictionaries(names, good_block | block, max_size=4),
        "zip": st.lists(names, max_size=3) | anything,
        "constraints": st.lists(
            conditions | st.fixed_dictionaries({"forbid": conditions}), max_size=2
        ),
        "trials": st.dictionaries(
            names, st.fixed_dictionaries({"set": st.dictionaries(names, anything)}), max_size=2
        ),
        "command": st.lists(
            scalars | st.sampled_from(["${args}", "${program}", "${x}", "a${args}"]), max_size=4
        ),
    },
)


@settings(max_examples=400, suppress_health_check=list(HealthCheck), deadline=None)
@given(document=documents)
def test_any_document(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    try_out(path)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xef\xbb\xbf", b"\xff", b"\0", b"- 1\n", b"3\n", b"a: *a\n", b"? [a]\n: b\n",
     b"\t\n", b"a:\n\tb: 1\n", b"trainer: edc\r\nfixed:\r\n\tx: 1\r\n", b"%YAML 9.9\n---\na: 1\n",
     b"{" * 10_000, b"[" * 10_000, b"a: " * 10_000, b"- " * 10_000, b"&a [*a, *a]\n",
     b"x: !!python/object/apply:os.system ['true']\n", "ä: ö".encode("utf-16")],
    ids=lambda raw: repr(raw[:20]),
)  # fmt: skip
def test_hostile_bytes(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert caught.value.exit_code == 2
    assert all("\n" not in problem.message for problem in caught.value.problems)
