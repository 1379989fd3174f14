"""Rank finished runs, next to NumPy that reads and reduces the same arrays.

::

    python -m benchmarks.ranking                     # 1,000 runs; some three minutes
    python -m benchmarks.ranking --runs 100 --shape 300 300

Processor time, of several processes each the median, with all modules compiled, as after an
installation. A table is remembered only of files that have not changed for two minutes, so that
long is waited before it is printed again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

FEW = 100  # runs of the smaller table

REDUCE = """
import sys
from pathlib import Path
import numpy as np
for run in sorted(Path(sys.argv[1]).iterdir()):
    p, t = np.load(run / "predictions.npy"), np.load(run / "targets.npy")
    error = p - t
    np.abs(error).mean(), (error * error).mean(), t.mean(), t.var()
"""


def make(folder: Path, runs: int, shape: Sequence[int]) -> None:
    """Write runs of another tool: two arrays and a config each."""
    draw = np.random.default_rng(0)
    targets = draw.normal(size=shape).astype(np.float32)
    for number in range(runs):
        run = folder / f"run{number:05}"
        run.mkdir(parents=True)
        noise = draw.normal(size=shape).astype(np.float32)
        np.save(run / "targets.npy", targets)
        np.save(run / "predictions.npy", targets + 0.1 * noise)
        (run / "metadata.json").write_text(json.dumps({"config": {"lr": number}}))


def cpu(*words: str | Path, times: int = 1) -> float:
    """Return the processor time of a Python command, in s."""
    found = []
    for _ in range(times):
        process = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{words[:3]} ended with exit code {process.returncode}")
        found.append(usage.ru_utime + usage.ru_stime)
    return statistics.median(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--shape", type=int, nargs="+", default=[100, 10])
    parser.add_argument("--times", type=int, default=5, help="processes of each")
    parser.add_argument("--wait", type=float, default=125.0, help="seconds before the second table")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="sweep-ranking-") as name,
        patch.dict(os.environ, SWEEP_CACHE=f"{name}/cache", PYTHONPYCACHEPREFIX=f"{name}/compiled"),
    ):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        plan = Path(name) / "plan.yaml"
        plan.write_text(
            f"program: /bin/true\nparameters: {{seed: {{values: {list(range(FEW))}}}}}\n"
        )
        folders = [Path(name) / each for each in ("compiled_for", "few", "runs")]
        for folder, runs in zip(folders, (FEW, min(FEW, given.runs), given.runs), strict=True):
            make(folder, runs, given.shape)
        warm_up, few, many = (("-m", "orchestrator", "compare", folder) for folder in folders)
        planning = ("-m", "orchestrator", "plan", plan)
        cpu(*warm_up)
        cpu(*planning)
        base = cpu("-c", "import click, numpy", times=given.times)
        floor = cpu("-c", REDUCE, folders[-1], times=given.times)
        first_few, first = cpu(*few), cpu(*many)
        time.sleep(given.wait)
        cpu(*few), cpu(*many)  # what had not settled is remembered now
        again_few, again = cpu(*few, times=given.times), cpu(*many, times=given.times)
        planned = cpu(*planning, times=given.times)
    print("| command | CPU, s | of `import click, numpy` |\n|---|---|---|")
    for what, took in (
        ("import click, numpy", base),
        (f"NumPy reads and reduces {given.runs:,} runs", floor),
        (f"compare {given.runs:,} runs, the first time", first),
        ("the same again", again),
        (f"compare {min(FEW, given.runs)} runs, the first time", first_few),
        ("the same again", again_few),
        ("plan 100 trials", planned),
    ):
        print(f"| {what} | {took:.2f} | {took / base:.1f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
