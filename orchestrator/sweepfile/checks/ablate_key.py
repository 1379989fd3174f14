"""One change at a time: ``ablate``, expanded and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.expand.build import BASELINE
from orchestrator.sweepfile.expand.names import MOST, WRITTEN, free_name, shown
from orchestrator.sweepfile.model.course import Ablate, Change
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Log, Node


def expand_changes(values: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return the values of a file with every list in the ``set`` of a change expanded.

    A change called ``dropout`` with ``dropout: [0.3, 0.4]`` becomes ``dropout=0.3`` and
    ``dropout=0.4``; one called ``smaller`` with two lists becomes ``smaller+width=8_depth=2``
    and so on, the last list fastest. A list that is meant as one value is written inside another.
    """
    ablate = values.get("ablate")
    if not isinstance(ablate, dict) or not isinstance(ablate.get("changes"), dict):
        return dict(values)
    written = ablate["changes"]
    changes: dict[str, Any] = {}
    for name, entry in written.items():
        lists = {
            key: node
            for key, node in entry.get("set", {}).items()
            if isinstance(node.value, list) and node.value
        }
        size = math.prod(len(node.value) for node in lists.values())
        if size > MOST:
            where = next(iter(lists.values()))
            message = f"must expand to at most {MOST:,} changes, but makes {size:,}."
            log.at(where, join("ablate.changes", name, "set"), message)
        if size > MOST or not lists:
            changes[name] = {**entry, WRITTEN: name}
            continue
        for row in product(*(node.value for node in lists.values())):
            chosen = dict(zip(lists, row, strict=True))
            tags = [f"{key}={_tag(chosen[key])}" for key in lists if len(lists[key].value) > 1]
            text = "_".join(tags)
            if len(tags) == 1 and list(lists) == [name]:
                label = text
            else:
                label = f"{name}+{text}" if tags else name
            key = free_name(label, {*changes, *written} - {name})
            changes[key] = {**entry, "set": {**entry["set"], **chosen}, WRITTEN: name}
    return {**values, "ablate": {**ablate, "changes": changes}}


def _tag(node: Node) -> str:
    return "null" if node.value is None else shown(node)


def read_ablate(file: ParsedFile, results: Results) -> Ablate | None:
    """Return the baseline and its changes; None where the file has none."""
    entry = file.values.get("ablate")
    if entry is None:
        return None
    log = file.log
    written: dict[str, Any] = entry.get("changes", {})
    node = file.node("ablate", "changes")
    if "changes" in entry and not written and node.value == {}:
        log.at(node, "ablate.changes", "must have one change at least, but has none.")
    if BASELINE in written:
        where = file.key_node("ablate", "changes", BASELINE)
        message = f"must have another name, since '{BASELINE}' is the config without changes."
        log.at(where, f"ablate.changes.{BASELINE}", message)
    if entry.get("gate") is not None:
        results.check_condition(
            entry["gate"], file.node("ablate", "gate"), "ablate.gate", many=False
        )
    changes: dict[str, Change] = {}
    for name, change in written.items():
        path = ("ablate", "changes", change.get(WRITTEN, name))
        settings = {key: item.plain() for key, item in change.get("set", {}).items()}
        if not settings and "set" in change:
            where = file.node(*path, "set")
            log.at(where, join(*path, "set"), "must change one parameter at least.")
        gate = change.get("gate")
        if gate is not None:
            key = join(*path, "gate")
            results.check_condition(gate, file.node(*path, "gate"), key, many=False)
        changes[name] = Change(settings, change.get("note", ""), gate)
    baseline = entry.get("baseline", {}).get("set", {})
    return Ablate(
        baseline={key: item.plain() for key, item in baseline.items()},
        changes=changes,
        gate=entry.get("gate"),
        keep_improvements=bool(entry.get("keep_improvements", False)),
    )
