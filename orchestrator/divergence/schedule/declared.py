"""The schedule of a run as it is declared: in a mapping, as text, or for each trial of a sweep.

::

    declared({"onecycle": {"max_lr": 3e-3, "total": 1000, "pct_start": 0.1}, "per": "batch",
              "batches_per_epoch": 10})
    from_text("onecycle,max_lr=0.003,total=1000,pct_start=0.1,per=batch,batches_per_epoch=10")
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.schedule.kinds import (
    REQUIRED,
    SCHEDULES,
    STEPPING,
    WARM_UP,
    Parameter,
    Schedule,
    ScheduleKind,
)
from orchestrator.divergence.series import rate_in
from orchestrator.errors import UsageError, nearest


@dataclass(frozen=True)
class Declared:
    """A schedule and how often it is meant to step.

    Attributes:
        per: ``"batch"`` or ``"epoch"``: when the scheduler is meant to step.
        batches_per_epoch: None if unknown.
        steps: what the steps of the reports count: ``"batch"``, ``"epoch"``, or None to infer it.
        start: scheduler steps of the run before this schedule began.
    """

    schedule: Schedule
    per: str = "epoch"
    batches_per_epoch: float | None = None
    steps: str | None = None
    start: float = 0.0


def declared(raw: Mapping[str, Any], where: str = "lr_schedule") -> Declared:
    """Return the schedule that a mapping declares; messages call the mapping `where`.

    Args:
        raw: one name of `SCHEDULES` with its values, and names of `STEPPING`.

    Raises:
        UsageError: the mapping is not a valid schedule.
    """
    kind, given = _kind_of(raw, where)
    stepping = _read(STEPPING, {name: raw[name] for name in STEPPING if name in raw}, where)
    place = f"{where}.{kind.name}"
    values = _read(kind.parameters, given, place)
    conflict = kind.conflict(values)
    if conflict is not None:
        name, problem = conflict
        raise UsageError(f"{place}{'.' if name else ''}{name}: {problem}.")
    warmup, start = (values.pop(name, 0.0) for name in WARM_UP)
    if "total" in values:
        values["total"] -= warmup
    return Declared(Schedule(kind.name, values, warmup, start if warmup else 0.0), **stepping)


def declared_for(
    raw: Mapping[str, Any],
    *,
    rate: float | None = None,
    is_rate_stronger: bool = False,
    last_step: float | None = None,
) -> Declared | None:
    """Return the schedule that a mapping declares for one trial; None while it is incomplete.

    A sweep varies rates and lengths, so the trial supplies what the mapping leaves out.

    Args:
        raw: as for `declared`; the rate and ``total`` may be missing.
        rate: the trial's learning rate.
        is_rate_stronger: True if the trial's rate replaces the declared one, as after a remedy.
        last_step: the trial's last step.

    Raises:
        UsageError: the mapping is not a valid schedule.
    """
    kind, given = _kind_of(raw, "lr_schedule")
    values = dict(given)
    name = kind.rate_name
    if rate is not None and (is_rate_stronger or name not in values):
        values[name] = rate
    if "total" in kind.parameters and "total" not in values and last_step is not None:
        is_by_batch = raw.get("per") == "batch" and raw.get("steps") != "batch"
        batches = raw.get("batches_per_epoch") if is_by_batch else 1
        if isinstance(batches, int | float):
            values["total"] = batches * last_step
    stand_in = {name: 1.0, "total": 1e9}
    missing = {key: stand_in[key] for key in kind.parameters if key in stand_in.keys() - values}
    found = declared({**raw, kind.name: {**missing, **values}})  # checks what is given
    return None if missing else found


def from_text(text: str) -> Declared:
    """Return the schedule of a text such as ``cosine,lr=0.001,total=50,per=epoch``.

    Raises:
        UsageError: the text is not a valid schedule.
    """
    kind, *pairs = [part.strip() for part in text.split(",")]
    values: dict[str, Any] = {}
    stepping: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UsageError(
                f"--schedule: expected KIND,NAME=VALUE,… (found '{pair}' in '{text}')."
            )
        (stepping if name in STEPPING else values)[name] = _value(value)
    return declared({kind: values, **stepping}, "--schedule")


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "/" in text:
        return [_value(part) for part in text.split("/")]
    try:
        return float(text)
    except ValueError:
        return text


def _kind_of(raw: Mapping[str, Any], where: str) -> tuple[ScheduleKind, Mapping[str, Any]]:
    names = [str(key) for key in raw if key not in STEPPING]
    if len(names) != 1 or names[0] not in SCHEDULES:
        found = ", ".join(names) or "nothing"
        hint = nearest(names[0], SCHEDULES) if names else ""
        raise UsageError(f"{where}: expected one of {', '.join(SCHEDULES)} (found {found}).{hint}")
    values = raw[names[0]]
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}.{names[0]}: expected a mapping (found {values!r}).")
    return SCHEDULES[names[0]], values


def _read(
    parameters: Mapping[str, Parameter], given: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return a value for every parameter."""
    for name in given:
        if name not in parameters:
            hint = nearest(str(name), parameters) or f" Choices: {', '.join(parameters)}."
            raise UsageError(f"{where}: unknown parameter {name!r}.{hint}")
    values = {}
    for name, parameter in parameters.items():
        value = given.get(name, parameter.default)
        if value is REQUIRED:
            raise UsageError(f"{where}.{name}: missing.")
        try:
            values[name] = value if value is parameter.default else parameter.convert(value)
        except ValueError as error:
            raise UsageError(f"{where}.{name}: expected {error} (found {value!r}).") from None
    return values


def schedule_of_trial(
    raw: object,
    *,
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    change: Mapping[str, Any],
    varied: Collection[str],
    last_step: float | None,
) -> Declared | None:
    """Return the schedule that a trial's rate is compared with; None if there is none.

    Args:
        raw: the sweep file's ``lr_schedule``; empty if it has none.
        config: the trial's parameters.
        metadata: its ``metadata.json``: the config that was built, and what the trainer describes.
        change: its difference from the trial that it follows; {} if it follows none.
        varied: the parameters that the sweep sets for its trials.
        last_step: the trial's last step.

    Raises:
        UsageError: the schedule is not valid.
    """
    described = metadata.get("lr_schedule")
    chosen = raw or described
    if change.get("new_schedule"):
        # Where a schedule began again, and how long it is, only the trainer knows.
        chosen = described if isinstance(described, Mapping) and described.get("start") else None
    if not isinstance(chosen, Mapping) or not chosen:
        return None
    built = metadata.get("config")
    known = rate_in({**(built if isinstance(built, Mapping) else {}), **config})
    # What is set for this trial overrides what is declared for all of them.
    own = {*varied, *(change.get("set") or {})}
    return declared_for(
        chosen,
        rate=known[1] if known else None,
        is_rate_stronger=known is not None and known[0] in own,
        last_step=last_step,
    )
