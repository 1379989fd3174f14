"""Who is promoted from one stage to the next: a function of values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.sweepfile.model.course import Promote
from orchestrator.sweepfile.model.spec import Goal


@dataclass(frozen=True)
class Entrant:
    """One config that ran at a stage.

    Attributes:
        number: of its trial, or of the first of its replicates.
        name: for people.
        value: what ranks it; None where it has no such value, because it did not end well.
        is_complete: True where it ended well.
        barred: why it may not run at the next stage; "" where it may.
    """

    number: int
    name: str
    value: float | None
    is_complete: bool
    barred: str = ""


def best_of(entrants: Sequence[Entrant], count: int, goal: Goal) -> list[Entrant]:
    """Return the best `count` of those that have a finite value, the best first.

    Everything tied with the last of them goes along.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    ranked = sorted(
        (entrant for entrant in entrants if _is_ranked(entrant)),
        key=lambda entrant: (sign * (entrant.value or 0.0), entrant.number),
    )
    if count < 1 or len(ranked) <= count:
        return ranked if count >= 1 else []
    last = ranked[count - 1].value
    return ranked[:count] + [entrant for entrant in ranked[count:] if entrant.value == last]


def promoted(
    rule: Promote,
    goal: Goal,
    entrants: Sequence[Entrant],
    holds: Callable[[Entrant], bool | None],
) -> list[Entrant]:
    """Return those that a rule promotes: what ended well, may go on and keeps all that is given.

    A share is of all that ran, rounded up; a condition that is not known does not hold.

    Args:
        rule: the rule.
        goal: which way the value is better.
        entrants: all that ran at the stage.
        holds: tells whether the rule's condition holds of one; asked only where there is one.
    """
    chosen = [entrant for entrant in entrants if entrant.is_complete and not entrant.barred]
    if rule.top is not None:
        chosen = best_of(chosen, rule.top, goal)
    if rule.fraction is not None:
        best = best_of(entrants, most_of(rule.fraction, len(entrants)), goal)
        chosen = [entrant for entrant in chosen if entrant in best]
    if rule.condition is not None:
        chosen = [entrant for entrant in chosen if holds(entrant) is True]
    return chosen


def most_of(fraction: float, count: int) -> int:
    """Return how many a share of `count` is, rounded up."""
    # 0.1 · 30 is 3.0000000000000004 in floats, and not four.
    return math.ceil(round(fraction * count, 9))


def at_most(rule: Promote, count: int) -> int:
    """Return how many of `count` configs a rule promotes at most, ties aside."""
    most = count
    if rule.top is not None:
        most = min(most, rule.top)
    if rule.fraction is not None:
        most = min(most, most_of(rule.fraction, count))
    return most


def words_of(rule: Promote) -> str:
    """Return a rule in words."""
    parts = [f"top {rule.top}"] if rule.top is not None else []
    parts += [f"the best {100 * rule.fraction:.4g} %"] if rule.fraction is not None else []
    parts += [f"if {rule.condition}"] if rule.condition is not None else []
    return ", ".join(parts)


def _is_ranked(entrant: Entrant) -> bool:
    may = entrant.is_complete and not entrant.barred
    return may and entrant.value is not None and math.isfinite(entrant.value)
