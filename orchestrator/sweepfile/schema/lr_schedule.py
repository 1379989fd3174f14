"""What ``lr_schedule`` takes: the schedule that the learning rate should follow.

Everything is derived from the records in `orchestrator.divergence.schedule`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.schedule import SCHEDULES, STEPPING, Parameter
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    SWITCH,
    Kind,
    Number,
    Schema,
    Word,
    join,
    refuse,
)
from orchestrator.sweepfile.yaml.node import Log, Node


def _key(parameter: Parameter) -> Key:
    kind: Kind = Number(above=parameter.above)
    if parameter.above is None:
        kind = Number(least=parameter.least)
    if parameter.type == "steps":
        kind = Either(kind, ListOf(kind, "a list of steps"))
    elif parameter.type == "choice":
        kind = Word(parameter.choices)
    elif parameter.type == "switch":
        kind = SWITCH
    return Key(kind, parameter.help)


def _schedule_key(name: str) -> Key:
    record = SCHEDULES[name]
    main = [key for key in (record.rate_name, "total") if key in record.parameters]
    keys = {key: _key(parameter) for key, parameter in record.parameters.items()}
    return Key(Record(keys, f"a mapping with {', '.join(main)}"), record.help)


WHOLE = Record(
    {
        **{name: _schedule_key(name) for name in SCHEDULES},
        **{name: _key(parameter) for name, parameter in STEPPING.items()},
    },
    "a mapping such as {cosine: {lr: 0.001, total: 50}, per: epoch}",
)


@dataclass(frozen=True)
class LrSchedule:
    """A schedule: one of `SCHEDULES` with its values, and when it steps."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the mapping without lines."""
        before = len(log.problems)
        read = WHOLE.read(node, key, log)
        if len(log.problems) > before or not isinstance(read, dict):
            return ABSENT
        kinds = [name for name in read if name in SCHEDULES]
        if len(kinds) != 1:
            got = " and ".join(kinds) or "none"
            log.at(node, key, f"expected one of {', '.join(SCHEDULES)} (found {got}).")
            return ABSENT
        kind = kinds[0]
        _check_together(kind, read[kind], node.value[kind], join(key, kind), log)
        return ABSENT if len(log.problems) > before else read

    def schema(self) -> Schema:
        """Return an object type that has exactly one schedule."""
        return {**WHOLE.schema(), "oneOf": [{"required": [name]} for name in SCHEDULES]}


def _check_together(kind: str, values: dict[str, Any], node: Node, key: str, log: Log) -> None:
    """Check that the values of a schedule fit one another."""
    record = SCHEDULES[kind]
    for name, value in values.items():
        try:
            record.parameters[name].convert(value)
        except ValueError as error:
            refuse(node.value[name], join(key, name), log, str(error))
    conflict = record.conflict(values)
    if conflict is not None:
        name, problem = conflict
        log.at(node.value.get(name, node), join(key, name), f"{problem}.")
