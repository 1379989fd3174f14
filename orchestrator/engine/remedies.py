"""Trials that follow from another one: the answer to a symptom, and `sweep resume`.

What follows is decided from records alone, so that a driver that was killed before it answered
makes up for it when the sweep continues, and none answers twice.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.analysis import facts_of
from orchestrator.divergence import Policy, number as shown
from orchestrator.divergence.symptoms import Choice, all_symptoms
from orchestrator.engine.driver.opening import open_sweep
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.errors import BusyError, NotFoundError, UsageError
from orchestrator.files import atomic
from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.sweepfile.conditions import broken_by, names, parse
from orchestrator.sweepfile.model import Spec

LINK = "remedy"
LINK_RESUMING = "resumed"
_UNKNOWN = object()
_TIMES = re.compile(r"\*\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def policy_for(spec: Spec) -> Policy:
    """Return the policy of a sweep: a symptom that has a remedy is answered if it would stop.

    Raises a `UsageError` for an unknown symptom or choice.
    """
    policy = Policy.of(spec.divergence)
    choices: dict[str, Choice] = dict(policy.choices)
    for symptom in spec.remedy:
        if symptom in all_symptoms() and choices.get(symptom, "stop") == "stop":
            choices[symptom] = "remedy"
    return replace(policy, choices=choices)


def milestone_remedies(spec: Spec) -> dict[int, list[str]]:
    """Return the conditions on metrics at a step that have a remedy, by the last step of each."""
    found: dict[int, list[str]] = {}
    for text in spec.remedy:
        if text not in all_symptoms():
            steps = [name.step for name in names(parse(text)) if name.step is not None]
            found.setdefault(max(steps), []).append(text)
    return found


def successor(view: SweepView, record: TrialRecord) -> TrialRecord | None:
    """Return the answer to a trial that was ended for a symptom, unsaved; None if it has none."""
    if record.state is not TrialState.PRUNED or record.symptom is None:
        return None
    if any(one.link == LINK and one.origin == record.number for one in view.records.values()):
        return None
    change = remedy_change(view, record, record.symptom)
    if change is None:
        return None
    place = f"remedy {1 + sum(earlier.link == LINK for earlier in view.lineage(record))}"
    return _follower(
        view,
        record,
        LINK,
        f"{place}: {_settings(change)}",
        {"name": place, "set": change, "symptom": record.symptom},
        from_checkpoint=view.spec.remedy[record.symptom].start == "checkpoint",
    )


def _follower(
    view: SweepView,
    origin: TrialRecord,
    link: str,
    title: str,
    change: dict[str, Any],
    *,
    from_checkpoint: bool,
) -> TrialRecord:
    """Return the record of a trial that follows from `origin` with the values in `change`."""
    number = view.next_number()
    return TrialRecord(
        number=number,
        name=view.unused_name(f"{view.lineage(origin)[0].name} → {title}", number),
        config=_config_with(origin.config, change["set"], view.spec),
        stage=origin.stage,
        note=dict(origin.note),
        origin=origin.number,
        link=link,
        from_checkpoint=from_checkpoint,
        change=change,
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
    if answered >= remedy.times:
        return None
    if remedy.condition is not None:
        known = facts_of(record, view.run_dir(record), spec.metrics)
        if known.hold(parse(remedy.condition)) is not True:
            return None
    before = values_of(spec, view.folder, record)
    change = {}
    for name, answer in remedy.set.items():
        known_value = before.get(name, _UNKNOWN)
        value = _new_value(answer, answered, known_value)
        if value is not _UNKNOWN and value != known_value:
            change[name] = value
    if not change or broken_by(spec, _config_with(record.config, change, spec)):
        return None  # what changes nothing would end alike, and what is forbidden may not run
    return change


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


def _config_with(
    config: Mapping[str, Any], change: Mapping[str, Any], spec: Spec
) -> dict[str, Any]:
    """Return `config` with other values; names of nested parameters reach into its maps."""
    found: dict[str, Any] = copy.deepcopy(dict(config))
    for name, value in change.items():
        inside = found
        *path, last = spec.nested.get(name, (name,))
        for part in path:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[last] = value
    return found


def _settings(change: Mapping[str, Any]) -> str:
    """Return a change as text: ``lr=0.0001, clip=1``."""
    texts = []
    for name, value in change.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        texts.append(f"{name}={shown(value) if is_number else value}")
    return ", ".join(texts)


def _new_value(answer: Any, place: int, before: Any) -> Any:
    """Return what the answer at `place` sets; `_UNKNOWN` if it is relative to an unknown value."""
    if isinstance(answer, list | tuple):  # beyond its end the last one counts
        answer = answer[min(place, len(answer) - 1)] if answer else _UNKNOWN
    if not isinstance(answer, str) or _TIMES.fullmatch(answer.strip()) is None:
        return answer
    product = times_before(answer, before)
    return _UNKNOWN if product is None else product


def times_before(text: str, before: Any) -> int | float | None:
    """Return what ``"*0.1"`` makes of a value; None for other texts and for what is no number."""
    match = _TIMES.fullmatch(text.strip())
    if match is None or isinstance(before, bool) or not isinstance(before, int | float):
        return None
    # Twelve digits, so that 3e-4 times 0.1 is 3e-5.
    product = float(f"{before * float(match[1]):.12g}")
    return round(product) if isinstance(before, int) else product


def add_resumed(
    spec: Spec,
    sweep: SweepDir,
    number: int,
    change: Mapping[str, Any],
    *,
    new_schedule: bool,
    best: bool = False,
) -> TrialRecord:
    """Save and return the trial that continues from the checkpoint of trial `number`.

    Args:
        change: the values that it sets.
        new_schedule: True if the schedule of the learning rate starts again.
        best: True to continue from the checkpoint of its best report instead of the last one.

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
    with open_sweep(spec, sweep.path.parent) as (folder, records):
        if folder.path.resolve() != sweep.path.resolve():
            raise UsageError(
                f"{sweep.path}: a run of its file continues another sweep "
                f"({folder.path}). Resume a trial of that one."
            )
        view = SweepView(spec, sweep, records)
        origin = view.records[number]
        if not view.run_dir(origin).checkpoint_file.exists():
            is_unknown = spec.program is not None and spec.program.resume is None
            was_deleted = spec.options.get("keep") is not None
            why = "the file has no `resume` to know it by" if is_unknown else "it saved none"
            why = "`keep` of the file has deleted it, or it saved none" if was_deleted else why
            raise NotFoundError(
                f"trial {number} ({origin.name}): no checkpoint to resume from ({why}). Run it "
                "again with `sweep run --set`."
            )
        if best and not view.run_dir(origin).best_checkpoint_file.exists():
            raise NotFoundError(
                f"trial {number} ({origin.name}): no best checkpoint (no checkpoint_best.pt). "
                "Resume from the last one."
            )
        parts = [_settings(change)] if change else []
        facts: dict[str, Any] = {"name": "resumed", "set": dict(change)}
        if new_schedule:
            parts.append("new schedule")
            facts |= {"name": "resumed with a new schedule", "new_schedule": True}
        if best:
            parts.append("from best")
            facts["from"] = "best"
        title = f"resumed: {', '.join(parts)}" if parts else "resumed"
        record = _follower(view, origin, LINK_RESUMING, title, facts, from_checkpoint=True)
        view.save(record)
        return record
