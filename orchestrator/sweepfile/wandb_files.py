"""W&B's early_terminate, and what its own reader would read otherwise.

W&B's hyperband stopping as pure functions: the bands, and who is stopped at them.

A trial that has reached a band is held against all trials that have: it goes on if its value is
among the best one in eta of theirs. Steps are counted by finite reports of the metric.

Files of other tools that are called sweep.yaml too: recognised by keys that are theirs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import Problem
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.spec import EarlyTerminate, Goal

_DEFAULT_ETA = 3


def read_early_terminate(file: ParsedFile) -> EarlyTerminate | None:
    """Return W&B's stopping rule, or None where the file has none or a bad one."""
    entry = file.values.get("early_terminate")
    node = file.root.get("early_terminate")
    if not entry or node is None or "type" not in entry or len(entry) < len(node.value):
        return None  # what is missing or refused is told already
    log, key = file.log, "early_terminate"
    where = file.key_node(key)
    if file.values.get("pruner", "none") != "none":
        log.at(where, key, "must not stand beside pruner, which stops trials too. Remove one.")
    eta = entry.get("eta", _DEFAULT_ETA)
    if eta <= 1:
        message = f"must be above 1, but got {eta}; as without it, {_DEFAULT_ETA} is used."
        log.warn(file.node(key, "eta"), f"{key}.eta", message)
        eta = _DEFAULT_ETA
    if "max_iter" in entry and "s" not in entry:
        log.at(where, key, "must have s beside max_iter, the number of bands.")
        return None
    if "max_iter" in entry and "min_iter" in entry:
        log.warn(file.node(key, "min_iter"), f"{key}.min_iter", "is not used beside max_iter.")
    if "s" in entry and "max_iter" not in entry:
        log.warn(file.node(key, "s"), f"{key}.s", "is not used without max_iter.")
    rule = EarlyTerminate(
        min_iter=entry.get("min_iter"),
        max_iter=entry.get("max_iter"),
        s=entry.get("s"),
        eta=eta,
        strict=entry.get("strict", True),
    )
    try:
        bands(rule)
    except ValueError:
        hint = "Write min_iter, or a larger max_iter."
        log.at(where, key, f"must have a band of one report at least, but has none. {hint}")
        return None
    return rule


def warn_of_impute(file: ParsedFile) -> None:
    """Say what is read of ``metric`` and has no effect."""
    given, key = file.values.get("metric"), "impute_while_running"
    if not isinstance(given, dict) or file.method != "bayes":
        return
    if given.get(key, "false") != "false":
        note = "is read, but trials that run count as running: the samplers keep away from them."
        file.log.warn(file.node("metric", key), f"metric.{key}", note)


def warn_of_exponents(file: ParsedFile) -> None:
    """Say in a W&B file which numbers its own reader would take for text."""
    if not file.is_wandb:
        return
    by_line: dict[tuple[str, int | None], list[Problem]] = {}
    for item in file.log.exponents:
        by_line.setdefault((item.origin, item.line), []).append(item)
    for items in by_line.values():
        texts = ", ".join(dict.fromkeys(item.message for item in items))
        one = len(items) == 1
        message = f"has {texts}, read as {'a number' if one else 'numbers'}; W&B reads text there."
        file.log.warnings.append(Problem(items[0].line, items[0].key, message, items[0].origin))


_UPWARD = 100  # bands that are counted up from min_iter


@dataclass(frozen=True)
class Stop:
    """Why a trial is stopped.

    Attributes:
        band: the band that it reached, in reports.
        value: what it showed there.
        threshold: what it should have shown at least.
    """

    band: int
    value: float
    threshold: float


def bands(rule: EarlyTerminate) -> list[int]:
    """Return the bands of a rule, rising; ``max_iter`` is stronger than ``min_iter``.

    Raises:
        ValueError: there is none.
    """
    if rule.max_iter is not None:
        counted: list[int] = []
        band: float = rule.max_iter
        for _ in range(rule.s or 0):
            band /= rule.eta
            if band < 1:
                break
            counted.append(int(band))
        if not counted:
            raise ValueError("no band")
        return sorted(counted)
    if rule.min_iter is None:
        raise ValueError("no band")
    found = []
    band = rule.min_iter
    for _ in range(_UPWARD):
        found.append(int(band))
        band *= rule.eta
        if band > 1e300:
            break
    return found


def threshold(values: Sequence[float], eta: float, goal: Goal) -> float:
    """Return the value that a trial at a band must not be worse than.

    Args:
        values: of all trials that have reached the band, at the band; one at least.
        eta: one in so many goes on.
        goal: which way is better.
    """
    ordered = sorted(values, reverse=goal == "maximize")
    return ordered[int(len(ordered) / eta)]


def should_stop(
    rule: EarlyTerminate, goal: Goal, mine: Sequence[float], others: Sequence[Sequence[float]]
) -> Stop | None:
    """Return why a running trial is stopped, or None where it goes on.

    Args:
        rule: the rule.
        goal: which way is better.
        mine: the finite reports of the trial.
        others: the finite reports of every other trial, whatever its state.
    """
    reached = [band for band in bands(rule) if band <= len(mine)]
    if not reached:
        return None
    band = reached[-1]
    values = [reports[band - 1] for reports in (mine, *others) if len(reports) >= band]
    limit = threshold(values, rule.eta, goal)
    better = max if goal == "maximize" else min
    value = mine[band - 1] if rule.strict else better(mine)
    is_worse = value < limit if goal == "maximize" else value > limit
    return Stop(band, value, limit) if is_worse else None
