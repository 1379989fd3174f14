"""Pack random sweeps onto cards and compare with the least possible time.

::

    python -m benchmarks.makespan                 # 1,000 workloads on one card and on four; the
                                                  # settings also on 24, 24, 16 and 12 GiB
    python -m benchmarks.makespan --workloads 100

A workload is 20 to 100 trials; each takes 5 to 50 % of a 24 GiB card and 10 to 190 minutes, all
uniform, drawn from seeds 0, 1, 2, ... The figure is the makespan divided by its lower bound,
max(longest trial, total GiB·minutes / GiB), which no packing can beat and often none can reach.
The trials run in `benchmarks.simulator`, through the planner and the admission that
sweeps use. What the variants know:

- ``queue, head only``   starts trials in their order; one that has no room holds up those behind;
- ``queue, first fit``   starts the first in the queue that has room: plain greedy;
- ``needs known``        looks ahead: needs by declaration or history, durations unknown;
- ``durations to 50 %``  needs, and durations that are off by up to half either way;
- ``both known``         needs and durations, which no sweep is told: what there is to gain;
- ``settings: ...``      another workload: the values of four parameters decide how long a trial
  takes, give or take a tenth, as epochs, width, batch and data do. ``unknown`` knows the needs
  alone, ``learned`` learns durations from the trials that have ended, ``first reports`` also from
  the pace of trials after a twentieth of their steps, as sweeps do, ``known`` was told;
- ``a third too small``  both, but a third of the needs is declared 10 to 70 % too low, memory is
  taken up to 3 minutes after the start, and others take and give back up to half of a card. Its
  bound is that of a machine without all this, so its figure is no measure of packing: what
  counts is that every out-of-memory is recovered.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from benchmarks.simulator import Others, Outcome, SimTrial, simulate
from orchestrator.files.units import GIB
from orchestrator.placement.admission.admission import Admission
from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.model import Device, Need

CARD_BYTES = 24 * GIB
UNEQUAL = (24 * GIB, 24 * GIB, 16 * GIB, 12 * GIB)


@dataclass(frozen=True)
class Result:
    """What came of one workload.

    Attributes:
        ratio: makespan over the lower bound.
        ooms: simulated out-of-memory failures.
        lost: trials that did not complete.
        overcommitted: starts that promised more than there was.
    """

    ratio: float
    ooms: int
    lost: int
    overcommitted: int


def workload(seed: int) -> list[SimTrial]:
    """Return the trials of one random sweep, in the order of its queue."""
    draw = random.Random(seed)
    return [
        SimTrial(
            memory_bytes=int(draw.uniform(0.05, 0.50) * CARD_BYTES),
            duration_s=60 * draw.uniform(10, 190),
        )
        for _ in range(draw.randint(20, 100))
    ]


def settings_workload(seed: int) -> list[SimTrial]:
    """Return the trials of a sweep over four parameters, of which each scales the duration."""
    draw = random.Random(seed + 3_000_000)
    scales = {
        name: [math.exp(draw.uniform(-0.9, 0.9)) for _ in range(draw.randint(2, 4))]
        for name in ("epochs", "width", "batch", "data")
    }
    trials = []
    for trial in workload(seed):
        config = {name: draw.randrange(len(values)) for name, values in scales.items()}
        factor = math.prod(scales[name][place] for name, place in config.items())
        duration_s = min(max(60 * 60 * factor * draw.uniform(0.9, 1.1), 600), 190 * 60)
        trials.append(replace(trial, duration_s=duration_s, config=config))
    return trials


def lower_bound(trials: Sequence[SimTrial], cards: int) -> float:
    """Return a time in seconds below which no packing can come."""
    work = sum(trial.memory_bytes * trial.duration_s for trial in trials)
    longest = max(trial.duration_s for trial in trials)
    return max(longest, work / sum(card.total_bytes for card in cards_of(cards)))


def cards_of(count: int) -> list[Device]:
    """Return so many empty cards; for 0 those of `UNEQUAL` sizes."""
    sizes = [CARD_BYTES] * count or UNEQUAL
    return [Device(str(index), "Card", size, size) for index, size in enumerate(sizes)]


def head_only(admission: Admission, waiting: Sequence[Want]) -> int | None:
    """Start the first of the queue or nothing."""
    return admission.choose(waiting[:1])


def first_fit(admission: Admission, waiting: Sequence[Want]) -> int | None:
    """Start the first of the queue that has room."""
    # Wants of equal size keep their order in `choose`.
    for place, want in enumerate(waiting):
        if admission.choose([want]) is not None:
            return place
    return None


def by_head(seed: int, cards: int) -> Outcome:
    """Run a workload in the order of its queue."""
    return simulate(workload(seed), cards_of(cards), pick=head_only)


def by_first_fit(seed: int, cards: int) -> Outcome:
    """Run a workload greedily."""
    return simulate(workload(seed), cards_of(cards), pick=first_fit)


def by_needs(seed: int, cards: int) -> Outcome:
    """Run a workload whose needs are known."""
    return simulate(workload(seed), cards_of(cards))


def by_guesses(seed: int, cards: int) -> Outcome:
    """Run a workload whose durations are known roughly."""
    draw = random.Random(seed + 1_000_000)
    told = [
        replace(trial, told_s=trial.duration_s * draw.uniform(0.5, 1.5)) for trial in workload(seed)
    ]
    return simulate(told, cards_of(cards))


def by_both(seed: int, cards: int) -> Outcome:
    """Run a workload whose needs and durations are known."""
    told = [replace(trial, told_s=trial.duration_s) for trial in workload(seed)]
    return simulate(told, cards_of(cards))


def by_settings(seed: int, cards: int) -> Outcome:
    """Run a sweep over settings whose durations nobody knows or learns."""
    trials = [replace(trial, config=None) for trial in settings_workload(seed)]
    return simulate(trials, cards_of(cards))


def by_learning(seed: int, cards: int) -> Outcome:
    """Run a sweep over settings that learns how long they take."""
    return simulate(settings_workload(seed), cards_of(cards))


def by_reports(seed: int, cards: int) -> Outcome:
    """Run a sweep over settings that learns how long they take from first reports."""
    trials = [replace(trial, reports=True) for trial in settings_workload(seed)]
    return simulate(trials, cards_of(cards))


def by_settings_known(seed: int, cards: int) -> Outcome:
    """Run a sweep over settings whose durations are known."""
    trials = [
        replace(trial, told_s=trial.duration_s, config=None) for trial in settings_workload(seed)
    ]
    return simulate(trials, cards_of(cards))


def in_trouble(seed: int, cards: int) -> Outcome:
    """Run a workload of which much is told wrongly, beside others who take memory."""
    draw = random.Random(seed + 2_000_000)
    trials = []
    for trial in workload(seed):
        share = draw.uniform(0.3, 0.9) if draw.random() < 1 / 3 else 1.0
        need = Need(int(trial.memory_bytes * share), "declared")
        loads_s = draw.uniform(0, 180)
        trials.append(replace(trial, told_s=trial.duration_s, need=need, loads_s=loads_s))
    others = []
    for card in cards_of(cards):
        at_s = 0.0
        for _ in range(6):
            at_s += 60 * draw.uniform(30, 300)
            others.append(Others(at_s, card.key, int(draw.uniform(0, 0.5) * CARD_BYTES)))
        others.append(Others(at_s + 3600, card.key, 0))
    return simulate(trials, cards_of(cards), others=others)


VARIANTS: dict[str, Callable[[int, int], Outcome]] = {
    "queue, head only": by_head,
    "queue, first fit": by_first_fit,
    "needs known": by_needs,
    "durations to 50 %": by_guesses,
    "both known": by_both,
    "settings: unknown": by_settings,
    "settings: learned": by_learning,
    "settings: first reports": by_reports,
    "settings: known": by_settings_known,
    "a third too small": in_trouble,
}


def measure(task: tuple[str, int, int]) -> Result:
    """Run one workload in one variant.

    Args:
        task: name of the variant, seed, number of cards.
    """
    name, seed, cards = task
    outcome = VARIANTS[name](seed, cards)
    trials = settings_workload(seed) if name.startswith("settings") else workload(seed)
    return Result(
        ratio=outcome.makespan_s / lower_bound(trials, cards),
        ooms=outcome.ooms,
        lost=len(trials) - len(outcome.completed),
        overcommitted=outcome.overcommitted,
    )


def row(name: str, cards: int, results: Sequence[Result]) -> str:
    """Return one line of the table."""
    ratios = sorted(result.ratio for result in results)
    figures = (statistics.fmean(ratios), ratios[int(0.95 * (len(ratios) - 1))], ratios[-1])
    counts = (
        sum(result.ooms for result in results),
        sum(result.lost for result in results),
        sum(result.overcommitted for result in results),
    )
    numbers = " | ".join(f"{figure:.3f}" for figure in figures)
    return f"| {name} | {cards or 'unequal'} | {numbers} | " + " | ".join(map(str, counts)) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 1 where a trial was lost or memory promised twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workloads", type=int, default=1000, help="seeds 0 to this less one")
    parser.add_argument("--only", choices=VARIANTS, action="append", help="only this; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share the work")
    options = parser.parse_args(arguments)
    print("| variant | cards | mean | 95 % below | worst | OOMs | trials lost | overcommitted |")
    print("|---|---|---|---|---|---|---|---|")
    is_good = True
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in options.only or VARIANTS:
            for cards in (1, 4, 0) if name.startswith("settings") else (1, 4):
                tasks = [(name, seed, cards) for seed in range(options.workloads)]
                results = list(pool.map(measure, tasks, chunksize=20))
                print(row(name, cards, results), flush=True)
                is_good = is_good and not any(one.lost or one.overcommitted for one in results)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
