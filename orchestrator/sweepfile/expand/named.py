"""Named trials whose ``set`` holds lists: one trial for each combination."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from orchestrator.sweepfile.expand.names import safe
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.problems import Log

WRITTEN = "written"
"""Entry of an expanded trial that holds its name in the file."""
MOST = 10_000


def expand_sets(values: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return the values of a file with every list in the ``set`` of a trial expanded.

    A trial called ``a`` with ``dropout: [0.3, 0.4]`` becomes ``a-dropout-0.3`` and
    ``a-dropout-0.4``; of several lists the last one goes fastest. A list that is meant as one
    value is written inside another.
    """
    if not isinstance(values.get("trials"), dict):
        return dict(values)
    trials: dict[str, Any] = {}
    for name, entry in values["trials"].items():
        lists = {
            key: node
            for key, node in entry.get("set", {}).items()
            if isinstance(node.value, list) and node.value
        }
        size = math.prod(len(node.value) for node in lists.values())
        if size > MOST or not lists:
            if size > MOST:
                where = next(iter(lists.values()))
                message = f"must expand to at most {MOST:,} trials, but makes {size:,}."
                log.at(where, join("trials", name, "set"), message)
            trials[name] = entry
            continue
        for row in product(*(node.value for node in lists.values())):
            chosen = dict(zip(lists, row, strict=True))
            tags = [f"{key}-{shown(chosen[key])}" for key in lists if len(lists[key].value) > 1]
            key = free_name("-".join([name, *tags]), {*trials, *values["trials"]} - {name})
            trials[key] = {**entry, "set": {**entry["set"], **chosen}, WRITTEN: name}
    return {**values, "trials": trials}


def shown(node: Node) -> str:
    """Return a value as it stands in a name."""
    value = node.plain()
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    return safe(text) or "empty"


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, with a number where it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
