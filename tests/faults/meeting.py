"""A sweep that meets a fault, in forked processes: ``python -m tests.faults.meeting FOLDER``.

Every fault is one sentence for the user, and no traceback; what had ended is kept, no trial fails
for it, and the same command completes the sweep once the fault is gone. What does not hold is
printed; the last line counts.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna  # noqa: F401  # so that no forked process loads it

from orchestrator.cli import main
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from tests.faults.forked import arm, in_fork

SWEEP = """\
version: 1
name: s
program: ./train.sh
metric: {name: val_loss, goal: minimize}
metrics: {pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}
parameters: {x: {values: [1, 2]}}
"""
SCRIPT = "#!/bin/sh\necho step 1 val_loss 0.1\n"
SLOW = "#!/bin/sh\necho step 1 val_loss 0.1\nsleep 2\n"
AGAIN = "run the sweep again to continue it: what has ended is kept, the rest waits"


def once(test: Callable[[], bool], action: Callable[[], object]) -> None:
    """Do something in a thread as soon as `test` is true."""

    def wait() -> None:
        while not test():
            time.sleep(0.02)
        action()

    threading.Thread(target=wait, daemon=True).start()


def started(folder: Path) -> bool:
    """Return whether a trial has reported."""
    return any((folder / "results/s/trials").glob("*/metrics.jsonl"))


def removed(folder: Path, what: str) -> None:
    """Remove something of the results as soon as the first trial has reported."""
    (folder / "train.sh").write_text(SLOW)

    def remove() -> None:
        for path in folder.glob(what):
            path.rename(folder / "gone")

    once(lambda: started(folder), remove)


def limited(number: int, least: int) -> None:
    """Lower a limit of this process for good."""
    resource.setrlimit(number, (least, least))


FAULTS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "full at once": (partial(arm, "full", 1), 2, "cannot write there.*No space left on device"),
    "full at the start": (partial(arm, "full", 25), 1, f"the disk is full .*{AGAIN}"),
    "full in a trial": (partial(arm, "full", 85), 1, f"the disk is full .*{AGAIN}"),
    "full between": (partial(arm, "full", 135), 1, f"the disk is full .*{AGAIN}"),
    "fsync fails": (partial(arm, "fsync", 60), 1, f"Input/output error.*{AGAIN}"),
    "no locks": (partial(arm, "nolock", 1), 2, "the file system has no locks"),
    "locks lie": (partial(arm, "locks", 1), 2, "grants a lock that is already held"),
    "results gone": (partial(removed, what="results"), 1, f"removed, moved or unmounted.*{AGAIN}"),
    "trial gone": (
        partial(removed, what="results/s/trials/0000*"), 130,
        "WAITING: the folder was removed, moved or unmounted",
    ),
    "clock back": (partial(arm, "back", 90), 0, "2/2 complete"),
    "clock ahead": (partial(arm, "ahead", 90), 0, "2/2 complete"),
    "few files": (lambda _: limited(resource.RLIMIT_NOFILE, 32), 0, "2/2 complete"),
    "small files": (lambda _: limited(resource.RLIMIT_FSIZE, 300), 1, "Error: .*File too large"),
    "nowhere": (lambda _: os.environ.update(HOME="/dev/null", TMPDIR="/no"), 0, "2/2 complete"),
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Make an empty folder with a sweep file and its script."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "train.sh").write_text(SCRIPT)
    (folder / "train.sh").chmod(0o755)


def run(folder: Path, fault: Callable[[Path], object] | None = None) -> None:
    """Run the sweep of a folder, which may meet a fault."""
    os.chdir(folder)
    if fault is not None:
        fault(folder)
    main(["run", "sweep.yaml", "--inline"])


def check(folder: Path, fault: Callable[[Path], object], code: int, words: str) -> list[str]:
    """Let a sweep meet a fault, continue it, and return what does not hold."""
    prepare(folder)
    ended, printed = exit_of(partial(run, folder, fault))
    problems = [] if ended == code else [f"exit {ended} instead of {code}"]
    if not re.search(words, printed, re.DOTALL) or "Traceback" in printed:
        problems.append(f"it printed {printed}")
    failed = [one.reason for one in load_trials(SweepDir(folder / "results/s"))
              if one.state is TrialState.FAIL]  # fmt: skip
    problems += [f"a trial failed: {reason}" for reason in failed]
    ended, printed = exit_of(partial(run, folder))
    if ended != 0 or "2/2 complete" not in printed:
        problems.append(f"again: exit {ended}: {printed}")
    return problems


def exit_of(action: Callable[[], object]) -> tuple[int, str]:
    """Return the exit code of a command in a forked process and what it printed."""

    def act() -> None:
        try:
            action()
        except SystemExit as ended:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(int(ended.code or 0))

    return in_fork(act)


if __name__ == "__main__":
    root, *names = sys.argv[1:]
    os.environ["SWEEP_LEASES"] = f"{root}.leases"
    prepare(Path(root))
    with contextlib.suppress(SystemExit):
        run(Path(root))  # so that no forked process imports anything
    bad = 0
    for name in names or FAULTS:
        for problem in check(Path(root), *FAULTS[name]):
            bad += 1
            print(f"{name}: {problem}")
    print(f"{len(names or FAULTS)} faults: {bad} problems")
    sys.exit(bad > 0)
