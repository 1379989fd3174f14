"""From the values that were chosen to one config, with all that it shares with others.

From weak to strong: fixed values, the stage's, parameters, the named trial's or the change's, the
seed, ``--set``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.sweepfile.conditions.constraints import Rules
from orchestrator.sweepfile.expand.names import is_safe, trial_name, with_seed
from orchestrator.sweepfile.model.spec import Constraint, Spec, TrialConfig

BASELINE = "baseline"
"""The name of the trial of an ablation that has no change."""


@dataclass(frozen=True)
class Excluded:
    """A config that is not run.

    Attributes:
        config: its values.
        constraint: what it breaks.
        trial: name of the named trial or of the change in the spec, or None.
    """

    config: dict[str, Any]
    constraint: Constraint
    trial: str | None = None


def pinned_by(spec: Spec, key: str | None) -> Mapping[str, Any]:
    """Return what leaves nothing to choose: what a named trial sets itself, and ``--set``."""
    return {**(spec.trials[key].set if key is not None else {}), **spec.overrides}


class Maker:
    """Makes configs of one spec, with all that they share made once.

    Args:
        spec: at the stage that runs.
        rules: those of `spec`, where they were made already.
    """

    def __init__(self, spec: Spec, rules: Rules | None = None) -> None:
        constants = {
            name: domain.values[0] for name, domain in spec.parameters.items() if domain.is_constant
        }
        self.spec = spec
        self.rules = Rules(spec) if rules is None else rules
        self.shared = {**spec.fixed, **spec.stage_set, **constants}
        self.single = {
            name
            for name, domain in spec.parameters.items()
            if domain.distribution in ("constant", "categorical") and len(domain.values) == 1
        }

    def make(
        self, index: int, key: str | None, chosen: dict[str, Any]
    ) -> tuple[TrialConfig | Excluded, Set[str]]:
        """Return the config of `chosen`, or that it is left out, and the absent parameters.

        Args:
            index: the config's place among all, from 0.
            key: the named trial, or None.
            chosen: a value for each parameter that is free.
        """
        settings = self.spec.trials[key].set if key is not None else {}
        return self._make(index, key, settings, chosen)

    def change(
        self, index: int, change: str | None, kept: Sequence[str] = ()
    ) -> TrialConfig | Excluded:
        """Return the config of one change of an ablation, or that it is left out.

        Args:
            index: the config's place among all, from 0.
            change: its name; None for the baseline.
            kept: changes that stay, in the order in which they were kept.
        """
        ablate = self.spec.ablate
        assert ablate is not None, "the spec must have an ablation"
        settings = dict(ablate.baseline)
        for name in (*kept, *(() if change is None else (change,))):
            settings |= ablate.changes[name].set
        label = BASELINE if change is None else change
        made, _ = self._make(index, label, settings, {})
        if isinstance(made, Excluded):
            return made
        # The names of changes differ from each other; those that a folder can have stay.
        name = label if is_safe(label) else made.name
        return replace(made, name=name, trial=None, change=change)

    def _make(
        self, index: int, label: str | None, settings: Mapping[str, Any], chosen: dict[str, Any]
    ) -> tuple[TrialConfig | Excluded, Set[str]]:
        spec = self.spec
        strong = {**settings, **spec.overrides}
        config = {**self.shared, **chosen, **strong}
        absent: Set[str] = frozenset()
        if self.rules:
            verdict = self.rules.judge(config, strong)
            absent = verdict.absent
            config = {name: value for name, value in config.items() if name not in absent}
            chosen = {name: value for name, value in chosen.items() if name not in absent}
            if verdict.broken is not None:
                return Excluded(_nest(config, spec.nested), verdict.broken, label), absent
        telling = {name: value for name, value in chosen.items() if name not in self.single}
        trial = TrialConfig(
            number=index,
            name=trial_name(index, label, telling, drawn=spec.method != "grid"),
            config=_nest(config, spec.nested) if spec.nested else config,
            varied=chosen,
            trial=label,
        )
        return trial, absent


def with_replicate(spec: Spec, trial: TrialConfig, replicate: int) -> TrialConfig:
    """Return one replicate of a config.

    Args:
        spec: the spec; without seeds the config stays as it is.
        trial: the config, whose number is its place among all configs.
        replicate: the place of its seed among the spec's.
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


def _nest(config: dict[str, Any], paths: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a config in which parameters inside others stand in mappings."""
    tops = {path[0] for path in paths.values()}
    nested = {
        # What is added to must not be what other configs share.
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
