"""Trials that follow from another one: the answer to a symptom, and `sweep resume`.

What follows is decided from records alone, so that a driver that was killed between the end of a
trial and its answer makes up for it when the sweep continues, and never answers twice.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.analysis import facts_of
from orchestrator.divergence import Policy, number as shown
from orchestrator.divergence.symptoms import Choice
from orchestrator.engine.driver.opening import open_sweep
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.errors import BusyError, NotFoundError, UsageError
from orchestrator.files import atomic
from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.sweepfile.conditions import broken_by, parse
from orchestrator.sweepfile.model import Remedy, Spec

LINK = "remedy"
LINK_RESUMING = "resumed"
_UNKNOWN = object()
_TIMES = re.compile(r"\*\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def policy_for(spec: Spec) -> Policy:
    """Return the policy of a sweep: a symptom that has a remedy is answered if it would stop.

    Raises:
        UsageError: a symptom or a choice is unknown.
    """
    asked = Policy.of(spec.divergence)
    choices: dict[str, Choice] = dict(asked.choices)
    for symptom in spec.remedy:
        if choices.get(symptom, "stop") == "stop":
            choices[symptom] = "remedy"
    return Policy(choices)


def successor(view: SweepView, record: TrialRecord) -> TrialRecord | None:
    """Return the answer to a trial that was ended for a symptom, unsaved; None if it has none."""
    if record.state is not TrialState.PRUNED or record.symptom is None:
        return None
    if any(one.link == LINK and one.origin == record.number for one in view.records.values()):
        return None
    change = remedy_change(view, record, record.symptom)
    if change is None:
        return None
    lineage = view.lineage(record)
    place = 1 + sum(earlier.link == LINK for earlier in lineage)
    remedy = view.spec.remedy[record.symptom]
    number = view.next_number()
    return TrialRecord(
        number=number,
        name=view.unused_name(f"{lineage[0].name} → remedy {place}: {settings(change)}", number),
        config=config_with(record.config, change, view.spec),
        stage=record.stage,
        note=dict(record.note),
        origin=record.number,
        link=LINK,
        from_checkpoint=remedy.start == "checkpoint"
        and view.run_dir(record).checkpoint_file.exists(),
        change={"name": f"remedy {place}", "set": change, "symptom": record.symptom},
    )


def remedy_change(view: SweepView, record: TrialRecord, symptom: str) -> dict[str, Any] | None:
    """Return the values that the answer to a symptom of a trial sets; None if there is none."""
    spec = view.spec
    remedy = spec.remedy.get(symptom)
    if remedy is None:
        return None
    answered = sum(
        earlier.link == LINK and earlier.change.get("symptom") == symptom
        for earlier in view.lineage(record)
    )
    if answered >= remedy.times or not _applies(view, remedy, record):
        return None
    before = values_of(spec, view.folder, record)
    change = {}
    for name, asked in remedy.set.items():
        value = _new_value(_rung(asked, answered), before.get(name, _UNKNOWN))
        if value is not _UNKNOWN and value != before.get(name, _UNKNOWN):
            change[name] = value
    if not change or broken_by(spec, config_with(record.config, change, spec)):
        return None  # what changes nothing would end alike, and what is forbidden may not run
    return change


def _applies(view: SweepView, remedy: Remedy, record: TrialRecord) -> bool:
    if remedy.condition is None:
        return True
    known = facts_of(record, view.run_dir(record), view.spec.metric)
    return known.hold(parse(remedy.condition)) is True


def values_of(spec: Spec, sweep: SweepDir, record: TrialRecord) -> dict[str, Any]:
    """Return all parameters of a trial by the names of the sweep file, defaults included."""
    run = sweep.run_dir(record.number, record.name)
    built = (atomic.read_json(run.metadata_file) or {}).get("config")
    values = {**(built if isinstance(built, dict) else {}), **record.config}
    for name, path in spec.nested.items():
        inner: Any = record.config
        for part in path:
            inner = inner.get(part) if isinstance(inner, Mapping) else None
        if inner is not None:
            values[name] = inner
    return values


def config_with(config: Mapping[str, Any], change: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Return `config` with other values; names of nested parameters reach into its maps."""
    found: dict[str, Any] = copy.deepcopy(dict(config))
    for name, value in change.items():
        inside = found
        path = spec.nested.get(name, (name,))
        for part in path[:-1]:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[path[-1]] = value
    return found


def settings(change: Mapping[str, Any]) -> str:
    """Return a change as text: ``lr=0.0001, clip=1``."""
    texts = []
    for name, value in change.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        texts.append(f"{name}={shown(value) if is_number else value}")
    return ", ".join(texts)


def _rung(asked: Any, place: int) -> Any:
    """Return what the answer at `place` sets: an item of a list, beyond its end the last one."""
    if isinstance(asked, list | tuple):
        return asked[min(place, len(asked) - 1)] if asked else _UNKNOWN
    return asked


def _new_value(asked: Any, before: Any) -> Any:
    """Return the new value of a parameter; `_UNKNOWN` if it is relative to an unknown value."""
    if not isinstance(asked, str) or _TIMES.fullmatch(asked.strip()) is None:
        return asked
    product = times_before(asked, before)
    return _UNKNOWN if product is None else product


def times_before(asked: str, before: Any) -> int | float | None:
    """Return what ``"*0.1"`` makes of a value; None for other texts and for what is no number."""
    match = _TIMES.fullmatch(asked.strip())
    if match is None or isinstance(before, bool) or not isinstance(before, int | float):
        return None
    # Twelve digits, so that 3e-4 times 0.1 is 3e-5.
    product = float(f"{before * float(match[1]):.12g}")
    return round(product) if isinstance(before, int) else product


def add_resumed(
    spec: Spec, sweep: SweepDir, number: int, change: Mapping[str, Any], *, new_schedule: bool
) -> TrialRecord:
    """Make the trial that continues from the checkpoint of trial `number`, and return its record.

    It waits in the sweep's folder for a driver.

    Args:
        number: of the trial whose checkpoint it starts from.
        change: the values that it sets.
        new_schedule: True if the schedule of the learning rate starts again.

    Raises:
        BusyError: a driver runs the sweep.
        ChangedSpecError: the folder holds a sweep of another spec.
        NotFoundError: the trial left no checkpoint.
        UsageError: a run of the spec would use another folder.
    """
    if sweep.driver_lives():
        raise BusyError(
            f"{sweep.path}: cannot resume a trial while the sweep is running. Wait for its end, or "
            f"end it with `sweep stop {sweep.name}`."
        )
    opened = open_sweep(spec, sweep.path.parent)
    try:
        if opened.folder.path.resolve() != sweep.path.resolve():
            raise UsageError(
                f"{sweep.path}: a run of its file continues another sweep "
                f"({opened.folder.path}). Resume a trial of that one."
            )
        return _resumed(SweepView(spec, sweep, opened.records), number, change, new_schedule)
    finally:
        opened.close()


def _resumed(
    view: SweepView, number: int, change: Mapping[str, Any], new_schedule: bool
) -> TrialRecord:
    origin, spec = view.records[number], view.spec
    if not view.run_dir(origin).checkpoint_file.exists():
        is_unknown = spec.program is not None and spec.program.resume is None
        why = "the file has no `resume` to know it by" if is_unknown else "it saved none"
        raise NotFoundError(
            f"trial {number} ({origin.name}): no checkpoint to resume from ({why}). Run it again "
            "with `sweep run --set`."
        )
    parts = [*([settings(change)] if change else []), *(["new schedule"] if new_schedule else [])]
    name = f"{view.lineage(origin)[0].name} → resumed{': ' if parts else ''}{', '.join(parts)}"
    new = view.next_number()
    record = TrialRecord(
        number=new,
        name=view.unused_name(name, new),
        config=config_with(origin.config, change, spec),
        stage=origin.stage,
        note=dict(origin.note),
        origin=origin.number,
        link=LINK_RESUMING,
        from_checkpoint=True,
        change={
            "name": "resumed with a new schedule" if new_schedule else "resumed",
            "set": dict(change),
            **({"new_schedule": True} if new_schedule else {}),
        },
    )
    view.save(record)
    return record
