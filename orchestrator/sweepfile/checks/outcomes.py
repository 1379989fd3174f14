"""What the results are held against: ``targets``, ``expect``, ``reference``, ``success``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.model.course import Budget, Reference
from orchestrator.sweepfile.model.spec import Bound
from orchestrator.sweepfile.overrides import ORIGIN
from orchestrator.sweepfile.program.paths import folder_of
from orchestrator.sweepfile.schema.fields import join

Bounds = dict[str, Bound]


def read_targets(draft: Draft, results: Results) -> tuple[Bounds, dict[str, Bounds]]:
    """Return the flat targets, and those in tiers."""
    given: Mapping[str, Any] = draft.values.get("targets", {})
    flat: Bounds = {}
    tiers: dict[str, Bounds] = {}
    for name, entry in given.items():
        if isinstance(entry, Bound):
            flat[name] = entry
            where = draft.key_node("targets", name)
            results.check_term(name, where, join("targets", name), at_step=False)
            continue
        tiers[name] = entry
        node = draft.node("targets", name)
        if not entry and not node.value:
            draft.log.at(node, join("targets", name), "must have one bound at least.")
        for metric in entry:
            where = draft.key_node("targets", name, metric)
            results.check_term(metric, where, join("targets", name, metric), at_step=False)
    return flat, tiers


def read_expect(draft: Draft, results: Results) -> Bounds:
    """Return the milestones."""
    given: Bounds = draft.values.get("expect", {})
    for name in given:
        where = draft.key_node("expect", name)
        results.check_term(name, where, join("expect", name), at_step=True)
    return given


def read_references(draft: Draft, results: Results, folder: Path) -> dict[str, Reference]:
    """Return what trials are held against; paths start at the file in which they stand."""
    found = {}
    for name, entry in draft.values.get("reference", {}).items():
        node, key = draft.node("reference", name), join("reference", name)
        if isinstance(entry, str):
            start = folder if node.origin == ORIGIN else folder_of(node)
            path = Path(start, Path(entry).expanduser() if entry[:2] == "~/" else entry)
            if not path.exists():
                draft.log.warn(node, key, f"must be a run folder, but there is no {entry!r}.")
            found[name] = Reference(path=str(path))
            continue
        if not entry and not node.value:
            draft.log.at(node, key, "must have one metric at least, or be a run folder.")
        for metric in entry:
            where = draft.key_node("reference", name, metric)
            results.check_term(metric, where, join(key, metric), at_step=False)
        found[name] = Reference(metrics={metric: float(value) for metric, value in entry.items()})
    return found


def read_success(draft: Draft, results: Results) -> tuple[str, ...]:
    """Return the conditions that make the sweep a success."""
    given = draft.values.get("success")
    if given is None:
        return ()
    conditions = [given] if isinstance(given, str) else given
    node = draft.node("success")
    for place, condition in enumerate(conditions):
        several = isinstance(node.value, list) and len(node.value) == len(conditions)
        where = node.value[place] if several else node
        key = join("success", str(place)) if several else "success"
        results.check_condition(condition, where, key, many=True)
    return tuple(conditions)


def read_budget(draft: Draft) -> Budget:
    """Return what bounds the whole sweep."""
    given = draft.values.get("budget", {})
    return Budget(**given)
