"""No text of a sweep file, however broken, gives anything but sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings, strategies as st

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.expand.build import for_stage
from orchestrator.sweepfile.expand.configs import count_trials, exclusion, iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.resume_diff import differences
from orchestrator.sweepfile.schema.sweep import SPEC
from orchestrator.sweepfile.space.distributions import DISTRIBUTIONS
from tests.conftest import ROOT
from tests.sweepfile.test_load import WHOLE
from tests.sweepfile.test_wandb_files import FILE

EXAMPLES = ROOT / "sweeps" / "examples"
SEEDS = [WHOLE, FILE, *(path.read_text() for path in sorted(EXAMPLES.glob("*.yaml")))]
PIECES = [
    "\t", "\r\n", "\ufeff", "\0", "---\n", "...\n", "&a ", "*a", "<<: *a\n", "!!python/name:os.x ",
    "{", "}", "[", "]", ": ", "- ", "? ", "| ", "> ", "'", '"', "#", "%", "@", "`", "1e999", ".nan",
    "${env:X}", "${env:X:-}", "null", "true", "-1", "1" * 400, "extends: s.yaml\n", "when: a == 1",
    "zip: [a, b]\n", "constraints: [a < 1]\n", "parameters:\n", "method: random\n", "\u2028", "é",
    "seeds: 2\n", "seeds: [", "ablate: {changes: {a: {set: {a: [1, 2]}}}}\n", "sampler: gp\n",
    "remedy: {rising: {set: {a: '*2'}}}\n", "stages: {a: {promote: {top: 1}}, b: {}}\n",
    "success: any a < 1\n", "targets: {t: {a: < 1}}\n", "metric: [a, b]\n", "budget: {hours: 1}\n",
    "divergence: {plateau: remedy}\n", "expect: {a@3: < 1}\n", "reference: {a: {b: 1}}\n",
    "lr_schedule: {step: {lr: 1, milestones: [1]}}\n", "gate: stable\n", "continue: true\n",
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
    assert differences(json.loads(json.dumps(spec.to_dict())), spec.to_dict()) == []
    count_trials(spec)
    for stage in spec.stages:
        count_trials(for_stage(spec, stage.name))
    if spec.method != "bayes":
        for _, trial in zip(range(5), iter_configs(spec), strict=False):
            assert isinstance(trial.config, dict)
        if spec.run_cap is not None and spec.run_cap < 50:
            exclusion(spec)


@pytest.mark.slow
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
a_set = st.dictionaries(names, anything | st.sampled_from(["*0.1", [1, 2], [[1]]]), max_size=2)
condition = conditions | st.sampled_from(["any a < 1", "all complete", "a@3 < 1", "a/b < 1"])


def record(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return mappings with some of `keys`, of which any value may be wrong."""
    return st.fixed_dictionaries({}, optional={k.rstrip("_"): v | scalars for k, v in keys.items()})


symptoms = st.sampled_from(["rising", "too_slow", "non-finite", "plateu"])
bounds = st.dictionaries(st.sampled_from(["a", "a/b", "a@3", "x y"]), st.just("< 1") | scalars,
                         max_size=2)  # fmt: skip
course: dict[str, st.SearchStrategy[Any]] = {
    "stages": st.dictionaries(
        names,
        record(
            set=a_set,
            promote=record(top=st.integers(0, 3), fraction=st.floats(0, 2), if_=condition),
            continue_=st.booleans(),
        ),
        max_size=3,
    ),
    "ablate": record(
        baseline=record(set=a_set),
        changes=st.dictionaries(
            names | st.just("baseline"), record(set=a_set, gate=condition), max_size=3
        ),
        gate=condition,
        keep_improvements=st.booleans(),
    ),
    "seeds": st.integers(0, 4)
    | st.lists(st.integers(-1, 3), max_size=3)
    | record(values=st.integers(0, 3), parameter=names),
    "sampler": st.sampled_from(["tpe", "gp", "nsga2"])
    | record(name=st.just("cmaes"), options=st.dictionaries(st.just("popsize"), scalars)),
    "divergence": st.dictionaries(symptoms, st.sampled_from(["stop", "remedy", "halt"])),
    "remedy": st.dictionaries(
        symptoms,
        record(set=a_set, from_=st.just("scratch"), if_=condition, times=st.integers(0, 3)),
        max_size=2,
    ),
    "targets": bounds | st.dictionaries(st.sampled_from(["good", "best"]), bounds, max_size=2),
    "expect": bounds,
    "reference": st.dictionaries(names, st.just(".") | st.dictionaries(names, scalars), max_size=2),
    "success": condition | st.lists(condition, max_size=2),
    "budget": record(trials=st.integers(0, 3), hours=st.floats(0, 2), failures=st.integers(0, 2)),
    "lr_schedule": record(
        step=record(lr=st.floats(0, 1), milestones=anything, warmup=st.integers(0, 3)),
        onecycle=record(max_lr=st.just(1), total=st.integers(0, 3), pct_start=st.floats(0, 2)),
        per=st.sampled_from(["batch", "epoch"]),
    ),
}
documents = st.fixed_dictionaries(
    {"program": st.just("env")},
    optional={
        **dict.fromkeys(SPEC.keys.keys() - {"program"}, anything),
        **course,
        "method": st.sampled_from(["grid", "random", "bayes"]),
        "metric": st.just("m") | st.just(["a", "b"]) | anything,
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


def few(whole: dict[str, Any], chosen: set[str]) -> dict[str, Any]:
    """Return a document with some of its keys, since one with all of them is always refused."""
    return {key: value for key, value in whole.items() if key in {"program", "metric", *chosen}}


some_documents = st.builds(few, documents, st.sets(st.sampled_from([*course, "parameters"])))


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
@given(document=documents | some_documents)
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
