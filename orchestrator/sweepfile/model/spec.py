"""The validated content of a sweep file.

`sweepfile.load` makes a `Spec` of a file, `sweepfile.expand` makes configs of a `Spec`.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from orchestrator.sweepfile.model.course import (
    Ablate,
    Budget,
    EarlyTerminate,
    Remedy,
    Sampler,
    Settings,
    Stage,
    Start,
)
from orchestrator.sweepfile.model.program import MAY_CHANGE, Program, changeable

Goal = Literal["minimize", "maximize"]
Method = Literal["grid", "random", "bayes"]
ORDERS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Domain:
    """The values that one parameter may take; its fields are keys of `sweepfile.space.domain`.

    Attributes:
        values: the choices of a categorical, in the order of the file; the one of a constant.
        low: least value of a range, as `high` is the greatest; exponents of e for some
            distributions.
        as_wandb: True for a q in a W&B file: rounding may leave the range, and a grid ends
            below `high`.
    """

    distribution: str
    values: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    q: float | None = None
    probabilities: tuple[float, ...] = ()
    mu: float | None = None
    sigma: float | None = None
    a: float | None = None
    b: float | None = None
    when: str | None = None
    as_wandb: bool | None = None

    @property
    def is_constant(self) -> bool:
        """True if there is nothing to choose."""
        return self.distribution == "constant"


@dataclass(frozen=True)
class MetricGoal:
    """A reported metric that ranks the trials.

    Attributes:
        target: no further trial starts once one has reached it; None for no such value.
        impute: what a failed trial counts as: ``latest``, ``best`` or ``worst`` of its values.
        impute_while_running: the same for trials that run; ``"false"`` for nothing.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None
    impute: str | None = None
    impute_while_running: str | None = None


@dataclass(frozen=True)
class Bound:
    """A bound on a metric, as ``"<= 0.020"``, or ``..`` with a `low`, as ``"0.5..0.8"``."""

    op: str
    limit: float
    low: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether `value` keeps the bound; NaN never does."""
        if self.low is not None:
            return self.low <= value <= self.limit
        return bool(ORDERS[self.op](value, self.limit))

    def __str__(self) -> str:
        # It is read again from the sweep's record: no digit may be lost.
        if self.low is not None:
            return f"{self.low!r}..{self.limit!r}"
        short = f"{self.limit:g}"
        return f"{self.op} {short if float(short) == self.limit else f'{self.limit:.17g}'}"


@dataclass(frozen=True)
class NamedTrial:
    """One entry of ``trials``: its parameter values, and what the writer expects of it."""

    set: Settings = field(default_factory=dict)
    note: str = ""
    risk: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Constraint:
    """A condition that every config must keep, or, with `forbid`, must not meet."""

    condition: str
    forbid: bool = False
    reason: str = ""

    def __str__(self) -> str:
        text = f"{'forbid' if self.forbid else 'require'} {self.condition}"
        return f"{text} ({self.reason})" if self.reason else text


@dataclass(frozen=True)
class Resources:
    """What one trial takes.

    Attributes:
        gpu_memory_bytes: device memory on each of its GPUs; None if undeclared.
        cpus: None lets the placement choose.
        gpus: None means one if the machine has any; 0 keeps the trial off GPUs.
    """

    gpu_memory_bytes: int | None = None
    cpus: int | None = None
    gpus: int | None = None


@dataclass(frozen=True)
class Reference:
    """What the trials are compared with: published metrics, or an absolute run folder."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    path: str | None = None


@dataclass(frozen=True)
class Spec:
    """A sweep file that was checked.

    A field takes what the key of the same name holds, unless a check computes it.

    Attributes:
        name: the sweep's name, which is its folder's under results.
        path: the file, absolute.
        trainer: name of a training system; None if `program` is set.
        metric: what ranks; None if neither file nor trainer names one.
        nested: parameter to its path, of those inside another parameter.
        zips: groups of parameters that move together.
        stage: name of the stage that runs; None if the file has no stages, or all run.
        stage_set: the values that this stage sets.
        pruner_options: keyword arguments of Optuna's class.
        overrides: the parameters of ``--set``; stronger than everything above.
        repeats: True if a config may be drawn more than once.
        seeds: the seeds that each config runs with; empty for once with the config's own.
        tiers: tier to the targets that make it, the least demanding first; next to `targets`.
        expect: milestone such as ``train_mse@5`` to the bound that is expected there.
        objectives: all metrics if the sweep has two; `metric` is the first of them.
        divergence: symptom to what it leads to, if that is not the default, or to a mapping of
            ``action`` (None for the default) and ``patience`` in reports.
        phases: the steps at which the loss changes its meaning, as in a curriculum.
        remedy: symptom, or condition on a metric at a step, to its remedy.
        options: the values of the keys in `schema.options` that the file has.
        private: what is written in settings for a text that must not be, to that text.
        warnings: what the writer should know though the file is good.
    """

    name: str
    path: Path = field(metadata=MAY_CHANGE)
    description: str = changeable("")
    trainer: str | None = None
    program: Program | None = None
    method: Method = "grid"
    metric: MetricGoal | None = None
    fixed: Settings = field(default_factory=dict)
    parameters: Mapping[str, Domain] = field(default_factory=dict)
    nested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    zips: tuple[tuple[str, ...], ...] = ()
    constraints: tuple[Constraint, ...] = ()
    trials: Mapping[str, NamedTrial] = field(default_factory=dict)
    run_cap: int | None = changeable(None)
    seed: int = 0
    start: Start | None = None
    repeats: bool | None = None
    targets: Mapping[str, Bound] = changeable(dict)
    resources: Resources = field(default_factory=Resources)
    stage: str | None = None
    stage_set: Settings = field(default_factory=dict)
    pruner: str = "none"
    pruner_options: Settings = field(default_factory=dict)
    early_terminate: EarlyTerminate | None = None
    overrides: Settings = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    ablate: Ablate | None = None
    seeds: tuple[int, ...] = ()
    seed_parameter: str = "seed"
    tiers: Mapping[str, Mapping[str, Bound]] = changeable(dict)
    expect: Mapping[str, Bound] = changeable(dict)
    references: Mapping[str, Reference] = changeable(dict)
    success: tuple[str, ...] = changeable(())
    budget: Budget = field(default_factory=Budget, metadata=MAY_CHANGE)
    sampler: Sampler | None = None
    objectives: tuple[MetricGoal, ...] = ()
    divergence: Mapping[str, Any] = changeable(dict)
    lr_schedule: Mapping[str, Any] = changeable(dict)
    remedy: Mapping[str, Remedy] = changeable(dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[int, ...] = changeable(())
    private: Mapping[str, str] = field(default_factory=dict, metadata=MAY_CHANGE, repr=False)
    warnings: tuple[str, ...] = changeable(())

    @property
    def metrics(self) -> tuple[MetricGoal, ...]:
        """The metrics of the sweep, the one that ranks first; () for none."""
        return self.objectives or ((self.metric,) if self.metric is not None else ())

    def to_dict(self) -> dict[str, Any]:
        """Return the spec in JSON types, as it is saved with the results."""
        raw = asdict(self)
        del raw["warnings"], raw["private"]
        raw |= raw.pop("options")
        raw["path"] = str(self.path)
        raw["targets"] = _texts(self.targets)
        raw["expect"] = _texts(self.expect)
        raw["tiers"] = {tier: _texts(bounds) for tier, bounds in self.tiers.items()}
        plain: dict[str, Any] = json.loads(json.dumps(raw))
        return plain


def _texts(bounds: Mapping[str, Bound]) -> dict[str, str]:
    return {metric: str(bound) for metric, bound in bounds.items()}


@dataclass(frozen=True)
class TrialConfig:
    """One config of a spec.

    Attributes:
        number: its place in the order of the file, from 0; the replicates of a config have
            consecutive numbers, though others start between them.
        config: the parameter values; the trainer's defaults are not among them.
        varied: the part of `config` that `parameters` chose, by name.
        replicate: place of its seed among the spec's `seeds`, from 0.
        group: number of the config's first replicate; None if configs run once.
        change: the change of an ablation that it tries; None for the baseline, or without one.
    """

    number: int
    name: str
    config: dict[str, Any]
    varied: dict[str, Any] = field(default_factory=dict)
    trial: str | None = None
    replicate: int = 0
    group: int | None = None
    change: str | None = None
