"""Damaged and senseless input for every parser that is ours: ``python -m benchmarks.fuzz``.

Good inputs are cut, repeated, mixed, and sprinkled with bytes and odd values; frames, checksums and
compression are put around them afterwards, so that the parser behind is reached. A parser may
refuse an input with its own error, and must neither raise another, nor take long, nor much memory:
each runs in a process of its own that has 2 GiB more than it began with. Input k of a parser
depends on k alone: ``--start 50000 --n 50000`` continues where another run ended.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

from tests.faults.fuzzed import Parser, damaged, everything

LONGEST_S = 5.0
HANGS_S = 20
_MEMORY = 2 << 30


class Hang(BaseException):
    """An input takes too long; a parser catches errors, but not this."""


def main() -> None:
    """Print for each parser how many inputs it took, and what it raised that is not its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="inputs for each parser")
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="at most, for each parser")
    parser.add_argument("names", nargs="*", help="parsers [default: all]")
    given = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sweep-fuzz-") as name:
        found = everything(Path(name))
        for kind in given.names or found:
            numbers = range(given.start, given.start + given.n)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                faults = 99
                try:
                    faults = attack(kind, found[kind], numbers, given.seed, 60 * given.minutes)
                finally:
                    sys.stdout.flush()
                    os._exit(min(faults, 99))
            bad += os.waitpid(pid, 0)[1] != 0
    sys.exit(bad > 0)


def attack(kind: str, parser: Parser, numbers: range, seed: int, longest_s: float) -> int:
    """Give a parser its inputs, print the figures and return how many kinds of faults it has."""
    used = psutil.Process().memory_info()
    resource.setrlimit(resource.RLIMIT_AS, (used.vms + _MEMORY, used.vms + _MEMORY))
    until = time.monotonic() + longest_s
    seen: set[str] = set()
    tried = refused = 0
    slowest = 0.0
    for number in numbers:
        if time.monotonic() > until:
            break
        content = damaged(parser.seeds, random.Random(f"{seed} {kind} {number}"))
        tried += 1
        started = time.process_time()
        fault = ""
        try:
            with limited():
                refused += parser.take(content)
        except BaseException as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            fault = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
            if isinstance(error, KeyboardInterrupt):
                raise
        took = time.process_time() - started
        slowest = max(slowest, took)
        fault = fault or ("slow" if took > LONGEST_S else "")
        if fault and fault not in seen:
            seen.add(fault)
            print(f"{kind}, input {number}: {fault}, {took:.1f} s, {content[:300]!r}", flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) - (used.rss >> 20)
    print(
        f"{kind} | {tried:,} | {refused:,} | {1000 * slowest:.0f} ms | {max(0, grown)} MiB | "
        f"{len(seen)} faults",
        flush=True,
    )
    return len(seen)


@contextmanager
def limited() -> Iterator[None]:
    """Raise `Hang` in what takes too long."""

    def give_up(_: int, __: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANGS_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
