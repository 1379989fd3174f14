"""Runs of one config with several seeds, joined to one row with their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.analysis.measure.row import Incomplete, Row, Spread
from orchestrator.analysis.measure.targets import judge, tier_of
from orchestrator.sweepfile.expand import without_seed

MEAN_OF = "the mean is of"
"""How a warning begins that says of which seeds a mean is."""

ENDED_WELL = ("COMPLETE", None)
"""States of runs that ended well; None is of other tools' runs, of which no state is known."""

_Key = tuple[Path, int]


def join_seeds(
    rows: Sequence[Row], incomplete: Sequence[Incomplete]
) -> tuple[list[Row], list[Incomplete]]:
    """Return `rows` with the seeds of each config joined, and all runs that are no part of any.

    Other rows stay as they are, in their order.

    A metric is joined where every seed that ended well has it. What did not end well is no part
    of the mean, and the row says how many that were: seeds that diverge would else make a config
    look better than it is.
    """
    groups: dict[_Key, list[Row]] = {}
    joined: list[Row | _Key] = []
    for row in rows:
        key = _key(row)
        if key is None:
            joined.append(row)
        elif key in groups:
            groups[key].append(row)
        else:
            groups[key] = [row]
            joined.append(key)
    left_out: list[Incomplete] = []
    for key, members in groups.items():
        well = [row for row in members if row.state in ENDED_WELL]
        if well:
            # What diverged may have saved predictions all the same.
            left_out += [_left_out(row) for row in members if row.state not in ENDED_WELL]
            groups[key] = well
    everything = [*incomplete, *left_out]
    lost: dict[_Key, list[Incomplete]] = {}
    for item in everything:
        # Of a run that cannot be ranked only its folder tells the sweep.
        if item.lineage.group is not None:
            sweep = item.path.absolute().parent.parent
            lost.setdefault((sweep, item.lineage.group), []).append(item)
    return [
        item if isinstance(item, Row) else _joined(groups[item], lost.get(item, []))
        for item in joined
    ], everything


def _left_out(row: Row) -> Incomplete:
    problem = f"{row.state}: no part of the mean of its seeds"
    return Incomplete(row.path, (), problem, row.sweep, row.trial, row.state, row.lineage)


def _key(row: Row) -> _Key | None:
    group = row.lineage.group
    if group is None:
        return None
    return row.path.absolute().parent.parent, group


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
    config = {
        name: value
        for name, value in first.config.items()
        if all(row.config.get(name) == value for row in members)
    }
    warnings = [
        f"{row.trial}: {text}"
        for row in members
        for text in row.warnings
        if not text.startswith(MEAN_OF)  # said below, as of what there is now
    ]
    if lost:
        counted: dict[str, int] = {}
        for item in lost:
            state = item.state or "incomplete"
            counted[state] = counted.get(state, 0) + 1
        ways = ", ".join(f"{count} {state}" for state, count in counted.items())
        warnings.insert(
            0,
            f"{len(lost)} of {len(members) + len(lost)} seeds do not count ({ways}); "
            f"{MEAN_OF} the other {len(members)}",
        )
    # Where seeds ran at all their rows are joined, so a lone survivor shows that it is alone.
    together = {**logged, **metrics}
    return replace(
        first,
        trial=without_seed(first.trial, info.seed_parameter if info is not None else "seed"),
        config=config,
        metrics=metrics,
        logged=logged,
        spread={name: _spread(found) for name, found in values.items()},
        targets=judge(info.targets, together) if info is not None else first.targets,
        tier=tier_of(info.tiers, together) if info is not None else first.tier,
        expected={},
        warnings=tuple(warnings),
        members=tuple(members),
        lost=len(lost),
    )


def _spread(values: list[float]) -> Spread:
    import numpy as np

    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(deviation, len(values))
