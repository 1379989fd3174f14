"""Join the runs of one config that differ only by their seed to one row with their means."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.analysis.measure.row import Incomplete, Row, Spread
from orchestrator.analysis.measure.targets import judge, tier_of
from orchestrator.sweepfile.expand import without_seed

MEAN_OF = "the mean is of"
"""How a driver's warning begins that names the seeds of a mean."""

ENDED_WELL = ("COMPLETE", None)
"""States of runs that ended well; None is of other tools' runs, whose state is unknown."""

_Config = tuple[Path, int]
"""A config: the folder of its sweep and its number there."""


def join_seeds(
    rows: Sequence[Row], incomplete: Sequence[Incomplete]
) -> tuple[list[Row], list[Incomplete]]:
    """Return `rows` with the seeds of each config joined, and all runs that are not in any row.

    Rows keep their order. A metric is joined if every seed that ended well has it. Other seeds
    are not part of the mean, and the row counts them: without the seeds that diverged, a config
    looks better than it is.
    """
    groups: dict[_Config | int, list[Row]] = {}  # the index of a row that is no seed
    for index, row in enumerate(rows):
        groups.setdefault(_config_of(row) or index, []).append(row)
    left_out = list(incomplete)
    for key, members in groups.items():
        well = [row for row in members if row.state in ENDED_WELL]
        if well and not isinstance(key, int):
            # What diverged may have saved predictions all the same.
            left_out += [_without_mean(row) for row in members if row.state not in ENDED_WELL]
            groups[key] = well
    lost: dict[_Config | None, list[Incomplete]] = {}
    for item in left_out:
        lost.setdefault(_config_of(item), []).append(item)
    joined = [
        members[0] if isinstance(key, int) else _joined(members, lost.get(key, []))
        for key, members in groups.items()
    ]
    return joined, left_out


def _config_of(run: Row | Incomplete) -> _Config | None:
    group = run.lineage.group
    return None if group is None else (Path(os.path.abspath(run.path)).parent.parent, group)


def _without_mean(row: Row) -> Incomplete:
    problem = f"{row.state}: no part of the mean of its seeds"
    return Incomplete(row.path, (), problem, row.sweep, row.trial, row.state, row.lineage)


def _joined(members: list[Row], lost: Sequence[Incomplete]) -> Row:
    import numpy as np

    members = sorted(members, key=lambda row: row.lineage.replicate)
    first = members[0]
    info = first.info
    values = _shared([row.metrics for row in members])
    metrics = {name: float(np.mean(found)) for name, found in values.items()}
    reported = _shared([row.logged for row in members])
    logged = {name: float(np.mean(found)) for name, found in reported.items()}
    # The driver counted the seeds of its own time; the warning below counts those of now.
    warnings = [
        f"{row.trial}: {text}"
        for row in members
        for text in row.warnings
        if not text.startswith(MEAN_OF)
    ]
    if lost:
        counts = Counter(item.state or "incomplete" for item in lost)
        ways = ", ".join(f"{count} {state}" for state, count in counts.items())
        warnings.insert(
            0,
            f"{len(lost)} of {len(members) + len(lost)} seeds do not count ({ways}); "
            f"{MEAN_OF} the other {len(members)}",
        )
    # Rows are joined wherever seeds ran at all, so a lone survivor shows that it is alone.
    together = {**logged, **metrics}
    return replace(
        first,
        trial=without_seed(first.trial, info.seed_parameter),
        config={
            name: value
            for name, value in first.config.items()
            if all(row.config.get(name) == value for row in members)
        },
        metrics=metrics,
        logged=logged,
        spread={
            name: Spread(float(np.std(found, ddof=1)) if len(found) > 1 else math.nan, len(found))
            for name, found in {**reported, **values}.items()
        },
        steps={},
        facts={name: float(np.mean(v)) for name, v in _shared([r.facts for r in members]).items()},
        targets=judge(info.targets, together),
        tier=tier_of(info.tiers, together),
        expected={},
        warnings=tuple(warnings),
        members=tuple(members),
        lost=len(lost),
    )


def _shared(maps: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the values of every name that all `maps` have."""
    names = [name for name in maps[0] if all(name in each for each in maps)]
    return {name: [each[name] for each in maps] for name in names}
