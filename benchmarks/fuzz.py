# ruff: noqa: E501 -- inputs as they are
"""Damaged and senseless input for every parser that is ours: ``python -m benchmarks.fuzz``.

Good inputs are cut, repeated, mixed and sprinkled with bytes. A parser may refuse them with its own
error, and must neither raise another nor take long.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from orchestrator.engine.script.printed import read_line
from orchestrator.errors import SweepError
from orchestrator.files import parse_duration, parse_size
from orchestrator.placement.leases.lease_files import parse_claim
from orchestrator.runs import RunDir, SweepDir, SweepRecord, TrialRecord
from orchestrator.runs.curves import read_runs
from orchestrator.sweepfile import load_spec

LONGEST_S = 5.0
BYTES = [
    b"\0",
    b"\xff",
    b"\x1b[",
    b"\n",
    b"\r",
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b":",
    b"nan",
    b"1e999",
]
BYTES += [b"9" * 400, b"-", b"/", b"&a", b"*a", b"!!", b"\xe2\x80\xae", b" " * 300, b"${env:X}"]

LOGS = {
    "log.csv": b"epoch,step,train_loss,val_loss\n1,10,0.5,0.6\n2,20,0.4,\n3,30,nan,1e-3\n",
    "log.jsonl": b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN, "eval": {"acc": 0.5}}\n',
    "trainer_state.json": b'{"global_step": 2, "log_history": [{"loss": 1.0, "step": 1, "epoch": 0.1}'
    b', {"eval_loss": 2.0, "step": 2}]}',
    "log.txt": b"INFO Epoch 1/5 | Train: 0.18 | Val: 0.19 | LR: 1e-4\nepoch=2 loss: 0.5, acc 50%\n",
    "events.out.tfevents.1": b'\x18\0\0\0\0\0\0\0\xa3\x7fK"\t\0\0\xc0\xff\xb6\xb3\xd9A\x1a\rbrain.Event:2',
    "run-1.wandb": b":W&B\x23\xbe\0\0\x12\x34\x56\x78\x05\0\x01\x0a\x03abc",
}
SPEC = b"""version: 1
name: s
trainer: edc
method: random
run_cap: 4
metric: {name: val_loss, goal: minimize}
fixed: {epochs: 3, lr: 1e-3}
parameters: {lr: {min: 1e-4, max: 1e-1, distribution: log_uniform_values}, seed: {values: [1, 2]}}
constraints: ["lr < 0.01 or seed == 1"]
stages: {quick: {set: {epochs: 1}, promote: {top: 1, if: "val_loss < 0.3"}}, full: {}}
targets: {mae: "<= 0.02"}
"""
RECORD = b'{"number": 0, "name": "a", "config": {"lr": 0.1}, "state": "COMPLETE", "sweep": "s"}'


def damaged(good: bytes, chance: random.Random) -> bytes:
    """Return `good` after a few changes."""
    content = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice((0, 1, 3, 10, 50)))
        part = bytes(content[start:end])
        new = chance.choice((b"", part * 2, part[::-1], chance.choice(BYTES), chance.randbytes(3)))
        content[start:end] = new
    return bytes(content)


def parsers(folder: Path) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Return the parsers, each with a good input."""

    def of_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)

        def parse(content: bytes) -> object:
            path.write_bytes(content)
            return read(path)

        return parse

    def text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
        return lambda content: parse(content.decode(errors="replace"))

    found = {name: (good, of_file(f"logs-{name}/{name}", read_runs)) for name, good in LOGS.items()}
    return found | {
        "sweep file": (SPEC, of_file("s.yaml", load_spec)),
        "trial record": (RECORD, of_file("t/state.json", lambda p: TrialRecord.load(RunDir(p.parent)))),
        "sweep record": (RECORD, of_file("s/state.json", lambda p: SweepRecord.load(SweepDir(p.parent)))),
        "printed line": (LOGS["log.txt"], text(read_line)),
        "lease": (b"00000000 [1, \"gpu\", 5, 5, 1]\n", parse_claim),
        "size": (b"1.5GiB", text(lambda t: _own(parse_size, t))),
        "duration": (b"1h30m", text(lambda t: _own(parse_duration, t))),
    }  # fmt: skip


def _own(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except ValueError:
        return None  # the error that its callers expect


def main() -> None:
    """Print for each parser how many inputs it took, and what it raised that is not its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="at most, for each parser")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sweep-fuzz-") as name:
        for kind, (good, parse) in parsers(Path(name)).items():
            if given.names and kind not in given.names:
                continue
            chance = random.Random(f"{given.seed} {kind}")
            until = time.monotonic() + 60 * given.minutes
            seen: set[str] = set()
            refused = slowest = tried = 0.0
            while tried < given.n and time.monotonic() < until:
                tried += 1
                content = damaged(good, chance)
                started = time.process_time()
                try:
                    parse(content)
                except SweepError:
                    refused += 1
                except Exception as error:
                    frame = traceback.extract_tb(error.__traceback__)[-1]
                    place = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
                    if place not in seen:
                        seen.add(place)
                        print(f"{kind}: {error!r} {place} for {content[:300]!r}", flush=True)
                took = time.process_time() - started
                if took > LONGEST_S:
                    seen.add(f"{took:.1f} s")
                    print(f"{kind}: {took:.1f} s for {content[:300]!r}", flush=True)
                slowest = max(slowest, took)
            bad += len(seen)
            print(
                f"{kind}: {tried:.0f} inputs, {refused:.0f} refused, slowest {slowest:.3f} s, "
                f"{len(seen)} faults",
                flush=True,
            )
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
