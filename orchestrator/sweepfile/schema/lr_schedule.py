"""What ``lr_schedule`` takes: the schedule that the learning rate should follow.

`orchestrator.divergence.schedule` computes with it; a test holds that both have the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import (
    ABSENT,
    SWITCH,
    Number,
    Schema,
    Word,
    join,
    refuse,
)
from orchestrator.sweepfile.yaml.node import Log, Node

PER = ("batch", "epoch")
_ABOVE, _LEAST = Number(above=0), Number(least=0)
_WARM_UP = {
    "warmup": Key(_LEAST, "steps of a straight rise that belong to total"),
    "warmup_start": Key(_LEAST, "share of the rate at which the rise begins; by default 0"),
}
_LR = Key(_ABOVE, "the rate that it begins with; by default the trial's")
_TOTAL = Key(_ABOVE, "scheduler steps from first to last; by default those of the trial")
_FINAL = Key(_LEAST, "the rate that it ends with; by default 0")
_WITH_LR = "a mapping with lr"
_WITH_TOTAL = "a mapping with lr, total"
_STEPS = Either(_LEAST, ListOf(_LEAST, "a list of steps"))

SCHEDULES: dict[str, Key] = {
    "constant": Key(Record({"lr": _LR, **_WARM_UP}, _WITH_LR), "one rate throughout"),
    "step": Key(
        Record(
            {
                "lr": _LR,
                "size": Key(_ABOVE, "steps between two falls"),
                "gamma": Key(_LEAST, "what it is multiplied by; by default 0.1"),
                "milestones": Key(_STEPS, "the steps at which it falls"),
                **_WARM_UP,
            },
            _WITH_LR,
        ),
        "falls by steps",
    ),
    "linear": Key(
        Record({"lr": _LR, "total": _TOTAL, "final": _FINAL, **_WARM_UP}, _WITH_TOTAL),
        "falls in a straight line",
    ),
    "cosine": Key(
        Record({"lr": _LR, "total": _TOTAL, "final": _FINAL, **_WARM_UP}, _WITH_TOTAL),
        "falls in half a cosine",
    ),
    "onecycle": Key(
        Record(
            {
                "max_lr": Key(_ABOVE, "the rate at the peak; by default the trial's"),
                "total": _TOTAL,
                "pct_start": Key(_LEAST, "share of the rise, below 1; by default 0.3"),
                "div_factor": Key(_ABOVE, "peak through first rate; by default 25"),
                "final_div_factor": Key(_ABOVE, "first through last rate; by default 10000"),
                "anneal": Key(Word(("cos", "linear")), "the form of its slopes; by default cos"),
                "three_phase": Key(SWITCH, "a third phase below the first rate"),
            },
            "a mapping with max_lr, total",
        ),
        "rises to a peak and falls",
    ),
    "plateau": Key(
        Record(
            {
                "lr": _LR,
                "factor": Key(_LEAST, "what it is multiplied by; by default 0.1"),
                "final": Key(_LEAST, "the rate that it does not fall below; by default 0"),
                **_WARM_UP,
            },
            _WITH_LR,
        ),
        "falls when the validation loss no longer does",
    ),
}
WHOLE = Record(
    {
        **SCHEDULES,
        "per": Key(Word(PER), "when the scheduler is meant to step; by default epoch"),
        "batches_per_epoch": Key(Number(least=1), "batches in one epoch"),
        "steps": Key(Word(PER), "what the steps of the reports count; by default inferred"),
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
    if kind == "step" and not values.get("size") and not values.get("milestones"):
        log.at(node, key, "needs size or milestones.")
    if values.get("pct_start", 0) >= 1:
        refuse(node.value["pct_start"], join(key, "pct_start"), log, "a share below 1")
    warmup, total = values.get("warmup", 0), values.get("total")
    if total is not None and warmup >= total:
        message = f"not less than total {total:g} (found {warmup:g})."
        log.at(node.value["warmup"], join(key, "warmup"), message)
