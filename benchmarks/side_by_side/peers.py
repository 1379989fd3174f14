"""The tools that are compared, and the environment in which the others are installed."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = Path(__file__).parent / "tools"

PACKAGES = ("syne-tune", "hydra-core", "hydra-joblib-launcher", "guildai", "setuptools<81")

SWEEP = """\
version: 1
name: side
{what}
metric: {{name: val_loss, goal: minimize}}
parameters: {{{name}: {{values: {values}}}}}
resources: {{gpu_memory: 1GB}}
"""
TRAINER = "trainer: sweep_trainer:train"
PROGRAM = """\
program: script.py
metrics: {pattern: 'step (?P<step>\\d+) train_loss (?P<train_loss>\\S+) val_loss (?P<val_loss>.*)'}
"""

EPOCHS = 60
EDC = f"trainer: edc\nfixed: {{preset: small, loss: weighted_edc, epochs: {EPOCHS}}}"


@dataclass(frozen=True)
class Tool:
    """A way to run trials.

    Attributes:
        command: returns the command for a number of trials of which some run at once; it runs in
            a folder with the files of `side_by_side/tools/`.
        parallel: False if it runs one trial after another.
        isolates: True if each trial has a process of its own.
        imports: True if each trial imports torch; such a tool gets fewer trials.
        is_ours: True if it runs in the environment of this benchmark.
    """

    command: Callable[[str, int, int], list[str]]
    parallel: bool = True
    isolates: bool = True
    imports: bool = False
    is_ours: bool = False


def values(trials: int) -> list[float]:
    """Return the values of x that all tools try which can be given any."""
    return [round(0.1 + index / 1000, 4) for index in range(trials)]


def _sweep(what: str, *options: str, name: str = "x") -> Callable[[str, int, int], list[str]]:
    def command(python: str, trials: int, parallel: int) -> list[str]:
        # The file differs with the number of trials, so it is written when the tool runs.
        text = SWEEP.format(what=what, name=name, values=values(trials)).replace("'", "'\"'\"'")
        sweep = f"{python} -P -m orchestrator run side.yaml --plain --max-parallel {parallel}"
        script = f"printf '%s' '{text}' > side.yaml; exec {sweep} {' '.join(options)}"
        return ["sh", "-c", script]

    return command


def _script(name: str) -> Callable[[str, int, int], list[str]]:
    return lambda python, trials, parallel: [python, name, str(trials), str(parallel)]


def _loop(script: str) -> Callable[[str, int, int], list[str]]:
    def command(python: str, trials: int, parallel: int) -> list[str]:
        listed = "\\n".join(map(str, values(trials)))
        return ["sh", "-c", f"printf '{listed}\\n' | xargs -P{parallel} -n1 {python} {script}"]

    return command


def _hydra(python: str, trials: int, parallel: int) -> list[str]:
    chosen = ",".join(map(str, values(trials)))
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={parallel}"]
    return [python, "hydra_joblib.py", "-m", *launcher, f"x={chosen}"]


def _guild(python: str, trials: int, parallel: int) -> list[str]:
    chosen = ",".join(map(str, values(trials)))
    return [
        python,
        "-m",
        "guild.main_bootstrap",
        "run",
        "guild_script.py",
        f"x=[{chosen}]",
        "--force-flags",
        "-y",
    ]


PARALLEL = ("--placement", "parallel")
TOOLS_COMPARED = {
    "sweep": Tool(_sweep(TRAINER, *PARALLEL), is_ours=True),
    "sweep --inline": Tool(
        _sweep(TRAINER, "--inline"), parallel=False, isolates=False, is_ours=True
    ),
    "sweep, script": Tool(_sweep(PROGRAM, *PARALLEL), imports=True, is_ours=True),
    "shell loop": Tool(_loop("script.py"), imports=True, is_ours=True),
    "Ray Tune, function": Tool(_script("tune_function.py"), imports=True),
    "Ray Tune, reused actors": Tool(_script("tune_reused.py"), isolates=False),
    "Optuna alone": Tool(_script("optuna_alone.py"), isolates=False),
    "Syne Tune, local": Tool(_script("syne_tune_local.py"), imports=True),
    "Hydra, joblib": Tool(_hydra, isolates=False),
    "Guild": Tool(_guild, parallel=False, imports=True),
}

TRAININGS = {
    "sweep": Tool(_sweep(EDC, *PARALLEL, name="dropout"), is_ours=True),
    "shell loop": Tool(_loop(f"training.py {EPOCHS}"), is_ours=True),
}
"""Ways to run trainings of `sweeps/edc_weights.yaml`."""


def python_of(peers: Path) -> Path:
    """Return the interpreter of the environment of the other tools."""
    return peers / "bin" / "python"


def install(peers: Path) -> list[str]:
    """Make the environment of the other tools; return those packages that cannot be installed.

    It finds torch, Ray and Optuna in this one, so that all tools use the same.
    """
    if not python_of(peers).exists():
        venv.create(peers, with_pip=False, symlinks=True)
    (own,) = peers.glob("lib/python3*/site-packages")
    (own / "benchmark.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    missing = []
    for package in PACKAGES:
        pip = [sys.executable, "-m", "pip", "--python", str(python_of(peers))]
        done = subprocess.run([*pip, "install", "-q", package], check=False)
        missing += [package] if done.returncode else []
    return missing


def prepare(folder: Path) -> None:
    """Copy what the tools run into a new folder."""
    shutil.copytree(TOOLS, folder, ignore=shutil.ignore_patterns("__pycache__"))
