"""Join the runs of one config that differ only by their seed to one row with their means."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.analysis.measure.row import Incomplete, Lineage, Row, Spread
from orchestrator.analysis.measure.targets import judge, tier_of
from orchestrator.sweepfile.expand import without_seed

MEAN_OF = "the mean is of"
"""How a driver's warning begins that names the seeds of a mean."""

ENDED_WELL = ("COMPLETE", None)
"""States of runs that ended well; None is of other tools' runs, whose state is unknown."""

_Key = tuple[Path, int]


def join_seeds(
    rows: Sequence[Row], incomplete: Sequence[Incomplete]
) -> tuple[list[Row], list[Incomplete]]:
    """Return `rows` with the seeds of each config joined, and all runs that are not in any row.

    Rows keep their order. A metric is joined if every seed that ended well has it. Other seeds
    are not part of the mean, and the row counts them: without the seeds that diverged, a config
    looks better than it is.
    """
    groups: dict[_Key, list[Row]] = {}
    joined: list[Row | _Key] = []
    for row in rows:
        key = _key(row.path, row.lineage)
        if key is None:
            joined.append(row)
        elif key in groups:
            groups[key].append(row)
        else:
            groups[key] = [row]
            joined.append(key)
    everything = list(incomplete)
    for key, members in groups.items():
        well = [row for row in members if row.state in ENDED_WELL]
        if well:
            # What diverged may have saved predictions all the same.
            everything += [_left_out(row) for row in members if row.state not in ENDED_WELL]
            groups[key] = well
    lost: dict[_Key | None, list[Incomplete]] = {}
    for item in everything:
        lost.setdefault(_key(item.path, item.lineage), []).append(item)
    return [
        item if isinstance(item, Row) else _joined(groups[item], lost.get(item, []))
        for item in joined
    ], everything


def _left_out(row: Row) -> Incomplete:
    problem = f"{row.state}: no part of the mean of its seeds"
    return Incomplete(row.path, (), problem, row.sweep, row.trial, row.state, row.lineage)


def _key(path: Path, lineage: Lineage) -> _Key | None:
    """Return what identifies a config: its sweep's folder and its number there."""
    return None if lineage.group is None else (path.absolute().parent.parent, lineage.group)


def _joined(members: list[Row], lost: Sequence[Incomplete]) -> Row:
    import numpy as np

    members = sorted(members, key=lambda row: row.lineage.replicate)
    first = members[0]
    info = first.info
    values = {
        name: [row.metrics[name] for row in members]
        for name in first.metrics
        if all(name in row.metrics for row in members)
    }
    metrics = {name: float(np.mean(found)) for name, found in values.items()}
    logged = {
        name: float(np.mean([row.logged[name] for row in members]))
        for name in first.logged
        if all(name in row.logged for row in members)
    }
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
        trial=without_seed(first.trial, info.seed_parameter if info is not None else "seed"),
        config={
            name: value
            for name, value in first.config.items()
            if all(row.config.get(name) == value for row in members)
        },
        metrics=metrics,
        logged=logged,
        spread={
            name: Spread(float(np.std(found, ddof=1)) if len(found) > 1 else math.nan, len(found))
            for name, found in values.items()
        },
        targets=judge(info.targets, together) if info is not None else first.targets,
        tier=tier_of(info.tiers, together) if info is not None else first.tier,
        expected={},
        warnings=tuple(warnings),
        members=tuple(members),
        lost=len(lost),
    )
