"""What sweeps cost by their number of trials, and a trial by its number of reports.

::

    python -m benchmarks.scaling --plots docs/images     # quiet machine: some 15 minutes
    python -m benchmarks.scaling --trials 10 100 --reports 1000

Trivial trials of a random search run with ``--inline``. Then the sweep is read, and continued with
one trial more. A trial of many reports was written before, so that only reading it is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import command, trials
from benchmarks.loglog import figure
from benchmarks.size import make_sweep

READERS = (("status",), ("compare", "results"), ("report",))


@dataclass(frozen=True)
class Cost:
    """What one command took: processor time in s, and its greatest memory in MiB."""

    what: str
    size: int
    seconds: float
    peak_mib: int
    code: int

    @property
    def line(self) -> str:
        """The row of the table."""
        each = f"{1000 * self.seconds / self.size:.3f}"
        shown = (self.what, f"{self.size:,}", f"{self.seconds:.1f}", each, self.peak_mib, self.code)
        return f"| {' | '.join(map(str, shown))} |"


def by_trials(folder: Path, size: int) -> Iterator[Cost]:
    """Run, read and continue a sweep."""
    yield Cost("run", size, *trials(folder, size))
    for words in READERS:
        yield Cost(words[0], size, *command(folder, *words))
    file = folder / "sweep.yaml"
    file.write_text(file.read_text().replace(f"run_cap: {size}\n", f"run_cap: {size + 1}\n"))
    yield Cost("continue", size, *command(folder, "run", "sweep.yaml", "--inline"))


def by_reports(folder: Path, size: int) -> Iterator[Cost]:
    """Read a trial."""
    make_sweep(folder / "results", 1, size)
    for words in READERS:
        yield Cost(words[0], size, *command(folder, *words))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 1 if a command failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="*", default=[10, 100, 1000, 5000])
    parser.add_argument("--reports", type=int, nargs="*", default=[1000, 10_000, 100_000, 1000_000])
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write figures into this folder")
    given = parser.parse_args(arguments)
    print("| command | size | CPU, s | per unit, ms | peak, MiB | exit code |")
    print("|---|---|---|---|---|---|")
    is_good = True
    with tempfile.TemporaryDirectory(prefix="sweep-scaling-") as name:
        os.environ["SWEEP_LEASES"] = f"{name}/leases"
        os.environ["SWEEP_CACHE"] = f"{name}/cache"
        for unit, measure in (("trials", by_trials), ("reports", by_reports)):
            lines: dict[str, list[Cost]] = {}
            for size in getattr(given, unit):
                for cost in measure(Path(name) / f"{unit}-{size}", size):
                    print(cost.line, flush=True)
                    lines.setdefault(cost.what, []).append(cost)
                    is_good = is_good and cost.code == 0
            if given.plots is not None and lines:
                _draw(given.plots, unit, lines)
    return 0 if is_good else 1


def _draw(folder: Path, unit: str, lines: dict[str, list[Cost]]) -> None:
    seconds = {n: [(c.size, max(c.seconds, 0.01)) for c in found] for n, found in lines.items()}
    memory = {n: [(c.size, float(c.peak_mib)) for c in found] for n, found in lines.items()}
    for what, label, series in (
        ("time", "processor time, s", seconds),
        ("memory", "peak memory, MiB", memory),
    ):
        title = f"{what.capitalize()} by the number of {unit}"
        path = folder / f"scaling-{unit}-{what}.svg"
        path.write_text(figure(title, unit, label, series), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
