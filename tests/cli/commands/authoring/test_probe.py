"""`sweep probe`: what it proposes passes `sweep check`, and runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import TrialError, UsageError
from orchestrator.sweepfile.load import load_spec
from tests.engine.script.script_runner import SCRIPTS


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def probe(*words: str) -> tuple[Result, dict[str, Any]]:
    """Probe and return what was printed and the file that was written."""
    done = CliRunner().invoke(app, ["probe", *words])
    assert done.exit_code == 0, done.output
    written = Path("sweep.yaml").read_text()
    spec = load_spec(Path("sweep.yaml"), need_program=True)
    assert spec.warnings == ()
    found: dict[str, Any] = yaml.safe_load(written)
    return done, found


def test_a_folder_with_a_table_and_arrays(here: Path) -> None:
    shutil.copy(SCRIPTS / "followed" / "lightning_like.py", here)
    done, found = probe("lightning_like.py", "--", "--max_epochs", "2")
    assert "max_epochs is 2, as in this run; its default is " in done.output
    assert found["outputs"] == "lightning_logs/version_*/"
    assert found["metrics"] == {
        "files": "metrics.csv",
        "predictions": "arrays/pred.npy",
        "targets": "arrays/true.npy",
    }
    assert found["metric"] == {"name": "val_mae", "goal": "minimize"}
    assert found["fixed"] == {"max_epochs": 2}
    assert list(found["parameters"]) == ["lr"]
    ran = CliRunner().invoke(
        app, ["run", "sweep.yaml", "--inline", "--count", "1", "--results", "results"]
    )
    assert ran.exit_code == 0, ran.output
    shown = CliRunner().invoke(app, ["compare", "results/sweep", "--json"])
    (row,) = json.loads(shown.stdout)["rows"]
    assert {"val_mae", "mae"} <= set(row["metrics"])
    again = CliRunner().invoke(app, ["probe", "lightning_like.py"])
    assert isinstance(again.exception, UsageError)
    assert "already exists" in str(again.exception)


def test_sub_commands_and_reports_of_its_own(here: Path) -> None:
    shutil.copy(SCRIPTS / "followed" / "sub_commands.py", here)
    words = ["sub_commands.py", "--quiet", "train", "my data", "--lr=0.5"]
    done, found = probe(*words)
    command = ["python", "${program}", "--quiet", "train", "my data", "${args}"]
    assert found["command"] == command  # the main parser does not know --quiet after train
    assert found["parameters"] == {"lr": {"values": [0.17, 0.5, 1.5]}}
    assert "metrics" not in found
    assert "Metrics in: what it reports itself." in done.output


def test_keys_and_values_and_a_printed_table(here: Path) -> None:
    (here / "train.py").write_text(
        "import sys\nassert sys.argv[1:] == ['epochs=2']\n"
        "for epoch in range(2):\n"
        "    print(f'[{epoch}/2] train loss: {1 / (epoch + 1):.3f} | val acc 0.{epoch}')\n"
    )
    _, found = probe("train.py", "epochs=2")
    assert found["args"]["style"] == "k=v"
    assert found["fixed"] == {"epochs": 2}
    assert found["metric"] == {"name": "val_acc", "goal": "maximize"}
    assert set(found["metrics"]) == {"pattern"}


def test_a_folder_that_an_argument_names_goes_into_the_run_directory(here: Path) -> None:
    (here / "train.py").write_text(
        "import argparse, json, os\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.1)\n"
        "parser.add_argument('--out-dir', default='out')\nargs = parser.parse_args()\n"
        "os.makedirs(args.out_dir + '/checkpoint-12')\n"
        "state = {'log_history': [{'step': 2, 'loss': 1.0}, {'step': 2, 'eval_loss': args.lr}]}\n"
        "json.dump(state, open(args.out_dir + '/checkpoint-12/trainer_state.json', 'w'))\n"
    )
    _, found = probe("train.py", "--out-dir", "out5")
    assert found["command"] == ["python", "${program}", "--out-dir=${run_dir}/out5", "${args}"]
    assert found["metrics"] == {"files": "${run_dir}/out5/checkpoint-*/trainer_state.json"}
    assert found["metric"]["name"] == "eval_loss"
    words = ["run", "sweep.yaml", "--inline", "--count", "2", "--results", "results"]
    assert CliRunner().invoke(app, words).exit_code == 0
    shown = CliRunner().invoke(app, ["compare", "results/sweep", "--json"])
    rows = json.loads(shown.stdout)["rows"]
    assert [row["metrics"]["eval_loss"] for row in rows] == [0.033, 0.1]


def test_a_fixed_name_asks_for_a_copy(here: Path) -> None:
    (here / "train.py").write_text(
        "import json\njson.dump({'eval': {'mae': 0.5}}, open('results.json', 'w'))\n"
    )
    _, found = probe("train.py")
    assert found["workdir"] == "copy"
    assert found["metrics"] == {"files": "results.json"}
    assert found["metric"]["name"] == "eval/mae"


def test_arrays_of_a_fixed_name_ask_for_a_copy_too(here: Path) -> None:
    (here / "fit.py").write_text(
        "import json, os\nfrom pathlib import Path\n"
        "for name in ('pred.npy', 'true.npy'):\n    Path(name).write_bytes(b'x')\n"
        "line = json.dumps({'step': 1, 'total_steps': 9, 'loss': 0.5})\n"
        "Path(os.environ['SWEEP_METRICS']).write_text(line + chr(10))\n"
    )
    done, found = probe("fit.py")
    assert found["workdir"] == "copy"
    assert found["metrics"] == {"predictions": "pred.npy", "targets": "true.npy"}
    assert found["metric"]["name"] == "loss"
    assert "Metrics in: what it reports itself, the arrays that it saves." in done.output


def test_an_option_with_several_values(here: Path) -> None:
    (here / "fit.py").write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--dims', nargs='+', type=int)\n"
        "parser.add_argument('--lr', type=float, default=0.1)\n"
        "parser.add_argument('name')\n"
        "print('val_loss', sum(parser.parse_args().dims) * parser.parse_args().lr)\n"
    )
    _, found = probe("fit.py", "x", "--dims", "3", "-1", "--lr", "0.5")
    assert found["fixed"] == {"dims": [3, -1]}
    assert list(found["parameters"]) == ["lr"]
    assert found["args"] == "auto"
    assert found["command"] == ["python", "${program}", "x", "${args}"]


def test_options_with_hyphens_beside_underscores_stand_as_they_are(here: Path) -> None:
    (here / "fit.py").write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--batch_size', type=int)\n"
        "parser.add_argument('--no-cache', action='store_true')\n"
        "print('val_loss', parser.parse_args().batch_size)\n"
    )
    _, found = probe("fit.py", "--batch_size", "4", "--no-cache")
    assert found["args"] == "auto"
    assert found["fixed"] == {"batch_size": 4, "no_cache": True}


def test_a_limit_ends_it_with_all_that_it_started(here: Path) -> None:
    (here / "train.py").write_text(
        "import time\nprint('step 1 loss 0.5', flush=True)\ntime.sleep(600)\n"
    )
    done, found = probe("--time-limit", "2s", "train.py")
    assert found["metrics"]["pattern"].startswith(r"\bstep")
    assert "Ended after 2 s" in done.output
    assert "exit code" not in done.output


def test_one_that_fails_says_why(here: Path) -> None:
    (here / "train.py").write_text("print('loss: 1.0')\nraise RuntimeError('no data')\n")
    done = CliRunner().invoke(app, ["probe", "train.py"])
    assert isinstance(done.exception, TrialError)
    assert "ended with exit code 1; no file was written" in str(done.exception)
    assert "RuntimeError: no data" in str(done.exception)
    assert not (here / "sweep.yaml").exists()


def test_the_environment_of_the_run_goes_into_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", "/data/a b")
    (here / "train.py").write_text(
        "import argparse, os\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\n"
        "p.parse_args()\nprint('val_loss', os.environ['DATA_ROOT'] and 0.5)\n"
    )
    _, found = probe("train.py")
    assert found["env"] == {"DATA_ROOT": "/data/a b"}


def test_variables_alone_are_parameters(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHS", "2")
    (here / "train.py").write_text(
        "import os\nlr = float(os.environ.get('LR', '0.1'))\n"
        "for e in range(int(os.getenv('EPOCHS', '9'))):\n    print('epoch', e, 'val_loss', lr)\n"
    )
    _, found = probe("train.py")
    assert found["env"] == {"LR": "${params:LR}", "EPOCHS": "${params:EPOCHS}"}
    assert (found["args"], found["fixed"]) == ("none", {"EPOCHS": 2})
    assert list(found["parameters"]) == ["LR"]


def test_a_launcher_a_file_of_parameters_and_a_folder_for_each_day(here: Path) -> None:
    Path("configs").mkdir()
    Path("configs/a.yaml").write_text("model: {width: 8}\noptim: {lr: 0.1}\n")
    Path("launch.py").write_text("import runpy, sys\nsys.argv = sys.argv[1:]\n"
                                 "runpy.run_path(sys.argv[0], run_name='__main__')\n")  # fmt: skip
    Path("train.py").write_text(
        "import argparse, datetime, os, yaml\np = argparse.ArgumentParser()\n"
        "p.add_argument('--config')\np.add_argument('--tag', default='x')\na = p.parse_args()\n"
        "lr = yaml.safe_load(open(a.config))['optim']['lr']\n"
        "now = datetime.datetime.now()\n"
        "out = os.path.join('out', now.strftime('%Y-%m-%d'), now.strftime('%H-%M-%S-%f'))\n"
        "os.makedirs(out)\n"
        "open(os.path.join(out, 'm.csv'), 'w').write(f'epoch,val_loss\\n1,{lr}\\n2,{lr / 2}\\n')\n"
    )
    _, found = probe("launch.py", "train.py", "--config", "configs/a.yaml")
    assert found["program"] == "train.py"
    assert found["params_file"] == "configs/a.yaml"
    words = ["python", "launch.py", "${program}", "--config", "${params_file}"]
    assert found["command"] == words
    assert found["outputs"] == "out/*/*/"
    assert list(found["parameters"]) == ["optim.lr"]
    ran = CliRunner().invoke(app, ["run", "sweep.yaml", "--inline", "--results", "r"])
    assert ran.exit_code == 0, ran.output
    shown = CliRunner().invoke(app, ["compare", "r/sweep", "--json"])
    values = [row["metrics"]["val_loss"] for row in json.loads(shown.stdout)["rows"]]
    assert values == [0.0165, 0.05, 0.15]


def test_a_folder_that_is_the_default_of_an_option(here: Path) -> None:
    Path("train.py").write_text(
        "import argparse, os\np = argparse.ArgumentParser()\n"
        "p.add_argument('--lr', type=float, default=0.1)\n"
        "p.add_argument('--out', default='out/run1')\n"
        "p.add_argument('--data', default='data')\na = p.parse_args()\n"
        "for folder in (a.out, a.data):\n    os.makedirs(folder, exist_ok=True)\n"
        "open(os.path.join(a.data, 'x.bin'), 'w').write('x')\n"
        "open(os.path.join(a.out, 'm.csv'), 'w').write(f'epoch,val_loss\\n1,{a.lr}\\n')\n"
    )
    _, found = probe("train.py")
    assert found["command"] == ["python", "${program}", "--out=${run_dir}/run1", "${args}"]
    assert found["metrics"] == {"files": "${run_dir}/run1/m.csv"}
    assert "outputs" not in found


def test_a_script_of_another_language(here: Path) -> None:
    Path("train").write_text(
        "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ $1 = --lr ] && lr=$2; shift; done\n"
        'for e in 1 2; do echo "epoch $e val_loss $lr"; done\n'
    )
    Path("train").chmod(0o755)
    _, found = probe("train", "--lr", "0.3", "--x", "--y", "2")
    assert found["args"] == {"style": "--k v", "booleans": "value"}
    assert found["command"] == ["${program}", "--x", "${args}"]
    assert found["fixed"] == {"y": 2}
    ran = CliRunner().invoke(app, ["run", "sweep.yaml", "--inline", "--results", "r"])
    assert ran.exit_code == 0, ran.output  # ./train, though the command names train alone


def test_what_trials_would_report_is_shown(here: Path) -> None:
    (here / "train.py").write_text(
        "for epoch in (1, 2):\n"
        "    for batch in (200, 400):\n"
        "        print(f'| epoch {epoch} | {batch}/ 400 batches | loss {6 / epoch:.2f} |')\n"
        "    print(f'| end of epoch {epoch} | time:  1.0s | valid loss {5 / epoch:.2f} |')\n"
        "print('rtt 12.5 to 14.5')\n"
    )
    done, found = probe("train.py")
    assert found["metric"] == {"name": "val_loss", "goal": "minimize"}
    rows = [line.split()[:4] for line in done.output.splitlines()]
    assert ["loss", "2", "6", "3"] in rows
    assert ["val_loss", "2", "5", "2.5"] in rows
    assert "rtt 12.5 to 14.5" in done.output.partition("were not understood:")[2]
    assert "sweep.yaml: ok" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.py"], "no such script or command on PATH"),
        (["--time-limit", "5", "ls"], "--time-limit: "),
        (["--python", "no/python", "ls"], "no such interpreter"),
    ],
)
def test_mistakes_have_words(words: list[str], said: str, here: Path) -> None:
    done = CliRunner().invoke(app, ["probe", *words])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
