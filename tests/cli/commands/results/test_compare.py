from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.table import compare
from orchestrator.cli.render.comparison import render_comparison
from orchestrator.cli.render.text import Column, clean, differing, fit, number, short_names
from orchestrator.runs.records import TrialState
from tests.analysis import made
from tests.cli.running import sweep

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three trials under ./results, two of them complete; validation and test disagree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_RESULTS", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    made_sweep = made.sweep(tmp_path / "results", targets={"mae": "<= 0.15", "r2": ">= 0.99"})
    made.trial(made_sweep, 0, error=0.2, val_error=0.3, config={"lr": 0.1, "batch": 8})
    made.trial(
        made_sweep,
        1,
        error=0.1,
        val_error=0.4,
        config={"lr": 0.01, "batch": 8},
        warnings=["asked lr 0.01, recorded 0.1"],
    )
    made.trial(made_sweep, 2, state=TrialState.PRUNED, reason="diverged: train_loss is nan")
    return tmp_path / "results"


def test_the_default_is_results_ranked_on_validation(results: Path, capsys: Capture) -> None:
    assert sweep("compare") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "2/3 complete, ranked by val_mae, lowest first (validation)"
    assert lines[2].split()[:6] == ["rank", "trial", "val_mae", "mae", "r2", "lr"]
    assert "batch" not in lines[2]
    assert [line.split()[1] for line in lines[4:6]] == ["t0", "t1"]
    assert "0.2000 ✗ +0.05" in lines[4]
    assert "0.1000 ✓ -0.05" in lines[5]
    assert lines[5].split()[2] == "!"
    assert "Target mae <= 0.15: met by 1 of 2." in lines
    assert "! t1: asked lr 0.01, recorded 0.1" in lines
    assert "Incomplete (1):" in lines
    assert (
        "results/demo/trials/0002-t2: PRUNED: diverged: train_loss is nan; "
        "missing predictions.npy, targets.npy"
    ) in out


def test_ranking_by_a_test_metric_is_noted(results: Path, capsys: Capture) -> None:
    assert sweep("compare", "--sort-by", "r2", "--top", "1") == 0
    out = capsys.readouterr().out
    assert "ranked by r2, highest first (selected on test among 2)" in out
    assert "The best 1 of 2." in out
    assert "Target mae <= 0.15: met by 1 of 2." in out, "among all, not among those shown"
    assert [line.split()[1] for line in out.splitlines()[4:5]] == ["t1"]


def test_json_is_the_contract(results: Path, capsys: Capture) -> None:
    assert sweep("compare", str(results), "--json", "--top", "1") == 0
    by_flag = capsys.readouterr().out
    assert sweep("compare", str(results), "--export", "json", "--top", "1") == 0
    assert capsys.readouterr().out == by_flag
    found = json.loads(by_flag)
    assert [row["trial"] for row in found["rows"]] == ["t0"]
    row = found["rows"][0]
    assert (row["rank"], row["sweep"], row["state"]) == (1, "demo", "COMPLETE")
    assert row["config"] == {"lr": 0.1, "batch": 8}
    assert row["targets"]["mae"] == {
        "bound": "<= 0.15",
        "value": row["metrics"]["mae"],
        "met": False,
    }
    assert found["incomplete"][0]["missing"] == ["predictions.npy", "targets.npy"]


def test_only_the_csv_goes_to_standard_output(results: Path, capsys: Capture) -> None:
    assert sweep("compare", "--export", "csv") == 0
    captured = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(captured.out)))
    assert [row["trial"] for row in rows] == ["t0", "t1"]
    assert [row["warnings"] for row in rows] == ["", "asked lr 0.01, recorded 0.1"]
    assert "2/3 complete" in captured.err
    assert "Not in the CSV: 1 incomplete run;" in captured.err


def test_a_csv_without_incomplete_runs_does_not_speak_of_them(
    tmp_path: Path, capsys: Capture
) -> None:
    made.pair(tmp_path / "run")
    assert sweep("compare", str(tmp_path), "--export", "csv") == 0
    assert "incomplete" not in capsys.readouterr().err
    made.metadata(tmp_path / "a", lr=1)
    made.metadata(tmp_path / "b", lr=1)
    assert sweep("compare", str(tmp_path), "--export", "csv") == 0
    assert "Not in the CSV: 2 incomplete runs;" in capsys.readouterr().err


def test_an_export_into_a_file_takes_its_form_from_the_name(
    results: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert sweep("compare", "--all", "-o", str(tmp_path / "table.md")) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"wrote {tmp_path / 'table.md'}\n" in captured.err
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.strip("|").split("|")][:4] == [
        *("rank", "sweep", "trial", "path")
    ]
    assert "warnings" not in header
    assert "Incomplete (1):" in text
    assert "asked lr 0.01, recorded 0.1" in text


def test_files_have_the_columns_that_are_shown_or_with_all_every_one(
    results: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.metadata(results / "demo" / "trials" / "0000-t0", duration_s=12.5, epochs_done=5)

    def header(*options: str) -> list[str]:
        assert sweep("compare", *options) == 0
        lines = capsys.readouterr().out.splitlines()
        row = next(line for line in lines if "rank" in line.replace(",", " ").split())
        return [cell.strip() for cell in row.strip("|").split("," if "csv" in options else "|")]

    whole = header("--export", "csv", "--all")
    assert {"config.lr", "config.batch", "val_rmse", "facts.duration", "facts.steps"} <= {*whole}
    monkeypatch.setenv("COLUMNS", "42")
    assert header("--export", "csv") == [
        *("rank", "sweep", "trial", "path", "state", "warnings"),
        *("val_mae", "mae", "target.mae", "r2", "target.r2"),
    ]
    assert header("--export", "md") == ["rank", "trial", "val_mae", "mae", "r2"]
    chosen = header("--export", "csv", "--columns", "lr,duration")
    assert chosen[6:] == ["config.lr", "facts.duration"]
    assert header("--export", "md", "--columns", "lr") == ["rank", "trial", "lr"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sort-by", "mea"], "Did you mean 'mae'?"),
        (["nowhere"], "nowhere: no such file or folder. Name a folder with runs"),
        (["--metrics", "edc"], "--metrics edc needs --rate"),
        (["--metrics", "edcc", "--rate", "500"], "Did you mean 'edc'?"),
        (["--rate", "5"], "--rate needs --metrics"),
        (["--rate", "-1"], "is not above 0"),
        (["--rate", "nan"], "is not above 0"),
        (["--json", "--export", "csv"], "--json and --export are mutually exclusive"),
        (["-o", "table.xlsx"], "Use the ending .csv, .md or .json"),
        (["-o", "nowhere/table.csv"], "cannot write nowhere/table.csv: "),
        (["--top", "0"], "--top"),
        (["--export", "xml"], "--export"),
    ],
)
def test_mistakes_exit_with_2_and_one_message(
    results: Path, capsys: Capture, arguments: list[str], said: str
) -> None:
    assert sweep("compare", *arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_no_runs_is_no_error(tmp_path: Path, capsys: Capture) -> None:
    assert sweep("compare", str(tmp_path)) == 0
    assert "no runs found" in capsys.readouterr().out
    assert sweep("compare", str(tmp_path), "--json", "--sort-by", "mae") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []


def test_only_incomplete_runs_are_listed(tmp_path: Path, capsys: Capture) -> None:
    made.metadata(tmp_path / "run", lr=1)
    assert sweep("compare", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert out.startswith("0/1 complete\n")
    assert "missing predictions.npy, targets.npy" in out


def test_foreign_curves_get_one_hint_then_their_metrics(tmp_path: Path, capsys: Capture) -> None:
    made.curves(tmp_path / "run", 1.1)
    assert sweep("compare", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "(split unknown)" in out
    assert out.count("--metrics edc --rate") == 1
    assert sweep("compare", str(tmp_path), "--metrics", "edc", "--rate", "500") == 0
    out = capsys.readouterr().out
    assert "t20_mae" in out
    assert "--metrics edc" not in out


def test_foreign_metrics_that_were_not_asked_for_are_explained(
    tmp_path: Path, capsys: Capture
) -> None:
    made.curves(tmp_path / "run", 1.1)
    assert sweep("compare", str(tmp_path), "--sort-by", "t20_mae") == 2
    assert "--metrics edc --rate HZ" in capsys.readouterr().err


def test_results_may_be_named_by_the_environment(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SWEEP_RESULTS", str(tmp_path / "other"))
    made.pair(tmp_path / "other" / "mine")
    assert sweep("compare") == 0
    assert "mine" in capsys.readouterr().out


def test_an_array_that_would_run_code_is_not_unpickled(tmp_path: Path, capsys: Capture) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    made.pair(tmp_path / "run")
    np.save(tmp_path / "run" / "targets.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    assert sweep("compare", str(tmp_path)) == 0
    assert "unpickled" in capsys.readouterr().out
    assert not (tmp_path / "exploded").exists()


def test_trials_of_several_sweeps_are_prefixed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        made.trial(made.sweep(tmp_path, name), 0, error=0.1, val_error=0.1)
    text = render_comparison(compare([tmp_path]), width=200)
    assert "one/t0" in text
    assert "two/t0" in text


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_tables_fit_the_width_as_far_as_the_first_columns_allow(tmp_path: Path, width: int) -> None:
    made_sweep = made.sweep(tmp_path, targets={"mae": "<= 0.15"})
    for index in range(3):
        config = {f"parameter_{k}": index for k in range(12)}
        made.trial(made_sweep, index, error=0.1, val_error=0.2, config=config)
    table = render_comparison(compare([tmp_path]), width=width).splitlines()[2:7]
    assert max(len(line) for line in table) <= width
    assert "val_mae" in table[0]


def test_control_characters_of_foreign_names_do_not_reach_the_terminal(tmp_path: Path) -> None:
    made.pair(tmp_path / "evil\x1b[2Jname\nline")
    made.metadata(tmp_path / "bad\x1b[31m", lr=1)
    text = render_comparison(compare([tmp_path]), width=200)
    assert "\x1b" not in text
    assert "evil?[2Jname line" in text


def test_many_incomplete_runs_are_cut_and_all_shows_them(tmp_path: Path) -> None:
    for index in range(50):
        made.metadata(tmp_path / f"run{index}", lr=1)
    comparison = compare([tmp_path])
    assert "… and 10 more" in render_comparison(comparison, width=80)
    assert "run49" in render_comparison(comparison, width=80, everything=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0183456, "0.01835"),
        (1.0, "1"),
        (123456.7, "123457"),
        (1e-9, "1e-09"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        (7, "7"),
        (None, "-"),
        ([1, "a"], "[1, 'a']"),
    ],
)
def test_numbers_have_four_digits(value: object, text: str) -> None:
    assert number(value) == text


def test_padded_numbers_do_not_look_more_exact_than_they_are() -> None:
    assert number(0.99998, padded=True) == "1.000"
    assert number(0.1, padded=True) == "0.1000"


def test_long_text_is_cut_with_a_mark() -> None:
    assert clean("a" * 50, 10) == "a" * 9 + "…"


def test_fit_keeps_columns_by_weight() -> None:
    columns = [Column("a", ["x" * 10]), Column("b", ["x" * 10], 5), Column("c", ["x" * 10], 1)]
    kept, hidden = fit(columns, 22)
    assert ([column.title for column in kept], hidden) == (["a", "c"], 1)
    assert [column.title for column in fit(columns, 1)[0]] == ["a"]
    assert [column.title for column in fit(columns, 34)[0]] == ["a", "b", "c"]


def test_differing_counts_an_absent_value_as_another() -> None:
    assert differing([{"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3}]) == ["b", "c"]
    assert differing([{"a": 1}]) == []
    assert differing([]) == []


def foreign(folder: Path, config: str, metrics: str) -> None:
    folder.mkdir(parents=True)
    (folder / "hparams.yaml").write_text(config, encoding="utf-8")
    (folder / "metrics.csv").write_text(metrics, encoding="utf-8")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    for name, lr, acc in (("a", 0.1, 0.7), ("b", 0.01, 0.9), ("c", 0.001, 0.8)):
        config = (
            f"training_config: {{max_epochs: {int(1 / lr)}, lr: {lr}}}\nmodel: {{kind: {name}}}"
        )
        foreign(tmp_path / name, config, f"epoch,val_acc,val_loss\n0,{acc},0.5\n1,0.1,{lr}\n")
    return tmp_path


def test_parameters_have_their_shortest_names(runs: Path, capsys: Capture) -> None:
    assert sweep("compare", str(runs)) == 0
    header = capsys.readouterr().out.splitlines()[2].split()
    assert header[:6] == ["rank", "trial", "val_acc", "max_epochs", "lr", "kind"]
    assert short_names(["a.lr", "b.lr", "c", "lr", "x.c"])["a.lr"] == "a.lr"


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), max_size=6))
def test_short_names_are_ends_of_names_and_unique(parts: list[list[str]]) -> None:
    names = list(dict.fromkeys(map(".".join, parts)))
    found = short_names(names)
    assert len(set(found.values())) == len(names)
    assert all(f".{name}".endswith(f".{short}") for name, short in found.items())


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("val_acc > 0.75", ["b", "c"]),
        ("lr < 0.05 and val_acc > 0.85", ["b"]),
        ("training_config.lr >= 0.1", ["a"]),
        ("kind == c or kind == a", ["c", "a"]),
        ("state == COMPLETE", []),
        ("complete and trial != b", ["c", "a"]),
    ],
)
def test_where_keeps_what_meets_the_condition(
    runs: Path, capsys: Capture, condition: str, expected: list[str]
) -> None:
    assert sweep("compare", str(runs), "--where", condition, "--json") == 0
    assert [row["trial"] for row in json.loads(capsys.readouterr().out)["rows"]] == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "val_ac > 0.5"], "--where: no run has 'val_ac'. Did you mean 'val_acc'?"),
        (["--where", "val_acc >"], "--where: "),
        (["--columns", "val_los"], "--columns: no column 'val_los'. Did you mean 'val_loss'?"),
        (["--at", "first"], "--at: expected best, last or step:N (found 'first')"),
        (["--goal", "up"], "--goal"),
    ],
)
def test_mistakes_in_a_selection_name_what_there_is(
    runs: Path, capsys: Capture, arguments: list[str], said: str
) -> None:
    assert sweep("compare", str(runs), *arguments) == 2
    assert said in capsys.readouterr().err


def test_columns_may_be_chosen(runs: Path, capsys: Capture) -> None:
    assert sweep("compare", str(runs), "--columns", "LR, best step,val_loss") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["rank", "trial", "lr", "best", "step", "val_loss"]


def test_targets_tiers_and_milestones_are_seen_at_80_columns(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tiers = {"minimum": {"val_mae": "<= 0.3"}, "good": {"val_mae": "<= 0.15"}}
    made_sweep = made.sweep(tmp_path, spec={"tiers": tiers})
    for place in range(2):
        config = {f"parameter_{k}": place for k in range(9)}
        expect = {"expect": {"val_mae": 0.25}}
        run = made.trial(made_sweep, place, value=0.2 + place, config=config, note=expect)
        made.report(run, 1, 0.0, train_mae=0.1, val_mae=0.2 + place)
    assert sweep("compare", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    for title in ("val_mae", "expected val_mae", "minimum", "good"):
        assert title in lines[2]
    assert max(map(len, lines[2:6])) <= 80
    assert "0.2000 ✓ -0.05" in lines[4]
    assert "✗ val_mae +0.05" in lines[4]


def test_ranking_by_a_loss_warns_if_its_weights_varied(tmp_path: Path, capsys: Capture) -> None:
    for name in ("1.0", "2.0"):
        foreign(tmp_path / name, f"ssim_weight: {name}\n", "epoch,val_loss\n0,0.5\n")
    assert sweep("compare", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "val_loss may mean something else in each run, since ssim_weight varies." in out


def test_distances_give_way_to_further_targets(tmp_path: Path) -> None:
    targets = {"mae": "<= 0.15", "rmse": "<= 0.3", "r2": ">= 0.99"}
    made_sweep = made.sweep(tmp_path, targets=targets)
    for place in range(2):
        made.trial(made_sweep, place, error=0.1 + place, val_error=0.2, config={"lr": place})
    wide, narrow = (render_comparison(compare([tmp_path]), width=w).splitlines() for w in (90, 50))
    assert "0.1000 ✓ -0.05" in wide[4]
    assert "0.1000 ✓ " in narrow[4]
    assert "-0.05" not in narrow[4]
    assert all(name in narrow[2] for name in targets)


def test_places_constants_and_counters_come_after_what_varies(
    tmp_path: Path, capsys: Capture
) -> None:
    for place, name in enumerate(("train", "train2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "args.yaml").write_text(
            f"name: {name}\nsave_dir: runs/{name}\nbatch: {16 * (place + 1)}\nlr0: 0.01\n"
        )
        (folder / "results.csv").write_text(
            "epoch,num_workers,fixed_acc,metrics/mAP50(B),val/box_loss\n"
            f"1,{place},0.5,0.{place + 3},1.{place}\n2,{place},0.5,0.{place + 4},1.{place}\n"
        )
    assert sweep("compare", str(tmp_path), "--all") == 0
    table = capsys.readouterr().out.splitlines()
    heading = next(line for line in table if line.startswith("rank")).split()
    assert heading[2:5] == ["metrics/mAP50(B)", "batch", "val/box_loss"]
    assert heading.index("val/box_loss") < heading.index("fixed_acc") < heading.index("save_dir")
    assert heading.index("val/box_loss") < heading.index("num_workers") < heading.index("name")
