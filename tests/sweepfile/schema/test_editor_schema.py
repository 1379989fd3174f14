from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings, strategies as st

from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.errors import SpecError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, MapOf, Record
from orchestrator.sweepfile.schema.course import BySymptom, LrSchedule
from orchestrator.sweepfile.schema.sweep import SPEC, json_schema
from orchestrator.sweepfile.space.distributions import DISTRIBUTIONS
from orchestrator.sweepfile.space.domain import BLOCK
from orchestrator.sweepfile.yaml.node import Log
from orchestrator.sweepfile.yaml.parse import read_file
from tests.conftest import ROOT
from tests.sweepfile.test_load import WHOLE

SHIPPED = sorted((ROOT / "sweeps").rglob("*.yaml"))
GOOD = [
    WHOLE,
    "trainer: sweep_toy\nparameters:\nfixed:\nmethod:\nname:\nversion:\n",
    "trainer: sweep_toy\nproject: p\nkind: sweep\n",
    "trainer: sweep_toy\nprogram:\nmetric: val_mae\n",
    "trainer: sweep_toy\nmethod: bayes\nparameters: {lr: {min: 0.1, max: 1}}\n",
    "trainer: sweep_toy\nmethod: random\nparameters: {epochs: {min: 1, max: 9, q: 1}}\n",
    "trainer: sweep_toy\nparameters: {epochs: {values: 9}}\ntrials: {a: , b: {}}\nstages: {a: }\n",
    "program: p.py\nargs: hyphen-space\n",
    "extends: base.yaml\nfixed: {}\n",
    "command: [a, 3, true, null, '${args}']\n",
    "program: p\ncommand: python p\nmethod: grid\n",
    "method: grid\nparameters: {x: {values: [1]}}\nproject: p\n",
    "trainer: sweep_toy\n"
    "zip: [lr, epochs]\nparameters: {lr: {values: [1]}, epochs: {values: [1]}}\n",
    "trainer: sweep_toy\nparameters: {lr: {values: [1], when: epochs < 9}}\n"
    "constraints: [lr < 9, {forbid: lr > 9, reason: r}]\n",
    "program: p\nmethod: random\nparameters: {a: {distribution: q_beta, a: 1, q: 2}, "
    "b: {values: [1, 2], probabilities: [0.5, 0.5]}, c: {parameters: {d: {value: 1}}}, "
    "e: {distribution: uniform, values: [1]}, f: {min: 1, max: 2, distribution: q_log_uniform}}\n",
    "program: p\nmetric: {name: m, goal: Max, target: 1, impute: best, "
    "impute_while_running: false}\n"
    "early_terminate: {type: hyperband, max_iter: 27, s: 2, eta: 3, strict: false}\n",
    "trainer: sweep_toy\n"
    "metric: val_mae\nstages: {a: {promote: {top: 3, fraction: 0.5, if: stable}}, "
    "b: {set: {epochs: 3}, continue: true}}\nparameters: {lr: {values: [1, 2]}}\n",
    "trainer: sweep_toy\n"
    "ablate: {baseline: {set: {lr: 1}}, gate: val_mae < 1, keep_improvements: true, "
    "changes: {a: {set: {lr: [2, 3]}, note: n, gate: stable}}}\nseeds: [3, 4]\n",
    "trainer: sweep_toy\nseeds: {values: 3, parameter: seed}\nbudget: {trials: 3, hours: 0.5, "
    "gpu_hours: 2, failures: 3}\n",
    "trainer: sweep_toy\ntargets: {mae: '< 1', good: {mae: '< 0.5', test_mae/train_mae: '< 2'}}\n"
    "expect: {train_loss@5: < 3}\nreference: {paper: {mae: 0.1}, before: .}\n"
    "success: [all complete, any mae < 1]\n",
    "trainer: sweep_toy\n"
    "method: bayes\nrun_cap: 3\nsampler: {name: gp, options: {n_startup_trials: 3}}\n"
    "parameters: {lr: {min: 0.1, max: 1}}\n",
    "trainer: sweep_toy\n"
    "method: bayes\nrun_cap: 3\nsampler: nsga2\nmetric: [val_mae, {name: val_r2}]\n"
    "parameters: {lr: {min: 0.1, max: 1}}\n",
    "trainer: sweep_toy\ndivergence: {plateau: stop, Too_Slow: ignore}\n"
    "remedy: {Lost progress: {set: {lr: ['*0.1', 0.5]}, from: checkpoint, if: lr > 1, times: 3}}\n",
    "trainer: sweep_toy\nlr_schedule: {onecycle: {max_lr: 1, total: 9, anneal: cos}, per: batch}\n",
    "trainer: sweep_toy\n"
    "lr_schedule: {step: {lr: 1, milestones: [3, 6], warmup: 2}, steps: epoch}\n",
    "program: p.py\nargs: {style: --k=v, booleans: flag}\npython: py\noutputs: x/*\n",
    "program: p.py\nmetrics: {pattern: '(?P<a>.)'}\n",
    "program: p.py\nmetrics: {pattern: ['(?P<a>.)', '(?P<step>.)(?P<b>.)']}\n",
]
# Mistakes in the form of a file, which an editor with the schema should mark too.
BAD_FORM = [
    "name: x\n",
    "trainer: sweep_toy\nprogram: p.py\n",
    "trainer: sweep_toy\noutputs: x/*\n",
    "trainer: 3\n",
    "trainer: sweep_toy\nversion: 2\n",
    "trainer: sweep_toy\ntrails: {}\n",
    "trainer: sweep_toy\nmethod: gird\n",
    "trainer: sweep_toy\nrun_cap: 0\n",
    "trainer: sweep_toy\nfixed: [lr]\n",
    "trainer: sweep_toy\nparameters: {lr: 1}\n",
    "trainer: sweep_toy\nparameters: {lr: {}}\n",
    "trainer: sweep_toy\nparameters: {lr: {value: 1, min: 0}}\n",
    "trainer: sweep_toy\nparameters: {lr: {values: []}}\n",
    "trainer: sweep_toy\nparameters: {lr: {vals: [1]}}\n",
    "trainer: sweep_toy\nparameters: {lr: {min: 1}}\n",
    "trainer: sweep_toy\ntrials: {a: {lr: 3}}\n",
    "trainer: sweep_toy\nstages: {a: {promote: 3}, b: {}}\n",
    "trainer: sweep_toy\nstages: {a: {promote: {fraction: 2}}, b: {}}\n",
    "trainer: sweep_toy\nablate: {baseline: {set: {lr: 1}}}\n",
    "trainer: sweep_toy\nablate: {changes: {a: {lr: 1}}}\n",
    "trainer: sweep_toy\nseeds: 0\n",
    "trainer: sweep_toy\nseeds: []\n",
    "trainer: sweep_toy\nseeds: {parameter: seed}\n",
    "trainer: sweep_toy\nbudget: {hours: 0}\n",
    "trainer: sweep_toy\nbudget: {days: 1}\n",
    "trainer: sweep_toy\nsampler: tpee\n",
    "trainer: sweep_toy\nsampler: {options: {}}\n",
    "trainer: sweep_toy\ndivergence: {plateu: stop}\n",
    "trainer: sweep_toy\ndivergence: {plateau: halt}\n",
    "trainer: sweep_toy\nremedy: {plateau: {lr: 1}}\n",
    "trainer: sweep_toy\nlr_schedule: {per: batch}\n",
    "trainer: sweep_toy\nlr_schedule: {cosine: {lr: 0}}\n",
    "trainer: sweep_toy\nlr_schedule: {cosine: {lr: 1, total: 2}, constant: {lr: 1}}\n",
    "trainer: sweep_toy\nexpect: {val_mae@3: 0.1}\n",
    "trainer: sweep_toy\nreference: {a: 3}\n",
    "trainer: sweep_toy\nreference: {a: {mae: low}}\n",
    "trainer: sweep_toy\nsuccess: []\n",
    "trainer: sweep_toy\ntargets: {good: {mae: 3}}\n",
    "trainer: sweep_toy\nmetric: [3]\n",
    "trainer: sweep_toy\nmetric: {goal: minimize}\n",
    "trainer: sweep_toy\ntargets: {mae: 0.02}\n",
    "trainer: sweep_toy\nresources: {gpu_memory: 8}\n",
    "trainer: sweep_toy\nearly_terminate: {}\n",
    "program: p.py\nargs: --k:v\n",
    "program: p.py\nmetrics: {}\n",
    "trainer: sweep_toy\ncommand: [a]\n",
    "program: p\ncommand: []\n",
    "program: p\nzip: []\n",
    "program: p\nconstraints: [{forbit: a < 1}]\n",
    "program: p\nparameters: {x: {parameters: {y: {value: 1}}, value: 2}}\n",
    "program: p\nparameters: {x: {parameters: {y: {vals: 1}}}}\n",
    "program: p\nparameters: {x: {distribution: normal, min: 1, max: 2}}\n",
    "program: p\nmethod: random\nparameters: {x: {distribution: normal, sigma: -1}}\n",
    "program: p\nearly_terminate: {type: envelope}\n",
]


def plain(path: Path) -> Any:
    return read_file(path, Log()).plain()


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", GOOD)
def test_good_files_keep_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    (tmp_path / "base.yaml").write_text("trainer: sweep_toy\n")
    load_spec(path)
    validator().validate(plain(path))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_sweeps_are_good_and_keep_it(path: Path) -> None:
    assert load_spec(path).warnings == ()
    validator().validate(plain(path))


@pytest.mark.parametrize("text", BAD_FORM)
def test_mistakes_in_form_are_refused_by_both(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(SpecError):
        load_spec(path)
    assert not validator().is_valid(plain(path))


VALUE = st.sampled_from([None, True, 0, 1, 3, 0.5, 1e-5, "x", "1", ">= 1", "8GB", [], [1], {}])
BLOCK_TEXT = st.dictionaries(
    st.sampled_from(
        ["value", "values", "min", "max", "q", "distribution", "probabilities", "mu", "a", "when"]
    ),
    VALUE | st.sampled_from(list(DISTRIBUTIONS)),
    max_size=3,
)
NAMED = st.dictionaries(st.sampled_from(["set", "note", "risk", "expect"]), VALUE, max_size=2)
ENTRIES: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from(["grid", "random", "gird", None]),
    "metric": VALUE | st.fixed_dictionaries({"name": VALUE}, optional={"goal": VALUE}),
    "parameters": st.dictionaries(st.sampled_from("ab"), BLOCK_TEXT | VALUE, max_size=2),
    "trials": st.dictionaries(st.sampled_from("ab"), NAMED | VALUE, max_size=2),
    "stages": st.dictionaries(st.sampled_from("ab"), NAMED | VALUE, max_size=2),
    "resources": st.dictionaries(st.sampled_from(["gpu_memory", "cpus", "gpus"]), VALUE),
    "targets": st.dictionaries(st.sampled_from("ab"), VALUE),
    "zip": st.lists(st.sampled_from("ab"), max_size=3) | VALUE,
    "constraints": st.lists(st.sampled_from(["a < 1", "b", "a == x"]), max_size=2) | VALUE,
    "command": st.lists(st.sampled_from(["${args}", "x", 3]), max_size=2) | VALUE,
    "early_terminate": st.dictionaries(
        st.sampled_from(["type", "min_iter", "eta"]), VALUE | st.just("hyperband")
    ),
    "args": VALUE | st.sampled_from(["--k=v", "hyphen-space"]),
    **dict.fromkeys(("fixed", "run_cap", "seed", "name", "version", "project", "python"), VALUE),
}


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.fixed_dictionaries({"program": st.just("env")}, optional=ENTRIES))
def test_what_the_checker_takes_keeps_the_schema(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_text(yaml.safe_dump(content))
    try:
        load_spec(path)
    except SpecError:
        event("refused")
        return
    event("taken")
    validator().validate(plain(path))


def test_the_keys_are_those_of_the_checker() -> None:
    """Walk table and schema side by side: same keys everywhere, those to come nowhere."""
    seen: list[str] = []

    def walk(kind: Any, schema: dict[str, Any], where: str) -> None:
        if isinstance(kind, Record):
            seen.append(where)
            assert set(schema["properties"]) == {*kind.keys, *kind.ignored}, where
            assert schema["additionalProperties"] is False
            assert not set(kind.later) & set(schema["properties"]), where
            for name, key in kind.keys.items():
                walk_key(key, schema["properties"][name], f"{where}.{name}")
        elif isinstance(kind, MapOf):
            walk(kind.item, schema["additionalProperties"], f"{where}.*")
        elif isinstance(kind, ListOf):
            walk(kind.item, schema["items"], f"{where}.0")
        elif isinstance(kind, Either):
            walk(kind.first, schema["anyOf"][0], where)
            walk(kind.second, schema["anyOf"][1], where)
        elif isinstance(kind, BySymptom):
            assert list(schema["properties"]) == list(all_symptoms())
            walk(kind.item, schema["properties"]["rising"], f"{where}.*")
            walk(kind.item, next(iter(schema["patternProperties"].values())), f"{where}.*")
        elif isinstance(kind, LrSchedule):
            walk(kind.record, schema, where)
        elif type(kind).__name__ == "Block":
            walk(BLOCK, schema, where)
            assert schema["properties"]["distribution"]["enum"] == list(DISTRIBUTIONS)

    def walk_key(key: Key, schema: dict[str, Any], where: str) -> None:
        assert schema["description"] == key.help
        options = schema.get("anyOf", [schema])
        nullable = len(options) == 2 and options[1] == {"type": "null"}
        walk(key.kind, options[0] if nullable else schema, where)

    walk(SPEC, json_schema(), "")
    assert {"", ".metric", ".trials.*", ".stages.*", ".parameters.*", ".args"} <= set(seen)
    assert {".stages.*.promote", ".ablate.changes.*", ".seeds", ".remedy.*"} <= set(seen)
    assert {".budget", ".lr_schedule.onecycle", ".metric.0"} <= set(seen)


def test_every_key_is_used_by_the_code_that_makes_the_spec() -> None:
    """A key in the table that nothing reads would be accepted and ignored."""
    read = {field.name for field in fields(Spec)}  # filled by name
    for path in (ROOT / "orchestrator" / "sweepfile").rglob("*.py"):
        if path.parent.name == "schema":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                read.add(node.value)
    assert set(SPEC.keys) <= read
