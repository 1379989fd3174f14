"""W&B's dialect in a sweep file: ``early_terminate``, and where W&B's own reader differs.

W&B's hyperband compares a trial that has reached a band with all trials that have: it continues if
its value is among the best one in eta of theirs. Steps are counted by finite reports of the metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import Problem
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.course import EarlyTerminate
from orchestrator.sweepfile.model.spec import Domain, Goal
from orchestrator.sweepfile.space.distributions import (
    DISTRIBUTIONS,
    limits,
    multiple,
    whole_steps,
)
from orchestrator.sweepfile.space.grid import Axis, grid_values
from orchestrator.sweepfile.yaml.node import Node

_KEY = "early_terminate"
_DEFAULT_ETA = 3
_MOST_BANDS = 100  # that are counted up from min_iter


def read_early_terminate(file: ParsedFile) -> EarlyTerminate | None:
    """Return W&B's stopping rule; None if the file has none or an invalid one."""
    entry = file.values.get(_KEY)
    node = file.root.get(_KEY)
    if not entry or node is None or "type" not in entry or len(entry) < len(node.value):
        return None  # what is missing or refused is reported already
    if file.pruner != "none":
        file.error("mutually exclusive with pruner, which stops trials too. Remove one.", _KEY)
    rule = {name: value for name, value in entry.items() if name != "type"}
    if entry.get("eta", _DEFAULT_ETA) <= 1:
        message = f"not above 1 (found {entry['eta']}); {_DEFAULT_ETA} is used."
        file.warn(message, _KEY, "eta", at=file.node(_KEY, "eta"))
        del rule["eta"]
    if "max_iter" in entry and "s" not in entry:
        file.error("max_iter needs s, the number of bands.", _KEY)
        return None
    unused, where = ("min_iter", "with") if "max_iter" in entry else ("s", "without")
    if unused in entry:
        message = f"has no effect {where} max_iter."
        file.warn(message, _KEY, unused, at=file.node(_KEY, unused))
    found = EarlyTerminate(**rule)
    if not bands(found):
        message = "no band has at least one report. Write min_iter, or a larger max_iter."
        file.error(message, _KEY)
        return None
    return found


def settle_values(file: ParsedFile) -> ParsedFile:
    """Return the file with the values that W&B takes, if it is W&B's, and check those of q.

    W&B takes 1 and 1.0 for the same in a grid. It rounds to multiples of q even if they leave the
    range; here that is so in W&B's own files alone.
    """
    settled = dict(file.parameters)
    for name, declared in file.parameters.items():
        domain = declared.domain
        if domain.q is None or not any(map(math.isfinite, limits(domain))):
            continue
        if file.is_wandb:
            domain = replace(domain, as_wandb=True)
            settled[name] = replace(declared, domain=domain)
        _check_steps(file, file.key_of(name), domain, declared.node)
    return replace(file, parameters=settled)


def _check_steps(file: ParsedFile, key: tuple[str, ...], domain: Domain, node: Node) -> None:
    q, plain = domain.q, domain.distribution.removeprefix("q_")
    assert q is not None
    by = f"q ({q:g}{'' if node.get('q') else ', its default'})"
    advice = f"Write a smaller q, or distribution: {plain}."
    if file.method == "grid":
        if not DISTRIBUTIONS[domain.distribution].in_a_grid:
            return
        if domain.low is not None and domain.high is not None and q > domain.high - domain.low:
            only = f"every value is {domain.low:g}, since {by} is larger than the range. "
            file.warn(f"{only}Write a smaller q, or values: [...].", *key, at=node)
        elif domain.as_wandb:
            taken = Axis(key, grid_values(domain)).length
            left_out = grid_values(replace(domain, as_wandb=None))[taken:]
            if left_out:
                message = f"as in W&B, the grid ends before max and leaves out {left_out[0]:g}. "
                file.warn(f"{message}Write version: 1 to include it.", *key, at=node)
        return
    least, most = whole_steps(domain)
    low, high = limits(domain)
    if least > most:
        file.error(f"no multiple of {by} is from {low:g} to {high:g}. {advice}", *key, at=node)
        return
    ends = dict.fromkeys(multiple(int(n), q) for n in (least, most) if math.isfinite(n))
    if least == most:
        only = f"every value is {next(iter(ends)):g}, the nearest multiple of {by}. {advice}"
        file.warn(only, *key, at=node)
    outside = ", ".join(f"{end:g}" for end in ends if not low <= end <= high)
    if outside:
        message = f"as in W&B, {outside} may be drawn, outside {low:g} to {high:g}: values are "
        file.warn(f"{message}rounded to multiples of {by}.", *key, at=node)


def warn_of_impute(file: ParsedFile) -> None:
    """Warn of what ``metric`` holds without effect."""
    given, key = file.values.get("metric"), "impute_while_running"
    if file.method == "bayes" and isinstance(given, dict) and given.get(key, "false") != "false":
        message = "has no effect: the samplers avoid the configs of running trials."
        file.warn(message, "metric", key, at=file.node("metric", key))


def warn_of_exponents(file: ParsedFile) -> None:
    """Warn in a W&B file which numbers W&B's own reader takes for text."""
    by_line: dict[tuple[str, int | None], list[Problem]] = {}
    for item in file.log.exponents if file.is_wandb else ():
        by_line.setdefault((item.origin, item.line), []).append(item)
    for (origin, line), items in by_line.items():
        texts = ", ".join(dict.fromkeys(item.message for item in items))
        kind = "a number" if len(items) == 1 else "numbers"
        message = f"has {texts}, read as {kind}; W&B reads text there."
        file.log.warnings.append(Problem(line, items[0].key, message, origin))


@dataclass(frozen=True)
class Stop:
    """Why a trial is stopped: its value at a band, in reports, is worse than a threshold."""

    band: int
    value: float
    threshold: float


def bands(rule: EarlyTerminate) -> list[int]:
    """Return the bands of a rule, ascending; ``max_iter`` wins over ``min_iter``."""
    found: list[int] = []
    if rule.max_iter is not None:
        band: float = rule.max_iter / rule.eta
        while band >= 1 and len(found) < (rule.s or 0):
            found.append(int(band))
            band /= rule.eta
        found.reverse()
    elif rule.min_iter is not None:
        band = rule.min_iter
        while band <= 1e300 and len(found) < _MOST_BANDS:
            found.append(int(band))
            band *= rule.eta
    return found


def should_stop(
    rule: EarlyTerminate, goal: Goal, mine: Sequence[float], others: Sequence[Sequence[float]]
) -> Stop | None:
    """Return why a trial with the finite reports `mine` is stopped; None if it continues."""
    reached = [band for band in bands(rule) if band <= len(mine)]
    if not reached:
        return None
    band = reached[-1]
    values = [reports[band - 1] for reports in (mine, *others) if len(reports) >= band]
    values.sort(reverse=goal == "maximize")
    threshold = values[int(len(values) / rule.eta)]
    better = max if goal == "maximize" else min
    value = mine[band - 1] if rule.strict else better(mine)
    is_worse = value < threshold if goal == "maximize" else value > threshold
    return Stop(band, value, threshold) if is_worse else None
