"""Files of other tools that are called sweep.yaml too: recognised by keys that are theirs alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What a tool is called -> groups of keys, any of which gives it away when all of it is there.
_TOOLS: dict[str, tuple[frozenset[str], ...]] = {
    "Hydra": (frozenset({"hydra"}), frozenset({"defaults"})),
    "the Sweep bot for GitHub": (
        frozenset({"gha_enabled"}),
        frozenset({"rules", "branch"}),
        frozenset({"blocked_dirs"}),
    ),
    "GitHub Actions": (frozenset({"jobs", "on"}),),
    "Kubernetes": (frozenset({"apiVersion", "kind", "metadata"}),),
    "Determined AI": (frozenset({"searcher", "hyperparameters"}),),
    "NNI": (frozenset({"trialCommand"}), frozenset({"searchSpace", "tuner"})),
    "Polyaxon": (frozenset({"kind", "matrix"}), frozenset({"hptuning"})),
    "Docker Compose": (frozenset({"services"}),),
}
_OURS = frozenset({"parameters", "trials", "program", "command"})


def recognise(entries: Mapping[str, Any]) -> str | None:
    """Return the name of the tool whose file this is, or None.

    Args:
        entries: the top of the file, key to anything.
    """
    keys = frozenset(entries)
    if "cmd" in _keys_below(entries.get("stages")):
        return "DVC"
    if keys & _OURS:
        return None
    for tool, groups in _TOOLS.items():
        if any(group <= keys for group in groups):
            return tool
    return None


def _keys_below(node: Any) -> set[str]:
    """Return the keys that stand in the entries of a mapping node."""
    entries = getattr(node, "value", None)
    if not isinstance(entries, dict):
        return set()
    inner = (entry.value for entry in entries.values() if isinstance(entry.value, dict))
    return {key for value in inner for key in value}
