"""What counts as a run: one per output folder, each with a name that no other has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.table import audit, compare
from orchestrator.cli import main
from orchestrator.runs.read import find_runs
from orchestrator.runs.read.beside_runs import unique_names
from tests.analysis import made

CSV = "epoch,val_loss\n0,0.5\n1,0.4\n"
NAMES = st.text("ab", min_size=1, max_size=2)


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def trainer_state(path: Path, *f1: float) -> None:
    history = [{"step": step, "eval_f1": value} for step, value in enumerate(f1)]
    write(path / "trainer_state.json", json.dumps({"log_history": history}))


def names(root: Path) -> list[str]:
    return [run.name for run in find_runs([root])]


@given(st.sets(st.lists(NAMES, min_size=1, max_size=4).map(tuple), max_size=12))
def test_names_are_unique_parts_of_the_paths(parts: set[tuple[str, ...]]) -> None:
    paths = [Path("/", *part) for part in parts]
    found = unique_names(paths)
    assert len(set(found.values())) == len(paths)
    for path, name in found.items():
        named = [p for p in (path, *path.parents) if f"/{p}".endswith(f"/{name}")]
        # Only what tells nothing is left out: no other run is below the folder that is named.
        assert path in named or any(
            sum(other.is_relative_to(folder) for other in paths) == 1 for folder in named
        )
        shorter = name.partition("/")[2]
        if shorter:
            assert sum(f"/{shorter}/" in f"{other}/" for other in paths) > 1


def test_an_end_that_all_share_is_no_part_of_their_names(tmp_path: Path) -> None:
    for run in ("run a", "run b"):
        write(tmp_path / run / "version_0" / "metrics.csv", CSV)
    assert names(tmp_path) == ["run a", "run b"]
    write(tmp_path / "run a" / "version_1" / "metrics.csv", CSV)
    assert names(tmp_path) == ["run a/version_0", "version_1", "run b/version_0"]


def test_folders_of_splits_are_one_run(tmp_path: Path) -> None:
    writing = pytest.importorskip("tensorboardX")
    for run in ("a", "b"):
        for split in ("train", "validation"):
            with writing.SummaryWriter(str(tmp_path / run / split)) as writer:
                writer.add_scalar("epoch_loss", 1.0, 1)
    rows = compare([tmp_path]).rows
    assert [row.trial for row in rows] == ["a", "b"]
    assert set(rows[0].logged) == {"train_epoch_loss", "val_epoch_loss"}


def test_logs_of_one_kind_in_a_folder_are_a_run_each(tmp_path: Path) -> None:
    for task, loss in (("slurm-1.out", 0.5), ("slurm-2.out", 0.25), ("slurm-3.out", None)):
        write(tmp_path / task, "nothing\n" if loss is None else f"epoch 1: val_loss: {loss}\n")
    assert [row.trial for row in compare([tmp_path]).rows] == ["slurm-2.out", "slurm-1.out"]
    write(tmp_path / "model.pt")  # one run, started again
    assert len(find_runs([tmp_path])) == 1


def test_bookkeeping_is_no_metric(tmp_path: Path) -> None:
    line = {"val": {"acc": 0.5}, "training_iteration": 4, "time_total_s": 8.0, "timestamp": 17}
    lines = [{**line, "date": "2024-01-01", "n_parameters": 100, "iterations_since_restore": 4}]
    write(tmp_path / "ray" / "result.json", "\n".join(map(json.dumps, lines)) + "\n")
    write(tmp_path / "ray" / "params.json", '{"lr": 0.1}')
    write(tmp_path / "detr" / "log.txt", '{"test_loss": 0.5, "epoch": 1, "n_parameters": 100}\n')
    rows = {row.trial: row for row in compare([tmp_path]).rows}
    assert rows["ray"].metrics == {"val/acc": 0.5}
    assert rows["detr"].metrics == {"test_loss": 0.5}
    assert (rows["ray"].facts["duration"], rows["detr"].facts["parameters"]) == (8.0, 100)


def test_checkpoints_are_no_runs(tmp_path: Path) -> None:
    for name in ("lr1", "lr3"):
        trainer_state(tmp_path / name, 0.7, 0.6)
        for step in (100, 200):
            trainer_state(tmp_path / name / f"checkpoint-{step}", 0.7)
    assert names(tmp_path) == ["lr1", "lr3"]
    assert len(audit([tmp_path])) == 2


def test_of_checkpoints_alone_the_last_is_the_run(tmp_path: Path) -> None:
    for step, f1 in ((9, 0.1), (100, 0.7)):
        trainer_state(tmp_path / "out" / f"checkpoint-{step}", f1)
    (row,) = compare([tmp_path]).rows
    assert (row.trial, row.metrics["eval_f1"]) == ("out", 0.7)


def test_equal_folder_names_are_told_apart(tmp_path: Path) -> None:
    for place in ("a/version_0", "b/version_0", "c/version_1"):
        write(tmp_path / place / "hparams.yaml", "lr: 0.1\n")
        write(tmp_path / place / "metrics.csv", CSV)
    assert names(tmp_path) == ["a", "b", "version_1"]


@pytest.mark.parametrize(
    "files",
    [
        {"args.yaml": "lr0: 0.01\n", "results.csv": CSV, "weights/best.pt": "x"},
        {"args.yaml": "lr: 0.01\n", "summary.csv": CSV, "checkpoint-3.pth.tar": "x"},
        {"progress.csv": "time/total_timesteps,rollout/ep_rew_mean\n1,2\n2,3\n"},
        {"metrics.csv": CSV},
        {"train.log": "epoch 1 val_loss 0.5\nepoch 2 val_loss 0.4\n"},
        {"log.txt": "epoch 1 val_loss 0.5\nepoch 2 val_loss 0.4\n"},
        {"metrics.jsonl": '{"step": 1, "val_loss": 0.5}\n{"step": 2, "val_loss": 0.4}\n'},
        {".hydra/config.yaml": "lr: 0.1\n", "metrics.csv": CSV},
        {".hydra/config.yaml": "lr: 1\n", "v/0/hparams.yaml": "", "v/0/metrics.csv": CSV},
    ],
)
def test_each_output_folder_is_one_complete_run(tmp_path: Path, files: dict[str, str]) -> None:
    for run in ("one", "two"):
        for name, text in files.items():
            write(tmp_path / run / name, text)
    found = compare([tmp_path])
    assert sorted(row.trial for row in found.rows) == ["one", "two"]
    assert found.incomplete == ()


def test_an_experiment_of_mlflow_is_no_run(tmp_path: Path) -> None:
    write(tmp_path / "1" / "meta.yaml", "name: experiment\n")
    for run in ("abc", "def"):
        write(tmp_path / "1" / run / "meta.yaml", "lifecycle_stage: active\n")
        write(tmp_path / "1" / run / "params" / "lr", "0.1")
        write(tmp_path / "1" / run / "metrics" / "val_acc", "1 0.5 0\n2 0.8 1\n3 0.6 2\n")
    found = compare([tmp_path])
    assert [(row.trial, row.metrics["val_acc"]) for row in found.rows] == [
        ("abc", 0.8),
        ("def", 0.8),
    ]


def test_a_log_of_the_whole_tree_is_no_run(tmp_path: Path) -> None:
    write(tmp_path / "batch.log", "epoch 1 val_loss 0.5\nepoch 2 val_loss 0.4\n")
    for run in ("one", "two"):
        write(tmp_path / run / "hparams.yaml", "lr: 1\n")
        write(tmp_path / run / "metrics.csv", CSV)
    assert names(tmp_path) == ["one", "two"]


def test_a_tree_of_35_with_17_incomplete_says_why_each_is(tmp_path: Path) -> None:
    for number in range(18):
        write(tmp_path / f"run{number}" / "metrics.csv", CSV)
    for number in range(18, 33):
        write(tmp_path / f"run{number}" / "checkpoints" / "best.ckpt")
    for number in (33, 34):
        write(tmp_path / f"run{number}" / "metadata.json", "{'lr': 1}")
    found = compare([tmp_path])
    assert (found.n_complete, found.n_total) == (18, 35)
    problems = [item.problem for item in found.incomplete]
    assert problems.count("only a checkpoint (checkpoints/best.ckpt)") == 15
    why = "metadata.json cannot be read: it is not JSON, see line 1"
    assert problems.count(why) == 2
    assert [run.complete for run in audit([tmp_path])].count(False) == 17


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"train.log": "nothing\n"}, "its log has no metrics (train.log)"),
        ({"a/b/last.pt": "x"}, "only a checkpoint (a/b/last.pt)"),
        ({"config.json": "{"}, "config.json cannot be read: it is not JSON, see line 1"),
        ({"hparams.yaml": "lr: 1\n"}, None),
    ],
)
def test_a_folder_beside_runs_is_incomplete(
    tmp_path: Path, files: dict[str, str], why: str | None
) -> None:
    write(tmp_path / "good" / "metrics.csv", CSV)
    for name, text in files.items():
        write(tmp_path / "bad" / name, text)
    for name in ("code/train.py", "logs/1.out", "data/train.pt", "notes/readme.md"):
        write(tmp_path / name)
    found = compare([tmp_path])
    assert [row.trial for row in found.rows] == ["good"]
    (item,) = found.incomplete
    assert item.path.name == "bad"
    assert why is None or item.problem == why


def test_any_way_to_a_folder_finds_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "runs" / name / "metrics.csv", CSV)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs" / "a")
    ways = ["..", "../", "../../runs", "../.", str(tmp_path / "link"), "../../link"]
    for place in (tmp_path / "runs" / "a", tmp_path / "runs"):
        monkeypatch.chdir(place)
        for way in ways if place.name == "a" else [".", "./", "../runs", "../link/"]:
            for command in ("compare", "audit"):
                with pytest.raises(SystemExit) as ended:
                    main([command, way])
                assert ended.value.code == 0
                out = capsys.readouterr().out
                assert out.startswith("2/2 complete"), (way, out)
    monkeypatch.chdir(tmp_path / "runs" / "a")
    assert names(Path()) == ["a"]


def test_sweeps_may_be_named_and_their_counts_are_the_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_RESULTS", raising=False)
    sweep = made.sweep(tmp_path / "results", n_trials=9)
    for number in range(8):
        made.trial(sweep, number, value=number if number else None)
    for command, start in (("compare", "7/9 complete"), ("audit", "7/9 complete")):
        with pytest.raises(SystemExit) as ended:
            main([command, "demo"])
        assert ended.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith(start)
        assert command == "audit" or "Note: 1 trial not started yet." in out
    assert compare([sweep.run_dir(1, "t1").path]).n_total == 1
