"""Large sweeps and large logs: ``python -m benchmarks.load``.

Every case runs at two sizes, so that what grows faster than the size shows. Sweeps run with
``--inline``; the memory is the driver's peak.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HEAD = """\
version: 1
name: s
program: ./train.sh
metric: {name: val_loss, goal: minimize}
metrics: {pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}
"""
REPORTED = HEAD.replace(
    "metrics: {pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}\n", ""
)


def command(folder: Path, *words: object, file: Path | None = None) -> tuple[float, int, int]:
    """Run a `sweep` command; return its CPU time in s, its peak memory in MiB and its exit code."""
    with (file or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator", *map(str, words)],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, process.returncode


def sweep(folder: Path, text: str, script: str) -> tuple[float, int, int]:
    """Run a sweep of a shell script inline."""
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text(text)
    (folder / "train.sh").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "train.sh").chmod(0o755)
    return command(folder, "run", "sweep.yaml", "--inline")


def trials(folder: Path, size: int) -> tuple[float, int, int]:
    """Trivial trials, of a random search."""
    text = f"{HEAD}method: random\nrun_cap: {size}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n"
    return sweep(folder, text, "echo step 1 val_loss 0.1")


def failures(folder: Path, size: int) -> tuple[float, int, int]:
    """Trials that all fail at once."""
    text = f"{HEAD}method: random\nrun_cap: {size}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}\n"
    return sweep(folder, text, "echo broken >&2; exit 3")


def output(folder: Path, size: int) -> tuple[float, int, int]:
    """One trial that prints megabytes."""
    text = f"{HEAD}parameters: {{x: {{values: [1]}}}}\n"
    line = "x" * 99
    script = f"yes {line} | head -c {size}000000; echo; echo step 1 val_loss 0.1"
    return sweep(folder, text, script)


def reports(folder: Path, size: int) -> tuple[float, int, int]:
    """One trial that makes thousands of reports."""
    text = f"{REPORTED}parameters: {{x: {{values: [1]}}}}\n"
    program = (
        f'BEGIN {{ for (i = 1; i <= {size}000; i++) printf "{{\\"step\\": %d, \\"val_loss\\": '
        '%f}\\n", i, 1 / i }'
    )
    return sweep(folder, text, f"awk '{program}' >> \"$SWEEP_METRICS\"")


def metrics(folder: Path, size: int) -> tuple[float, int, int]:
    """One trial with many metrics in each of ten reports."""
    text = f"{REPORTED}parameters: {{x: {{values: [1]}}}}\n"
    program = (
        'BEGIN { for (i = 1; i <= 10; i++) { printf "{\\"step\\": %d, \\"val_loss\\": %f", i, '
        f"1 / i; for (j = 0; j < {size}; j++) printf "
        '", \\"m%d\\": %f", j, i * j; print "}" } }'
    )
    return sweep(folder, text, f"awk '{program}' >> \"$SWEEP_METRICS\"")


CASES: dict[str, tuple[Callable[[Path, int], tuple[float, int, int]], tuple[int, int], str]] = {
    "trials": (trials, (500, 5000), "trials"),
    "failures": (failures, (10, 100), "trials"),
    "output": (output, (100, 1000), "MB"),
    "reports": (reports, (100, 1000), "thousand reports"),
    "metrics": (metrics, (1000, 10_000), "metrics"),
}


def main() -> None:
    """Print the figures of all cases, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("| case | size | command | CPU, s | per unit, ms | peak, MiB | exit code |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sweep-load-") as name:
        os.environ["SWEEP_LEASES"] = f"{name}/leases"
        for case in given.cases:
            run, sizes, unit = CASES[case]
            for size in (max(1, round(one * given.scale)) for one in sizes):
                folder = Path(name) / f"{case}-{size}"
                done = {"run": run(folder, size)}
                for words in (["status"], ["compare", "results"], ["doctor"]):
                    done[words[0]] = command(folder, *words)
                for kind, (took, peak, code) in done.items():
                    each = f"{1000 * took / size:.2f}"
                    shown = f"{took:.1f} | {each} | {peak} | {code}"
                    print(f"| {case} | {size} {unit} | {kind} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
