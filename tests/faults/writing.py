"""Kill every kind of write at every operation: ``python -m tests.faults.writing FOLDER``.

The library of ``shim.c`` must be preloaded (``LD_PRELOAD``).

A forked process writes a record, a log, the history, a lease and the study's journal, and prints
what is done. Whatever it is killed at, the files must read as after the last step that was done, or
as after the next one, and the next process must be able to write again and leave nothing behind.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from orchestrator.files import atomic, jsonl
from orchestrator.placement.leases import Leases
from orchestrator.placement.memory_needs.history import History, MemoryKey
from orchestrator.runs.layout import RunDir
from orchestrator.runs.records import TrialRecord
from orchestrator.search.journal import KernelLock, mend
from tests.faults.forked import WAYS, arm, counted, in_fork

ROUNDS = 2
KEY = MemoryKey({}, "0123456789abcdef")


def write(folder: Path, first: int = 0) -> None:
    """Write everything `ROUNDS` times, and print each step that is done."""
    run, history = RunDir(folder / "run"), History(folder / "placement.json")
    record = TrialRecord(0, "a", {})
    for number in range(first, first + ROUNDS):
        record.attempt = number
        record.save(run)
        print(json.dumps(["record", number]), flush=True)
        jsonl.append(run.metrics_file, {"step": number, "text": "x" * 50})
        print(json.dumps(["report", number]), flush=True)
        history.record(KEY, number + 1)
        print(json.dumps(["history", number]), flush=True)
        lease = Leases(folder / "leases").claim("gpu", 1000)
        lease.used(500)
        lease.release()
        journal = folder / "study.journal"
        mend(journal)
        backend = JournalFileBackend(str(journal), lock_obj=KernelLock(journal))
        backend.append_logs([{"number": number, "text": "x" * 50}])
        print(json.dumps(["study", number]), flush=True)


def read(folder: Path) -> dict[str, list[int]]:
    """Return the numbers that each file holds now."""
    run, journal = RunDir(folder / "run"), folder / "study.journal"
    record = TrialRecord.load(run)
    need = History(folder / "placement.json").lookup(KEY)
    mend(journal)
    return {
        "record": [] if record is None else [record.attempt],
        "report": [line["step"] for line in jsonl.read(run.metrics_file)],
        "history": [] if need is None else [need.memory_bytes - 1],
        "study": [line["number"] for line in jsonl.read(journal)],
    }


def problems_of(folder: Path, printed: str) -> list[str]:
    """Return what does not hold in a folder whose writer was killed."""
    done: dict[str, list[int]] = {}
    for line in printed.splitlines():
        kind, number = json.loads(line)
        done.setdefault(kind, []).append(number)
    problems = []
    found = read(folder)
    for kind, numbers in found.items():
        acknowledged = done.get(kind, [])
        following = [*acknowledged, len(acknowledged)]
        allowed = [acknowledged, following]
        if kind in ("record", "history"):
            allowed = [acknowledged[-1:], following[-1:]]
        if numbers not in allowed:
            problems.append(f"{kind} holds {numbers} after {acknowledged}")
    claims: list[Any] = Leases(folder / "leases").claims()
    return problems + ([f"a lease of a dead process: {claims}"] if claims else [])


def check(folder: Path, way: str, point: int) -> list[str]:
    """Kill the writer at one operation, let another continue, and return what does not hold."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def act() -> None:
        arm(way, point, folder)
        write(folder)

    code, printed = in_fork(act)
    if code != -signal.SIGKILL:
        return [f"ended with {code}: {printed[-500:]}"]
    problems = problems_of(folder, printed)
    atomic.remove_leftovers(folder / "run", RunDir(folder / "run").written_by_driver)
    code, printed = in_fork(partial(write, folder, 10))
    if code:
        return [*problems, f"cannot continue: {printed[-500:]}"]
    found = read(folder)
    problems += [f"{kind}: {numbers}" for kind, numbers in found.items() if 11 not in numbers]
    left = [path.name for path in folder.rglob(".*.tmp") if path.parent.name != "leases"]
    return problems + ([f"left over: {left}"] if left else [])


def main(folder: Path, *, quick: bool) -> int:
    """Try every operation in every way, or each in one; print what does not hold, and count it."""
    folder.mkdir(parents=True, exist_ok=True)

    def count() -> None:
        arm("count", 0, folder)
        write(folder)
        print(counted())

    total = int(in_fork(count)[1].split()[-1])
    bad = 0
    for point in range(1, total + 1):
        for way in (WAYS[point % 3],) if quick else WAYS:
            for problem in check(folder, way, point):
                bad += 1
                print(f"{way} {point}/{total}: {problem}", flush=True)
    print(f"{total} operations: {bad} problems")
    return bad


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), quick="--quick" in sys.argv) > 0)
