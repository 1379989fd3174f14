"""What ``lr_schedule`` takes: the schedule that the learning rate should follow.

`orchestrator.divergence.schedule` computes with it; a test holds that both know the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import ABSENT, Number, Schema, Switch, Word, join, refuse
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.problems import Log

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
