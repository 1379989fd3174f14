"""Read one large log, next to what pandas and `json` take for the same bytes.

::

    python -m benchmarks.reading                  # 1.5 million rows, 70 MB; about a minute
    python -m benchmarks.reading --rows 100000

Each is read in a process of its own, in turns; time of the call alone, the median of several, and
the greatest memory of the process beyond what it had before the call.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MEASURE = """
import resource, sys, time
from pathlib import Path
{imports}
path = Path(sys.argv[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begun = peak(), time.perf_counter()
{call}
print(time.perf_counter() - begun, peak() - before)
"""
# Packages are imported before: pyarrow is what reads tables.
OURS = (
    "import pyarrow.csv\nfrom orchestrator.runs.curves import read_runs",
    "found = read_runs(path)",
)
PANDAS = ("import pandas", "found = pandas.read_csv(path)")
JSON = ("import json", "found = [json.loads(line) for line in path.open()]")
LOGS = {"csv": PANDAS, "jsonl": JSON}


def make(folder: Path, rows: int) -> None:
    """Write a log of each kind: a step, two losses and a rate."""
    with (folder / "log.csv").open("w") as table, (folder / "log.jsonl").open("w") as lines:
        table.write("step,train_loss,val_loss,lr\n")
        for step in range(1, rows + 1):
            loss = 2.0 / step**0.3
            table.write(f"{step},{loss:.6f},{1.1 * loss:.6f},0.001\n")
            row = {"step": step, "train_loss": round(loss, 6), "lr": 0.001}
            lines.write(json.dumps(row) + "\n")


def measure(how: tuple[str, str], path: Path) -> tuple[float, float]:
    """Return the seconds of one call and the MiB that it took."""
    code = MEASURE.format(imports=how[0], call=how[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def main(words: Sequence[str] | None = None) -> int:
    """Print a line for each kind of log."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_500_000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args(words)
    print("| log | rows | MB | ours, s | pandas or json, s | share of its rate | ours, MiB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), options.rows)
        for kind, other in LOGS.items():
            path = Path(name) / f"log.{kind}"
            pairs = [(measure(OURS, path), measure(other, path)) for _ in range(options.times)]
            ours = statistics.median(one[0] for one, _ in pairs)
            theirs = statistics.median(one[0] for _, one in pairs)
            memory = statistics.median(one[1] for one, _ in pairs)
            size = path.stat().st_size / 1e6
            print(
                f"| {kind} | {options.rows:,} | {size:.0f} | {ours:.2f} | {theirs:.2f} "
                f"| {theirs / ours:.2f} | {memory:.0f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
