"""The keys that say how a program is run: read, checked against each other, refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.runs.layout import SweepDir
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.program import ParamsFile, Program, Resume, Step
from orchestrator.sweepfile.program.paths import conda_folder
from orchestrator.sweepfile.resume_diff import differences

Write = Callable[[str], Path]
BASE = "program: train.py\nparameters: {lr: {values: [0.1, 0.2]}}\n"


def read(write: Write, text: str, *, base: str = BASE) -> Program:
    spec = load_spec(write(base + text), need_program=True)
    assert spec.program is not None
    assert Program.from_dict(spec.to_dict()["program"]) == spec.program
    return spec.program


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "params.yaml").write_text("lr: 1\n")
    for name in ("data", "code"):
        (tmp_path / name).mkdir()
    (tmp_path / "code" / "other.py").write_text("")


def test_limits_and_ending(write: Write) -> None:
    found = read(write, "timeout: 2h\nstall_timeout: 90s\nstop_signal: SIGUSR1\ngrace_s: 30\n")
    assert (found.timeout_s, found.stall_timeout_s) == (7200, 90)
    assert (found.stop_signal, found.grace_s) == ("SIGUSR1", 30)


def test_words_of_resume(write: Write) -> None:
    assert read(write, "resume: --resume ${checkpoint} --strict\n").resume == Resume(
        ("--resume", "${checkpoint}", "--strict")
    )
    text = "resume: {args: ['--from=${checkpoint}'], checkpoint: 'last*.ckpt'}\n"
    assert read(write, text).resume == Resume(("--from=${checkpoint}",), "last*.ckpt")


def test_a_params_file_in_a_copy(write: Write, tmp_path: Path) -> None:
    found = read(write, "params_file: params.yaml\nworkdir: copy\nlink: data\n")
    assert found.params_file == ParamsFile("params.yaml", str(tmp_path / "params.yaml"))
    assert (found.style, found.copies, found.link) == ("none", True, ("data",))
    both = read(write, "params_file: {from: params.yaml, write: a/b.yaml}\nworkdir: copy\n")
    assert both.params_file == ParamsFile("a/b.yaml", str(tmp_path / "params.yaml"))
    alone = read(write, "params_file: new.json\nenv: {P: '${params_file}'}\nargs: k=v\n")
    assert (alone.params_file, alone.style) == (ParamsFile("new.json"), "k=v")


def test_the_folder_of_the_program(write: Write, tmp_path: Path) -> None:
    here = read(write, "workdir: code\n")
    assert (here.workdir, here.folder) == (str(tmp_path / "code"), str(tmp_path))
    base = "program: ../code/other.py\n"
    (tmp_path / "sweeps").mkdir()
    path = tmp_path / "sweeps" / "s.yaml"
    path.write_text(base + "workdir: copy\n")
    outside = load_spec(path, need_program=True).program
    assert outside is not None
    assert Path(outside.workdir).resolve() == tmp_path / "code", "the script's own folder"


def test_steps(write: Write) -> None:
    text = (
        "steps:\n  train: [python, train.py, '${args}']\n"
        "  eval: {command: [python, eval.py, '--lr=${params:lr}'], timeout: 1m}\n"
    )
    found = read(write, text, base="parameters: {lr: {values: [1]}}\n")
    assert found.steps == (
        Step("train", ("python", "train.py", "${args}")),
        Step("eval", ("python", "eval.py", "--lr=${params:lr}"), timeout_s=60),
    )


def test_a_shell_reads_a_text(write: Write) -> None:
    found = read(write, "command: python train.py ${args} | tee x\nshell: true\n")
    assert (found.shell, found.command) == (True, ("python train.py ${args} | tee x",))


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("timeout: 600\n", "timeout", "Write 600s."),
        ("timeout: 0s\n", "timeout", "above 0"),
        ("stop_signal: SIGKILL\n", "stop_signal", "expected one of SIGTERM"),
        ("grace_s: -1\n", "grace_s", "at least 0"),
        ("env: {A-B: x}\n", "env.A-B", "letters, digits and underscores"),
        ("env: {A: '${params:lrr}'}\n", "env.A", "Did you mean 'lr'?"),
        ("env: {A: '${epochs}'}\n", "env.A", "${epochs} has no value"),
        ("params_file: params.yaml\n", "params_file", "${params_file}"),
        (
            "workdir: copy\nparams_file: {write: ../x.yaml}\n",
            "params_file.write",
            "leads out of its folder",
        ),
        ("params_file: /x.yaml\nenv: {P: '${params_file}'}\n", "params_file", "inside the trial"),
        ("params_file: {from: no.yaml}\nworkdir: copy\n", "params_file", "no file 'no.yaml'"),
        ("link: data\n", "link", "needs workdir: copy"),
        ("workdir: copy\nlink: ../data\n", "link", "leads out of its folder"),
        ("workdir: copy\nlink: [gone]\n", "link", "no 'gone'"),
        ("workdir: nowhere\n", "workdir", "no folder 'nowhere'"),
        ("conda: no-such-environment\n", "conda", "no conda environment"),
        ("shell: true\n", "shell", "needs command"),
        ("shell: true\ncommand: [a, '${args}']\n", "command", "a shell needs one text"),
        ("shell: true\ncommand: a ${args_json}\n", "command", "${args_json} cannot be used"),
        ("command: [a, '${args}']\nsteps: {x: [b]}\n", "command", "cannot be combined with steps"),
        ("steps: {'../x': [b]}\n", "steps.../x", "a name of letters"),
        ("steps: {x: text}\n", "steps.x", "a list of words"),
        ("steps: {x: [a, '${params:no}']}\n", "steps.x", "${params:no} names no parameter"),
        ('resume: "--resume \'${checkpoint}"\n', "resume", "cannot be split into words"),
        (
            "resume: {args: x, checkpoint: '${params:no}'}\n",
            "resume.checkpoint",
            "${params:no} names no parameter",
        ),
    ],
)
def test_mistakes(write: Write, text: str, key: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(BASE + text), need_program=True)
    (problem,) = caught.value.problems
    assert (problem.key, message in problem.message) == (key, True), str(problem)


@pytest.mark.parametrize("key", ["workdir: copy", "stall_timeout: 1s", "steps: {a: [b]}"])
def test_they_do_not_go_with_a_trainer(write: Write, key: str) -> None:
    with pytest.raises(SpecError):
        load_spec(write(f"trainer: sweep_toy\n{key}\n"))


def test_how_it_is_treated_may_change_and_what_it_is_may_not(write: Write) -> None:
    def saved(text: str) -> dict[str, object]:
        return load_spec(write(BASE + text)).to_dict()

    limits = "timeout: 2h\nstall_timeout: 1m\ngrace_s: 3\nresume: --auto\n"
    assert differences(saved(""), saved(limits)) == []
    assert differences(saved(""), saved("workdir: copy\n")) == [
        "program.copies: was not set, is true"
    ]
    old = saved("")
    program = old["program"]
    assert isinstance(program, dict)
    kept = ("path", "style", "booleans", "python", "outputs", "patterns", "workdir", "command")
    before = {**old, "program": {key: program[key] for key in kept}}
    assert differences(before, old) == [], "a release before knew no more"


def test_names_stay_inside_the_results(write: Write) -> None:
    spec = load_spec(write(BASE + "name: ../../x\ntrials: {'../../y': {set: {b: 1}}}\n"))
    assert "/" not in spec.name
    sweep = SweepDir(Path("results"))
    assert sweep.run_dir(0, next(iter(spec.trials))).path.parent == sweep.trials_dir


def test_conda_is_looked_for_where_conda_looks(tmp_path: Path) -> None:
    def make(path: Path) -> str:
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").symlink_to("/bin/sh")
        return str(path)

    base = make(tmp_path / "home" / "miniforge3")
    env = make(tmp_path / "home" / "miniforge3" / "envs" / "torch")
    far = make(tmp_path / "far" / "jax")
    listed = tmp_path / "home" / ".conda" / "environments.txt"
    listed.parent.mkdir()
    listed.write_text(f"{far}\n/gone\n")

    def find(name: str, **environ: str) -> str | None:
        return conda_folder(name, tmp_path, environ, tmp_path / "home")

    assert find("base") == base
    assert find("torch") == env
    assert find("jax") == far
    assert find("far/jax") == far
    assert find("jax", CONDA_ENVS_PATH=str(tmp_path / "far")) == far
    assert find("torch", CONDA_EXE=f"{base}/bin/conda") == env
    assert find("gone") is None
