"""Who proposes configs, checked: the sampler with its options, and the metrics that it serves."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.schema.fields import number_hint
from orchestrator.sweepfile.space.sampler_options import OF_TWO, SAMPLERS, UNWRITABLE
from orchestrator.sweepfile.yaml.node import Node, found

_APART = {
    "cmaes": (
        ("lr_adapt", "use_separable_cma"),
        ("lr_adapt", "with_margin"),
        ("use_separable_cma", "with_margin"),
    )
}


def check_sampler(draft: Draft) -> Sampler | None:
    """Return the sampler of ``bayes``; None where the file does not name a good one."""
    given = draft.values.get("sampler")
    if given is None:
        return None
    entry: dict[str, Any] = {"name": given} if isinstance(given, str) else given
    name, log = entry.get("name"), draft.log
    if name is None:
        return None
    where = draft.key_node("sampler")
    if draft.method != "bayes":
        message = f"goes with method bayes, whose configs it proposes, but method is {draft.method}"
        log.at(where, "sampler", f"{message}. Write method: bayes, or remove it.")
    several = isinstance(draft.values.get("metric"), list) and len(draft.values["metric"]) > 1
    if several and name not in OF_TWO:
        message = f"must be one of {', '.join(OF_TWO)} with two metrics, but got {name}."
        log.at(where, "sampler", message)
    options: dict[str, Node] = entry.get("options", {})
    known = SAMPLERS[name]
    for option, node in options.items():
        key = f"sampler.options.{option}"
        if option in known:
            expected = known[option].refusal(node.plain())
            if expected:
                hint = number_hint(node.value)
                log.at(node, key, f"must be {expected}, but got {found(node)}.{hint}")
        elif option in UNWRITABLE:
            log.at(node, key, f"must not stand in a file, since {UNWRITABLE[option]}.")
        else:
            hint = log.hint(option, known)
            listed = f" Choices: {', '.join(known) or 'none'}." if not hint else ""
            message = f"must be an option of {name}, but is none.{hint}{listed}"
            log.at(node, key, message)
    chosen = {option: node.plain() for option, node in options.items()}
    for group in _APART.get(name, ()):
        both = [option for option in group if chosen.get(option)]
        if len(both) > 1:
            log.at(where, "sampler.options", f"must have one of {' and '.join(both)} alone.")
    if name == "tpe" and chosen.get("group") and chosen.get("multivariate") is False:
        log.at(where, "sampler.options", "must not have group where multivariate is false.")
    return Sampler(name, chosen)
