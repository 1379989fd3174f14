"""What many trials at once cost the driver: ``python -m benchmarks.scale``.

Nodes of eight GPUs and their trials are played on a clock that jumps from event to event. The rest
is the driver's own code: planner, queue, admission, judge, study and records. What Ray costs, and
what the trials' own processes do, is not included.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.engine.child.process import Attempt
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.driver.driver import REQUESTS_EVERY_S
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.placement import Device, Host, Plan
from orchestrator.placement.cluster_plan import NodeView, decide_nodes, join_plans
from orchestrator.placement.model import Process
from orchestrator.runs import SweepDir, SweepRecord
from orchestrator.sweepfile import load_spec

GIB = 1 << 30
GPUS_PER_NODE = 8
REPORT_EVERY_S = 10.0
TICK_EVERY_S = 0.1
NEED_BYTES = 14 * GIB

SWEEP = """\
version: 1
name: scale
trainer: edc
method: {method}
run_cap: {trials}
metric: {{name: val_mae, goal: minimize}}
pruner: {pruner}
resources: {{gpu_memory: 16GB}}
parameters:
  lr: {{min: 1e-5, max: 1e-1, distribution: log_uniform_values}}
  dropout: {{min: 0.0, max: 0.5}}
"""


class Clock:
    """Seconds that pass only when the simulation says so."""

    now = 1_000.0


class Node(Machine):
    """A machine with GPUs that trials of the simulation fill."""

    on_cpu = False
    comparable = True
    cores = 64

    def __init__(self, name: str, gpus: int, clock: Clock) -> None:
        self._clock = clock
        self._cards = [
            Device(str(i), "H100", 20 * GIB, 20 * GIB, name, f"GPU-{name}-{i}") for i in range(gpus)
        ]
        self._held: dict[str, dict[int, int]] = {card.id: {} for card in self._cards}

    def hold(self, device: str, pid: int, memory_bytes: int) -> None:
        """Let a process take memory of a GPU; 0 frees it."""
        self._held[device].pop(pid, None)
        if memory_bytes:
            self._held[device][pid] = memory_bytes

    def read(self) -> list[Device]:
        """Return the GPUs as they are."""
        return [
            replace(
                card,
                free_bytes=card.total_bytes - sum(self._held[card.id].values()),
                processes=tuple(Process(*each) for each in self._held[card.id].items()),
            )
            for card in self._cards
        ]

    def view(self) -> NodeView:
        """Return what the planner sees."""
        device = self._cards[0]
        host = Host(self.cores, 512 * GIB, 512 * GIB, node=device.node)
        return NodeView(device.node, tuple(self._cards), host)

    def oom_kills(self) -> int:
        """Return 0."""
        return 0

    def family(self, pid: int | None = None) -> frozenset[int]:
        """Return the processes of the sweep here."""
        held = frozenset(pid for there in self._held.values() for pid in there)
        return held if pid is None else frozenset([pid])

    def clock(self) -> float:
        """Return the time of the simulation."""
        return self._clock.now

    def monotonic(self) -> float:
        """Return the time of the simulation."""
        return self._clock.now


class Nodes(Machine):
    """All nodes."""

    on_cpu = False
    comparable = True

    def __init__(self, nodes: Mapping[str, Node], plans: Mapping[str, Plan], clock: Clock) -> None:
        self._parts = {name: (nodes[name], plan) for name, plan in plans.items()}
        self._clock = clock

    def parts(self, plan: Plan) -> Mapping[str, tuple[Machine, Plan]]:
        """Return the nodes with their plans."""
        return self._parts

    def monotonic(self) -> float:
        """Return the time of the simulation."""
        return self._clock.now


@dataclass
class Cost:
    """CPU seconds and calls by kind of work."""

    seconds: Counter[str]
    calls: Counter[str]

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        """Count what happens inside."""
        started = time.process_time()
        yield
        self.add(kind, started)

    def add(self, kind: str, started: float) -> None:
        """Count what has happened since `started`, in CPU seconds of this process."""
        self.seconds[kind] += time.process_time() - started
        self.calls[kind] += 1

    def per_call_ms(self, kind: str) -> float:
        """Return the mean, ms."""
        return 1000 * self.seconds[kind] / max(1, self.calls[kind])


@dataclass(frozen=True)
class Result:
    """What a simulated sweep cost.

    Attributes:
        at_once: greatest number of trials that ran at the same time.
        states: how many trials ended in each state.
        memory_mib: what the driver's memory grew by.
        simulated_s: how long the sweep took on the clock of the simulation.
    """

    cost: Cost
    at_once: int
    states: Counter[str]
    memory_mib: float
    simulated_s: float

    @property
    def load(self) -> float:
        """Part of a core that the driver takes while all GPUs are busy."""
        return sum(self.cost.seconds.values()) / self.simulated_s


class Simulation:
    """A sweep in which a trial makes about `reports` reports, one every ten seconds."""

    def __init__(
        self, gpus: int, trials: int, reports: int, folder: Path, *, method: str, pruner: str
    ) -> None:
        file = folder / "sweep.yaml"
        file.write_text(SWEEP.format(method=method, trials=trials, pruner=pruner))
        self._reports = reports
        self._memory_mib = memory_mib()
        self._clock, self._chance = Clock(), random.Random(0)
        self.cost = Cost(Counter(), Counter())
        self._nodes = {
            f"n{place:03d}": Node(f"n{place:03d}", min(GPUS_PER_NODE, gpus - first), self._clock)
            for place, first in enumerate(range(0, gpus, GPUS_PER_NODE))
        }
        spec = load_spec(file)
        with self.cost.of("plan"):
            plans = decide_nodes(spec, [node.view() for node in self._nodes.values()])
            plan = join_plans(plans, SlotOptions().policy)
        sweep = SweepDir(folder / "scale")
        sweep.trials_dir.mkdir(parents=True)
        log = SweepLog(sweep, lambda event, record, facts: None)
        machine = Nodes(self._nodes, plans, self._clock)
        allocator = SlotAllocator(spec, plan, SlotOptions(), machine, log)
        self._conductor = Conductor(
            spec, log, allocator, records={}, state=SweepRecord("scale", n_trials=trials)
        )
        self._events: list[tuple[float, int, str, int]] = []  # time, process, attempt, step
        self._running: dict[str, tuple[Attempt, int, float]] = {}  # with its length and worth
        self._count = self._at_once = 0

    def run(self) -> Result:
        """Let one event after the other happen until there is none."""
        started = next_tick = stated_at = self._clock.now
        self._fill()
        while self._events:
            self._clock.now, pid, attempt_id, step = heapq.heappop(self._events)
            self._happen(attempt_id, pid, step)
            while next_tick <= self._clock.now:
                with self.cost.of("tick"):
                    self._conductor.tick()
                if self._clock.now - stated_at >= REQUESTS_EVERY_S:
                    stated_at = self._clock.now
                    with self.cost.of("state"):
                        self._conductor.update_state()
                self._fill()
                next_tick += TICK_EVERY_S
        assert self._conductor.is_over, "trials never found room"
        self._conductor.close()
        states = Counter(record.state.value for record in self._conductor.records.values())
        grown_mib = memory_mib() - self._memory_mib
        return Result(self.cost, self._at_once, states, grown_mib, self._clock.now - started)

    def _fill(self) -> None:
        """Start all that may start now."""
        while True:
            attempt_id = f"{self._count:05d}"
            before = time.process_time()
            attempt = self._conductor.next_attempt(attempt_id)
            self.cost.add("look" if attempt is None else "start", before)
            if attempt is None:
                return
            self._count += 1
            length = max(2, round(self._reports * self._chance.uniform(0.5, 1.5)))
            self._running[attempt_id] = attempt, length, self._chance.random()
            self._at_once = max(self._at_once, len(self._running))
            self._hold(attempt, self._count, NEED_BYTES)
            first_s = self._clock.now + self._chance.uniform(0, REPORT_EVERY_S)
            heapq.heappush(self._events, (first_s, self._count, attempt_id, 0))

    def _happen(self, attempt_id: str, pid: int, step: int) -> None:
        """Let a trial measure its memory (step 0), report, or end."""
        attempt, length, worth = self._running[attempt_id]
        if step == 0:
            with self.cost.of("memory"):
                self._conductor.on_messages(
                    attempt_id, [["total_steps", length], ["memory", NEED_BYTES, pid]]
                )
        elif step <= length and not self._conductor.is_ending(attempt_id):
            loss = worth + math.exp(-step / 10) + 0.01 * self._chance.random()
            metrics = {"train_loss": loss, "val_loss": loss, "val_mae": loss, "lr": 1e-3}
            with self.cost.of("report"):
                self._conductor.on_messages(attempt_id, [["report", step, metrics]])
        else:
            metadata = {"status": "stopped" if step <= length else "complete"}
            attempt.run_dir.metadata_file.write_text(json.dumps(metadata))
            self._hold(attempt, pid, 0)
            with self.cost.of("end"):
                self._conductor.on_messages(attempt_id, [["done"]])
                self._conductor.on_gone(attempt_id)
            del self._running[attempt_id]
            return
        next_s = self._clock.now + REPORT_EVERY_S
        heapq.heappush(self._events, (next_s, pid, attempt_id, step + 1))

    def _hold(self, attempt: Attempt, pid: int, memory_bytes: int) -> None:
        self._nodes[attempt.slot["node"]].hold(attempt.slot["device"], pid, memory_bytes)


def memory_mib() -> float:
    """Return the RAM of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--trials-per-gpu", type=int, default=10)
    parser.add_argument("--reports", type=int, default=30, help="of a trial, on average")
    parser.add_argument("--method", default="random")
    parser.add_argument("--pruner", default="median")
    given = parser.parse_args()
    print(
        "| GPUs | trials | at once | plan, s | start, ms | report, ms | end, ms |"
        " look, ms | tick, ms | state, ms | core | MiB |\n" + 12 * "|---" + "|"
    )
    for gpus in given.gpus:
        trials = gpus * given.trials_per_gpu
        with tempfile.TemporaryDirectory(prefix="sweep-scale-") as name:
            os.environ["SWEEP_LEASES"] = f"{name}/leases"
            found = Simulation(
                gpus,
                trials,
                given.reports,
                Path(name),
                method=given.method,
                pruner=given.pruner,
            ).run()
        each = " | ".join(
            f"{found.cost.per_call_ms(kind):.2f}"
            for kind in ("start", "report", "end", "look", "tick", "state")
        )
        print(
            f"| {gpus} | {trials} | {found.at_once} | {found.cost.seconds['plan']:.2f} | {each} |"
            f" {found.load:.0%} | {found.memory_mib:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
