from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings, strategies as st

from orchestrator.errors import Problem, SpecError
from orchestrator.sweepfile.expand.configs import iter_configs
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.private import Private


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "base").mkdir(parents=True)
    return folder


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "s.yaml"


def problems(path: Path) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return list(caught.value.problems)


BASE = """\
trainer: sweep_toy
name: base
fixed: {lr: 0.1, epochs: 7}
parameters: {amp: {values: [true, false]}, model: {values: [lstm]}}
trials: {a: {set: {weight: 1}}, b: {set: {weight: 2}, note: n}}
targets: {mae: '< 1'}
run_cap: 9
"""


class TestExtends:
    def test_entries_are_joined_and_replaced_whole(self, folder: Path) -> None:
        path = put(
            folder,
            base=BASE,
            s="extends: base.yaml\nname: s\nfixed: {epochs: 3}\nrun_cap:\n"
            "parameters: {amp: {value: true}}\ntrials: {b: {set: {clip: 1.0}}}\n",
        )
        spec = load_spec(path)
        assert (spec.name, spec.run_cap, list(spec.targets)) == ("s", 9, ["mae"])
        assert spec.fixed == {"lr": 0.1, "epochs": 3, "seed": 0}
        assert spec.parameters["amp"].is_constant
        assert spec.parameters["model"].values == ("lstm",)
        assert (spec.trials["b"].set, spec.trials["b"].note) == ({"clip": 1.0}, "")
        assert spec.path == path

    def test_over_several_files(self, folder: Path) -> None:
        path = put(
            folder,
            base=BASE,
            mid="extends: base.yaml\nfixed: {lr: 0.2}\n",
            s="extends: mid.yaml\nfixed: {epochs: 1}\n",
        )
        assert load_spec(path).fixed == {"lr": 0.2, "epochs": 1, "seed": 0}

    def test_mistakes_keep_file_and_line(self, folder: Path) -> None:
        path = put(
            folder,
            base="trainer: sweep_toy\nfixed:\n  lr: fast\n  epochs: 3\nmetod: grid\n",
            s="extends: base.yaml\nfixed:\n  epochs: 0\n",
        )
        base = str(folder / "base.yaml")
        found = {(p.origin, p.line, p.key) for p in problems(path)}
        assert found == {
            (base, 3, "fixed.lr"), (base, 5, "metod"), (str(path), 3, "fixed.epochs"),
        }  # fmt: skip

    def test_paths_start_where_they_stand(self, folder: Path) -> None:
        (folder / "base" / "train.py").touch()
        (folder / "base" / "b.yaml").write_text("program: train.py\nfixed: {x: 1}\n")
        spec = load_spec(put(folder, s="extends: base/b.yaml\n"), need_program=True)
        assert spec.program is not None
        assert spec.program.path == str(folder / "base" / "train.py")
        assert spec.program.workdir == str(folder)

    @pytest.mark.parametrize(
        ("files", "key", "words"),
        [
            ({"s": "extends: s.yaml\ntrainer: sweep_toy\n"},
             "extends", "circular extends: s.yaml -> s.yaml"),
            (
                {"s": "extends: a.yaml\ntrainer: sweep_toy\n", "a": "extends: s.yaml\nname: x\n"},
                "extends", "s.yaml -> a.yaml -> s.yaml",
            ),
            (
                {"s": "extends: keys.yaml\ntrainer: sweep_toy\n", "keys": "me: x\nyou: y\n"},
                "extends", "'keys.yaml' is not a sweep file" ,
            ),
            ({"s": "extends: no.yaml\ntrainer: sweep_toy\n"}, "extends", "No such file"),
            ({"s": "extends: base\ntrainer: sweep_toy\n"}, "extends", "Is a directory"),
            ({"s": "extends: [a.yaml]\ntrainer: sweep_toy\n"}, "extends", "(found a list)"),
            ({"s": "extends: 3\ntrainer: sweep_toy\n"}, "extends", "(found 3)"),
            ({"s": 'extends: "a\\0"\ntrainer: sweep_toy\n'}, "extends", "expected the path"),
            ({"s": "extends: e.yaml\ntrainer: sweep_toy\n", "e": ""}, "", "is empty"),
            ({"s": "extends: e.yaml\ntrainer: sweep_toy\n", "e": "a: [\n"}, "", "not YAML"),
        ],
        ids=lambda value: str(value)[:30],
    )  # fmt: skip
    def test_mistakes(self, folder: Path, files: dict[str, str], key: str, words: str) -> None:
        (problem,) = problems(put(folder, **files))
        assert problem.key == key
        assert words in problem.message

    def test_a_long_chain(self, folder: Path) -> None:
        files = {f"f{i}": f"extends: f{i + 1}.yaml\ntrainer: sweep_toy\n" for i in range(30)}
        (problem,) = problems(put(folder, s="extends: f0.yaml\ntrainer: sweep_toy\n", **files))
        assert "more than 20 files" in problem.message

    def test_a_link_to_itself(self, folder: Path) -> None:
        path = put(folder, s="extends: l.yaml\ntrainer: sweep_toy\n")
        os.symlink(path, folder / "l.yaml")
        assert "circular extends" in problems(path)[0].message

    def test_set_on_extends_is_no_way_around(self, folder: Path) -> None:
        path = put(folder, s="trainer: sweep_toy\n", base="trainer: sweep_toy\n")
        with pytest.raises(SpecError, match="extends"):
            load_spec(path, overrides=["extends=base.yaml"])


class TestEnvironment:
    def read(self, folder: Path, text: str) -> dict[str, object]:
        spec = load_spec(put(folder, s=f"program: env\nfixed:\n  x: {text}\n"))
        (trial,) = iter_configs(spec)
        config: dict[str, object] = Private(spec.private).put_in(trial.config)  # as a trial does
        return config

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${env:NUMBER}", 1e-3),
            ("'${env:NUMBER}'", 1e-3),
            ("${env:TEXT}", "a b"),
            ("${env:NONE:-5}", 5),
            ("${env:NONE:-}", None),
            ("${env:NONE:-true}", True),
            ("${env:LIST}", "[1, 2]"),
            ("${env:BAD}", "a: [b"),
            ("p/${env:TEXT}/${env:NONE:-c}", "p/a b/c"),
            ("$NUMBER ${NUMBER} $env:NUMBER", "$NUMBER ${NUMBER} $env:NUMBER"),
            ("['${env:NUMBER}', b]", [1e-3, "b"]),
        ],
    )
    def test_values(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: object
    ) -> None:
        named = {"NUMBER": "1e-3", "TEXT": "a b", "LIST": "[1, 2]", "BAD": "a: [b"}
        for name, given_value in named.items():
            monkeypatch.setenv(name, given_value)
        monkeypatch.delenv("NONE", raising=False)
        assert self.read(folder, text) == {"x": value}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("${env:NOT_SET_HERE}", "Set it, or write ${env:NOT_SET_HERE:-DEFAULT}"),
            ("a ${env:} b", "expected a variable as"),
            ("${env:A-B}", "expected a variable as"),
            ("${env:HOME", "expected a variable as"),
        ],
    )
    def test_mistakes(self, folder: Path, text: str, words: str) -> None:
        path = put(folder, s=f"trainer: sweep_toy\nfixed:\n  note: '{text}'\n")
        found = problems(path)
        assert (found[0].line, found[0].key) == (3, "fixed.note")
        assert words in found[0].message

    def test_what_comes_from_outside_is_not_read_again(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUTER", "${env:HOME}")
        assert self.read(folder, "${env:OUTER}") == {"x": "${env:HOME}"}

    @settings(suppress_health_check=list(HealthCheck), max_examples=100)
    @given(value=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30))
    def test_any_variable(self, folder: Path, value: str) -> None:
        os.environ["SWEEP_TEST_ANY"] = value
        try:
            self.read(folder, "${env:SWEEP_TEST_ANY}")
        except SpecError:
            event("refused")
        finally:
            del os.environ["SWEEP_TEST_ANY"]


def test_the_course_of_a_sweep_is_joined_entry_by_entry(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "trainer: sweep_toy\nmetric: val_mae\nbudget: {hours: 3, failures: 2}\n"
        "expect: {val_mae@3: < 1}\nreference: {paper: {mae: 1}}\ndivergence: {plateau: stop}\n"
        "ablate: {gate: val_mae < 1, changes: {a: {set: {lr: 0.1}}}}\n"
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        "extends: base.yaml\nbudget: {hours: 1}\nexpect: {val_mae@9: < 0.5}\n"
        "reference: {other: {mae: 2}}\ndivergence: {rising: warn}\n"
        "ablate: {changes: {b: {set: {lr: 0.2}}}}\n"
    )
    spec = load_spec(path)
    assert (spec.budget.hours, spec.budget.failures) == (1, 2)
    assert list(spec.expect) == ["val_mae@3", "val_mae@9"]
    assert list(spec.references) == ["paper", "other"]
    assert spec.divergence == {"rising": "warn", "plateau": "stop"}
    assert spec.ablate is not None
    assert (spec.ablate.gate, list(spec.ablate.changes)) == ("val_mae < 1", ["b"])
