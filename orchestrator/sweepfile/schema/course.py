"""The keys of the sweep file about the course of a sweep, beyond single configs.

Stages, ablation, seeds, budget, sampler, what diverging trials lead to, and what results are
compared with; `orchestrator.sweepfile.schema.sweep` puts them into the table of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.symptoms import CHOICES, all_symptoms, symptom_named
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, ListOr, MapOf, Record
from orchestrator.sweepfile.schema.fields import (
    CONDITION,
    LIMIT,
    SWITCH,
    Kind,
    Number,
    Schema,
    Settings,
    Text,
    Whole,
    Word,
    any_case,
    join,
    refuse,
)
from orchestrator.sweepfile.space.optuna_options import SAMPLERS
from orchestrator.sweepfile.yaml.node import Log, Node


@dataclass(frozen=True)
class BySymptom:
    """A mapping from symptom to values of a kind.

    Attributes:
        item: the kind.
        expected: what the mapping is, for messages.
    """

    item: Kind
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict from symptom name to what the kind reads."""
        if not isinstance(node.value, dict):
            return refuse(node, key, log, self.expected)
        values: dict[str, Any] = {}
        written: dict[str, str] = {}
        for name, entry in node.value.items():
            where = Node(None, node.key_lines.get(name), node.origin)
            symptom = symptom_named(name)
            if symptom is None:
                hint = log.hint(name, all_symptoms())
                hint = hint or f" Choices: {', '.join(all_symptoms())}."
                log.at(where, join(key, name), f"unknown symptom.{hint}")
                continue
            if symptom in written:
                message = f"the same symptom as '{written[symptom]}'. Keep one."
                log.at(where, join(key, name), message)
                continue
            written[symptom] = name
            value = self.item.read(entry, join(key, name), log)
            if value or value == 0:
                values[symptom] = value
        return values

    def schema(self) -> Schema:
        """Return an object type with the symptoms, and their other spellings as a pattern."""
        described = {"description": "what this symptom leads to"}
        item = self.item.schema()
        return {
            "type": "object",
            "properties": {name: {**item, **described} for name in all_symptoms()},
            "patternProperties": {_spellings(): item},
            "additionalProperties": False,
        }


def _spellings() -> str:
    names = [name.replace("-", " ").split() for name in all_symptoms()]
    patterns = ("[ _-]".join(any_case(part) for part in parts) for parts in names)
    return f"^ *({'|'.join(patterns)}) *$"


def written_as(node: Node, symptom: str) -> str:
    """Return the key under which the file contains a symptom."""
    entries: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    return next((name for name in entries if symptom_named(name) == symptom), symptom)


_PROMOTE = Record(
    {
        "top": Key(Whole(1), "the best so many, and those tied with the last of them"),
        "fraction": Key(Number(above=0, most=1), "the best share, rounded up, and ties"),
        "if": Key(CONDITION, "a condition that the trial must meet"),
    },
    expected="a mapping such as {top: 3, if: stable and improving}",
)
STAGE = Record(
    {
        "set": Key(Settings(), "the parameter values of this stage"),
        "promote": Key(_PROMOTE, "which of its trials run again at the next stage"),
        "continue": Key(SWITCH, "trials promoted to this stage continue from their checkpoints"),
    },
    expected="a mapping such as {set: {data_fraction: 0.05, epochs: 20}}",
    empty=True,
)
_BASELINE = Record(
    {"set": Key(Settings(), "the values of the baseline")},
    expected="a mapping such as {set: {dropout: 0.1}}",
    empty=True,
)
_CHANGE = Record(
    {
        "set": Key(Settings(), "what differs from the baseline; lists make several changes", True),
        "note": Key(Text(empty=True), "what the change is for"),
        "gate": Key(CONDITION, "a condition that the change's own trial should meet"),
    },
    expected="a mapping such as {set: {dropout: 0.3}}",
)
ABLATE = Record(
    {
        "baseline": Key(_BASELINE, "the config that all changes start from; by default fixed"),
        "changes": Key(
            MapOf(_CHANGE, "a mapping from name to {set: {...}}"),
            "named changes, tried one at a time",
            True,
        ),
        "gate": Key(CONDITION, "what the baseline must meet before any change runs"),
        "keep_improvements": Key(
            SWITCH, "a change that gains more than the noise stays for those after it"
        ),
    },
    expected="a mapping such as {changes: {more_dropout: {set: {dropout: 0.3}}}}",
)
_SEED_LIST = ListOf(Whole(0), "a list of whole numbers from 0")
_SEED_RECORD = Record(
    {
        "values": Key(Either(Whole(1), _SEED_LIST), "how many seeds, or which", True),
        "parameter": Key(Text("the name of a parameter"), "the parameter that takes the seed"),
    },
    expected="a number, a list, or a mapping such as {values: 5, parameter: random_state}",
)
SEEDS = Either(Whole(1), ListOr(_SEED_LIST, _SEED_RECORD))
_BOUND = 'a mapping such as {t20_mae: "<= 0.020"}'
TARGETS = MapOf(Either(LIMIT, MapOf(LIMIT, _BOUND)), f"{_BOUND}, or from tier to such a mapping")
EXPECT = MapOf(LIMIT, 'a mapping such as {"train_mse@5": "< 0.2"}')
_FOLDER_OR_METRICS = "a run folder, or a mapping from metric to number"
REFERENCE = MapOf(
    Either(Text(_FOLDER_OR_METRICS), MapOf(Number(), _FOLDER_OR_METRICS)),
    "a mapping from name to {metric: number} or to a run folder",
)
SUCCESS = Either(CONDITION, ListOf(CONDITION, "a list of conditions"))
BUDGET = Record(
    {
        "trials": Key(Whole(1), "finished trials"),
        "hours": Key(Number(above=0), "hours on the clock while the sweep runs"),
        "gpu_hours": Key(Number(above=0), "hours of all attempts times their GPUs"),
        "failures": Key(Whole(1), "failed trials in a row"),
    },
    expected="a mapping such as {hours: 8, failures: 3}",
)
_SAMPLER_NAME = Word(tuple(SAMPLERS))
SAMPLER = Either(
    _SAMPLER_NAME,
    Record(
        {
            "name": Key(_SAMPLER_NAME, "the sampler", True),
            "options": Key(Settings(), "options of Optuna's sampler of that name"),
        },
        expected="a sampler's name, or a mapping such as {name: tpe, options: {...}}",
    ),
)
DIVERGENCE = BySymptom(
    Word(CHOICES), "a mapping from symptom to stop, warn, remedy or ignore, as {plateau: stop}"
)
REMEDY = BySymptom(
    Record(
        {
            "set": Key(
                Settings(),
                "new values: absolute, '*0.1' times the value before, or a list of such in turn",
                True,
            ),
            "from": Key(
                Word(("scratch", "checkpoint")),
                "what the successor starts from; by default scratch",
            ),
            "if": Key(CONDITION, "a condition on the trial"),
            "times": Key(Whole(1), "most answers in one chain of trials"),
        },
        expected="a mapping such as {set: {lr: '*0.1'}, from: checkpoint, times: 2}",
    ),
    "a mapping such as {explosion: {set: {lr: '*0.1'}}}",
)
