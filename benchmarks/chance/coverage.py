"""How often a 95 % interval holds the true value, and how often equal trials are told apart.

    python -m benchmarks.chance.coverage                    # 2,000 simulations of each cell
    python -m benchmarks.chance.coverage --simulations 200  # a look

Each simulation draws samples by group, computes a metric with its interval by the product's own
code, and compares it with the metric of the population. In the second table configs have seeds and
samples. In the third all trials are equal: one that is told from the best is a false difference.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.chance import estimate, holm
from orchestrator.analysis.chance.confidence import grouped, mean_of_seeds
from orchestrator.analysis.chance.doubts import doubt, is_squared
from orchestrator.analysis.chance.replicates import interval_of_mean, joined
from orchestrator.metrics.resampling import Resampled, resampled

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

GROUPS = (20, 60, 300)
TRIALS = (3, 10, 50)
PER_GROUP = 3
ERRORS: dict[str, Draw] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "heavy-tailed": lambda random, shape: random.standard_t(4, size=shape),
}


@dataclass(frozen=True)
class Case:
    """A metric with a way to draw one run's arrays, from an effect of each group and errors."""

    name: str
    kind: str | None
    draw: Callable[[np.random.Generator, int, Draw], tuple[Any, Any]]


def _regression(random: np.random.Generator, count: int, draw: Draw) -> tuple[Any, Any]:
    groups = np.repeat(draw(random, (count, 1)), PER_GROUP, axis=0)
    targets = random.normal(size=(count * PER_GROUP, 4))
    return targets + 0.5 * groups + 0.5 * draw(random, targets.shape), targets


def _probabilities(random: np.random.Generator, count: int, draw: Draw) -> tuple[Any, Any]:
    labels = np.tile(np.arange(PER_GROUP) % 2, count).astype(np.float64)
    logits = labels - 0.5 + 0.5 * np.repeat(draw(random, (count,)), PER_GROUP)
    logits = logits + draw(random, labels.shape)
    return 1 / (1 + np.exp(-logits)), labels


def _sequences(random: np.random.Generator, count: int, draw: Draw) -> tuple[Any, Any]:
    ease = np.repeat(draw(random, (count,)), PER_GROUP)
    predictions, targets = [], []
    for each in ease:
        target = random.integers(1, 40, size=int(random.integers(5, 20)))
        wrong = random.random(len(target)) < 1 / (1 + math.exp(2.0 - each))
        predictions.append(np.where(wrong, random.integers(1, 40, size=len(target)), target))
        targets.append(target)
    return predictions, targets


def _decays(random: np.random.Generator, count: int, draw: Draw) -> tuple[Any, Any]:
    time_s = np.arange(200) / 200.0
    times = np.repeat(random.uniform(0.3, 0.9, size=(count, 1)), PER_GROUP, axis=0)
    stretch = np.exp(0.1 * np.repeat(draw(random, (count, 1)), PER_GROUP, axis=0))
    stretch = stretch * np.exp(0.05 * draw(random, times.shape))
    slope = -6 * math.log(10) * time_s
    return np.exp(slope / (times * stretch)), np.exp(slope / times)


CASES = {
    "mae": Case("mae", None, _regression),
    "r2": Case("r2", None, _regression),
    "auroc": Case("auroc", "binary_probability", _probabilities),
    "per": Case("per", "phonemes", _sequences),
    "c50_mae": Case("c50_mae", "decay_curve", _decays),
}


def metric_of(case: Case, arrays: tuple[Any, Any]) -> Resampled:
    """Return the metric of a case for any choice of the samples of `arrays`."""
    return resampled(case.kind, *arrays, {"rate_hz": 200.0})[case.name]


def truth_of(name: str, errors: str) -> float:
    """Return the metric of a population: the median of 25 samples of 2,000 groups.

    A mean would follow the few samples whose heavy tails show.
    """
    random = np.random.default_rng(1)
    case = CASES[name]
    if name == "r2":  # 1 - 2 · 0.5² · variance of the errors, which is 1 or 2
        return 0.5 if errors == "normal" else 0.0
    draw = ERRORS[errors]
    wholes = (grouped(metric_of(case, case.draw(random, 2_000, draw))) for _ in range(25))
    return float(np.median([whole.at(np.ones((1, whole.n_groups)))[0] for whole in wholes]))


def coverage(name: str, errors: str, truth: float, n_groups: int, simulations: int) -> str:
    """Return how often an interval holds the truth, as a cell; in parentheses if none is shown."""
    case = CASES[name]
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), PER_GROUP)
    hits, why = 0, ""
    for _ in range(simulations):
        metric = metric_of(case, case.draw(random, n_groups, ERRORS[errors]))
        of = grouped(metric, groups, squared=is_squared(name))
        found = estimate(of)
        hits += found is not None and found.low <= truth <= found.high
        why = doubt(name, of)
    text = _percent(hits / simulations)
    return f"none shown ({text})" if why else text


def of_seeds(n_seeds: int, spread: float, simulations: int) -> str:
    """Return how often intervals over seeds, samples and both hold the mean for new ones of both.

    Args:
        spread: standard deviation of a config's error between seeds, as a share of it.
    """
    random = np.random.default_rng(2)
    n_groups, hits = 60, np.zeros(3)
    truth = math.sqrt(2 / math.pi)
    for _ in range(simulations):
        targets = random.normal(size=(n_groups, 4))
        hard = 0.7 * random.normal(size=(n_groups, 1))
        seeds = []
        for _ in range(n_seeds):
            noise = math.sqrt(0.51) * random.normal(size=targets.shape)
            predictions = targets + (1 + spread * random.normal()) * (hard + noise)
            seeds.append(grouped(resampled(None, predictions, targets, {})["mae"]))
        values = [float(each.at(np.ones((1, n_groups)))[0]) for each in seeds]
        alone, samples = interval_of_mean(values), estimate(mean_of_seeds(seeds))
        if alone is not None and samples is not None:
            for place, one in enumerate((alone, samples, joined(alone, samples))):
                hits[place] += one.low <= truth <= one.high
    return " | ".join(map(_percent, hits / simulations))


def false_differences(name: str, errors: str, n_trials: int, simulations: int) -> str:
    """Return how often any of some equal trials is told from the best of them: 60 samples."""
    random = np.random.default_rng(1)
    draw, wrong = ERRORS[errors], 0
    sign = -1 if name == "r2" else 1
    for _ in range(simulations):
        targets = random.normal(size=(60, 4))
        shared = draw(random, targets.shape)
        metrics = []
        for _ in range(n_trials):
            predictions = targets + 0.7 * shared + 0.7 * draw(random, targets.shape)
            metric = resampled(None, predictions, targets, {})[name]
            metrics.append(grouped(metric, squared=is_squared(name)))
        values = [sign * float(each.at(np.ones((1, 60)))[0]) for each in metrics]
        best = int(np.argmin(values))
        found = {
            place: estimate(each.minus(metrics[best]))
            for place, each in enumerate(metrics)
            if place != best
        }
        known = {place: each.p_value for place, each in found.items() if each is not None}
        wrong += bool(holm(known, n_trials * (n_trials - 1) // 2))
    return _percent(wrong / simulations)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@click.command()
@click.option("--simulations", default=2000, show_default=True, help="Of each cell.")
def main(simulations: int) -> None:
    """Print the tables; their cells are shared by all cores."""
    fewer = {n: max(1, simulations // (1 if n <= 10 else 5)) for n in TRIALS}
    names = ("mae", "r2")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        keys = [(name, errors) for name in CASES for errors in ERRORS]
        truths = {key: pool.submit(truth_of, *key) for key in keys}
        equal = {
            (name, errors): [
                pool.submit(false_differences, name, errors, n, fewer[n]) for n in TRIALS
            ]
            for name in names
            for errors in ERRORS
        }
        covered = {
            key: [pool.submit(coverage, *key, truth.result(), n, simulations) for n in GROUPS]
            for key, truth in truths.items()
        }
        joint = {
            (seeds, spread): [pool.submit(of_seeds, seeds, spread, simulations)]
            for seeds in (3, 5)
            for spread in (0.0, 0.03, 0.1)
        }
        _table(["metric", "errors", *(f"{n} groups" for n in GROUPS)], covered)
        heading = ["seeds", "deviation between seeds", "over seeds", "over samples", "over both"]
        _table(heading, {(n, f"{100 * s:.0f} %"): cells for (n, s), cells in joint.items()})
        _table(["metric", "errors", *(f"{n} equal trials" for n in TRIALS)], equal)


def _table(heading: Sequence[str], rows: Mapping[Any, Sequence[Future[str]]]) -> None:
    click.echo(f"\n| {' | '.join(heading)} |\n{'|---' * len(heading)}|")
    for names, cells in rows.items():
        found = [str(name) for name in names] + [cell.result() for cell in cells]
        click.echo(f"| {' | '.join(found)} |")


if __name__ == "__main__":
    main()
