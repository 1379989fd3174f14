"""Names of results, and the keys that compare results with them.

These are the conditions of ``gate``, ``promote`` and ``success``, and the bounds of ``targets``,
``expect`` and ``reference``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.files.series_names import SPLITS, root_of
from orchestrator.metrics import known_metrics
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.conditions.condition import names
from orchestrator.sweepfile.conditions.grammar import (
    Among,
    Both,
    Compare,
    Condition,
    ConditionError,
    Name,
    Not,
    parse,
)
from orchestrator.sweepfile.model.spec import Bound, Reference
from orchestrator.sweepfile.program.paths import start_of
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, metrics_kind
from orchestrator.sweepfile.yaml.node import Node

JUMP = "jump."
"""Before the name of a metric: its largest rise from one report to the next, as a fraction."""

Bounds = dict[str, Bound]


def leaves(condition: Condition) -> Iterator[Condition]:
    """Yield the parts that and, or, not join; one of any or all is a part as a whole."""
    if isinstance(condition, Not):
        yield from leaves(condition.part)
    elif isinstance(condition, Both):
        yield from leaves(condition.left)
        yield from leaves(condition.right)
    else:
        yield condition


def _names_in(text: str) -> set[Name]:
    """Return the metrics of a bound.

    A text that the grammar cannot read is one as a whole, up to an ``@`` and a step at its end.
    """
    try:
        condition = parse(f"{text} < 0")
    except ConditionError:
        condition = None
    if isinstance(condition, Compare):
        return names(condition)
    name, _, step = text.rpartition("@")
    return {Name(name, int(step))} if name and step.isdecimal() else {Name(text)}


def _result_names(schema: TrainerSchema, own_metrics: Iterable[str] = ()) -> set[str]:
    """Return every name that a result of a trainer may have."""
    bare = {*known_metrics(), *own_metrics}
    bare |= {name.removeprefix("val_") for name in schema.metrics if name.startswith("val_")}
    return {*schema.metrics, *bare, *(f"{split}_{name}" for split in SPLITS for name in bare)}


class Results:
    """The results that a file may name; a program may report any.

    Attributes:
        used: the path of each bound and condition that was checked, and the metrics it names.
    """

    def __init__(self, file: ParsedFile) -> None:
        self.used: list[tuple[tuple[str, ...], set[str]]] = []
        self._file = file
        self._schema = file.schema if file.schema is not None and file.schema.metrics else None
        self._known = set() if self._schema is None else _result_names(self._schema)
        self._is_complete = False

    def has(self, name: str) -> bool:
        """Return whether a result may have this name."""
        name = name.removeprefix(JUMP)
        if self._schema is None or name in self._known or root_of(name) in self._known:
            return True
        if not self._is_complete:  # the trainer's own metrics need numpy
            own = known_metrics(metrics_kind(self._schema.name, self._schema.data_kind))
            self._known, self._is_complete = _result_names(self._schema, own), True
        return name in self._known

    def unknown(self, name: str, *more: str) -> str:
        """Return the message about an unknown name; `more` are further valid names."""
        assert self._schema is not None
        choices = {*self._known, *more}
        hint = self._file.log.hint(name, choices) or f" Choices: {', '.join(sorted(choices))}."
        what = "metric or parameter" if more else "metric"
        return f"trainer '{self._schema.name}' has no {what} '{name}'.{hint}"

    def check_bound(self, text: str, *above: str, at_step: bool = False) -> None:
        """Check the metric of a bound: ``METRIC``, a ratio, or, if `at_step`, ``METRIC@STEP``.

        `above` is the path of the mapping that holds the bound.
        """
        is_metric = self._schema is not None and text in self._schema.metrics
        parts = {Name(text)} if is_metric else _names_in(text)
        used = {part.name for part in parts}
        self.used.append(((*above, text), {text, *used}))
        stepped = any(part.step is not None for part in parts)
        if at_step and not stepped:
            name = re.sub(r"@(-\d*)?$", "", text)
            message = f"needs a step, such as {name}@5. Write bounds of the end under targets."
            self._file.error(message, *above, text)
            if name != text:
                return
        if stepped and not at_step:
            message = "targets are about the end, not a step. Write it under expect."
            self._file.error(message, *above, text)
        for name in sorted(used):
            if not self.has(name):
                self._file.error(self.unknown(name), *above, text)

    def check_condition(
        self, text: str | None, *path: str, at: Node | None = None, many: bool = False
    ) -> None:
        """Check a condition, if any, about one trial, or about `many` by ``any`` and ``all``.

        `at` is its node, if that is not the one at `path`.
        """
        if text is None:
            return
        condition, where = parse(text), at or self._file.node(*path)
        used = {item.name for item in names(condition)}
        self.used.append((path, used))
        parts = list(leaves(condition))
        loose = [part for part in parts if not isinstance(part, Among)]
        if many and loose:
            message = f"'{loose[0]}' needs any or all. Write 'any {loose[0]}'."
            self._file.error(message, *path, at=where)
        if not many and len(loose) < len(parts):
            message = "any and all cannot be used here: the condition is about one trial."
            self._file.error(message, *path, at=where)
        if self._schema is None or self._schema.takes_anything:
            return  # a name may be any parameter
        # A ratio may be one metric whose name has a slash.
        halves = {half for metric in self._schema.metrics for half in metric.split("/")}
        asked = {item.name for item in names(condition, maybe_text=False)}
        for name in sorted(asked - {*self._schema.parameters, *halves}):
            if not self.has(name):
                self._file.error(self.unknown(name, *self._schema.parameters), *path, at=where)


def read_targets(file: ParsedFile, results: Results) -> tuple[Bounds, dict[str, Bounds]]:
    """Return the flat targets, and those in tiers."""
    given: Mapping[str, Any] = file.values.get("targets", {})
    flat = {name: entry for name, entry in given.items() if isinstance(entry, Bound)}
    tiers = {name: entry for name, entry in given.items() if name not in flat}
    for name in flat:
        results.check_bound(name, "targets")
    for name, bounds in tiers.items():
        if not bounds and not file.node("targets", name).value:
            file.error("needs at least one bound.", "targets", name)
        for metric in bounds:
            results.check_bound(metric, "targets", name)
    return flat, tiers


def read_expect(file: ParsedFile, results: Results) -> Bounds:
    """Return the milestones."""
    given: Bounds = file.values.get("expect", {})
    for name in given:
        results.check_bound(name, "expect", at_step=True)
    return given


def read_references(file: ParsedFile, results: Results, folder: Path) -> dict[str, Reference]:
    """Return what trials are compared with; a path is relative to the file that names it."""
    found = {}
    for name, entry in file.values.get("reference", {}).items():
        node = file.node("reference", name)
        if isinstance(entry, str):
            given = Path(entry).expanduser() if entry.startswith("~/") else entry
            path = start_of(node, folder) / given
            if not os.path.exists(path):
                file.warn(f"no run folder {entry!r}.", "reference", name)
            found[name] = Reference(path=str(path))
            continue
        if not entry and not node.value:
            file.error("needs at least one metric, or a run folder.", "reference", name)
        for metric in entry:
            results.check_bound(metric, "reference", name)
        found[name] = Reference(metrics={metric: float(value) for metric, value in entry.items()})
    return found


def read_success(file: ParsedFile, results: Results) -> tuple[str, ...]:
    """Return the conditions that make the sweep a success."""
    given = file.values.get("success", [])
    conditions = [given] if isinstance(given, str) else given
    for condition, path, node in file.items("success", conditions):
        results.check_condition(condition, *path, at=node, many=True)
    return tuple(conditions)
