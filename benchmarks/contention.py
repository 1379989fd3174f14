"""Compare how many trials a sweep runs at once on a card with the best number, without a card.

::

    python -m benchmarks.contention                  # 1,000 random workloads; a minute
    python -m benchmarks.contention --workloads 50

A step of a trial computes on the host, then on the card, in a share of its time that depends on its
kind: bound by computing (70 to 100 %), by memory (30 to 90 %, and each trial beside it makes it 2
to 15 % slower, as they share the cache and the bandwidth), or by the host (4 to 40 %, the median of
clusters that were measured: Jeon et al. 2019, Weng et al. 2022). Time slices of one process after
another cost 0 to 3 %. How much k trials get done together follows from mean value analysis (Reiser
and Lavenberg 1980) of host and card, with as many trials on the host at once as it has cores.

`SearchUp`, the rule of sweeps, sees only noisy reports. The oracle knows the best fixed number. The
figure is the duration of the sweep by the rule over that of the oracle, what it tries out included.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.placement.concurrency.number_search import SearchUp

KINDS = ("compute", "memory", "host")


@dataclass(frozen=True)
class Workload:
    """One sweep on one card.

    Attributes:
        speeds: what 1, 2, ... trials get done together, in multiples of one alone.
        step_s: duration of a report's steps, alone.
        sizes: of the trials' steps, as multiples of `step_s`.
        steps: how many reports each trial makes.
        noise: greatest share by which a step takes longer or shorter.
        start_s: from the start of a trial to its first step.
    """

    kind: str
    speeds: tuple[float, ...]
    step_s: float
    sizes: tuple[float, ...]
    steps: int
    noise: float
    start_s: float


def workload(seed: int) -> Workload:
    """Return a random sweep."""
    draw = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    low, high = {"compute": (0.7, 1.0), "memory": (0.3, 0.9), "host": (0.04, 0.4)}[kind]
    speeds = combined(
        draw.randint(2, 12),
        share=draw.uniform(low, high),
        cores=draw.choice((2, 4, 8, 16)),
        slower=draw.uniform(0.02, 0.15) if kind == "memory" else draw.uniform(0.0, 0.02),
        slices=draw.uniform(0.0, 0.03),
    )
    return Workload(
        kind=kind,
        speeds=speeds,
        step_s=math.exp(draw.uniform(math.log(2), math.log(60))),
        sizes=tuple(draw.uniform(0.5, 2.0) for _ in range(draw.randint(20, 100))),
        steps=draw.randint(20, 200),
        noise=draw.uniform(0.0, 0.2),
        start_s=draw.uniform(5, 30),
    )


def combined(
    most: int, *, share: float, cores: int, slower: float, slices: float
) -> tuple[float, ...]:
    """Return the speeds of 1 to `most` trials together.

    Args:
        share: of a step that is on the card, for one trial alone.
        cores: of the host; each trial needs one.
        slower: by which each further trial lengthens the part on the card.
        slices: part of the card's time that is lost if several processes take turns.
    """
    found = []
    for count in range(1, most + 1):
        on_card = share * (1 + slower * (count - 1)) / (1 - (slices if count > 1 else 0.0))
        host = (1 - share) * max(1.0, count / cores)
        waiting, speed = 0.0, 0.0
        for trials in range(1, count + 1):
            takes = on_card * (1 + waiting)
            speed = trials / (host + takes)
            waiting = speed * takes
        found.append(speed)
    return tuple(speed / found[0] for speed in found)


@dataclass
class _Trial:
    ready_s: float
    size: float
    noise: float = 1.0
    done: float = 0.0
    next: int = 1


def duration(work: Workload, search: SearchUp | int, seed: int = 0) -> float:
    """Return how long the sweep takes, in seconds, by a rule or with a fixed number at once."""
    draw = random.Random(seed)
    queue = list(enumerate(work.sizes))
    running: dict[str, _Trial] = {}
    now = 0.0
    while queue or running:
        limit = search if isinstance(search, int) else search.limit
        while queue and len(running) < limit:
            number, size = queue.pop(0)
            running[str(number)] = _Trial(now + work.start_s, size)
            if not isinstance(search, int):
                search.started(str(number))
        is_watched = not isinstance(search, int) and not search.is_settled
        active = {name: one for name, one in running.items() if one.ready_s <= now}
        starting = [one.ready_s - now for one in running.values() if one.ready_s > now]
        pace = work.speeds[len(active) - 1] / len(active) / work.step_s if active else 0.0
        rates = {name: pace / one.size / one.noise for name, one in active.items()}
        ends = {name: one.next if is_watched else work.steps for name, one in active.items()}
        left = [(ends[name] - one.done) / rates[name] for name, one in active.items()]
        passed = min([*left, *starting])
        now += passed
        for name, one in active.items():
            one.done += passed * rates[name]
            if one.done < ends[name] - 1e-9:
                continue
            one.done = ends[name]
            one.next = int(one.done) + 1
            one.noise = 1 + work.noise * draw.uniform(-1, 1) if is_watched else 1.0
            if not isinstance(search, int):
                search.reported(name, one.done, now)
            if one.done >= work.steps:
                del running[name]
                if not isinstance(search, int):
                    search.ended(name)
    return now


def measure(seed: int) -> tuple[str, float]:
    """Return the kind of a workload, and how much longer it takes than with the best number."""
    work = workload(seed)
    most = len(work.speeds)
    best = min(duration(work, count) for count in range(1, most + 1))
    return work.kind, duration(work, SearchUp(most), seed) / best


def row(name: str, ratios: Sequence[float]) -> str:
    """Return one line of the table."""
    ordered = sorted(ratios)
    within = sum(ratio <= 1.05 for ratio in ratios) / len(ratios)
    figures = (statistics.fmean(ordered), ordered[int(0.95 * (len(ordered) - 1))], ordered[-1])
    numbers = " | ".join(f"{figure:.3f}" for figure in figures)
    return f"| {name} | {len(ratios)} | {numbers} | {within:.0%} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workloads", type=int, default=1000, help="seeds 0 to this less one")
    options = parser.parse_args(arguments)
    found = [measure(seed) for seed in range(options.workloads)]
    print("| bound by | workloads | mean | 95 % below | worst | at most 5 % slower |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        ratios = [ratio for own, ratio in found if own == kind]
        if ratios:
            print(row(kind, ratios))
    print(row("all", [ratio for _, ratio in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
