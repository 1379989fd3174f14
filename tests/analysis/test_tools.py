"""Run folders of other tools belong in the same table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.table import audit, compare
from orchestrator.errors import UsageError
from orchestrator.runs.records import TrialState
from tests.analysis import made
from tests.runs.wandb_made import log_bytes


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def wandb(root: Path) -> None:
    run = root / "wandb" / "offline-run-20260101_000000-abc"
    for name in ("files/requirements.txt", "logs/debug.log"):
        write(run / name, "")
    said = [(0, {"val_acc": 0.5}), (1, {"val_acc": 0.7, "train_loss": 0.2})]
    (run / "run-abc.wandb").write_bytes(log_bytes({"lr": 0.1, "model": {"width": 8}}, said))


def old_wandb(root: Path) -> None:
    run = root / "wandb" / "run-20230101_000000-abc"
    write(run / "run-abc.wandb", "")
    write(
        run / "files" / "config.yaml",
        "wandb_version: 1\n_wandb: {value: {cli: x}}\n"
        "lr: {desc: null, value: 0.1}\nmodel: {value: {width: 8}}\n",
    )
    write(run / "files" / "wandb-summary.json", '{"val_acc": 0.7, "train_loss": 0.2, "_step": 9}')


def mlflow(root: Path) -> None:
    run = root / "mlruns" / "0" / "c3affc9be2ea42e48e3d47c09d22b93d"
    write(root / "mlruns" / "0" / "meta.yaml", "name: Default\n")
    write(run / "meta.yaml", "run_id: c3affc9be2ea42e48e3d47c09d22b93d\n")
    write(run / "params" / "lr", "0.1")
    write(run / "params" / "model.width", "8")
    write(run / "metrics" / "val_acc", "1795186388900 0.5 0\n1795186388901 0.7 1\n")
    write(run / "metrics" / "train_loss", "1795186388901 0.2 1\n")
    write(run / "artifacts" / "metrics.json", "{}")


def ray(root: Path) -> None:
    run = root / "tune" / "train_0001"
    write(run / "params.json", '{"lr": 0.1, "model": {"width": 8}}')
    write(run / "params.pkl", "never unpickled")
    lines = [{"val_acc": 0.5}, {"val_acc": 0.7, "train_loss": 0.2, "config": {"lr": 0.1}}]
    write(run / "result.json", "\n".join(map(json.dumps, lines)))


def lightning(root: Path) -> None:
    run = root / "lightning_logs" / "version_0"
    # Lightning writes tags that build objects.
    write(
        run / "hparams.yaml",
        "lr: 0.1\nmodel: !!python/object:argparse.Namespace\n  width: 8\n",
    )
    rows = "epoch,step,train_loss,val_acc\n0,1,0.9,\n0,1,,0.5\n1,2,0.2,\n1,2,,0.7\n"
    write(run / "metrics.csv", rows)
    write(run / "checkpoints" / "epoch=1.ckpt", "x")


def hugging_face(root: Path) -> None:
    run = root / "out"
    history = [{"step": 1, "val_acc": 0.5}, {"step": 2, "val_acc": 0.7, "train_loss": 0.2}]
    write(run / "trainer_state.json", json.dumps({"log_history": history, "max_steps": 2}))
    write(run / "args.json", '{"lr": 0.1, "model": {"width": 8}}')


@pytest.mark.parametrize("tool", [wandb, old_wandb, mlflow, ray, lightning, hugging_face])
def test_runs_of_a_tool_are_ranked_as_they_logged(tmp_path: Path, tool: object) -> None:
    assert callable(tool)
    tool(tmp_path)
    found = compare([tmp_path], sort_by="val_acc")
    (row,) = found.rows
    assert found.incomplete == ()
    assert found.basis == "as logged"
    assert (row.config["lr"], row.config["model.width"]) == (0.1, 8)
    assert (row.logged["val_acc"], row.logged["train_loss"]) == (0.7, 0.2)
    assert row.warnings == ()
    assert [run.has[:2] for run in audit([tmp_path])] == [("config", "metrics")]
    assert not any("arrays" in note for note in found.notes)  # there are none to say it of
    made.pair(tmp_path / "other", 0.1)
    assert any("1 run does not say what the arrays" in note for note in compare([tmp_path]).notes)


def test_hydra_folders_have_their_config_and_their_arrays(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "2026-01-01" / "12-00-00"
    write(run / ".hydra" / "config.yaml", "lr: 1e-3\nmodel:\n  width: 8\n")
    write(run / "train.log", "")
    made.pair(run, 0.1)
    (row,) = compare([tmp_path]).rows
    assert row.config == {"lr": "1e-3", "model.width": 8}
    assert row.metrics["mae"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("predictions", "targets"),
    [
        ("pred.npy", "true.npy"),
        ("y_pred.npy", "y_true.npy"),
        ("test_preds.npy", "test_targets.npy"),
    ],
)
def test_arrays_are_found_by_the_usual_names(
    tmp_path: Path, predictions: str, targets: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    np.save(run / predictions, np.array([1.0, 2.0]))
    np.save(run / targets, np.array([1.0, 4.0]))
    (row,) = compare([tmp_path]).rows
    assert row.metrics["mae"] == 1.0


def test_arrays_in_the_folder_below_a_config_are_the_runs(tmp_path: Path) -> None:
    run = tmp_path / "exp1"
    write(run / "config.yaml", "lr: 0.1\n")
    made.pair(run / "outputs", 0.2)
    (row,) = compare([tmp_path]).rows
    assert (row.trial, row.config) == ("exp1", {"lr": 0.1})
    # Two of them are two runs, and nobody's.
    made.pair(run / "other", 0.3)
    assert len(compare([tmp_path]).rows) == 2


def test_two_arrays_of_an_archive_are_a_pair(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    values = np.array([1.0, 2.0])
    np.savez(tmp_path / "run" / "out.npz", y_pred=values, y_true=values + 1, other=values)
    np.savez(tmp_path / "data.npz", x=values)
    (row,) = compare([tmp_path]).rows
    assert row.metrics["mae"] == 1.0


def test_a_config_in_a_folder_of_code_is_no_run(tmp_path: Path) -> None:
    write(tmp_path / "configs" / "config.yaml", "lr: 0.1\n")
    write(tmp_path / "configs" / "train.py", "")
    made.pair(tmp_path / "runs" / "a")
    assert [row.trial for row in compare([tmp_path]).rows] == ["a"]
    assert compare([tmp_path]).incomplete == ()


def test_what_is_said_beside_the_folders_is_believed(tmp_path: Path) -> None:
    for name, stretch in (("a", 1.1), ("b", 1.2)):
        made.curves(tmp_path / "runs" / name / "deep" / "out", stretch)
        folder = tmp_path / "runs" / name / "deep" / "out"
        targets = np.load(folder / "targets.npy")
        np.savez(tmp_path / "runs" / name / "deep" / "arrays.npz", truth=targets)
        (folder / "predictions.npy").rename(folder / "model_1.npy")
        (folder / "targets.npy").unlink()
        write(
            tmp_path / "runs" / name / "deep" / "settings.yaml", f"lr: {stretch}\nnet: {{n: 3}}\n"
        )
        write(tmp_path / "runs" / name / "deep" / "end.json", '{"seconds": 7}')
    write(
        tmp_path / "runs" / "sweep-runs.yaml",
        "runs: '*/deep'\npredictions: out/model_*.npy\ntargets: arrays.npz:truth\nsplit: val\n"
        "metrics: edc\nrate: 500\nconfig: settings.yaml\nlogged: end.json\n",
    )
    found = compare([tmp_path])
    assert found.incomplete == ()
    assert [row.config["lr"] for row in found.rows] == [1.1, 1.2]
    assert found.rows[0].config["net.n"] == 3
    assert found.rows[0].metrics["val_t20_mae"] < found.rows[1].metrics["val_t20_mae"]
    assert "t20_mae" not in found.rows[0].metrics
    assert found.rows[0].logged["seconds"] == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("predictons: a.npy", "Did you mean 'predictions'?"),
        ("predictions: a.npy", "the test targets are missing"),
        ("split: dev", "expected one of test, val, train"),
        ("rate: -1", "expected a number above 0"),
        ("rate: fast", "expected a number above 0"),
        ("config: ../../secret.yaml", "leads out of the run folder"),
        ("config: /etc/passwd", "leads out of the run folder"),
        ("config: [1]", "expected text"),
        ("config: a**.yaml", "only between slashes"),
        ("runs: .", "names no file or folder"),
        ("- a", "expected a mapping"),
        ("a: [", "it is not YAML"),
        ("metrics: edcc", "Did you mean 'edc'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_file(
    tmp_path: Path, text: str, said: str
) -> None:
    made.pair(tmp_path / "run")
    write(tmp_path / "sweep-runs.yaml", text)
    with pytest.raises(UsageError, match=r"sweep-runs\.yaml: ") as error:
        compare([tmp_path])
    assert said in str(error.value)


@pytest.mark.slow
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_damaged_files_of_tools_are_one_runs_problem(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    root = tmp_path_factory.mktemp("tools")
    for tool in (old_wandb, mlflow, ray, lightning, hugging_face):
        tool(root)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        if path.suffix in (".yaml", ".json", ".csv") or path.parent.name in ("metrics", "params"):
            path.write_bytes(content)
    made.pair(root / "good", 0.1)
    found = compare([root])
    assert found.rows[0].trial == "good"
    audit([root])


def test_an_audit_believes_where_the_config_is_said_to_stand(tmp_path: Path) -> None:
    write(tmp_path / "sweep-runs.yaml", "runs: run\nconfig: settings.yaml\n")
    write(tmp_path / "run" / "settings.yaml", "model: {lr: 0.1}\n")
    (run,) = audit([tmp_path])
    assert run.has == ("config",)
    assert run.lacks == ("predictions.npy", "targets.npy")


def test_an_audit_says_what_is_there_what_lacks_and_what_could_be_had(tmp_path: Path) -> None:
    made.pair(tmp_path / "complete", 0.1)
    made.metadata(tmp_path / "complete", config={"lr": 0.1})
    write(tmp_path / "lost" / "config.yaml", "lr: 0.1\n")
    write(tmp_path / "lost" / "metrics.csv", "epoch,train_loss\n1,0.5\n2,0.4\n")
    write(tmp_path / "lost" / "weights" / "last.ckpt", "x")
    write(tmp_path / "lost" / "predictions.npy", "x")
    write(tmp_path / "other" / "predictions.pt", "x")
    sweep = made.sweep(tmp_path)
    run = made.trial(sweep, 0, state=TrialState.WAITING, reason="interrupted")
    write(run.checkpoint_file, "x")
    lightning(tmp_path)
    found = {run.path.name: run for run in audit([tmp_path])}
    assert found["complete"].complete
    assert found["complete"].lacks == ()
    lost = found["lost"]
    assert lost.has == ("config", "metrics", "checkpoint")
    assert lost.lacks[0] == "targets.npy"
    assert lost.recoverable[0] == "predict again from weights/last.ckpt"
    assert "2 reports up to step 2" in lost.recoverable[1]
    assert "save predictions.pt as .npy" in found["other"].recoverable[0]
    assert found["0000-t0"].recoverable == ("run the sweep again: it continues from checkpoint.pt",)
    assert (found["version_0"].complete, found["version_0"].tool) == (True, "Lightning")
    assert sum(run.complete for run in found.values()) == 2


def test_arrays_may_be_grouped_in_a_manifest(tmp_path: Path) -> None:
    made.pair(tmp_path / "run", 0.1)
    for name in ("predictions", "targets"):
        (tmp_path / "run" / f"{name}.npy").rename(tmp_path / "run" / f"x_{name}.npy")
    text = "arrays: {predictions: x_predictions.npy, targets: x_targets.npy}\nruns: run\n"
    write(tmp_path / "sweep-runs.yaml", text)
    (row,) = compare([tmp_path]).rows
    assert row.metrics["mae"] == pytest.approx(0.1)


def test_runs_of_mlflow_have_its_names_and_deleted_ones_are_left_out(tmp_path: Path) -> None:
    for index, (name, stage) in enumerate([("cat", "active"), ("dog", "active"), ("x", "deleted")]):
        run = tmp_path / "mlruns" / "0" / f"{index}fc9be2ea42"
        write(run / "meta.yaml", f"run_name: {name}\nlifecycle_stage: {stage}\n")
        write(run / "params" / "lr", "0.1")
        write(run / "metrics" / "val_acc", f"1 0.{index + 5} 0\n")
    found = compare([tmp_path], sort_by="val_acc")
    assert [row.trial for row in found.rows] == ["dog", "cat"]
    assert found.incomplete == ()
