"""The decision matrix: for each symptom the likely cause, what to change, and what to leave alone.

It is the matrix that people follow by hand, with the numbers of the run put in: a loss that rises
after its second epoch wants a lower rate and a fresh start; a plateau that stands high a higher
rate, resumed; oscillation a lower one; a test far worse than training regularisation; and a target
that is reached the test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.divergence.lost_levels import number
from orchestrator.divergence.verdict import Verdict

_RATES = ("lr", "learning_rate", "max_lr", "base_lr", "lr0", "optimizer.lr")
_CLIPS = ("gradient_clip_val", "clip", "grad_clip", "max_grad_norm", "clip_norm", "gradient_clip")
_HALF = ("16", "fp16", "half", "16-mixed", "amp", "true", "float16", "mixed")
_PRECISIONS = ("precision", "amp", "fp16", "mixed_precision", "use_amp")

CONFIDENCE = {
    "non-finite": "sure",
    "explosion": "sure",
    "lost progress": "likely",
    "restart": "sure",
    "schedule": "sure",
    "target reached": "sure",
    "rising": "possible",
    "dead from the start": "likely",
    "overfitting": "likely",
    "too slow": "likely",
    "growing memory": "likely",
    "plateau": "possible",
    "oscillation": "possible",
}
"""How much a finding is worth: of the labelled real curves with it, nearly all (sure), more than
two of three (likely), or fewer (possible) were what it says. Those that the curves do not label
stand as they do by what they rest on."""


ABSURD_RATE = 10.0
"""From here on a learning rate is a slip of the pen, for whichever optimiser."""


@dataclass(frozen=True)
class Facts:
    """What is known of a run beside the symptom.

    Attributes:
        config: its parameters.
        unit: ``"epoch"`` or ``"step"``.
        best_step: the step of its best value.
        rate: the learning rate at the onset, where it was logged.
        rate_at_best: the learning rate at the best value, where it was logged.
        first_step: the first step that was reported.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "epoch"
    best_step: int | None = None
    rate: float | None = None
    rate_at_best: float | None = None
    first_step: int | None = None


@dataclass(frozen=True)
class Advice:
    """What to make of a symptom.

    Attributes:
        cause: the likely cause.
        change: what to change, the first thing first.
        avoid: what not to do.
    """

    cause: str
    change: tuple[str, ...]
    avoid: tuple[str, ...] = ()


def advise(found: Verdict, facts: Facts) -> Advice:
    """Return the advice for a symptom."""
    return _MATRIX.get(found.symptom or "", _unknown)(found, facts)


def rate_of(config: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return name and value of the learning rate in a config."""
    lowered = {str(key).lower(): key for key in config}
    for name in _RATES:
        if name in lowered:
            value = config[lowered[name]]
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return str(lowered[name]), float(value)
    return None


def _set_rate(facts: Facts, factor: float) -> str:
    known = rate_of(facts.config)
    if known is not None and known[1] >= ABSURD_RATE:
        return f"lower {known[0]} from {number(known[1])} to 0.001"
    verb = "lower" if factor < 1 else "raise"
    if known is not None:
        name, value = known
        return f"{verb} {name} from {number(value)} to {number(value * factor)}"
    if facts.rate:
        return (
            f"{verb} the learning rate from {number(facts.rate)} to {number(facts.rate * factor)}"
        )
    return f"{verb} the learning rate by a factor of {number(max(factor, 1 / factor))}"


def _has_clip(facts: Facts) -> bool | None:
    for name in _CLIPS:
        for key, value in facts.config.items():
            if str(key).lower() == name:
                return bool(value)
    return None


def _clip(facts: Facts) -> tuple[str, ...]:
    return () if _has_clip(facts) else ("clip the norm of the gradients at 1.0",)


def _is_half(facts: Facts) -> bool:
    return any(
        str(key).lower() in _PRECISIONS and str(value).lower() in _HALF
        for key, value in facts.config.items()
    )


_FRESH = "do not continue from a checkpoint of this run: start afresh"
_LUCKY = "do not continue from the lucky first epoch: what it shows is luck, no result"
_SHAPE = "do not touch the architecture before a run with the lower rate has been seen"


def _is_early(found: Verdict, facts: Facts) -> bool:
    first = facts.first_step if facts.first_step is not None else 1
    return found.onset is not None and found.onset <= first + 2


def _back(found: Verdict, facts: Facts) -> str:
    if _is_early(found, facts) or facts.best_step is None or found.onset is None:
        return _LUCKY
    if facts.best_step >= found.onset:
        return _FRESH
    return (
        f"do not go on from a checkpoint after {facts.unit} {facts.best_step}, the best: "
        "the optimiser's state is spoilt as well"
    )


def _rate_rose(facts: Facts) -> bool:
    if not facts.rate or not facts.rate_at_best:
        return False
    return facts.rate > 1.2 * facts.rate_at_best


def _non_finite(found: Verdict, facts: Facts) -> Advice:
    if found.action == "warn":
        return Advice(
            "validation alone is not finite: half precision or an empty part of a metric does this",
            ("run the validation in full precision", "see that a scheduler ignores such values"),
            ("do not stop the run while its training loss is finite",),
        )
    known = rate_of(facts.config)
    if known is not None and known[1] >= ABSURD_RATE:
        cause = f"{known[0]} {number(known[1])} is beyond what any optimiser takes"
        return Advice(cause, (_set_rate(facts, 0.1),), (_SHAPE,))
    if _is_early(found, facts):
        cause = "not finite from the very start: bad inputs, log or division by zero in the loss"
        change: tuple[str, ...] = (
            "look for NaN and zeros in the data and in what the loss divides by or takes logs of",
            _set_rate(facts, 0.1),
        )
        return Advice(cause, (*change, *_clip(facts)), (_SHAPE,))
    change = (_set_rate(facts, 0.1), *_clip(facts))
    cause = "a step too large, after which nothing is a number any more"
    if _is_half(facts):
        cause = "an overflow of half precision, or a step too large"
        change = ("switch mixed precision off, or use bfloat16", *change)
    if _rate_rose(facts):
        cause += f"; the rate had risen to {number(facts.rate or 0)}"
    return Advice(cause, change, (_back(found, facts), _SHAPE))


def _lost(found: Verdict, facts: Facts) -> Advice:
    change = [_set_rate(facts, 0.1), *_clip(facts)]
    cause = "the learning rate is too high for this loss"
    if _rate_rose(facts) and facts.rate and facts.rate_at_best:
        cause = (
            f"the learning rate rose from {number(facts.rate_at_best)} at the best value to "
            f"{number(facts.rate)}"
        )
        change[0] = f"keep the peak of the learning rate at {number(facts.rate_at_best)}"
    elif _is_early(found, facts):
        change.insert(1, "warm up over the first epochs")
    return Advice(cause, (*change, "restart from scratch"), (_back(found, facts), _SHAPE))


def _rising(found: Verdict, facts: Facts) -> Advice:
    known = rate_of(facts.config)
    low = _set_rate(facts, 0.1)
    # What people do by hand here, where the rate is what it was in their case.
    if known is not None and math.isclose(known[1], 1e-3):
        low = f"lower {known[0]} from 0.001 to 5e-05"
    return Advice(
        "every step makes it worse: the learning rate is too high, or the loss has a wrong sign",
        (low, "restart from scratch", *_clip(facts)),
        (_LUCKY, _SHAPE),
    )


def _oscillation(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "steps that jump over the minimum: the rate is high for this batch size",
        (_set_rate(facts, 0.3), "let the rate fall towards the end", "use larger batches"),
        ("do not pick the best of the swings as a result",),
    )


def _plateau(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "the rate is too low to leave this level, or it fell too early",
        (_set_rate(facts, 3.0), "resume from the last checkpoint"),
        ("do not train longer with everything as it is",),
    )


def _overfitting(found: Verdict, facts: Facts) -> Advice:
    best = "" if found.onset is None else f" of {facts.unit} {found.onset}"
    return Advice(
        "it learns the training data by heart",
        (
            f"keep the checkpoint{best}",
            "regularise: dropout, weight decay, augmentation, more data",
            "stop early",
        ),
        ("do not train longer, and do not lower the rate for it",),
    )


def _too_slow(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "the steps are too small for the length of the run",
        (_set_rate(facts, 3.0), "or give it more epochs"),
        ("do not rank it against runs that had time to converge",),
    )


def _dead(found: Verdict, facts: Facts) -> Advice:
    if found.onset is not None and facts.first_step is not None and found.onset > facts.first_step:
        return Advice(
            "the first steps were so large that everything saturated",
            (_set_rate(facts, 0.1), "warm up over the first epochs", "restart from scratch"),
            ("do not wait: it has not moved since", _SHAPE),
        )
    return Advice(
        "no gradient reaches the parameters: frozen layers, a rate of 0, a detached loss, or "
        "inputs that are all alike",
        (
            "print the gradient norm of the first batch",
            "look whether the optimiser holds the parameters of the model",
            _set_rate(facts, 10.0),
        ),
        ("do not wait: it has not moved at all",),
    )


def _memory(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "something is kept from step to step, most often losses with their graph",
        ("collect loss.item(), not loss", "detach carried states", "empty lists each epoch"),
        ("do not ask for a larger card before the growth is gone",),
    )


def _restart(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "the run was started again, or several wrote into one log",
        ("see that optimiser and schedule were restored too", "give each run its own log"),
        ("do not read the curve across the restart",),
    )


def _schedule(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "the scheduler is not stepped as it was configured",
        ("mend the schedule and restart", "only then change the learning rate"),
        ("do not conclude anything about the learning rate from this run",),
    )


def _reached(found: Verdict, facts: Facts) -> Advice:
    return Advice(
        "the target is met",
        ("evaluate the test set, once",),
        ("do not tune further against the test set",),
    )


def _unknown(found: Verdict, facts: Facts) -> Advice:
    return Advice("not known", ())


_MATRIX: dict[str, Callable[[Verdict, Facts], Advice]] = {
    "non-finite": _non_finite,
    "explosion": _lost,
    "lost progress": _lost,
    "rising": _rising,
    "oscillation": _oscillation,
    "plateau": _plateau,
    "overfitting": _overfitting,
    "too slow": _too_slow,
    "dead from the start": _dead,
    "growing memory": _memory,
    "restart": _restart,
    "schedule": _schedule,
    "target reached": _reached,
}
