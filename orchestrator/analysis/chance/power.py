"""How many seeds or samples tell two configs apart, and what a number of seeds can resolve.

A difference δ is found in 80 % of cases if it is t(97.5 %) + t(80 %) standard errors; of two means
over n seeds with standard deviation s each, the standard error is s √(2/n).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, median, variance

from orchestrator.analysis.chance.replicates import FEWEST_PAIRED, Replicates
from orchestrator.files import atomic
from orchestrator.metrics import unit
from orchestrator.runs import SweepDir, TrialState, load_trials
from orchestrator.sweepfile.model import Spec

POWER = 0.8
"""Share of cases in which a difference is found."""

_NORMAL = NormalDist()
_MOST = 1_000_000
_MOST_SWEEPS = 50  # that are looked at, the newest first

# Sums of the quantiles 97.5 % and 80 % of Student's t with 1 to 10 degrees of freedom.
_SUMS = (14.0826, 5.3633, 4.1609, 3.7174, 3.4901, 3.3526, 3.2607, 3.1949, 3.1456, 3.1072)


def standard_errors(freedom: int) -> float:
    """Return how many standard errors a difference needs to be found in 80 % of cases."""
    if freedom <= len(_SUMS):
        return _SUMS[max(freedom, 1) - 1]
    z = _NORMAL.inv_cdf(0.975), _NORMAL.inv_cdf(POWER)
    # Cornish and Fisher's first two terms; three digits from 11 degrees on
    return sum(
        q + (q**3 + q) / (4 * freedom) + (5 * q**5 + 16 * q**3 + 3 * q) / (96 * freedom**2)
        for q in z
    )


def resolution(deviation: float, n_seeds: int) -> float:
    """Return the least difference of two configs that n seeds each resolve.

    Of one seed, whose noise is only known from elsewhere, by the normal distribution.
    """
    freedom = _MOST if n_seeds < 2 else 2 * n_seeds - 2
    return standard_errors(freedom) * deviation * math.sqrt(2 / max(n_seeds, 1))


def seeds_for(amount: float, deviation: float) -> int:
    """Return how many seeds each of two configs needs to resolve a difference."""
    least = next((n for n in range(2, 200) if resolution(deviation, n) <= amount), None)
    if least is not None:
        return least
    return math.ceil(2 * (standard_errors(_MOST) * deviation / amount) ** 2)


def groups_for(amount: float, deviation: float, least: int = 10) -> int:
    """Return how many groups of samples, or shared seeds, resolve a paired difference.

    Args:
        deviation: of what the groups add to it.
        least: that are compared in pairs.
    """
    found = 10
    for _ in range(20):
        needed = math.ceil((standard_errors(found - 1) * deviation / amount) ** 2)
        if needed == found:
            break
        found = max(needed, 3)
    return max(found, least)


def power_notes(replicates: Mapping[int, Replicates], amount: float, most: int) -> list[str]:
    """Return sentences on what tells two trials apart that differ by an amount.

    Args:
        replicates: rank to the metric of each row.
        most: rows that are looked at.
    """
    compared = [replicates[rank] for rank in sorted(replicates)[:most]]
    if not compared:
        return []
    metric = compared[0].metric
    of = unit(metric, compared[0].row.kind)
    shown = f"{amount:.3g}{f' {of}' if of else ''}"
    start = f"To find a difference of {shown} in {metric} in 80 % of cases"
    notes = []
    best = compared[0]
    paired = [
        difference.error * math.sqrt(len(best.values))
        for each in compared[1:]
        if each.is_paired_by_seed(best)
        and (difference := each.seeds_minus(best)) is not None
        and difference.error > 0
    ]
    several = [each.values for each in compared if len(each.values) > 1]
    if paired:
        deviation, n_now = median(paired), len(best.values)
        least = standard_errors(n_now - 1) * deviation / math.sqrt(n_now)
        notes.append(
            f"{start}, two configs need the same {groups_for(amount, deviation, FEWEST_PAIRED):,} "
            f"seeds: the difference to {best.row.trial} varies by {deviation:.2g} between seeds. "
            f"{n_now} seeds resolve {least:.2g}."
        )
    elif several:
        freedom = sum(len(values) - 1 for values in several)
        pooled = sum((len(values) - 1) * variance(values) for values in several) / freedom
        deviation, n_now = math.sqrt(pooled), len(several[0])
        if deviation > 0:
            notes.append(
                f"{start}, two configs need {seeds_for(amount, deviation):,} seeds each: seeds "
                f"differ by {deviation:.2g}. {n_now} seeds resolve "
                f"{resolution(deviation, n_now):.2g}."
            )
    errors = [
        (difference.error, each.n_groups)
        for each in compared[1:]
        if (difference := each.samples_minus(best)) is not None and difference.error > 0
    ]
    if errors:
        deviation = median(error * math.sqrt(count) for error, count in errors)
        least = standard_errors(best.n_groups - 1) * deviation / math.sqrt(best.n_groups)
        notes.append(
            f"{start} on other samples, {groups_for(amount, deviation):,} {best.what} are needed; "
            f"these {best.n_groups} resolve {least:.2g}."
        )
    if not several:
        notes.append(
            "How many seeds are needed is unknown: no config ran with several. Use `seeds: 3`."
        )
    return notes


@dataclass(frozen=True)
class SeedNoise:
    """How much seeds changed a metric in an earlier sweep.

    Attributes:
        deviation: standard deviation between seeds, pooled over configs.
        n_configs: how many ran with several seeds.
        sweep: name of the sweep.
    """

    deviation: float
    n_configs: int
    sweep: str


def seed_noise(results: Path, spec: Spec) -> SeedNoise | None:
    """Return how much seeds changed the metric of `spec` in an earlier sweep of the same system.

    A sweep of the same name comes first, then the newest one. Only the records are read.
    """
    if spec.metric is None or not results.is_dir():
        return None
    files = [SweepDir(path).spec_file for path in results.iterdir() if path.is_dir()]
    known = [file for file in files if file.is_file()]
    known.sort(key=lambda file: (file.parent.name != spec.name, -file.stat().st_mtime))
    wanted = _system(spec.to_dict())
    for file in known[:_MOST_SWEEPS]:
        before = atomic.read_json(file)
        if not isinstance(before, Mapping) or _system(before) != wanted:
            continue
        if len(before.get("seeds") or ()) > 1:  # else all its records would be read in vain
            found = _pooled(SweepDir(file.parent))
            if found is not None:
                return found
    return None


def _system(spec: Mapping[str, object]) -> tuple[object, ...]:
    """Return what makes the values of two sweeps comparable."""
    program, metric = spec.get("program"), spec.get("metric")
    path = program.get("path") if isinstance(program, Mapping) else None
    name = metric.get("name") if isinstance(metric, Mapping) else None
    return spec.get("trainer"), path, name


def _pooled(sweep: SweepDir) -> SeedNoise | None:
    groups: dict[int, list[float]] = {}
    for record in load_trials(sweep):
        is_known = record.value is not None and math.isfinite(record.value)
        if record.state is TrialState.COMPLETE and is_known and record.group is not None:
            groups.setdefault(record.group, []).append(float(record.value or 0.0))
    several: Sequence[list[float]] = [values for values in groups.values() if len(values) > 1]
    if not several:
        return None
    weights = [len(values) - 1 for values in several]
    pooled = fmean([variance(values) for values in several], weights)
    return SeedNoise(math.sqrt(pooled), len(several), sweep.name)
