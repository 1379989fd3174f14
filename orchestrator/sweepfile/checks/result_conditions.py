"""Names of results, and conditions about them: ``gate``, ``promote``, ``success``, ``targets``.

What the results are held against: ``targets``, ``expect``, ``reference``, ``success``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.metrics import known_metrics
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.conditions.ast import (
    Among,
    Between,
    Both,
    Compare,
    Condition,
    Name,
    Not,
    Term,
)
from orchestrator.sweepfile.conditions.condition import ConditionError, names, parse
from orchestrator.sweepfile.model.course import Budget, Reference
from orchestrator.sweepfile.model.spec import Bound
from orchestrator.sweepfile.program.resolve import folder_of
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, metrics_kind
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.overrides import ORIGIN

SPLITS = ("train_", "val_", "test_")


def root_of(name: str) -> str:
    """Return of which metric ``mse`` (``val_mse``) is the square: ``rmse``; "" for other names."""
    before, _, last = name.rpartition("_")
    return f"{before}_rmse".removeprefix("_") if last == "mse" else ""


def term_of(text: str) -> Term:
    """Return what stands before a bound: a metric, perhaps at a step, or a ratio of two.

    A name that the grammar cannot read is taken as it stands.
    """
    try:
        condition = parse(f"{text} < 0")
    except ConditionError:
        return Name(text)
    return condition.term if isinstance(condition, Compare) else Name(text)


def bound_condition(text: str, bound: Bound) -> Condition:
    """Return the condition that a metric of ``targets`` or ``expect`` keeps its bound."""
    if bound.low is not None:
        return Between(term_of(text), bound.low, bound.limit)
    return Compare(term_of(text), bound.op, bound.limit)


def known_results(schema: TrainerSchema, evaluated: bool = True) -> set[str]:
    """Return every name that a result of a trainer may have.

    Args:
        schema: the trainer's.
        evaluated: True to load the trainer's own metrics, which needs numpy.
    """
    own = known_metrics(metrics_kind(schema.name, schema.data_kind)) if evaluated else {}
    bare = {*known_metrics(), *own}
    bare |= {name.removeprefix("val_") for name in schema.metrics if name.startswith("val_")}
    return {*schema.metrics, *bare, *(split + name for split in SPLITS for name in bare)}


class Results:
    """The names of results that a file may speak of, looked up no more than it must be."""

    def __init__(self, file: ParsedFile) -> None:
        self._draft = file
        self._schema = file.schema if file.schema is not None and file.schema.metrics else None
        self._known = known_results(self._schema, evaluated=False) if self._schema else set()
        self._is_whole = False

    def has(self, name: str) -> bool:
        """Tell whether a result of this name may come; of a program any may."""
        if self._schema is None or name in self._known or root_of(name) in self._known:
            return True
        if not self._is_whole:
            self._known, self._is_whole = known_results(self._schema), True
        return name in self._known

    def hint(self, name: str) -> str:
        """Return the nearest right name, or all names, as a sentence."""
        hint = self._draft.log.hint(name, self._known)
        return hint or f" Choices: {', '.join(sorted(self._known))}."

    def check_term(self, text: str, where: Node, key: str, *, at_step: bool) -> None:
        """Check what a bound stands for.

        Args:
            text: a metric, ``METRIC@STEP``, or a ratio.
            where: where it stands.
            key: its dotted key.
            at_step: True where it must name a step; otherwise it must name none.
        """
        term, log = term_of(text), self._draft.log
        parts = [term] if isinstance(term, Name) else [term.above, term.below]
        if self._is_plain_metric(text):
            parts = [Name(text)]
        stepped = [part for part in parts if part.step is not None]
        if at_step and not stepped:
            log.at(where, key, f"must name a step, as {text}@5. Bounds of the end are targets.")
        if not at_step and stepped:
            log.at(where, key, "must name no step, since targets are of the end. Use expect.")
        for part in parts:
            if not self.has(part.name):
                assert self._schema is not None
                message = f"must be a metric of trainer '{self._schema.name}', but is not."
                log.at(where, key, message + self.hint(part.name))

    def _is_plain_metric(self, text: str) -> bool:
        return self._schema is not None and text in self._schema.metrics

    def check_condition(self, text: str, where: Node, key: str, *, many: bool) -> None:
        """Check a condition about results.

        Args:
            text: the condition; it parses.
            where: where it stands.
            key: its dotted key.
            many: True where it is about all trials, by ``any`` and ``all``; otherwise it is
                about one.
        """
        condition, log = parse(text), self._draft.log
        loose = list(_outside(condition))
        if many and loose:
            message = "must say of which trials: 'any ...' or 'all ...', but"
            log.at(where, key, f"{message} '{loose[0]}' stands alone. Write 'any {loose[0]}'.")
        if not many and _has_among(condition):
            log.at(where, key, "must be about one trial, without any and all.")
        self.check_names(condition, where, key)

    def check_names(self, condition: Condition, where: Node, key: str) -> None:
        """Check that the names of a condition are results or parameters."""
        if self._schema is None or self._schema.takes_anything:
            return  # a name may be any parameter
        texts = {name.name for name in _right_names(condition)}
        for name in sorted({item.name for item in names(condition)}):
            if name in self._schema.parameters or name in texts or self.has(name):
                continue
            what = f"a metric or parameter of trainer '{self._schema.name}'"
            # A ratio may be one metric whose name has a slash.
            if any(name in (*metric.split("/"),) for metric in self._schema.metrics):
                continue
            choices = {*self._schema.parameters, *self._known}
            hint = self._draft.log.hint(name, choices) or f" Choices: {', '.join(sorted(choices))}."
            self._draft.log.at(where, key, f"must name {what}, but {name!r} is none.{hint}")


def _outside(condition: Condition) -> Iterator[Condition]:
    """Yield the parts of a condition that stand neither in an ``any`` nor in an ``all``."""
    if isinstance(condition, Among):
        return
    if isinstance(condition, Not):
        yield from _outside(condition.part)
    elif isinstance(condition, Both):
        yield from _outside(condition.left)
        yield from _outside(condition.right)
    else:
        yield condition


def _has_among(condition: Condition) -> bool:
    if isinstance(condition, Among):
        return True
    if isinstance(condition, Not):
        return _has_among(condition.part)
    if isinstance(condition, Both):
        return _has_among(condition.left) or _has_among(condition.right)
    return False


def _right_names(condition: Condition) -> list[Name]:
    """Return the names on the right of == and !=, which may be text as well."""
    if isinstance(condition, Not | Among):
        return _right_names(condition.part)
    if isinstance(condition, Both):
        return [*_right_names(condition.left), *_right_names(condition.right)]
    if isinstance(condition, Compare) and isinstance(condition.value, Name):
        return [condition.value] if condition.op in ("==", "!=") else []
    return []


Bounds = dict[str, Bound]


def read_targets(file: ParsedFile, results: Results) -> tuple[Bounds, dict[str, Bounds]]:
    """Return the flat targets, and those in tiers."""
    given: Mapping[str, Any] = file.values.get("targets", {})
    flat: Bounds = {}
    tiers: dict[str, Bounds] = {}
    for name, entry in given.items():
        if isinstance(entry, Bound):
            flat[name] = entry
            where = file.key_node("targets", name)
            results.check_term(name, where, join("targets", name), at_step=False)
            continue
        tiers[name] = entry
        node = file.node("targets", name)
        if not entry and not node.value:
            file.log.at(node, join("targets", name), "must have one bound at least.")
        for metric in entry:
            where = file.key_node("targets", name, metric)
            results.check_term(metric, where, join("targets", name, metric), at_step=False)
    return flat, tiers


def read_expect(file: ParsedFile, results: Results) -> Bounds:
    """Return the milestones."""
    given: Bounds = file.values.get("expect", {})
    for name in given:
        where = file.key_node("expect", name)
        results.check_term(name, where, join("expect", name), at_step=True)
    return given


def read_references(file: ParsedFile, results: Results, folder: Path) -> dict[str, Reference]:
    """Return what trials are held against; paths start at the file in which they stand."""
    found = {}
    for name, entry in file.values.get("reference", {}).items():
        node, key = file.node("reference", name), join("reference", name)
        if isinstance(entry, str):
            start = folder if node.origin == ORIGIN else folder_of(node)
            path = Path(start, Path(entry).expanduser() if entry[:2] == "~/" else entry)
            if not path.exists():
                file.log.warn(node, key, f"must be a run folder, but there is no {entry!r}.")
            found[name] = Reference(path=str(path))
            continue
        if not entry and not node.value:
            file.log.at(node, key, "must have one metric at least, or be a run folder.")
        for metric in entry:
            where = file.key_node("reference", name, metric)
            results.check_term(metric, where, join(key, metric), at_step=False)
        found[name] = Reference(metrics={metric: float(value) for metric, value in entry.items()})
    return found


def read_success(file: ParsedFile, results: Results) -> tuple[str, ...]:
    """Return the conditions that make the sweep a success."""
    given = file.values.get("success")
    if given is None:
        return ()
    conditions = [given] if isinstance(given, str) else given
    node = file.node("success")
    for place, condition in enumerate(conditions):
        several = isinstance(node.value, list) and len(node.value) == len(conditions)
        where = node.value[place] if several else node
        key = join("success", str(place)) if several else "success"
        results.check_condition(condition, where, key, many=True)
    return tuple(conditions)


def read_budget(file: ParsedFile) -> Budget:
    """Return what bounds the whole sweep."""
    given = file.values.get("budget", {})
    return Budget(**given)
