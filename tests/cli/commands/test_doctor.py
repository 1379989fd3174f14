"""`sweep doctor`, as it is typed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.cli.render.diagnosis import plot
from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from tests.analysis import made
from tests.shared_data import shared_data

Capture = pytest.CaptureFixture[str]
FIVE_EPOCHS = [0.2847, 0.4059, 0.4111, 0.4625, 0.4580]
FELL = [0.9, 0.5, 0.3, 0.2, 0.15]


def doctor(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def reported(sweep: SweepDir, number: int, losses: list[float], **config: object) -> None:
    state = TrialState.COMPLETE
    name = ",".join(f"{key}={value}" for key, value in config.items())
    run = made.trial(sweep, number, name=name, state=state, config=dict(config))
    run.metrics_file.unlink(missing_ok=True)
    for step, loss in enumerate(losses, start=1):
        jsonl.append(run.metrics_file, {"step": step, "time": 0, "metrics": {"train_loss": loss}})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    sweep = made.sweep(tmp_path)
    reported(sweep, 0, FIVE_EPOCHS, lr=1e-3)
    reported(sweep, 1, [0.7, 0.6, float("nan")], lr=3e-3)
    reported(sweep, 2, FELL, lr=1e-4)
    reported(sweep, 3, FELL, lr=3e-5)
    return tmp_path


@pytest.fixture
def five(tmp_path: Path) -> str:
    path = tmp_path / "five.csv"
    rows = "".join(f"{step},{loss}\n" for step, loss in enumerate(FIVE_EPOCHS, start=1))
    path.write_text(f"epoch,train_loss\n{rows}", encoding="utf-8")
    return str(path)


def test_the_five_epoch_run(five: str, capsys: Capture) -> None:
    assert doctor(five) == 0
    out = capsys.readouterr().out
    assert "five: in doubt: rising" in out
    assert "rising (possible), since epoch 2" in out
    text = " ".join(out.split())
    assert "0.4625 was never below its first value 0.2847" in text
    assert "Do not continue from the lucky first epoch" in text
    assert "^ onset" in out
    assert "change the architecture" not in out
    assert doctor(five, "--verbose") == 0
    assert "change the architecture" in capsys.readouterr().out


def test_a_sweep_holds_its_trials_against_each_other(results: Path, capsys: Capture) -> None:
    assert doctor("demo", "--results", str(results)) == 0
    out = capsys.readouterr().out
    assert "diverged, rising since" in out  # because siblings fell
    assert "diverged, non-finite since" in out
    assert "lower lr from 0.001 to 5e-05" in out
    together = " ".join(out.split("The runs together")[1].split())
    assert "Stable only at lr ≤ 0.0001: none of the 2 runs there diverged, all 2 others" in together
    assert "differs from trial 0 (lr=0.001) only in lr (0.0001, not 0.001)" in together


def test_a_single_trial_is_judged_with_its_siblings(results: Path, capsys: Capture) -> None:
    assert doctor("0", "--results", str(results), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (run,) = told["runs"]
    assert (run["number"], run["outcome"]) == (0, "diverged")
    assert run["findings"][0]["symptom"] == "rising"
    assert run["findings"][0]["fatal"] is True
    assert told["together"]
    assert doctor("lr=0.0001", "--results", str(results)) == 0
    assert "trial 2 (lr=0.0001): sound" in capsys.readouterr().out


def test_a_run_that_exploded_before_any_report_is_named(results: Path, capsys: Capture) -> None:
    reported(SweepDir(results / "demo"), 4, [3e18, 1e12, 1.4e4], lr=30.0)
    assert doctor("demo", "--results", str(results)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "(lr=30.0) never brought train_loss below 1.4e+04, where the others begin at 0.9" in out
    assert out.count("exploded before its first report") == 1


def test_the_default_is_the_newest_sweep(results: Path, capsys: Capture) -> None:
    assert doctor("--results", str(results), "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 4


def test_sweeps_in_one_folder_are_not_mixed(results: Path, capsys: Capture) -> None:
    other = made.sweep(results, "other")
    reported(other, 0, FIVE_EPOCHS, lr=1e-3)
    reported(other, 1, FIVE_EPOCHS, lr=1e-4)
    assert doctor(str(results), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    outcomes = [run["outcome"] for run in told["runs"] if "other" in run["path"]]
    assert outcomes == ["in doubt", "in doubt"]  # no trial of that sweep has fallen
    assert told["together"]
    assert all(text.startswith("demo: ") for text in told["together"])


def test_three_healthy_trials_fit_on_a_screen(tmp_path: Path, capsys: Capture) -> None:
    sweep = made.sweep(tmp_path)
    for number in range(3):
        reported(sweep, number, [0.9**step for step in range(60)], lr=10.0**-number)
    assert doctor("--results", str(tmp_path)) == 0
    assert len(capsys.readouterr().out.splitlines()) <= 6
    assert doctor("--results", str(tmp_path), "-v") == 0
    assert capsys.readouterr().out.count("best 0.001") == 3


def test_markdown(results: Path, capsys: Capture) -> None:
    assert doctor("--results", str(results), "--md") == 0
    out = capsys.readouterr().out
    assert out.startswith("# Diagnosis\n")
    assert "### non-finite (sure)" in out
    assert "- do not continue" in out
    assert "## The runs together" in out


def test_a_bundle_for_a_colleague(results: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "case.zip"
    assert doctor("--results", str(results), "--bundle", str(target)) == 0
    assert "case.zip: 11 files" in capsys.readouterr().err
    with zipfile.ZipFile(target) as packed:
        names = packed.namelist()
        assert packed.read("diagnosis.md").startswith(b"# Diagnosis")
        assert len(json.loads(packed.read("diagnosis.json"))["runs"]) == 4
    assert "demo/spec.json" in names
    assert "runs/0001-0001-lr=0.003/metrics.jsonl" in names
    assert not list(tmp_path.glob(".case.zip*"))


def test_a_bundle_that_cannot_be_written(five: str, tmp_path: Path, capsys: Capture) -> None:
    assert doctor(five, "--bundle", str(tmp_path / "no" / "case.zip")) == 2
    assert "--bundle: " in capsys.readouterr().err


def test_a_picture(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "curves.png"
    assert doctor("--results", str(results), "--png", str(target)) == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_names_the_package_to_install(
    five: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert doctor(five, "--png", str(tmp_path / "curves.png")) == 2
    assert "sweep-orchestrator[plot]" in capsys.readouterr().err


def test_targets_of_a_sweep_and_results_of_remedies(tmp_path: Path, capsys: Capture) -> None:
    sweep = made.sweep(tmp_path)
    spec = json.loads(sweep.spec_file.read_text())
    spec["targets"] = {"mae": "<= 0.01", "acc": ">= 0.9"}
    sweep.spec_file.write_text(json.dumps(spec))
    reported(sweep, 0, [0.7, 0.6, float("nan")], lr=1e-2)
    reported(sweep, 1, [], lr=1e-3)
    run = sweep.run_dir(1, "lr=0.001")
    for step in range(1, 31):
        metrics = {"train_loss": 0.99**step, "val_mae": 0.99**step, "val_acc": min(1, step / 25)}
        jsonl.append(run.metrics_file, {"step": step, "time": 0, "metrics": metrics})
    first = TrialRecord.load(sweep.run_dir(0, "lr=0.01"))
    record = TrialRecord.load(run)
    assert first is not None
    assert record is not None
    first.symptom = "non-finite"
    first.save(sweep.run_dir(0, "lr=0.01"))
    record.origin, record.link, record.total_steps = 0, "remedy", 40
    record.change = {"name": "remedy 1", "set": {"lr": 1e-3}}
    record.save(run)
    assert doctor("--results", str(tmp_path)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "misses its target 0.01" not in out, "the trial is over: there is no forecast"
    assert "target reached" not in out
    assert "ended for non-finite, with lr 0.001, and did not diverge: the remedy answers" in out
    assert doctor("1", "--results", str(tmp_path)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 targets met; val_mae, at best 0.7397, misses 0.01; val_acc meets 0.9 from" in out
    first.symptom = "train_loss@2 > 0.5"
    first.save(sweep.run_dir(0, "lr=0.01"))
    assert doctor("--results", str(tmp_path)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "ended for train_loss@2 > 0.5, with lr 0.001, and did not diverge." in out


def test_a_target_and_a_schedule(tmp_path: Path, capsys: Capture) -> None:
    rows = "".join(f"{n},{1 / n},{0.5 / n},0.001\n" for n in range(1, 41))
    path = tmp_path / "log.csv"
    path.write_text(f"epoch,train_loss,val_mae,lr\n{rows}", encoding="utf-8")
    asked = ["--metric", "val_mae", "--target", "0.05", "--schedule", "cosine,lr=1e-3,total=40"]
    assert doctor(str(path), *asked) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "target reached; also schedule" in out
    assert "lr never moved: it is 0.001" in out
    assert "evaluate the test set, once" in out
    assert "lr: first 0.001, peak 0.001, last 0.001" in out


def test_each_trial_is_compared_with_its_own_schedule(tmp_path: Path, capsys: Capture) -> None:
    sweep = made.sweep(tmp_path)
    spec = json.loads(sweep.spec_file.read_text())
    spec |= {"lr_schedule": {"cosine": {"lr": 0.1}}, "parameters": {"lr": {"values": [0.1, 0.2]}}}
    sweep.spec_file.write_text(json.dumps(spec))
    for number, rate, logged in ((0, 0.1, 0.1), (1, 0.2, 0.2), (2, 0.2, 0.1)):
        run = made.trial(sweep, number, name=f"t{number}", config={"lr": rate}, total_steps=20)
        run.metrics_file.unlink(missing_ok=True)
        for step in range(1, 21):
            lr = logged / 2 * (1 + math.cos(math.pi * step / 20))
            metrics = {"train_loss": 0.9**step, "lr": lr}
            jsonl.append(run.metrics_file, {"step": step, "time": 0, "metrics": metrics})
    assert doctor("demo", "--results", str(tmp_path), "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    told = [[finding["reason"] for finding in run["findings"]] for run in runs]
    assert told[:2] == [[], []]
    assert "lr is 0.5 times its schedule" in told[2][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{five}", "--json", "--md"], "mutually exclusive"),
        (["{five}", "--target", "3"], "no metric is known. Add --metric"),
        (["{five}", "--schedule", "cosine"], "cosine.lr: missing"),
        (["{five}", "--schedule", "kosine,lr=1"], "Did you mean 'cosine'"),
        (["gone/log.csv"], "gone/log.csv: no such file or directory. Name a log"),
        (["gone", "--results", "{results}"], "No trial 'gone' in sweep"),
        (["--results", "{empty}"], "No sweep in "),
    ],
)
def test_usage_errors_are_one_sentence(
    arguments: list[str], message: str, five: str, tmp_path: Path, capsys: Capture
) -> None:
    sweep = made.sweep(tmp_path / "r")
    reported(sweep, 0, FELL, lr=1e-3)
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [a.format(five=five, results=tmp_path / "r", empty=empty) for a in arguments]
    assert doctor(*filled) == 2
    assert message in capsys.readouterr().err


def test_names_from_a_log_do_not_steer_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "run,epoch,train_loss\n"
        + "".join(f"\x1b[2J{run},{n},{n}\n" for run in "ab" for n in range(1, 9))
    )
    assert doctor(str(path)) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_sar_runs(capsys: Capture) -> None:
    path = shared_data("curves", "sar_autoencoder", "curves.csv")
    asked = ["--metric", "val_psnr_db", "--goal", "maximize", "--target", "21", "--json"]
    assert doctor(str(path), *asked) == 0
    runs = {run["name"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert not [name for name, run in runs.items() if run["outcome"] == "diverged"]
    assert runs["resnet_lite_c16"]["outcome"] == "target reached"
    assert runs["residual_v2_c16"]["findings"] == []
    assert runs["residual_v2_c16"]["targets"]["val_psnr_db"]["met_at"] is None


def test_it_loads_nothing_heavy(five: str) -> None:
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main(['doctor', sys.argv[1]])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('loaded:', sorted({'ray', 'torch', 'optuna', 'pandas'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, five], capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("loaded: []")


def test_a_plot_of_nothing_and_of_extremes() -> None:
    assert plot([("a", [])]) == ""
    assert plot([("a", [(1, float("nan")), (2, float("inf"))])]) == ""
    drawn = plot([("a", [(1, 1e308), (2, -1e308), (3, float("nan"))])], width=20)
    assert "!" in drawn
    assert len({line.index("│") for line in drawn.splitlines() if "│" in line}) == 1
    assert "(logarithmic)" in plot([("a", [(1, 1.0), (2, 1e-5)])])


def test_a_bundle_follows_no_link_out_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "id_rsa").write_text("PRIVATE KEY")
    run = tmp_path / "run"
    run.mkdir()
    (run / "history.csv").write_text("epoch,loss\n1,3\n2,2\n3,1\n")
    for name in ("log.txt", "config.json", "metadata.json", "state.json"):
        (run / name).symlink_to("../id_rsa")
    os.mkfifo(run / "metrics.jsonl")
    assert doctor(str(run), "--bundle", str(tmp_path / "b.zip")) == 0
    with zipfile.ZipFile(tmp_path / "b.zip") as packed:
        content = b"".join(packed.read(name) for name in packed.namelist())
    assert b"PRIVATE KEY" not in content


def test_a_metric_that_nothing_reports_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "metrics.csv"
    rows = "".join(f"{n},{2 - n / 10},{50 + n}%\n" for n in range(12))
    path.write_text(f"epoch,train_loss,val_acc\n{rows}")
    assert doctor(str(path), "--metric", "val_ac") == 2
    error = capsys.readouterr().err
    assert "--metric: no run reports 'val_ac'. Did you mean 'val_acc'?" in error
    assert "Found: val_acc, train_loss." in error
    assert doctor(str(path), "--metric", "ValAcc", "--target", "60", "--goal", "maximize") == 0
    assert "val_acc meets its target 60" in " ".join(capsys.readouterr().out.split())


def test_what_cannot_be_judged_is_listed(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "monitor.csv"
    rows = "".join(f"{n},{n},{n / 2}\n" for n in range(12))
    path.write_text(f'#{{"t_start": 1.5}}\nr,l,t\n{rows}')
    assert doctor(str(path)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "not judged" in shown
    assert "found: episode_reward, episode_length. Name one to judge: --metric" in shown


def test_a_column_without_a_name_is_no_learning_rate(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "metrics.csv"
    rows = "".join(f"{n},{n},{2 - n / 10}\n" for n in range(12))
    path.write_text(f",epoch,train_loss\n{rows}")
    assert doctor(str(path), "--schedule", "cosine,lr=1e-3,total=12,per=epoch") == 0
    shown = capsys.readouterr().out
    assert "lr:" not in shown
    assert "schedule" not in shown


def test_training_and_validation_of_one_column_are_apart(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "long.tsv"
    rows = "".join(f"train\t{n}\t{2 / n}\nvalidation\t{n}\t{5 + n / 10}\n" for n in range(1, 12))
    path.write_text(f"Loss type\tEpoch\tLoss\n{rows}")
    assert doctor(str(path), "--json") == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["judged"], run["first"], run["reports"]) == ("train_Loss", 2, 11)
    assert all(finding["symptom"] != "oscillation" for finding in run["findings"])


def test_replay_shows_what_a_policy_would_have_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = made.sweep(tmp_path)
    flat = [1.0, *[0.9] * 40]
    reported(sweep, 0, flat, lr=1e-5)
    reported(sweep, 1, [*flat, 0.2, 0.1], lr=1e-4)
    reported(sweep, 2, FELL, lr=1e-3)
    patient = tmp_path / "patient.yaml"
    patient.write_text(
        "trainer: edc\nparameters: {lr: {values: [0.1]}}\n"
        "divergence: {plateau: {action: stop, patience: 25}}\n"
    )
    where = [str(sweep.path), "--replay"]
    assert doctor(*where) == 0
    assert "0 of 3 runs would have ended early." in capsys.readouterr().out
    assert doctor(*where, "--policy", str(patient)) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 runs would have ended early: 32 of 89 reports saved." in shown
    assert "1 run of them got better afterwards: wait longer (patience)." in shown
    assert "has made no progress since step 2" in shown
    assert doctor(*where, "--policy", str(patient), "--json") == 0
    flat_run, luckless, sound = (
        run["replay"] for run in json.loads(capsys.readouterr().out)["runs"]
    )
    assert flat_run["end"]["step"] == 26
    assert luckless["missed"] == {"step": 43, "value": 0.1}
    assert sound["end"] is None
    assert doctor(*where, "--md") == 2
