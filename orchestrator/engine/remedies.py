"""What answers a trial that was ended for a symptom: a new trial with another config.

The successor follows from records alone, so that a driver that was killed between the end of a
trial and its answer makes up for it when the sweep goes on, and never answers twice.

`sweep resume`: going on from a trial's checkpoint, under another config, as a new trial.
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
from orchestrator.engine.queue.candidates import number_after
from orchestrator.errors import BusyError, NotFoundError, UsageError
from orchestrator.files import atomic
from orchestrator.runs import SweepDir, TrialRecord, TrialState, driver_lives
from orchestrator.sweepfile.conditions import broken_by, condition
from orchestrator.sweepfile.model import Remedy, Spec

LINK = "remedy"
_UNKNOWN = object()
_TIMES = re.compile(r"\*\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def policy_for(spec: Spec) -> Policy:
    """Return the policy of a sweep: a symptom with a remedy is answered, where nothing forbids.

    Raises:
        UsageError: a symptom or a choice is unknown.
    """
    asked = Policy.of(spec.divergence)
    choices: dict[str, Choice] = dict(asked.choices)
    for symptom in spec.remedy:
        if choices.get(symptom, "stop") == "stop":
            choices[symptom] = "remedy"
    return Policy(choices)


class Remedies:
    """Makes the successors of trials that were ended for a symptom.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        records: its trials by number; read only.
    """

    def __init__(self, spec: Spec, sweep: SweepDir, records: Mapping[int, TrialRecord]) -> None:
        self._spec = spec
        self._sweep = sweep
        self._records = records

    def can_answer(self, record: TrialRecord, symptom: str) -> bool:
        """Tell whether a trial that would be ended for `symptom` now would have a successor."""
        return self._change(record, symptom) is not None

    def answer(self, record: TrialRecord) -> TrialRecord | None:
        """Return the successor of a trial that has ended, unsaved; None where it has none."""
        if record.state is not TrialState.PRUNED or record.symptom is None:
            return None
        if any(self._follows(other, record) for other in self._records.values()):
            return None
        change = self._change(record, record.symptom)
        if change is None:
            return None
        chain = chain_of(record, self._records)
        place = 1 + sum(earlier.link == LINK for earlier in chain)
        told = f"remedy {place}: {words_of(change)}"
        remedy = self._spec.remedy[record.symptom]
        run = self._sweep.run_dir(record.number, record.name)
        new = number_after(self._spec, self._records)
        return TrialRecord(
            number=new,
            name=unused_name(f"{chain[0].name} → {told}", new, self._records),
            config=config_with(record.config, change, self._spec),
            stage=record.stage,
            note=dict(record.note),
            origin=record.number,
            link=LINK,
            from_checkpoint=remedy.start == "checkpoint" and run.checkpoint_file.exists(),
            change={"name": f"remedy {place}", "set": change, "symptom": record.symptom},
        )

    def owed(self) -> list[TrialRecord]:
        """Return, saved, the answers that an earlier driver did not come to give."""
        made: list[TrialRecord] = []
        for record in list(self._records.values()):
            later = Remedies(self._spec, self._sweep, {**self._records, **by_number(made)})
            successor = later.answer(record)
            if successor is not None:
                successor.save(self._sweep.run_dir(successor.number, successor.name))
                made.append(successor)
        return made

    @staticmethod
    def _follows(other: TrialRecord, record: TrialRecord) -> bool:
        return other.link == LINK and other.origin == record.number

    def _change(self, record: TrialRecord, symptom: str) -> dict[str, Any] | None:
        """Return the values that the answer sets; None where there is no answer."""
        remedy = self._spec.remedy.get(symptom)
        if remedy is None:
            return None
        chain = chain_of(record, self._records)
        answered = sum(
            earlier.link == LINK and earlier.change.get("symptom") == symptom for earlier in chain
        )
        if answered >= remedy.times or not self._holds(remedy, record):
            return None
        before = values_of(self._spec, self._sweep, record)
        change = {}
        for name, asked in remedy.set.items():
            value = _value(_rung(asked, answered), before.get(name, _UNKNOWN))
            if value is not _UNKNOWN and value != before.get(name, _UNKNOWN):
                change[name] = value
        if not change or broken_by(self._spec, config_with(record.config, change, self._spec)):
            return None  # what changes nothing would end alike, and what is forbidden may not run
        return change

    def _holds(self, remedy: Remedy, record: TrialRecord) -> bool:
        if remedy.condition is None:
            return True
        run = self._sweep.run_dir(record.number, record.name)
        known = facts_of(record, run, self._spec.metric)
        return known.hold(condition.parse(remedy.condition)) is True


def values_of(spec: Spec, sweep: SweepDir, record: TrialRecord) -> dict[str, Any]:
    """Return all parameters of a trial by the names of the sweep file, defaults among them."""
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


def course_of(spec: Spec, record: TrialRecord) -> dict[str, bool]:
    """Return the fields of an `Attempt` that say how divergence is dealt with in the trial."""
    policy = policy_for(spec)
    return {
        "stops_at_non_finite": policy.action("non-finite") in ("stop", "remedy"),
        "keeps_best": any(remedy.start == "checkpoint" for remedy in spec.remedy.values()),
        "new_schedule": bool(record.change.get("new_schedule")),
    }


def unused_name(name: str, number: int, records: Mapping[int, TrialRecord]) -> str:
    """Return the name of trial `number`: with its number, where another trial has that name."""
    taken = any(record.name == name for record in records.values())
    return f"{name} ({number})" if taken else name


def by_number(records: list[TrialRecord]) -> dict[int, TrialRecord]:
    """Return records by their number."""
    return {record.number: record for record in records}


def chain_of(record: TrialRecord, records: Mapping[int, TrialRecord]) -> list[TrialRecord]:
    """Return the trials that `record` follows, the first of them first, and itself at the end."""
    chain = [record]
    while chain[0].origin is not None and len(chain) <= len(records):
        before = records.get(chain[0].origin)
        if before is None:
            break
        chain.insert(0, before)
    return chain


def config_with(config: Mapping[str, Any], change: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Return `config` with other values; names of parameters inside others reach into maps."""
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


def words_of(change: Mapping[str, Any]) -> str:
    """Return a change in words: ``lr=0.0001, clip=1``."""
    texts = []
    for name, value in change.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        texts.append(f"{name}={shown(value) if is_number else value}")
    return ", ".join(texts)


def _rung(asked: Any, place: int) -> Any:
    """Return what the answer at `place` sets: of a ladder its rung, beyond its end the last."""
    if isinstance(asked, list | tuple):
        return asked[min(place, len(asked) - 1)] if asked else _UNKNOWN
    return asked


def _value(asked: Any, before: Any) -> Any:
    """Return the new value of a parameter; `_UNKNOWN` where nobody knows what it is relative to."""
    if not isinstance(asked, str) or _TIMES.fullmatch(asked.strip()) is None:
        return asked
    product = times_before(asked, before)
    return _UNKNOWN if product is None else product


def times_before(asked: str, before: Any) -> int | float | None:
    """Return what ``"*0.1"`` makes of a value; None for other texts, and of what is no number."""
    match = _TIMES.fullmatch(asked.strip())
    if match is None or isinstance(before, bool) or not isinstance(before, int | float):
        return None
    # Twelve digits, so that 3e-4 times 0.1 is 3e-5.
    product = float(f"{before * float(match[1]):.12g}")
    return round(product) if isinstance(before, int) else product


LINK_RESUMING = "resumed"


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
            link=LINK_RESUMING,
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
