"""W&B's early_terminate, and what its own reader would read otherwise."""

from __future__ import annotations

from orchestrator.errors import Problem
from orchestrator.sweepfile.bands import bands
from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.model.spec import EarlyTerminate

_DEFAULT_ETA = 3


def read_early_terminate(draft: Draft) -> EarlyTerminate | None:
    """Return W&B's stopping rule, or None where the file has none or a bad one."""
    entry = draft.values.get("early_terminate")
    node = draft.root.get("early_terminate")
    if not entry or node is None or "type" not in entry or len(entry) < len(node.value):
        return None  # what is missing or refused is told already
    log, key = draft.log, "early_terminate"
    where = draft.key_node(key)
    if draft.values.get("pruner", "none") != "none":
        log.at(where, key, "must not stand beside pruner, which stops trials too. Remove one.")
    eta = entry.get("eta", _DEFAULT_ETA)
    if eta <= 1:
        message = f"must be above 1, but got {eta}; as without it, {_DEFAULT_ETA} is used."
        log.warn(draft.node(key, "eta"), f"{key}.eta", message)
        eta = _DEFAULT_ETA
    if "max_iter" in entry and "s" not in entry:
        log.at(where, key, "must have s beside max_iter, the number of bands.")
        return None
    if "max_iter" in entry and "min_iter" in entry:
        log.warn(draft.node(key, "min_iter"), f"{key}.min_iter", "is not used beside max_iter.")
    if "s" in entry and "max_iter" not in entry:
        log.warn(draft.node(key, "s"), f"{key}.s", "is not used without max_iter.")
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


def tell_metric(draft: Draft) -> None:
    """Say what is read of ``metric`` and has no effect."""
    given, key = draft.values.get("metric"), "impute_while_running"
    if not isinstance(given, dict) or draft.method != "bayes":
        return
    if given.get(key, "false") != "false":
        note = "is read, but trials that run count as running: the samplers keep away from them."
        draft.log.warn(draft.node("metric", key), f"metric.{key}", note)


def tell_exponents(draft: Draft) -> None:
    """Say in a W&B file which numbers its own reader would take for text."""
    if not draft.is_wandb:
        return
    by_line: dict[tuple[str, int | None], list[Problem]] = {}
    for item in draft.log.exponents:
        by_line.setdefault((item.origin, item.line), []).append(item)
    for items in by_line.values():
        texts = ", ".join(dict.fromkeys(item.message for item in items))
        one = len(items) == 1
        message = f"has {texts}, read as {'a number' if one else 'numbers'}; W&B reads text there."
        draft.log.warnings.append(Problem(items[0].line, items[0].key, message, items[0].origin))
