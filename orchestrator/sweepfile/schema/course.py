"""The keys of the sweep file that say how a sweep goes, beside single configs.

Stages, ablation, seeds, budget, sampler, what diverging trials lead to, and what results are held
against; `orchestrator.sweepfile.schema.sweep` puts them into the table of the file.

What ``lr_schedule`` takes: the schedule that the learning rate should follow.

`orchestrator.divergence.schedule` computes with it; a test holds that both know the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.divergence.symptoms import CHOICES
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, ListOr, MapOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    Conditional,
    Limit,
    Number,
    Schema,
    Settings,
    Switch,
    Text,
    Whole,
    Word,
    join,
    refuse,
)
from orchestrator.sweepfile.schema.symptom_names import BySymptom
from orchestrator.sweepfile.space.sampler_options import SAMPLERS
from orchestrator.sweepfile.yaml.node import Log, Node

PER = ("batch", "epoch")
_EXPECTED = "a mapping such as {cosine: {lr: 0.001, total: 50}, per: epoch}"
_ABOVE, _LEAST = Number(above=0), Number(least=0)
_WARM_UP = {
    "warmup": Key(_LEAST, "steps of a straight rise that belong to total"),
    "warmup_start": Key(_LEAST, "share of the rate at which the rise begins; by default 0"),
}
_LR = Key(_ABOVE, "the rate that it begins with; by default the trial's")
_TOTAL = Key(_ABOVE, "scheduler steps from first to last; by default those of the trial")
_FINAL = Key(_LEAST, "the rate that it ends with; by default 0")


def _kind(keys: dict[str, Key], *, warm: bool = True) -> Record:
    shown = ", ".join(name for name in keys if name in ("lr", "max_lr", "total"))
    return Record({**keys, **(_WARM_UP if warm else {})}, f"a mapping with {shown}")


SCHEDULES: dict[str, Record] = {
    "constant": _kind({"lr": _LR}),
    "step": _kind(
        {
            "lr": _LR,
            "size": Key(_ABOVE, "steps between two falls"),
            "gamma": Key(_LEAST, "what it is multiplied by; by default 0.1"),
            "milestones": Key(
                Either(_LEAST, ListOf(_LEAST, "a list of steps")), "the steps at which it falls"
            ),
        }
    ),
    "linear": _kind({"lr": _LR, "total": _TOTAL, "final": _FINAL}),
    "cosine": _kind({"lr": _LR, "total": _TOTAL, "final": _FINAL}),
    "onecycle": _kind(
        {
            "max_lr": Key(_ABOVE, "the rate at the peak; by default the trial's"),
            "total": _TOTAL,
            "pct_start": Key(_LEAST, "share of the rise, below 1; by default 0.3"),
            "div_factor": Key(_ABOVE, "peak through first rate; by default 25"),
            "final_div_factor": Key(_ABOVE, "first through last rate; by default 10000"),
            "anneal": Key(Word(("cos", "linear")), "the form of its slopes; by default cos"),
            "three_phase": Key(Switch(), "a third phase below the first rate"),
        },
        warm=False,
    ),
    "plateau": _kind(
        {
            "lr": _LR,
            "factor": Key(_LEAST, "what it is multiplied by; by default 0.1"),
            "final": Key(_LEAST, "the rate that it does not fall below; by default 0"),
        }
    ),
}
_BESIDE = {
    "per": Key(Word(PER), "when the scheduler is meant to step; by default epoch"),
    "batches_per_epoch": Key(Number(least=1), "batches in one epoch"),
    "steps": Key(Word(PER), "what the steps of the reports count; found out by default"),
}
_HELP = {
    "constant": "one rate throughout",
    "step": "falls by steps",
    "linear": "falls in a straight line",
    "cosine": "falls in half a cosine",
    "onecycle": "rises to a peak and falls",
    "plateau": "falls where the validation loss stays",
}
WHOLE = Record({**{n: Key(r, _HELP[n]) for n, r in SCHEDULES.items()}, **_BESIDE}, _EXPECTED)


@dataclass(frozen=True)
class LrSchedule:
    """A schedule: one of `SCHEDULES` with its values, and what stands beside it."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the mapping without lines."""
        before = len(log.problems)
        read = WHOLE.read(node, key, log)
        if len(log.problems) > before or not isinstance(read, dict):
            return ABSENT
        kinds = [name for name in read if name in SCHEDULES]
        if len(kinds) != 1:
            got = " and ".join(kinds) or "none"
            message = f"must name one of {', '.join(SCHEDULES)}, but has {got}."
            log.at(node, key, message)
            return ABSENT
        kind = kinds[0]
        return read if _fits(kind, read[kind], node.value[kind], join(key, kind), log) else ABSENT

    def schema(self) -> Schema:
        """Return an object type in which one schedule stands."""
        one = [{"required": [name]} for name in SCHEDULES]
        return {**WHOLE.schema(), "oneOf": one}


def _fits(kind: str, values: dict[str, Any], node: Node, key: str, log: Log) -> bool:
    """Tell whether the values of a schedule go together."""
    before = len(log.problems)
    if kind == "step" and not values.get("size") and not values.get("milestones"):
        log.at(node, key, "must have size or milestones, but has neither.")
    share = values.get("pct_start", 0)
    if share >= 1:
        refuse(node.value["pct_start"], join(key, "pct_start"), log, "a share below 1")
    warmup, total = values.get("warmup", 0), values.get("total")
    if total is not None and warmup >= total:
        message = f"must be less than total {total:g}, but got {warmup:g}."
        log.at(node.value["warmup"], join(key, "warmup"), message)
    return len(log.problems) == before


STARTS = ("scratch", "checkpoint")

_PROMOTE = Record(
    {
        "top": Key(Whole(1), "the best so many, and who is tied with the last of them"),
        "fraction": Key(Number(above=0, most=1), "the best share, rounded up, and ties"),
        "if": Key(Conditional(), "a condition that the trial must meet"),
    },
    expected="a mapping such as {top: 3, if: stable and improving}",
)
STAGE = Record(
    {
        "set": Key(Settings(), "the parameter values of this stage"),
        "promote": Key(_PROMOTE, "which of its trials run again at the next stage"),
        "continue": Key(
            Switch(), "trials that come from the stage before go on from their checkpoints"
        ),
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
        "gate": Key(Conditional(), "a condition that the change's own trial should meet"),
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
        "gate": Key(Conditional(), "what the baseline must meet before any change runs"),
        "keep_improvements": Key(
            Switch(), "a change that gains more than the noise stays for those after it"
        ),
    },
    expected="a mapping such as {changes: {more_dropout: {set: {dropout: 0.3}}}}",
)
_SEED_LIST = ListOf(Whole(0), "a list of whole numbers from 0")
SEEDS = Either(
    Whole(1),
    ListOr(
        _SEED_LIST,
        Record(
            {
                "values": Key(Either(Whole(1), _SEED_LIST), "how many seeds, or which", True),
                "parameter": Key(
                    Text("the name of a parameter"), "the parameter that takes the seed"
                ),
            },
            expected="a number, a list, or a mapping such as {values: 5, parameter: random_state}",
        ),
    ),
)
_BOUNDS = MapOf(Limit(), 'a mapping such as {t20_mae: "<= 0.020"}')
TARGETS = MapOf(
    Either(Limit(), _BOUNDS),
    'a mapping such as {t20_mae: "<= 0.020"}, or from tier to such a mapping',
)
EXPECT = MapOf(Limit(), 'a mapping such as {"train_mse@5": "< 0.2"}')
REFERENCE = MapOf(
    Either(
        Text("a run folder, or a mapping from metric to number"),
        MapOf(Number(), "a run folder, or a mapping from metric to number"),
    ),
    "a mapping from name to {metric: number} or to a run folder",
)
SUCCESS = Either(Conditional(), ListOf(Conditional(), "a list of conditions"))
BUDGET = Record(
    {
        "trials": Key(Whole(1), "finished trials"),
        "hours": Key(Number(above=0), "hours on the clock while the sweep runs"),
        "gpu_hours": Key(Number(above=0), "hours of all attempts times their GPUs"),
        "failures": Key(Whole(1), "failed trials in a row"),
    },
    expected="a mapping such as {hours: 8, failures: 3}",
)
SAMPLER = Either(
    Word(tuple(SAMPLERS)),
    Record(
        {
            "name": Key(Word(tuple(SAMPLERS)), "the sampler", True),
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
                "new values: absolute, '*0.1' of the one of before, or a list of such in turn",
                True,
            ),
            "from": Key(Word(STARTS), "where the successor starts; by default from scratch"),
            "if": Key(Conditional(), "a condition on the trial"),
            "times": Key(Whole(1), "most answers in one chain of trials"),
        },
        expected="a mapping such as {set: {lr: '*0.1'}, from: checkpoint, times: 2}",
    ),
    "a mapping such as {explosion: {set: {lr: '*0.1'}}}",
)
LR_SCHEDULE = LrSchedule()
