"""How often a 95 % interval holds the true value, and how often equal trials are told apart.

    python -m benchmarks.chance.coverage                  # 2,000 simulations per case, some minutes
    python -m benchmarks.chance.coverage --simulations 20 # a look

Each simulation draws samples by group, computes a metric with its interval by the product's own
code, and compares it with the metric of the population. In the second table configs have seeds and
samples. In the third all trials are equal: one that is told from the best is a false difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.chance import estimate, holm
from orchestrator.analysis.chance.confidence import grouped, mean_of_seeds
from orchestrator.analysis.chance.doubts import doubt
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


def truth_of(case: Case, errors: Draw) -> float:
    """Return the metric of a population: the median of 25 samples of 8,000 groups.

    A mean would follow the few samples whose heavy tails show.
    """
    random = np.random.default_rng(1)
    if case.name == "r2":  # 1 - 2 · 0.5² · variance of the errors, which is 1 or 2
        return 0.5 if errors is ERRORS["normal"] else 0.0
    wholes = (grouped(metric_of(case, case.draw(random, 8_000, errors))) for _ in range(25))
    return float(np.median([whole.at(np.ones((1, whole.n_groups)))[0] for whole in wholes]))


def coverage(
    case: Case, errors: Draw, n_groups: int, simulations: int
) -> tuple[float, float, float]:
    """Return how often an interval holds the truth, is shown, and is shown without holding it."""
    truth = truth_of(case, errors)
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), PER_GROUP)
    hits = shown = wrong = 0
    for _ in range(simulations):
        of = grouped(metric_of(case, case.draw(random, n_groups, errors)), groups)
        found = estimate(of)
        holds = found is not None and found.low <= truth <= found.high
        is_shown = not doubt(case.name, of)
        hits += holds
        shown += is_shown
        wrong += is_shown and not holds
    return hits / simulations, shown / simulations, wrong / simulations


def of_seeds(n_seeds: int, spread: float, simulations: int) -> tuple[float, float, float]:
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
    seeds_only, samples_only, both = (hits / simulations).tolist()
    return seeds_only, samples_only, both


def false_differences(n_trials: int, n_groups: int, errors: Draw, simulations: int) -> float:
    """Return how often any of some equal trials is told from the best of them."""
    random = np.random.default_rng(1)
    wrong = 0
    for _ in range(simulations):
        targets = random.normal(size=(n_groups, 4))
        shared = errors(random, targets.shape)
        metrics = []
        for _ in range(n_trials):
            predictions = targets + 0.7 * shared + 0.7 * errors(random, targets.shape)
            metrics.append(grouped(resampled(None, predictions, targets, {})["mae"]))
        values = [float(each.at(np.ones((1, n_groups)))[0]) for each in metrics]
        best = int(np.argmin(values))
        found = {
            place: estimate(each.minus(metrics[best]))
            for place, each in enumerate(metrics)
            if place != best
        }
        known = {place: each.p_value for place, each in found.items() if each is not None}
        wrong += bool(holm(known, n_trials * (n_trials - 1) // 2))
    return wrong / simulations


def _cell(holds: float, shown: float, wrong: float) -> str:
    text = f"{100 * holds:.1f} %"
    if shown == 1:
        return text
    if shown == 0:
        return f"none shown ({text})"
    return f"shown in {100 * shown:.0f} %, without holding in {100 * wrong:.1f} % ({text})"


@click.command()
@click.option("--simulations", default=2000, show_default=True, help="Of each case.")
def main(simulations: int) -> None:
    """Print the tables."""
    click.echo("| metric | errors | " + " | ".join(f"{n} groups" for n in GROUPS) + " |")
    click.echo("|---|---|" + "---|" * len(GROUPS))
    for name, case in CASES.items():
        for errors, draw in ERRORS.items():
            cells = [_cell(*coverage(case, draw, n, simulations)) for n in GROUPS]
            click.echo(f"| {name} | {errors} | {' | '.join(cells)} |")
    click.echo("\n| seeds | deviation between seeds | over seeds | over samples | over both |")
    click.echo("|---|---|---|---|---|")
    for n_seeds in (3, 5):
        for spread in (0.0, 0.03, 0.1):
            shown = " | ".join(f"{100 * x:.1f} %" for x in of_seeds(n_seeds, spread, simulations))
            click.echo(f"| {n_seeds} | {100 * spread:.0f} % | {shown} |")
    click.echo("\n| errors | " + " | ".join(f"{n} equal trials" for n in TRIALS) + " |")
    click.echo("|---|" + "---|" * len(TRIALS))
    for errors, draw in ERRORS.items():
        counts = [simulations if n <= 10 else simulations // 5 for n in TRIALS]
        rates = [false_differences(n, 60, draw, c) for n, c in zip(TRIALS, counts, strict=True)]
        click.echo(f"| {errors} | {' | '.join(f'{100 * rate:.1f} %' for rate in rates)} |")


if __name__ == "__main__":
    main()
