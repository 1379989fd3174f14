"""What a program gets besides its arguments: files, variables, a folder, a checkpoint."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from orchestrator.engine.script.command_line import cap_variables
from orchestrator.engine.slots.oom_retry import ran_out
from orchestrator.errors import TrialError
from orchestrator.files.units import GIB, MIB
from orchestrator.sweepfile.model.program import MetricSources, ParamsFile, Program, Resume, Step
from orchestrator.sweepfile.program.macros import Macros, params_text
from tests.engine.script.script_runner import SCRIPTS, Trial, is_running, run_trial, started
from tests.engine.script.test_command_line import TORTURE

PRINT = str(SCRIPTS / "print_argv.py")


def seen(trial: Trial) -> Any:
    assert trial.error is None, trial.error
    return json.loads((trial.directory / "seen.json").read_text())


def run(tmp_path: Path, config: dict[str, Any], **fields: Any) -> Trial:
    fields.setdefault("workdir", str(tmp_path))
    return run_trial(Program(**{"path": PRINT, **fields}), config, tmp_path / "run")


def test_macros_arrive_in_arguments_and_in_the_environment(tmp_path: Path) -> None:
    command = (
        *("${interpreter}", PRINT, "fit", "${params:data}", "--out=${run_dir}/x", "${args}"),
        *("--m=${params:momentum}", "--seed=${seed}", "--n=${epochs}", "${device}"),
        "--part=${data_fraction}",
    )
    env = {"LR": "${params:lr}", "GONE": "${params:momentum}", "FIXED": "1"}
    config = {"data": "${run_dir} $(x)", "lr": 0.1, "epochs": 3, "net": {"a": 1}, "t20_weight": 2}
    trial = run(tmp_path, config, command=command, env=env, style="hyphen-space", seed=7)
    found = seen(trial)
    out = f"--out={tmp_path / 'run'}/x"
    assert found["argv"] == [
        *("fit", f"{tmp_path / 'run'} $(x)", out, "--epochs", "3", "--net", '{"a": 1}'),
        *("--t20-weight", "2", "--seed=7", "--n=3", "cpu", "--part=1.0"),
    ]
    environment = found["environment"]
    assert (environment["LR"], environment["FIXED"]) == ("0.1", "1")
    assert "GONE" not in environment


def test_the_file_of_arguments_and_that_of_the_config_are_two(tmp_path: Path) -> None:
    command = ("${interpreter}", PRINT, "${params:data}", "${args_json_file}")
    found = seen(run(tmp_path, {"data": "x", "out": "${run_dir}/out"}, command=command))
    sent = {"out": f"{tmp_path / 'run'}/out"}
    assert json.loads(Path(found["argv"][1]).read_text()) == sent
    config = json.loads(Path(found["environment"]["SWEEP_CONFIG"]).read_text())
    assert config == {"data": "x", **sent}


@pytest.mark.parametrize("where", ["word", "shell", "env"])
def test_torture_by_macros(tmp_path: Path, where: str) -> None:
    words = [f"${{params:{name}}}" for name in TORTURE]
    if where == "env":
        trial = run(tmp_path, TORTURE, env={f"V_{n}": f"${{params:{n}}}" for n in TORTURE})
        found = [seen(trial)["environment"][f"V_{name}"] for name in TORTURE]
    elif where == "word":
        command = ("${interpreter}", PRINT, *words)
        found = seen(run(tmp_path, TORTURE, command=command))["argv"]
    else:
        quoted = " ".join(f'"{word}"' for word in words)
        text = f"exec {sys.executable} {PRINT} {quoted} && touch hacked"
        found = seen(run(tmp_path, TORTURE, command=(text,), shell=True))["argv"]
    assert found == list(TORTURE.values())
    assert not (tmp_path / "hacked").exists()


def test_arguments_reach_a_shell_as_they_are(tmp_path: Path) -> None:
    text = f"{sys.executable} {PRINT} ${{args}} | cat"
    found = seen(run(tmp_path, TORTURE, command=(text,), shell=True))["argv"]
    assert found == [f"--{name}={TORTURE[name]}" for name in sorted(TORTURE)]


@pytest.mark.parametrize("ending", [".json", ".yaml", ".toml"])
def test_a_file_is_patched_and_keeps_the_rest(tmp_path: Path, ending: str) -> None:
    before = {"lr": 1.0, "optim": {"name": "sgd", "decay": 0.5}, "a.b": 1, "run": "lr-${params:lr}"}
    source = tmp_path / f"params{ending}"
    text = json.dumps(before)
    if ending == ".toml":
        text = 'lr = 1.0\n"a.b" = 1\nrun = "lr-${params:tag}"\n[optim]\nname = "sgd"\ndecay = 0.5\n'
    source.write_text(text.replace("${params:lr}", "${params:tag}"))
    config = {"lr": 1e-05, "optim.name": "a: 'b'", "a.b": 2, "new.key": [1, 2], "tag": "x"}
    found = params_text(ParamsFile("p", str(source)), Macros(config))
    read = {".json": json.loads, ".yaml": yaml.safe_load, ".toml": tomllib.loads}[ending](found)
    assert read == {
        "lr": 1e-05,
        "optim": {"name": "a: 'b'", "decay": 0.5},
        "a.b": 2,
        "run": "lr-x",
        "new": {"key": [1, 2]},
    }


def test_values_of_a_template_keep_their_types(tmp_path: Path) -> None:
    source = tmp_path / "t.yaml"
    source.write_text("lr: ${params:lr}\nsmall: 1e-5\nclip: ${params:clip}\nlist: ['${seed}']\n")
    found = params_text(ParamsFile("t.yaml", str(source)), Macros({"lr": 0.1, "clip": None}))
    assert yaml.safe_load(found) == {"lr": 0.1, "small": 1e-05, "clip": None, "list": ["0"]}
    plain = tmp_path / "t.ini"
    plain.write_text("[a]\nlr = ${params:lr}\n")
    assert params_text(ParamsFile("t.ini", str(plain)), Macros({"lr": 0.1})) == "[a]\nlr = 0.1\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", "{", "cannot set the parameters"),
        ("p.yaml", "- 1\n", "a mapping"),
        ("p.yaml", "a: [\n", "cannot set the parameters"),
        ("p.ini", "x\n", "it sets no "),
        ("p.conf", "x\n", "does not name"),
    ],
)
def test_a_file_that_cannot_hold_them_is_named(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TrialError, match=message):
        params_text(ParamsFile(name, str(tmp_path / name)), Macros({"lr": 1}))


def program_folder(tmp_path: Path) -> Path:
    """Make a folder whose script reads a fixed file and writes fixed files."""
    folder = tmp_path / "code"
    for name in ("data", "conf", ".git", "__pycache__", "results/s/trials"):
        (folder / name).mkdir(parents=True)
    (folder / "results" / "s" / "spec.json").write_text("{}")
    (folder / "data" / "x.npy").write_text("data")
    (folder / "big.bin").write_bytes(b"0" * (11 * MIB))
    (folder / "conf" / "params.json").write_text('{"lr": 1, "keep": 2}')
    (folder / "helper.py").write_text("NAME = 'helper'\n")
    (folder / "predictions.npy").write_bytes(b"of an earlier run by hand")
    (folder / "link").symlink_to("conf/params.json")
    (folder / "train.py").write_text(
        "import json, sys, os, numpy as np, helper\n"
        "params = json.load(open('conf/params.json'))\n"
        "here = sorted(os.listdir())\n"
        "print(json.dumps({'params': params, 'argv': sys.argv[1:], 'here': here}))\n"
        "print(open('data/x.npy').read(), json.load(open('link'))['lr'])\n"
        "if params['lr'] > 0:\n"
        "    np.save('targets.npy', np.ones(3)); np.save('predictions.npy', np.ones(3))\n"
    )
    return folder


def test_a_copy_is_the_trials_own(tmp_path: Path) -> None:
    folder = program_folder(tmp_path)
    program = Program(
        path=str(folder / "train.py"),
        workdir=str(folder),
        copies=True,
        link=("data",),
        params_file=ParamsFile("conf/params.json", str(folder / "conf" / "params.json")),
        style="--k=v",
    )
    config = {"lr": 0.5, "path": "data/x.npy", "far": "big.bin"}
    trial = run_trial(program, config, tmp_path / "run")
    assert trial.error is None, trial.error
    copied, first, second = trial.log.decode().splitlines()[:3]
    assert copied.startswith(f"sweep: workdir: copy of {folder}: ")
    assert "files copied" in copied
    assert copied.endswith("data linked")
    said = json.loads(first)
    assert said["params"] == {
        "lr": 0.5,
        "keep": 2,
        "path": "data/x.npy",
        "far": str(folder / "big.bin"),
    }
    assert said["argv"] == [f"--far={folder / 'big.bin'}", "--lr=0.5", "--path=data/x.npy"]
    names = {"conf", "data", "helper.py", "link", "predictions.npy", "train.py"}
    assert set(said["here"]) - {"__pycache__"} == names | ({"results"} & set(said["here"]))
    assert second == "data 0.5"
    assert np.load(tmp_path / "run" / "predictions.npy").shape == (3,)
    assert (folder / "predictions.npy").read_bytes() == b"of an earlier run by hand"
    assert json.loads((folder / "conf" / "params.json").read_text())["lr"] == 1
    assert any("big.bin (11" in text for text in trial.of("warn"))
    assert not (folder / "targets.npy").exists()


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    folder = program_folder(tmp_path)
    program = Program(
        path="train.py", workdir=str(folder), copies=True, link=("data",),
        params_file=ParamsFile("data/params.json"),
    )  # fmt: skip
    trial = run_trial(program, {"lr": 1}, tmp_path / "run")
    assert "a link leads out of the copy" in str(trial.error)
    assert [path.name for path in (folder / "data").iterdir()] == ["x.npy"]


def test_what_was_there_before_is_not_what_the_trial_made(tmp_path: Path) -> None:
    folder = program_folder(tmp_path)
    program = Program(
        path="train.py", workdir=str(folder), copies=True, link=("data",), style="none",
        params_file=ParamsFile("conf/params.json", str(folder / "conf" / "params.json")),
    )  # fmt: skip
    trial = run_trial(program, {"lr": -1}, tmp_path / "run")
    assert trial.error is None, trial.error
    assert not (tmp_path / "run" / "predictions.npy").exists()


def test_paths_count_from_the_folder_of_the_sweep_file(tmp_path: Path) -> None:
    home, code = tmp_path / "sweeps", tmp_path / "code"
    for folder in (home / "data", code):
        folder.mkdir(parents=True)
    config = {"a": "data", "b": "../code", "c": "no/such", "d": ["data", "x"], "e": "-data"}
    trial = run(tmp_path, config, workdir=str(code), folder=str(home))
    found = seen(trial)
    assert found["cwd"] == str(code)
    data = str(home / "data")
    assert found["argv"] == [
        *(f"--a={data}", f"--b={code}", "--c=no/such", f"--d=['{data}', 'x']", "--e=-data"),
    ]
    assert trial.facts["config"]["a"] == "data", "the request is recorded as it was made"


def python(code: str) -> tuple[str, ...]:
    return ("python", "-u", "-c", code)


def test_steps_have_logs_and_are_not_repeated(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    fails = f"import os, sys; print('look'); sys.exit(0 if os.path.exists({str(flag)!r}) else 3)"
    steps = (
        Step("train", python("print('Epoch 1/1 - loss: 1 - val_loss: 2')")),
        Step("eval", python(fails)),
        Step("viz", python("print('drawn')")),
    )
    pattern = r"Epoch (?P<step>\d+)/(?P<total>\d+) - loss: (?P<train_loss>\S+)"
    program = Program(path="x", workdir=str(tmp_path), steps=steps, patterns=(pattern,))
    trial = run_trial(program, {}, tmp_path / "run")
    assert trial.error is not None
    assert trial.error.startswith("step eval: ended with exit code 3")
    assert "log-eval.txt" in trial.error
    assert trial.reports == [(1, {"train_loss": 1.0})]
    assert not (tmp_path / "run" / "log-viz.txt").exists()
    flag.touch()
    again = run_trial(program, {}, tmp_path / "run")
    assert again.of("done") == [None]
    assert again.facts["steps"] == {"eval": 0, "viz": 0}
    assert (tmp_path / "run" / "log-viz.txt").read_text() == "=== step viz ===\ndrawn\n"
    assert again.log.decode().count("Epoch 1/1") == 1


SAVES = """
import os, sys
start = int(open(sys.argv[2]).read()) if len(sys.argv) > 1 else 0
for step in range(start + 1, start + 3):
    print(f"Epoch {step} loss {1 / step}", flush=True)
    with open(os.path.join(os.environ["SWEEP_RUN_DIR"], "model.pt"), "w") as stream:
        stream.write(str(step))
sys.exit(0 if start else 1)
"""


def test_a_script_goes_on_from_its_own_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text(SAVES)
    program = Program(
        path="t.py", workdir=str(tmp_path), resume=Resume(("--resume", "${checkpoint}")),
        patterns=(r"Epoch (?P<step>\d+) loss (?P<loss>\S+)",),
    )  # fmt: skip
    first = run_trial(program, {}, tmp_path / "run")
    assert first.of("continues") == []
    again = run_trial(program, {}, tmp_path / "run")
    assert [step for step, _ in again.reports] == [1, 2, 3, 4]
    assert again.of("continues") == [None]
    assert again.facts["command"][-2:] == ["--resume", str(tmp_path / "run" / "model.pt")]
    # What follows from it finds it under the name that all trials use.
    follower = tmp_path / "follower"
    follower.mkdir()
    (follower / "checkpoint.pt").write_bytes((tmp_path / "run" / "checkpoint.pt").read_bytes())
    (follower / "events.jsonl").touch()
    third = run_trial(program, {}, follower)
    assert [step for step, _ in third.reports] == [5, 6]


def test_what_is_put_into_a_glob_stands_for_itself(tmp_path: Path) -> None:
    folder = tmp_path / "mine [2] *"
    folder.mkdir()
    (folder / "t.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "Path(os.environ['SWEEP_RUN_DIR'], 'log.csv').write_text('epoch,loss\\n1,0.5\\n')\n"
        "Path('w[0].pt').write_text('x')\n"
    )
    program = Program(
        path="t.py",
        workdir=str(folder),
        metrics=MetricSources(files=("${run_dir}/*.csv",)),
        resume=Resume(("--resume", "${checkpoint}"), "${params:out}.p*"),
    )
    first = run_trial(program, {"out": "w[0]"}, folder / "run")
    assert first.reports == [(1, {"loss": 0.5})]
    again = run_trial(program, {"out": "w[0]"}, folder / "run")
    assert again.facts["command"][-2:] == ["--resume", str(folder / "w[0].pt")]


def test_without_a_checkpoint_it_starts_again_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").touch()
    resume = Resume(("--resume", "${checkpoint}"), "ckpt/*.pt")
    trial = run(tmp_path, {"lr": 1}, resume=resume)
    assert seen(trial)["argv"] == ["--lr=1"]
    assert trial.of("warn") == ["starts from scratch: no checkpoint was found (ckpt/*.pt)"]
    own = run(tmp_path, {"lr": 1}, resume=Resume(("--auto",)))
    assert seen(own)["argv"] == ["--lr=1", "--auto"]


@pytest.mark.parametrize("fields", [{"timeout_s": 0.6}, {"stall_timeout_s": 0.6}])
def test_limits_are_failures_with_what_was_said_last(tmp_path: Path, fields: Any) -> None:
    ignores = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('here')\n"
    (tmp_path / "t.py").write_text(ignores + "time.sleep(600)\n")
    program = Program(
        path="t.py", workdir=str(tmp_path), grace_s=0.2, stop_signal="SIGINT", **fields
    )
    trial = run_trial(program, {}, tmp_path / "run", grace_s=None)
    assert trial.error is not None
    assert next(iter(fields)).removesuffix("_s") in trial.error.splitlines()[0]
    assert "    here" in trial.error


def test_the_signal_is_the_one_that_was_chosen(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "def save(*_):\n    print('saved', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1, save)\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('worker', worker.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "t.py").write_text(code)
    program = Program(path="t.py", workdir=str(tmp_path), stop_signal="SIGUSR1")
    with started(program, {}, tmp_path / "run", grace_s=20) as trial:
        pid = trial.worker_pid()
        trial.ask_to_stop()
        trial.wait()
    assert b"saved" in trial.log
    assert trial.of("done") == [None]
    assert not is_running(pid)


def test_a_pattern_that_matches_nothing_is_told_at_the_end(tmp_path: Path) -> None:
    trial = run(tmp_path, {}, patterns=(r"loss=(?P<loss>\S+)",))
    assert trial.of("warn") == [
        "metrics.pattern 'loss=(?P<loss>\\S+)' matched no line of the output"
    ]


def test_what_it_writes_into_a_shared_folder_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "t.py").write_text("open('best.pt', 'w').write('x'); open('a.log', 'w').write('x')")
    run = tmp_path / "results" / "s" / "trials" / "0000-a"
    (tmp_path / "results" / "s" / "trials").mkdir(parents=True)
    trial = run_trial(Program(path="t.py", workdir=str(tmp_path)), {}, run)
    assert trial.of("done") == [None]
    assert list(trial.facts["written"]) == ["best.pt"], "nothing of the sweep's own"


def test_frameworks_are_told_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    program = Program(path="t.py")
    assert cap_variables(program, None) == {}
    found = cap_variables(program, (8 * GIB + 512 * MIB, 16 * GIB))
    assert found["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.5000"
    assert found["CUPY_GPU_MEMORY_LIMIT"] == str(8 * GIB)
    monkeypatch.setenv("CUPY_GPU_MEMORY_LIMIT", "1")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.13.0+cu130")
    found = cap_variables(program, (8 * GIB + 512 * MIB, 16 * GIB))
    assert "CUPY_GPU_MEMORY_LIMIT" not in found
    expected = "expandable_segments:True,per_process_memory_fraction:0.5000"
    assert found["PYTORCH_CUDA_ALLOC_CONF"] == expected
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.4.1")
    assert "PYTORCH_CUDA_ALLOC_CONF" not in cap_variables(program, (GIB, 16 * GIB))
    elsewhere = Program(path="t.py", python="/usr/bin/python3")
    assert not any(name.startswith("PYTORCH") for name in cap_variables(elsewhere, (GIB, GIB)))


def test_an_environment_of_conda_comes_first(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    trial = run(tmp_path, {}, conda=str(prefix), python=str(prefix / "bin" / "python"))
    found = seen(trial)["environment"]
    assert found["PATH"].split(os.pathsep)[0] == str(prefix / "bin")
    assert (found["CONDA_PREFIX"], found["CONDA_DEFAULT_ENV"]) == (str(prefix), "env")


GOES_ON_IN_ITS_FOLDER = """
import os, sys
from pathlib import Path
old = Path(sys.argv[2]).parent if len(sys.argv) > 1 else None
folder = old or Path("experiments") / f"exp_{os.getpid()}"
folder.mkdir(parents=True, exist_ok=True)
(folder / "last.ckpt").write_text("x")
(folder / "metadata.json").write_text('{"went_on": true}')
print("in", folder)
sys.exit(0 if old else 1)
"""


def test_a_script_that_goes_on_keeps_the_folder_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text(GOES_ON_IN_ITS_FOLDER)
    program = Program(
        path="t.py", workdir=str(tmp_path), outputs="experiments/*/",
        resume=Resume(("--resume", "${checkpoint}")),
    )  # fmt: skip
    first = run_trial(program, {}, tmp_path / "run")
    assert first.error is not None
    again = run_trial(program, {}, tmp_path / "run")
    assert again.of("done") == [None], again.error
    (folder,) = (tmp_path / "experiments").iterdir()
    assert again.facts["outputs"] == str(folder)
    assert json.loads((tmp_path / "run" / "outputs_metadata.json").read_text()) == {"went_on": True}


@pytest.mark.parametrize(
    ("said", "ends", "kind"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "exit 1", "gpu"),
        ("jaxlib.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes", "exit 1",
         "gpu"),
        ("MemoryError", "exit 1", "host"),
        ("training", "kill -9 $$", "host"),
        ("training", "exit 1", None),
    ],
)  # fmt: skip
def test_out_of_memory_is_known_by_what_a_script_says(
    tmp_path: Path, said: str, ends: str, kind: str | None
) -> None:
    bars = "for i in 1 2 3; do printf '\\r%s%%' $i; done; "
    text = f"echo 'Traceback (most recent call last):' >&2; echo '{said}' >&2; {bars}{ends}"
    steps = (Step("train", ("sh", "-c", text)),)
    trial = run_trial(Program(path="x", workdir=str(tmp_path), steps=steps), {}, tmp_path / "run")
    assert trial.error is not None
    assert ran_out(trial.error, trial.log.decode(), oom_kills=int("kill" in ends)) == kind
