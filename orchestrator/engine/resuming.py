"""`sweep resume`: going on from a trial's checkpoint, under another config, as a new trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.engine.driver.opening import open_sweep
from orchestrator.engine.queue.candidates import number_after
from orchestrator.engine.remedies import chain_of, config_with, unused_name, words_of
from orchestrator.errors import BusyError, NotFoundError, UsageError
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, driver_lives
from orchestrator.sweepfile.model.spec import Spec

LINK = "resumed"


def add_resumed(
    spec: Spec, sweep: SweepDir, number: int, change: Mapping[str, Any], *, new_schedule: bool
) -> TrialRecord:
    """Make the trial that goes on from the checkpoint of trial `number`, and return its record.

    It waits in the sweep's folder for a driver.

    Args:
        spec: what the sweep was asked with.
        sweep: its folder.
        number: of the trial whose checkpoint it starts from.
        change: the values that it sets.
        new_schedule: True where the schedule of the learning rate begins anew.

    Raises:
        BusyError: a driver runs the sweep.
        ChangedSpecError: the folder holds a sweep of another spec.
        NotFoundError: the trial left no checkpoint.
        UsageError: the spec's own folder is another.
    """
    if driver_lives(sweep):
        raise BusyError(
            f"{sweep.path}: must not be running for a trial to be resumed, but it is. Wait for its "
            f"end, or end it with `sweep stop {sweep.name}`."
        )
    opened = open_sweep(spec, sweep.path.parent)
    try:
        if opened.folder.path.resolve() != sweep.path.resolve():
            raise UsageError(
                f"{sweep.path}: must be what a run of its file goes on with, but that is "
                f"{opened.folder.path}."
            )
        records = opened.records
        origin = records[number]
        run = sweep.run_dir(origin.number, origin.name)
        if not run.checkpoint_file.exists():
            is_unknown = spec.program is not None and spec.program.resume is None
            what = "the file has no `resume` to know it by" if is_unknown else "it saved none"
            raise NotFoundError(
                f"trial {number} ({origin.name}): must have left a checkpoint to be resumed, but "
                f"{what}. Run it anew with `sweep run --set`."
            )
        told = ", ".join(
            [*([words_of(change)] if change else []), *(["new schedule"] if new_schedule else [])]
        )
        change_words = f"resumed: {told}" if told else "resumed"
        new = number_after(spec, records)
        name = unused_name(f"{chain_of(origin, records)[0].name} → {change_words}", new, records)
        successor = TrialRecord(
            number=new,
            name=name,
            config=config_with(origin.config, change, spec),
            stage=origin.stage,
            note=dict(origin.note),
            origin=origin.number,
            link=LINK,
            from_checkpoint=True,
            change={
                "name": "resumed with a new schedule" if new_schedule else "resumed",
                "set": dict(change),
                **({"new_schedule": True} if new_schedule else {}),
            },
        )
        successor.save(sweep.run_dir(successor.number, successor.name))
        return successor
    finally:
        opened.close()
