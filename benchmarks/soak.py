"""An hour of trouble: ``python -m benchmarks.soak --minutes 60``.

Sweeps run, are killed or stopped at random moments, and continue, while three other processes read
everything all the time (`status`, `compare`, `doctor`, `logs`). Nothing may be lost, hang or end
with a traceback, and every sweep must come to the table of an undisturbed run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.kills import SCENARIOS, Killed
from orchestrator.runs import SweepDir, load_trials

READERS = 3


def read(folder: Path, ended: Any, counts: Any) -> None:
    """Read the sweeps of a folder until `ended` is set; put how often, and what went wrong."""
    from tests.faults import crashing

    reads, problems = 0, []
    while not ended.is_set():
        for scenario in SCENARIOS:
            # Between two sweeps there is none.
            found = crashing.readable(folder / scenario)
            problems += [one for one in found if "No sweep" not in one and "no such" not in one]
            reads += 1
        time.sleep(0.2)
    counts.put((reads, problems))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="sweep-soak-") as name:
        folder = Path(name)
        os.environ["SWEEP_LEASES"] = str(folder / "leases")
        each = [Killed(folder / one, one, chance, stops=True) for one in SCENARIOS]
        ended, counts = context.Event(), context.Queue()
        readers = [
            context.Process(target=read, args=(folder, ended, counts)) for _ in range(READERS)
        ]
        for reader in readers:
            reader.start()
        started = time.monotonic()
        trials = attempts = 0
        while time.monotonic() - started < 60 * given.minutes:
            one = chance.choice(each)
            one.again(chance.randint(0, 8))
            records = load_trials(SweepDir(one.folder / "results" / "s"))
            trials += len(records)
            attempts += sum(record.attempt for record in records)
        ended.set()
        found = [counts.get(timeout=60) for _ in readers]
        for reader in readers:
            reader.join()
        took = (time.monotonic() - started) / 60
    kills: Counter[str] = sum((one.kills for one in each), Counter())
    unread = [problem for _, problems in found for problem in problems]
    print(f"{took:.1f} min, seed {given.seed}: {sum(one.runs for one in each)} sweeps")
    print(f"{trials} trials in {attempts} attempts, {kills.total()} ends: {dict(kills)}")
    print(f"{sum(reads for reads, _ in found)} rounds of readers, {len(unread)} problems")
    for problem in unread[:10]:
        print(problem)
    print(f"lost or wrong: {sum(len(one.problems) for one in each)}")


if __name__ == "__main__":
    main()
