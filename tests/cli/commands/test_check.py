from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from orchestrator.cli import main

GOOD = "trainer: edc\nparameters: {lr: {values: [1e-3, 1e-4]}, dropout: {value: 0.1}}\n"
BAD = "trainer: edc\nfixed:\n  lr: fast\n  epochs: 0\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    return tmp_path


def check(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["check", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.usefixtures("folder")
class TestText:
    def test_good(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert check("good.yaml") == 0
        assert capsys.readouterr().out == "good.yaml: ok, 2 trials\n"

    def test_many_with_all_mistakes(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert check("good.yaml", "bad.yaml", "none.yaml", ".") == 2
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "good.yaml: ok, 2 trials"
        assert lines[1] == "bad.yaml: 2 mistakes"
        assert lines[2].startswith("  bad.yaml:3: fixed.lr: expected a number")
        assert lines[3].startswith("  bad.yaml:4: fixed.epochs: expected a whole number")
        assert lines[4] == "none.yaml: 1 mistake"
        assert "No such file" in lines[5]
        assert "Is a directory" in lines[7]
        assert len(lines) == 8

    def test_set_and_stage(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert check("good.yaml", "--set", "lr=0.1", "--set", "epochs=[1, 2, 3]") == 0
        assert "3 trials" in capsys.readouterr().out
        assert check("good.yaml", "--set", "lr=-1") == 2
        assert "--set: lr: expected a number" in capsys.readouterr().out
        assert check("good.yaml", "--stage", "quick") == 2
        (folder / "good.yaml").write_text(GOOD + "stages: {quick: {set: {epochs: 1}}}\n")
        assert check("good.yaml", "--stage", "quick") == 0

    def test_warnings_leave_it_good(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "any.py").write_text("import sys\nprint(sys.argv)\n")
        (folder / "good.yaml").write_text("program: any.py\nmethod: random\n"
                                          "parameters: {x: {min: 1.0, max: 2.0}}\n")  # fmt: skip
        assert check("good.yaml") == 0
        first, *warnings = capsys.readouterr().out.splitlines()
        assert "unbounded number of trials" in first
        assert any("good.yaml:2: run_cap: missing" in line for line in warnings)

    def test_a_program_that_cannot_run(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "train.py").write_text("")
        (folder / "train.sh").write_text("")
        for name, words in (
            ("trian.py", "no script or command 'trian.py' in .*Did you mean 'train.py'"),
            ("none.py", "Write a path from the file's folder"),
            ("train.sh", "train.sh is not executable. Run chmod"),
        ):
            (folder / "good.yaml").write_text(f"program: {name}\nfixed: {{x: 1}}\n")
            assert check("good.yaml") == 2
            assert re.search(words, capsys.readouterr().out)

    def test_no_file_is_wrong_usage(self) -> None:
        assert check() == 2


@pytest.mark.usefixtures("folder")
class TestJson:
    def test_rows(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "random.yaml").write_text(
            "trainer: edc\nmethod: random\nproject: p\n"
            "parameters: {epochs: {min: 1, max: 9, q: 2}, dropout: {min: 0.0, max: 0.5}}\n"
        )
        (folder / "random.yaml").write_text(
            (folder / "random.yaml").read_text().replace("min: 1,", "min: 2,")
        )
        assert check("good.yaml", "bad.yaml", "random.yaml", "--json") == 2
        good, bad, drawn = json.loads(capsys.readouterr().out)
        assert good == {
            "file": "good.yaml",
            "ok": True,
            "errors": [],
            "warnings": [],
            "space": {
                "lr": {"distribution": "categorical", "values": [1e-3, 1e-4]},
                "dropout": {"distribution": "constant", "value": 0.1},
            },
            "trials": 2,
            "excluded": 0,
        }
        assert (bad["ok"], bad["space"]) == (False, {})
        assert [(e["line"], e["key"]) for e in bad["errors"]] == [
            (3, "fixed.lr"),
            (4, "fixed.epochs"),
        ]
        assert all(e["message"].startswith("expected") for e in bad["errors"])
        assert drawn["space"] == {
            "epochs": {"distribution": "q_uniform", "min": 2, "max": 9, "q": 2},
            "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        }
        assert ["project" in text for text in drawn["warnings"]] == [True, False]
        assert "run_cap" in drawn["warnings"][1]

    def test_what_constraints_leave_out(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "good.yaml").write_text(GOOD + "seeds: 3\nconstraints: [lr < 5e-4]\n")
        assert check("good.yaml", "--json") == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["trials"], row["excluded"]) == (3, 1)
        assert check("good.yaml") == 0
        assert "ok, 3 trials, 1 excluded by constraints" in capsys.readouterr().out

    def test_count_and_quick(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        drawn = "trainer: edc\nmethod: random\nparameters: {dropout: {min: 0.0, max: 0.5}}\n"
        drawn += "stages: {a: {set: {epochs: 1}}, b: {set: {epochs: 2}}}\n"
        (folder / "good.yaml").write_text(drawn)
        assert check("good.yaml", "--json", "--count", "7", "--quick") == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["trials"], row["warnings"]) == (7, [])
        assert check("good.yaml", "--quick", "--stage", "b") == 2
        assert "--quick: cannot be combined with --stage" in capsys.readouterr().out

    def test_a_file_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert check("none.yaml", "--json") == 2
        (row,) = json.loads(capsys.readouterr().out)
        assert row["errors"] == [
            {"line": None, "key": "", "message": "cannot read the sweep file: "
             "No such file or directory."}
        ]  # fmt: skip

    def test_it_is_strict_json(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "nan.yaml").write_text("program: env\nparameters: {x: {values: [.nan, .inf]}}\n")
        assert check("nan.yaml", "--json") == 0

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is no JSON")

        json.loads(capsys.readouterr().out, parse_constant=refuse)
