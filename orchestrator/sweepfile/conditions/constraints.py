"""Which parameters of a config exist, and which configs may run: ``when`` and ``constraints``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from orchestrator.sweepfile.conditions.condition import evaluate, names
from orchestrator.sweepfile.conditions.grammar import Condition, parse
from orchestrator.sweepfile.model.spec import Constraint, Spec
from orchestrator.sweepfile.trainer_schemas import TrainerSchema, resolve, trainer_schema

_MOST_TRIED = 10_000


class Rules:
    """The rules of one spec whose conditions were checked."""

    def __init__(self, spec: Spec) -> None:
        conditions = {
            name: parse(domain.when) for name, domain in spec.parameters.items() if domain.when
        }
        self.conditions = {name: conditions[name] for name in dependent_order(conditions)}
        self._constraints = [(parse(item.condition), item) for item in spec.constraints]
        self._schema: TrainerSchema | None = None
        if self and spec.trainer is not None:
            self._schema = trainer_schema(spec.trainer, spec.path.parent)

    def __bool__(self) -> bool:
        return bool(self.conditions or self._constraints)

    def concerned(self) -> set[str]:
        """Return the names of all parameters on which a verdict may depend."""
        conditions = [*self.conditions.values(), *(parsed for parsed, _ in self._constraints)]
        found = {name.name for condition in conditions for name in names(condition)}
        # A trainer's preset gives the values that a config does not.
        return {*found, *self.conditions, *(("preset",) if self._schema is not None else ())}

    def judge(
        self, config: Mapping[str, Any], pinned: Mapping[str, Any]
    ) -> tuple[frozenset[str], Constraint | None]:
        """Return the parameters that do not exist, and the first constraint that a config breaks.

        A name that has no value decides nothing: a constraint on it is kept, and a parameter that
        exists only under such a condition does not exist. What is `pinned` exists always.
        """
        kept = dict(config)
        known = self._resolved(kept)
        absent = set()
        for name, condition in self.conditions.items():
            if name in config and name not in pinned and not evaluate(condition, known):
                absent.add(name)
                del kept[name]
                known = self._resolved(kept)
        for condition, item in self._constraints:
            if evaluate(condition, known) is item.forbid:
                return frozenset(absent), item
        return frozenset(absent), None

    def _resolved(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a config with the trainer's defaults."""
        return config if self._schema is None else resolve(self._schema, config)


def broken_by(spec: Spec, config: Mapping[str, Any]) -> Constraint | None:
    """Return the first constraint that a trial's whole config breaks; None if it may run."""
    if not spec.constraints:
        return None
    values = dict(config)
    for name, path in spec.nested.items():
        inner: Any = config
        for part in path:
            if not isinstance(inner, Mapping) or part not in inner:
                break
            inner = inner[part]
        else:
            values[name] = inner
    return Rules(spec).judge(values, values)[1]


def never_met(spec: Spec) -> dict[str, str]:
    """Return the parameters whose ``when`` no values of the others meet, with these as text.

    A condition is looked at if it depends on the values of parameters that always exist.
    """
    found = {}
    set_elsewhere = {*spec.stage_set, *spec.overrides}
    set_elsewhere |= {name for trial in spec.trials.values() for name in trial.set}
    for parameter, domain in spec.parameters.items():
        if not domain.when:
            continue
        condition = parse(domain.when)
        sure = {item.name for item in names(condition, maybe_text=False)}
        used = sorted(sure | ({item.name for item in names(condition)} & spec.parameters.keys()))
        domains = [spec.parameters.get(name) for name in used]
        choices = [one.values for one in domains if one is not None and one.values and not one.when]
        if len(choices) < len(used) or set_elsewhere & {*used}:
            continue
        if math.prod(map(len, choices)) > _MOST_TRIED:
            continue
        rows = (dict(zip(used, row, strict=True)) for row in product(*choices))
        if not any(evaluate(condition, row) for row in rows):
            shown = (f"{n} is {', '.join(map(str, v))}" for n, v in zip(used, choices, strict=True))
            found[parameter] = "; ".join(shown)
    return found


def dependent_order(conditions: Mapping[str, Condition]) -> list[str]:
    """Return the names so that each condition comes after those that it depends on.

    Raises:
        ValueError: some wait for each other; the message names them.
    """
    waiting = {
        name: {item.name for item in names(condition)} & conditions.keys()
        for name, condition in conditions.items()
    }
    order: list[str] = []
    while waiting:
        ready = [name for name, needed in waiting.items() if not needed & waiting.keys()]
        if not ready:
            raise ValueError(", ".join(waiting))
        order += ready
        for name in ready:
            del waiting[name]
    return order
