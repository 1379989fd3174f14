"""The keys of the sweep file about the course of a sweep, beyond single configs.

Stages, ablation, seeds, budget, sampler, what diverging trials lead to, the schedule that the
learning rate should follow, and what results are compared with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.schedule import SCHEDULES, STEPPING, Parameter
from orchestrator.divergence.symptoms import CHOICES, all_symptoms, symptom_named
from orchestrator.sweepfile.conditions.condition import names
from orchestrator.sweepfile.conditions.grammar import ConditionError, parse
from orchestrator.sweepfile.model.course import NOT_WORSE
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, MapOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    SETTINGS,
    SWITCH,
    Anything,
    Chosen,
    Kind,
    Number,
    Schema,
    Text,
    Whole,
    Word,
    any_case,
    join,
    refuse,
)
from orchestrator.sweepfile.schema.text_kinds import LIMIT, OUTCOME, SIZE
from orchestrator.sweepfile.space.optuna_options import SAMPLERS
from orchestrator.sweepfile.yaml.node import Log, Node

_PROMOTE = Record(
    {
        "top": Key(Whole(1), "the best so many"),
        "fraction": Key(Number(above=0, most=1), "the best share, rounded up"),
        "or": Key(Word((NOT_WORSE,)), "also those that chance alone may separate from the last"),
        "if": Key(OUTCOME, "a condition that the trial must meet"),
    },
    "a mapping such as {top: 3, if: stable and improving}",
)
STAGE = Record(
    {
        "set": Key(SETTINGS, "the parameter values of this stage"),
        "promote": Key(_PROMOTE, "which of its trials run again at the next stage"),
        "continue": Key(SWITCH, "trials promoted to this stage continue from their checkpoints"),
    },
    "a mapping such as {set: {data_fraction: 0.05, epochs: 20}}",
    empty=True,
)
_BASELINE = Record(
    {"set": Key(SETTINGS, "the values of the baseline")},
    "a mapping such as {set: {dropout: 0.1}}",
    empty=True,
)
_CHANGE = Record(
    {
        "set": Key(SETTINGS, "what differs from the baseline; lists make several changes", True),
        "note": Key(Text(empty=True), "what the change is for"),
        "gate": Key(OUTCOME, "a condition that the change's own trial should meet"),
    },
    "a mapping such as {set: {dropout: 0.3}}",
)
_CHANGES = MapOf(_CHANGE, "a mapping from name to {set: {...}}")
ABLATE = Record(
    {
        "baseline": Key(_BASELINE, "the config that all changes start from; by default fixed"),
        "changes": Key(_CHANGES, "named changes, tried one at a time", True),
        "gate": Key(OUTCOME, "what the baseline must meet before any change runs"),
        "keep_improvements": Key(
            SWITCH, "a change that gains more than the noise stays for those after it"
        ),
    },
    "a mapping such as {changes: {more_dropout: {set: {dropout: 0.3}}}}",
)
_SEED_LIST = ListOf(Whole(0), "a list of whole numbers from 0")
_SEED_RECORD = Record(
    {
        "values": Key(Either(Whole(1), _SEED_LIST), "how many seeds, or which", True),
        "parameter": Key(Text("the name of a parameter"), "the parameter that takes the seed"),
    },
    "a number, a list, or a mapping such as {values: 5, parameter: random_state}",
)
SEEDS = Either(Whole(1), Either(_SEED_LIST, _SEED_RECORD, lists_first=True))
_BOUND = 'a mapping such as {t20_mae: "<= 0.020"}'
TARGETS = MapOf(Either(LIMIT, MapOf(LIMIT, _BOUND)), f"{_BOUND}, or from tier to such a mapping")
EXPECT = MapOf(LIMIT, 'a mapping such as {"train_mse@5": "< 0.2"}')
_FOLDER_OR_METRICS = "a run folder, or a mapping from metric to number"
REFERENCE = MapOf(
    Either(Text(_FOLDER_OR_METRICS), MapOf(Number(), _FOLDER_OR_METRICS)),
    "a mapping from name to {metric: number} or to a run folder",
)
TRIAL_EXPECT = Key(
    MapOf(Anything(), "a mapping from metric to what is expected"),
    "metric name to the text or range that is expected",
)
SUCCESS = Either(OUTCOME, ListOf(OUTCOME, "a list of conditions"))
RESOURCES = Record(
    {
        "gpu_memory": Key(SIZE, "GPU memory that one trial takes, such as 8GB"),
        "cpus": Key(Whole(1), "CPU cores of one trial"),
        "gpus": Key(Whole(0), "GPUs of one trial; 0 keeps it off GPUs"),
    },
    "a mapping such as {gpu_memory: 8GB, cpus: 4}",
)
BUDGET = Record(
    {
        "trials": Key(Whole(1), "finished trials"),
        "hours": Key(Number(above=0), "hours on the clock while the sweep runs"),
        "gpu_hours": Key(Number(above=0), "hours of all attempts times their GPUs"),
        "failures": Key(Whole(1), "failed trials in a row"),
    },
    "a mapping such as {hours: 8, failures: 3}",
)
_CONFIGS = ListOf(SETTINGS, "a list of configs such as [{lr: 0.001}]")
_START = Record(
    {
        "configs": Key(_CONFIGS, "configs that are tried first; what they lack is drawn"),
        "from": Key(Text("a sweep's folder"), "an earlier sweep, whose results bayes learns"),
    },
    "a list of configs, or a mapping such as {from: results/edc_quick}",
    otherwise=" Write configs as a list: start: [{lr: 0.001}].",
    filled=True,
)
START = Either(_CONFIGS, _START, lists_first=True)
SAMPLER = Chosen(tuple(SAMPLERS))


@dataclass(frozen=True)
class BySymptom:
    """A mapping from symptom to values of a kind.

    Attributes:
        expected: what messages call it.
        milestones: True if keys may also be conditions on a metric at a step.
    """

    item: Kind
    expected: str
    milestones: bool = False

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from symptom name to what the kind reads."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values: dict[str, Any] = {}
        written: dict[str, str] = {}
        for name, entry in node.value.items():
            symptom = symptom_named(name)
            if symptom is None and self.milestones and "@" in name:
                symptom = _milestone(node.key_node(name), join(key, name), log)
                if symptom is None:
                    continue
            if symptom is None:
                choices = ", ".join(all_symptoms())
                hint = log.hint(name, all_symptoms()) or f" Choices: {choices}."
                what = "unknown symptom"
                if self.milestones and re.search(r"[<>=]", name):
                    what = "a condition needs a metric at a step, such as 'loss@15 > 0.1'"
                    hint = ""
                log.at(node.key_node(name), join(key, name), f"{what}.{hint}")
            elif symptom in written:
                message = f"the same symptom as '{written[symptom]}'. Keep one."
                log.at(node.key_node(name), join(key, name), message)
            else:
                written[symptom] = name
                value = self.item.read(entry, join(key, name), log)
                if value is not ABSENT and value:
                    values[symptom] = value
        return values

    def schema(self) -> Schema:
        """Return an object type with the symptoms, and their other spellings as a pattern."""
        described = {"description": "what this symptom leads to"}
        item = self.item.schema()
        spellings = (
            "[ _-]".join(any_case(part) for part in name.replace("-", " ").split())
            for name in all_symptoms()
        )
        return {
            "type": "object",
            "properties": {name: {**item, **described} for name in all_symptoms()},
            "patternProperties": {
                f"^ *({'|'.join(spellings)}) *$": item,
                **({"@ *[0-9]": item} if self.milestones else {}),
            },
            "additionalProperties": False,
        }


def _milestone(node: Node, key: str, log: Log) -> str | None:
    """Return the condition on a metric at a step that a key is; None after reporting another."""
    try:
        condition = parse(str(node.value))
    except ConditionError as error:
        text = f"expected a symptom or a condition such as 'loss@15 > 0.1': {error}"
        log.at(node, key, f"{text.rstrip('.')}.")
        return None
    if not any(name.step is not None for name in names(condition)):
        log.at(node, key, "needs a metric at a step, such as loss@15.")
        return None
    return str(node.value)


def written_as(node: Node, symptom: str) -> str:
    """Return the key under which the file contains a symptom."""
    entries: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    return next((name for name in entries if symptom_named(name) == symptom), symptom)


_PATIENT = Record(
    {
        "action": Key(Word(CHOICES), "what the symptom leads to; by default as without an entry"),
        "patience": Key(Whole(1), "for how many reports it must last before that", True),
    },
    "one of stop, warn, remedy and ignore, or a mapping such as {action: stop, patience: 20}",
)
DIVERGENCE = BySymptom(
    Either(Word(CHOICES), _PATIENT),
    "a mapping from symptom to stop, warn, remedy or ignore, as {plateau: stop}",
)
_REMEDY = Record(
    {
        "set": Key(
            SETTINGS,
            "new values: absolute, '*0.1' times the value before, or a list of such in turn",
            True,
        ),
        "from": Key(
            Word(("scratch", "checkpoint")), "what the successor starts from; by default scratch"
        ),
        "if": Key(OUTCOME, "a condition on the trial"),
        "times": Key(Whole(1), "most answers in one chain of trials"),
    },
    "a mapping such as {set: {lr: '*0.1'}, from: checkpoint, times: 2}",
)
REMEDY = BySymptom(_REMEDY, "a mapping such as {explosion: {set: {lr: '*0.1'}}}", milestones=True)


def _schedule_key(parameter: Parameter) -> Key:
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


def _schedule(name: str) -> Key:
    record = SCHEDULES[name]
    main = [key for key in (record.rate_name, "total") if key in record.parameters]
    keys = {key: _schedule_key(parameter) for key, parameter in record.parameters.items()}
    return Key(Record(keys, f"a mapping with {', '.join(main)}"), record.help)


@dataclass(frozen=True)
class LrSchedule:
    """A schedule: one of `SCHEDULES` with its values, and when it steps."""

    record = Record(
        {name: _schedule(name) for name in SCHEDULES}
        | {name: _schedule_key(parameter) for name, parameter in STEPPING.items()},
        "a mapping such as {cosine: {lr: 0.001, total: 50}, per: epoch}",
    )

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the mapping without lines."""
        before = len(log.problems)
        read = self.record.read(node, key, log)
        if len(log.problems) > before:
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
        return {**self.record.schema(), "oneOf": [{"required": [name]} for name in SCHEDULES]}


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
