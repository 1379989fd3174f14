"""More seeds for the trials of a sweep that continues: what has run is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.errors import ChangedSpecError
from orchestrator.runs import SweepDir, TrialRecord
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec
from orchestrator.sweepfile.program import read_parser


def add_seeds(
    spec: Spec, folder: SweepDir, records: dict[int, TrialRecord], before: Mapping[str, Any]
) -> None:
    """Let each config of the sweep wait for the seeds that it has not run with.

    Its trials keep their numbers. Those of the new seeds are written down, each with a number that
    no trial has, so that nothing depends on how many seeds there were.

    Args:
        before: the spec that the sweep ran with.

    Raises:
        ChangedSpecError: the first seed is not the one that trials ran with, or ``run_cap``, which
            counts trials, leaves no room.
    """
    if len(before.get("seeds") or ()) == len(spec.seeds) or len(spec.seeds) < 2:
        return
    own = {
        number: record
        for number, record in sorted(records.items())
        if record.origin is None and record.stage == spec.stage
    }
    firsts: dict[int, TrialRecord] = {}
    for record in sorted(own.values(), key=lambda one: (one.replicate, one.number)):
        firsts.setdefault(record.number if record.group is None else record.group, record)
    needed, most = len(firsts) * len(spec.seeds), count_trials(spec)
    if spec.method == "random" and most is None:
        raise ChangedSpecError(
            f"{folder.path}: a random sweep without an end cannot get more seeds. Give it run_cap: "
            f"{needed}, or give --new."
        )
    if most is not None and needed > most:
        raise ChangedSpecError(
            f"{folder.path}: {len(spec.seeds)} seeds of {len(firsts)} configs are {needed} trials "
            f"(run_cap: {spec.run_cap}). Raise run_cap to {needed}, or give --new."
        )
    if not before.get("seeds"):
        _check_first(spec, folder, firsts.values())
    view = SweepView(spec, folder, records)
    for group, first in firsts.items():
        if first.group is None:
            first.group = group
            first.config = {**first.config, spec.seed_parameter: spec.seeds[0]}
            view.save(first)
        for record in view.missing_replicates(first, max(records) + 1):
            record.reason = "its seed was added"
            view.save(record)
            records[record.number] = record


def _check_first(spec: Spec, folder: SweepDir, firsts: Iterable[TrialRecord]) -> None:
    """Raise if a trial that ran without ``seeds`` had another seed than the first of them."""
    name = spec.seed_parameter
    default: Any = None
    if spec.program is not None and Path(spec.program.path).is_file():
        parser = read_parser(Path(spec.program.path), [sys.executable, spec.program.path])
        known = (one for one in parser.parameters if name in (one.option, one.dest, *one.aliases))
        default = next((argument.default for argument in known), None)
    for record in firsts:
        ran = record.config.get(name, default)
        if ran != spec.seeds[0]:
            found = "an unknown seed" if ran is None else f"{name} {ran}"
            raise ChangedSpecError(
                f"{folder.path}: cannot continue with seeds that begin with {spec.seeds[0]}: trial "
                f"{record.number} ran with {found}. Begin the list with its seed, or give --new."
            )
