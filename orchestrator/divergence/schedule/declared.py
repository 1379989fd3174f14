"""The schedule that somebody declares: from the map in a sweep file, or from a line of words.

::

    declared({"onecycle": {"max_lr": 3e-3, "total": 1000, "pct_start": 0.1}, "per": "batch",
              "batches_per_epoch": 10})
    from_words("onecycle,max_lr=0.003,total=1000,pct_start=0.1,per=batch,batches_per_epoch=10")

Every schedule but OneCycle also takes ``warmup`` (steps of a straight rise that belongs to
`total`) and ``warmup_start`` (the share of the rate that it begins at).

The schedule of one trial: declared in the sweep file, or described by its trainer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from orchestrator.divergence.schedule import formulas
from orchestrator.divergence.schedule.formulas import Schedule, WarmUp
from orchestrator.divergence.series.names import rate_in
from orchestrator.errors import UsageError, nearest

PER = ("batch", "epoch")
_KINDS: dict[str, type[Schedule]] = {
    "constant": formulas.Constant,
    "step": formulas.Steps,
    "linear": formulas.Linear,
    "cosine": formulas.Cosine,
    "onecycle": formulas.OneCycle,
    "plateau": formulas.Plateau,
}
KINDS = tuple(_KINDS)
_BESIDE = ("per", "batches_per_epoch", "steps")
_WARM_UP = ("warmup", "warmup_start")


@dataclass(frozen=True)
class Declared:
    """A schedule with how often it is meant to move.

    Attributes:
        schedule: the rates by scheduler step.
        per: ``"batch"`` or ``"epoch"``: when the scheduler is meant to step.
        batches_per_epoch: batches in one epoch; None where unknown.
        steps: what the steps of the reports count: ``"batch"``, ``"epoch"``, or None to find out.
    """

    schedule: Schedule
    per: str = "epoch"
    batches_per_epoch: float | None = None
    steps: str | None = None


def declared(raw: Mapping[str, Any], where: str = "lr_schedule") -> Declared:
    """Return the schedule that a map declares.

    Args:
        raw: one key of `KINDS` with its values, and ``per``, ``batches_per_epoch``, ``steps``.
        where: what to call the map in messages.

    Raises:
        UsageError: the map declares no schedule, or one that cannot be.
    """
    kinds = [key for key in raw if key not in _BESIDE]
    if len(kinds) != 1 or kinds[0] not in _KINDS:
        got = ", ".join(map(str, kinds)) or "nothing"
        hint = nearest(str(kinds[0]), KINDS) if kinds else ""
        raise UsageError(f"{where}: must name one of {', '.join(KINDS)}, but got {got}.{hint}")
    kind = kinds[0]
    values = raw[kind]
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}.{kind}: must be a map of its values, but got {values!r}.")
    per = _word(raw, "per", "epoch", where)
    steps = None if raw.get("steps") is None else _word(raw, "steps", "epoch", where)
    batches = raw.get("batches_per_epoch")
    if batches is not None:
        batches = _number(batches, f"{where}.batches_per_epoch", low=1)
    return Declared(_schedule(kind, values, f"{where}.{kind}"), per, batches, steps)


def declared_for(
    raw: Mapping[str, Any],
    *,
    rate: float | None = None,
    is_rate_stronger: bool = False,
    last_step: float | None = None,
    where: str = "lr_schedule",
) -> Declared | None:
    """Return the schedule that a map declares for one trial; None while something is not known.

    A sweep varies rates and lengths, so that what the map leaves out is the trial's own.

    Args:
        raw: as for `declared`; the rate and ``total`` may be missing.
        rate: the trial's learning rate; None where unknown.
        is_rate_stronger: the trial's rate replaces the declared one, as after a remedy.
        last_step: its last step; None where unknown.
        where: what to call the map in messages.

    Raises:
        UsageError: the map declares no schedule, or one that cannot be.
    """
    kinds = [key for key in raw if key in _KINDS]
    values = raw.get(kinds[0]) if len(kinds) == 1 else None
    if not isinstance(values, Mapping):
        return declared(raw, where)  # which says what is wrong
    needed = {item.name for item in fields(_KINDS[kinds[0]])}  # type: ignore[arg-type]
    values = dict(values)
    name = "max_lr" if "max_lr" in needed else "lr"
    if rate is not None and (is_rate_stronger or name not in values):
        values[name] = rate
    if "total" in needed and "total" not in values and last_step is not None:
        by_batch = raw.get("per") == "batch" and raw.get("steps") != "batch"
        batches = raw.get("batches_per_epoch") if by_batch else 1
        if isinstance(batches, int | float):
            values["total"] = batches * last_step
    if name not in values or ("total" in needed and "total" not in values):
        stand_in = {name: 1.0, **({"total": 1e9} if "total" in needed else {})}
        declared({**raw, kinds[0]: {**stand_in, **values}}, where)  # what is given must be right
        return None
    return declared({**raw, kinds[0]: values}, where)


def from_words(text: str, where: str = "--schedule") -> Declared:
    """Return the schedule of a line such as ``cosine,lr=0.001,total=50,per=epoch``.

    Raises:
        UsageError: the line declares no schedule, or one that cannot be.
    """
    kind, *pairs = [word.strip() for word in text.split(",")]
    values: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{where}: must be KIND,NAME=VALUE,…, but got '{pair}' in '{text}'.")
        (beside if name.strip() in _BESIDE else values)[name.strip()] = _value(value.strip())
    return declared({kind: values, **beside}, where)


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "/" in text:
        return [_value(part) for part in text.split("/")]
    try:
        return float(text)
    except ValueError:
        return text


def _schedule(kind: str, values: Mapping[str, Any], where: str) -> Schedule:
    cls = _KINDS[kind]
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    warm = _WARM_UP if kind != "onecycle" else ()
    taken: dict[str, Any] = {}
    for name, value in values.items():
        if name in warm:
            continue
        if name not in known:
            choices = [*known, *warm]
            raise UsageError(
                f"{where}: must hold only {', '.join(choices)}, but got {name!r}."
                f"{nearest(str(name), choices)}"
            )
        taken[name] = _checked(name, value, f"{where}.{name}")
    for name, item in known.items():
        if item.default is MISSING and name not in taken:
            raise UsageError(f"{where}.{name}: must be given, but is missing.")
    if kind == "step" and not taken.get("size") and not taken.get("milestones"):
        raise UsageError(f"{where}: must have size or milestones, but has neither.")
    warmup = _number(values.get("warmup", 0), f"{where}.warmup", low=0)
    if not warmup or not warm:
        return cls(**taken)
    start = _number(values.get("warmup_start", 0.0), f"{where}.warmup_start", low=0)
    if "total" in taken:
        if warmup >= taken["total"]:
            raise UsageError(
                f"{where}.warmup: must be less than total {taken['total']:g}, but got {warmup:g}."
            )
        taken["total"] -= warmup
    return WarmUp(cls(**taken), warmup, start)


def _checked(name: str, value: Any, where: str) -> Any:
    if name == "anneal":
        if value not in ("cos", "linear"):
            raise UsageError(f"{where}: must be cos or linear, but got {value!r}.")
        return value
    if name == "three_phase":
        if not isinstance(value, bool):
            raise UsageError(f"{where}: must be true or false, but got {value!r}.")
        return value
    if name == "milestones":
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(sorted(_number(item, where, low=0) for item in items))
    number = _number(value, where, low=0)
    if name in ("lr", "max_lr", "total", "size", "div_factor", "final_div_factor") and not number:
        raise UsageError(f"{where}: must be above 0, but got {value!r}.")
    if name == "pct_start" and number >= 1:
        raise UsageError(f"{where}: must be a share from 0 to 1, but got {value!r}.")
    return number


def _number(value: Any, where: str, *, low: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{where}: must be a number, but got {value!r}.")
    if value < low:
        raise UsageError(f"{where}: must be {low:g} or more, but got {value!r}.")
    return float(value)


def _word(raw: Mapping[str, Any], name: str, default: str, where: str) -> str:
    value = raw.get(name, default)
    if value not in PER:
        raise UsageError(f"{where}.{name}: must be batch or epoch, but got {value!r}.")
    return str(value)


def schedule_of_trial(
    raw: object,
    *,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    change: Mapping[str, Any],
    varied: Collection[str],
    last_step: float | None,
) -> Declared | None:
    """Return the schedule that a trial's rate is held against; None where there is none to hold.

    Args:
        raw: the sweep file's ``lr_schedule``; empty where it has none.
        config: the trial's parameters.
        metadata: its ``metadata.json``: the config that was built, and what the trainer describes.
        change: what sets it apart from the trial that it follows; {} where it follows none.
        varied: the parameters that the sweep sets for its trials.
        last_step: its last step; None where unknown.

    Raises:
        UsageError: the schedule cannot be.
    """
    chosen = raw or metadata.get("lr_schedule")
    if not isinstance(chosen, Mapping) or not chosen or change.get("new_schedule"):
        return None  # of a schedule that begins anew in midst of a run nobody knows its first step
    built = metadata.get("config")
    known = rate_in({**(built if isinstance(built, Mapping) else {}), **config})
    # What is set for this trial is stronger than what is declared for all of them.
    own = {*varied, *(change.get("set") or {})}
    return declared_for(
        chosen,
        rate=known[1] if known else None,
        is_rate_stronger=known is not None and known[0] in own,
        last_step=last_step,
    )
