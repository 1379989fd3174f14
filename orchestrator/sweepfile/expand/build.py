"""From chosen values to one config, with everything that it shares with others.

From weak to strong: fixed values, the stage's, parameters, the named trial's or the change's, the
seed, ``--set``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.sweepfile.conditions.constraints import Rules
from orchestrator.sweepfile.expand.trial_names import is_safe, name_part, trial_name, with_seed
from orchestrator.sweepfile.model.spec import Constraint, Spec, TrialConfig
from orchestrator.sweepfile.space.grid import in_order, is_pinned

BASELINE = "baseline"
"""The name of the trial of an ablation that has no change."""
_MISSING = object()


def for_stage(spec: Spec, name: str) -> Spec:
    """Return the spec at the stage `name`; ValueError without such a stage."""
    for stage in spec.stages:
        if stage.name == name:
            return replace(spec, stage=stage.name, stage_set=stage.set)
    raise ValueError(f"no stage {name}")


def at_first(spec: Spec) -> Spec:
    """Return the spec at its first stage if all stages run in order; otherwise unchanged."""
    if spec.stage is None and spec.stages:
        return for_stage(spec, spec.stages[0].name)
    return spec


@dataclass(frozen=True)
class Excluded:
    """A config that is not run, since it breaks a constraint.

    `trial` is the name of the named trial or of the change; None if it is neither.
    """

    config: dict[str, Any]
    constraint: Constraint
    trial: str | None = None


def pinned_by(spec: Spec, key: str | None) -> Mapping[str, Any]:
    """Return the parameters that are not free: those of a named trial, and of ``--set``."""
    return {**(spec.trials[key].set if key is not None else {}), **spec.overrides}


class Maker:
    """Makes configs of one spec, which is at the stage that runs."""

    def __init__(self, spec: Spec) -> None:
        constants = {
            name: domain.values[0] for name, domain in spec.parameters.items() if domain.is_constant
        }
        self._spec = spec
        self.rules = Rules(spec)
        self._shared = {**spec.fixed, **spec.stage_set, **constants}
        self._single = {
            name
            for name, domain in spec.parameters.items()
            if domain.distribution in ("constant", "categorical") and len(domain.values) == 1
        }

    def change(
        self, index: int, change: str | None, kept: Sequence[str] = ()
    ) -> TrialConfig | Excluded:
        """Return the config of one change of an ablation as `make_change` does, for one seed."""
        ablate = self._spec.ablate
        assert ablate is not None, "the spec must have an ablation"
        settings = dict(ablate.baseline)
        for name in (*kept, *(() if change is None else (change,))):
            settings |= ablate.changes[name].set
        label = BASELINE if change is None else change
        made, _ = self.make(index, label, {}, settings)
        if isinstance(made, Excluded):
            return made
        # The names of changes are unique; a name that is safe as a folder name stays.
        return replace(made, name=label if is_safe(label) else made.name, trial=None, change=change)

    def make(
        self,
        index: int,
        label: str | None,
        chosen: dict[str, Any],
        settings: Mapping[str, Any] | None = None,
    ) -> tuple[TrialConfig | Excluded, Set[str]]:
        """Return a config or its exclusion, and the parameters that do not exist in it.

        Args:
            index: its place among all configs.
            label: the named trial or the change, if any.
            chosen: a value for each free parameter.
            settings: what `label` sets; None for the values of the named trial.
        """
        spec = self._spec
        if settings is None:
            settings = {} if label is None else spec.trials[label].set
        strong = {**settings, **spec.overrides}
        config = {**self._shared, **chosen, **strong}
        absent: Set[str] = frozenset()
        if self.rules:
            absent, broken = self.rules.judge(config, strong)
            config = {name: value for name, value in config.items() if name not in absent}
            chosen = {name: value for name, value in chosen.items() if name not in absent}
            if broken is not None:
                return Excluded(_nest(config, spec.nested), broken, label), absent
        varied = {name: value for name, value in chosen.items() if name not in self._single}
        trial = TrialConfig(
            number=index,
            name=trial_name(index, label, varied, drawn=spec.method != "grid"),
            config=_nest(config, spec.nested),
            varied=chosen,
            trial=label,
        )
        return trial, absent


def make_config(spec: Spec, number: int, varied: Mapping[str, Any]) -> TrialConfig:
    """Return the config of trial `number`, for which `varied` was chosen.

    Named trials, or the baseline and the changes of an ablation, take turns by the number. The
    replicates of one config have consecutive numbers. `varied` has a value for each parameter that
    is no constant; others are ignored.
    """
    spec = at_first(spec)
    index, replicate = divmod(number, max(len(spec.seeds), 1))
    if spec.ablate is not None:
        changes = [None, *spec.ablate.changes]
        unlimited = replace(spec, constraints=())
        made = Maker(unlimited).change(index, changes[index % len(changes)])
    else:
        keys = list(spec.trials)
        key = keys[index % len(keys)] if keys else None
        pinned = pinned_by(spec, key)
        names = (name for name in in_order(spec) if not is_pinned(name, spec, pinned))
        chosen = {name: varied[name] for name in names if name in varied}
        made, _ = Maker(spec).make(index, key, chosen)
    assert isinstance(made, TrialConfig), "constraints are for grid and random only"
    return with_replicate(spec, made, replicate)


def make_change(
    spec: Spec, number: int, change: str | None, kept: Sequence[str] = ()
) -> TrialConfig | Excluded:
    """Return the config that tries one change of an ablation, or its exclusion.

    `change` is None for the baseline; `kept` are earlier changes that stay, in their order. With
    seeds, the number gives the replicate too.
    """
    spec = at_first(spec)
    index, replicate = divmod(number, max(len(spec.seeds), 1))
    made = Maker(spec).change(index, change, kept)
    return made if isinstance(made, Excluded) else with_replicate(spec, made, replicate)


def with_replicate(spec: Spec, trial: TrialConfig, replicate: int) -> TrialConfig:
    """Return one replicate of a config, whose number is its place among all configs.

    `replicate` is the place of its seed among the spec's. Without seeds it is the config itself.
    """
    if not spec.seeds:
        return trial
    seed, many = spec.seeds[replicate], len(spec.seeds)
    number = trial.number * many + replicate
    return replace(
        trial,
        number=number,
        name=with_seed(trial.name, spec.seed_parameter, seed, number) if many > 1 else trial.name,
        config={**trial.config, spec.seed_parameter: seed},
        replicate=replicate,
        group=trial.number * many if many > 1 else None,
    )


def varied_of(spec: Spec, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a trial's config that `parameters` chose, by the names of the spec.

    This is the way back from `TrialConfig.config`, in which nested parameters are in mappings.
    """
    found: dict[str, Any] = {}
    for name in in_order(spec):
        value: Any = config
        for part in spec.nested.get(name, (name,)):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is not _MISSING:
            found[name] = value
    return found


def config_at(spec: Spec, stage: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a trial's chosen values make at another stage.

    The trial's name begins with that of its named trial.
    """
    named = [key for key in spec.trials if name.startswith(name_part(key))]
    key = max(named, key=len, default=None)  # the most specific one
    pinned = pinned_by(spec, key)
    chosen = {k: value for k, value in varied_of(spec, config).items() if k not in pinned}
    made, _ = Maker(for_stage(spec, stage)).make(0, key, chosen)
    return made.config


def _nest(config: dict[str, Any], paths: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a config in which nested parameters are in mappings."""
    tops = {path[0] for path in paths.values()}
    nested = {
        # A mapping that gets another entry must not be shared with other configs.
        name: copy.deepcopy(value) if name in tops else value
        for name, value in config.items()
        if name not in paths
    }
    for name in (name for name in config if name in paths):
        inside = nested
        for part in paths[name][:-1]:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[paths[name][-1]] = config[name]
    return nested
