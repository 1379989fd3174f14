"""Kill sweeps and continue them: ``python -m benchmarks.kills --n 1000``.

A sweep runs in a forked process (``--inline``), and one process of it, mostly the driver, is killed
at a random moment; then the next process continues it, and is killed, until it ends. After each
kill everything that reads must read what is there, no report that was taken in may be missing, and
no trial that was complete may run again; at the end the table must be that of an undisturbed run.

``--minutes`` and ``--tally FILE`` make it affordable: each call adds its figures to the file and
prints the sums; several may run at once, each with a seed of its own.

``--ray N`` kills N times through ``sweep run``, also Ray's processes. ``--writes`` kills at every
single write instead of random moments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from orchestrator.files import jsonl
from orchestrator.runs import SweepDir, TrialState, load_trials
from tests import faults

SCENARIOS = ("stages", "seeds", "script")
PATIENCE_S = 120.0


class Killed:
    """A sweep that is killed again and again.

    Args:
        ray: let Ray run it, by `sweep run`, instead of a forked process.
        stops: end it in order, by a signal, instead of some kills.

    Attributes:
        kills: how often which process was killed.
        problems: what did not hold.
    """

    def __init__(
        self,
        folder: Path,
        scenario: str,
        chance: random.Random,
        *,
        ray: bool = False,
        stops: bool = False,
    ) -> None:
        from tests.faults import crashing

        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.runs = 0
        self._crashing = crashing
        self.folder = folder
        self._chance = chance
        self._ray = ray
        self._stops = stops
        self._reports = folder.with_suffix(".reports")
        crashing.prepare(folder, scenario)
        self._reports.write_bytes(b"")
        started = time.monotonic()
        self._scenario = scenario
        self._end(self._start())
        self._takes_s = time.monotonic() - started
        self.wanted = crashing.table(folder)

    def again(self, most: int) -> None:
        """Run the sweep once more from nothing, with at most `most` kills."""
        self._crashing.prepare(self.folder, self._scenario)
        self._reports.write_bytes(b"")
        self.runs += 1
        complete: dict[int, int] = {}
        code: int | None = None
        for _ in range(most + 10):
            process = self._start()
            if most > 0:
                # A process that has begun to be waited for may end before: then nothing is killed.
                time.sleep(self._chance.uniform(0, self._takes_s))
                most -= self._kill(process)
            code = self._end(process)
            self._check(complete)
            if code == 0:
                break
        found = self._crashing.table(self.folder)
        if code != 0 or found != self.wanted:
            self._complain(f"ended with {code}: {found} instead of {self.wanted}")

    def _complain(self, *problems: str) -> None:
        self.problems += problems
        for problem in problems:
            print(f"{self._scenario}: {problem}", flush=True)

    def _start(self) -> psutil.Process:
        if self._ray:
            words = ["run", "sweep.yaml", "--retry-failed", "--max-parallel", "2"]
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator", *words],
                cwd=self.folder,
                env={**os.environ, "SWEEP_KILLED": str(self.folder)},
                stdout=(self.folder / "out.txt").open("ab"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            return psutil.Process(process.pid)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            code = 1
            try:
                log = os.open(self.folder / "out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                reports = os.open(self._reports, os.O_WRONLY | os.O_APPEND)
                has_ended = self._crashing.run(self.folder, reports, retry_failed=True)
                code = 0 if has_ended else 3
            finally:
                os._exit(code)
        return psutil.Process(pid)

    def _kill(self, driver: psutil.Process) -> int:
        """Kill one process of the sweep; return how many were."""
        with suppress(psutil.Error):
            below = driver.children(recursive=True)
            victim = driver
            if below and self._chance.random() < (0.8 if self._ray else 0.2):
                victim = self._chance.choice(below)
            name = "driver" if victim == driver else _kind(victim)
            if victim.status() != psutil.STATUS_ZOMBIE:
                if victim == driver and self._stops and self._chance.random() < 0.4:
                    name = "stopped in order"
                    driver.send_signal(self._chance.choice([signal.SIGINT, signal.SIGTERM]))
                else:
                    victim.kill()
                self.kills[name] += 1
                return 1
        return 0

    def _end(self, process: psutil.Process) -> int | None:
        """Wait for the end of a driver and return its exit code; None if it does not end."""
        try:
            code = process.wait(PATIENCE_S)
        except psutil.TimeoutExpired:
            self._complain("hangs")
            os.killpg(process.pid, signal.SIGKILL)
            return None
        return None if code is None else int(code)

    def _check(self, complete: dict[int, int]) -> None:
        """Look at what a killed process left; `complete` are the attempts of complete trials."""
        self._complain(*self._crashing.readable(self.folder))
        reports = [json.loads(line) for line in self._reports.read_text().splitlines()]
        lost = self._crashing.lost(self.folder, reports)
        self._complain(*(f"a report is lost: {one}" for one in lost))
        for trial in load_trials(SweepDir(self.folder / "results" / "s")):
            if complete.get(trial.number, trial.attempt) != trial.attempt:
                self._complain(f"trial {trial.number} was complete and ran again")
            if trial.state is TrialState.COMPLETE:
                complete[trial.number] = trial.attempt


def _kind(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        line = " ".join(process.cmdline())
        known = ("gcs_server", "raylet", "ray::", "reaper.py", "forkserver", "resource_tracker")
        for name in (*known, "agent", "train.sh", "multiprocessing"):
            if name in line:
                return name
        return process.name()
    return "gone"


def at_random(
    n: int, seed: int, folder: Path, *, ray: bool, minutes: float, tally: Path | None
) -> int:
    """Kill `n` times at random moments; print the figures and return how many problems."""
    chance = random.Random(seed)
    each = [
        Killed(folder / scenario, scenario, chance, ray=ray)
        for scenario in (("stages",) if ray else SCENARIOS)
    ]
    started = time.monotonic()
    while (left := n - sum(one.kills.total() for one in each)) > 0:
        if time.monotonic() - started > 60 * minutes:
            break
        one = chance.choice(each)
        one.again(min(left, chance.randint(1, 8)))
        if one.runs % 20 == 0:
            print(f"{n - left} kills, {(time.monotonic() - started) / 60:.1f} min", flush=True)
    kills = sum((one.kills for one in each), Counter())
    problems = sum(len(one.problems) for one in each)
    print(f"{kills.total()} kills in {sum(one.runs for one in each)} sweeps, {dict(kills)}")
    print(f"{problems} problems, {(time.monotonic() - started) / 60:.1f} min, seed {seed}")
    if tally is not None:
        sweeps = sum(one.runs for one in each)
        jsonl.append(tally, {"ray": ray, "kills": kills, "sweeps": sweeps, "problems": problems})
        lines = [line for line in jsonl.read(tally) if line["ray"] == ray]
        together = sum((Counter(line["kills"]) for line in lines), Counter[str]())
        for name in ("sweeps", "problems"):
            print(f"{sum(line[name] for line in lines)} {name} in all")
        print(f"{together.total()} kills in all, {dict(together)}")
    return problems


def at_writes(folder: Path, points: int) -> int:
    """Kill at every write (or at so many of each sweep's); return how many sweeps had problems."""
    environment = {**os.environ, "LD_PRELOAD": str(faults.shim())}
    runs = [["tests.faults.writing", folder / "w"]]
    scenarios = (*SCENARIOS, "bayes")
    runs += [["tests.faults.crashing", folder / name, name, points] for name in scenarios]
    return sum(
        subprocess.run([sys.executable, "-m", *map(str, one)], env=environment, check=False)
        .returncode for one in runs
    )  # fmt: skip


def main() -> None:
    """Print what was killed and what did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="kills at random moments")
    parser.add_argument("--ray", type=int, default=0, help="kills of sweeps that Ray runs")
    parser.add_argument("--minutes", type=float, default=1e9, help="at most, for each of both")
    parser.add_argument("--tally", type=Path, help="file of JSON lines that collects the figures")
    parser.add_argument("--writes", action="store_true", help="kill at every write instead")
    parser.add_argument("--points", type=int, default=0, help="writes of each sweep; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-kills-") as name:
        folder = Path(name)
        os.environ["SWEEP_LEASES"] = str(folder / "leases")
        if given.writes:
            sys.exit(at_writes(folder, given.points) > 0)
        problems = 0
        for n, ray in ((given.n, False), (given.ray, True)):
            if n:
                problems += at_random(
                    n, given.seed, folder, ray=ray, minutes=given.minutes, tally=given.tally
                )
    sys.exit(problems > 0)


if __name__ == "__main__":
    main()
