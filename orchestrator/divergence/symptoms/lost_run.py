"""The four symptoms that the divergence rule finds: each alone loses the run."""

from __future__ import annotations

import math

from orchestrator.divergence.series import number
from orchestrator.divergence.symptom import (
    ABSURD_RATE,
    KEEP_ARCHITECTURE,
    LUCKY_START,
    Advice,
    RunFacts,
    Symptom,
    Verdict,
)

_HALF = ("16", "fp16", "half", "16-mixed", "amp", "true", "float16", "mixed")
_PRECISIONS = ("precision", "amp", "fp16", "mixed_precision", "use_amp")


def _advise_non_finite(found: Verdict, facts: RunFacts) -> Advice:
    if found.action == "warn":
        return Advice(
            "only validation is not finite: half precision or an empty part of a metric does this",
            ("run the validation in full precision", "make the scheduler ignore such values"),
            ("do not stop the run while its training loss is finite",),
        )
    known = facts.configured_rate()
    if known is not None and known[1] >= ABSURD_RATE:
        cause = f"{known[0]} {number(known[1])} is too high for any optimizer"
        return Advice(cause, (facts.scale_rate(0.1),), (KEEP_ARCHITECTURE,))
    lower = (facts.scale_rate(0.1), *facts.clip_gradients())
    if facts.is_early(found.onset):
        look = "look for NaN and zeros in the data and in what the loss divides by or takes logs of"
        return Advice(
            "not finite from the very start: bad inputs, log or division by zero in the loss",
            (look, *lower),
            (KEEP_ARCHITECTURE,),
        )
    cause = "a step too large, after which no value is finite"
    is_half = any(
        str(key).lower() in _PRECISIONS and str(value).lower() in _HALF
        for key, value in facts.config.items()
    )
    if is_half:
        cause = "an overflow of half precision, or a step too large"
        lower = ("turn mixed precision off, or use bfloat16", *lower)
    if facts.rate_rose():
        cause += f"; the rate had risen to {number(facts.rate or 0)}"
    return Advice(cause, lower, (facts.avoid_checkpoint(found.onset), KEEP_ARCHITECTURE))


def _advise_lost(found: Verdict, facts: RunFacts) -> Advice:
    if found.action == "warn" and "may be meant" in found.reason:
        return Advice(
            "a weight of the loss or the difficulty grows, or the learning rate is too high",
            ("if it is meant, declare it as `phases`; else " + facts.scale_rate(0.1),),
            ("do not stop the run for this alone",),
        )
    change = [facts.scale_rate(0.1), *facts.clip_gradients()]
    cause = "the learning rate is too high for this loss"
    if facts.rate_rose() and facts.rate and facts.rate_at_best:
        before, after = number(facts.rate_at_best), number(facts.rate)
        cause = f"the learning rate rose from {before} at the best value to {after}"
        change[0] = f"keep the peak of the learning rate at {before}"
    elif facts.is_early(found.onset):
        change.insert(1, "warm up over the first epochs")
    avoid = (facts.avoid_checkpoint(found.onset), KEEP_ARCHITECTURE)
    return Advice(cause, (*change, "restart from scratch"), avoid)


def _advise_rising(found: Verdict, facts: RunFacts) -> Advice:
    known = facts.configured_rate()
    low = facts.scale_rate(0.1)
    # The remedy that the people with this very rate found by hand.
    if known is not None and math.isclose(known[1], 1e-3):
        low = f"lower {known[0]} from 0.001 to 5e-05"
    return Advice(
        "every step makes it worse: the learning rate is too high, or the loss has a wrong sign",
        (low, "restart from scratch", *facts.clip_gradients()),
        (LUCKY_START, KEEP_ARCHITECTURE),
    )


SYMPTOMS = (
    Symptom("non-finite", "stop", "sure", _advise_non_finite),
    Symptom("explosion", "stop", "sure", _advise_lost),
    Symptom("lost progress", "stop", "likely", _advise_lost),
    Symptom("rising", "stop", "possible", _advise_rising),
)
