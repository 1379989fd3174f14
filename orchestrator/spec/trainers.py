"""What a trainer declares, reached by its name: parameters, presets, metrics.

Only a trainer's ``config.py`` is imported, which loads no torch, so a sweep file is checked in
milliseconds. The protocols here describe what the trainer side hands over; the classes themselves
stand in `trainers.base`, which this package does not import at its top.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from orchestrator.errors import UsageError, nearest

PACKAGE = "trainers"


class ParameterLike(Protocol):
    """One parameter of a trainer; `trainers.base.Parameter` has it all."""

    @property
    def name(self) -> str:
        """As it stands in a sweep file."""

    @property
    def type(self) -> type:
        """One of bool, int, float, str."""

    @property
    def default(self) -> Any:
        """The value where nothing is said."""

    @property
    def low(self) -> float | None:
        """Least value, inclusive."""

    @property
    def high(self) -> float | None:
        """Greatest value, inclusive."""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The only values; empty for any."""

    @property
    def nullable(self) -> bool:
        """True where null is a value."""

    @property
    def alters_loss(self) -> bool:
        """True where it changes what the loss means."""

    @property
    def alters_memory(self) -> bool:
        """True where it changes the memory that a trial takes."""

    @property
    def is_path(self) -> bool:
        """True where its values are paths."""


class MetricLike(Protocol):
    """One reported metric of a trainer; `trainers.base.Metric` has it all."""

    @property
    def goal(self) -> Any:
        """``minimize`` or ``maximize``."""

    @property
    def is_loss(self) -> bool:
        """True where its value depends on parameters that alter the loss."""


@dataclass(frozen=True)
class TrainerSchema:
    """What a trainer's ``config.py`` declares.

    Attributes:
        name: the trainer's name.
        parameters: what a config may set, in the trainer's order.
        presets: preset name to the values that it sets.
        metrics: every metric that the trainer reports during training.
        data_kind: what its arrays are, such as ``decay_curve``.
        config: the `Config` class.
    """

    name: str
    parameters: Mapping[str, ParameterLike]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, MetricLike] = field(default_factory=dict)
    data_kind: str = ""
    config: type | None = None

    @property
    def default_metric(self) -> str | None:
        """The first validation metric that stays comparable when the loss changes."""
        for name, metric in self.metrics.items():
            if name.startswith("val_") and not metric.is_loss:
                return name
        return None


def trainer_names() -> list[str]:
    """Return the names of the trainers that are installed."""
    package = importlib.import_module(PACKAGE)
    found = pkgutil.iter_modules(package.__path__)
    return sorted(item.name for item in found if item.ispkg)


def package_of(name: str) -> str:
    """Return the package of a trainer: one of ours by its short name, any by its dotted one."""
    return name if "." in name else f"{PACKAGE}.{name}"


def trainer_schema(name: str) -> TrainerSchema:
    """Return what the trainer called `name` declares.

    Raises:
        UsageError: there is no such trainer, or its ``config.py`` cannot be loaded.
    """
    names = trainer_names()
    if name not in names:
        known = ", ".join(names) or "none is installed"
        raise UsageError(
            f"must be the name of a trainer, but got {name!r}.{nearest(name, names)} "
            f"Choices: {known}."
        )
    try:
        module = importlib.import_module(f"{package_of(name)}.config")
        base = importlib.import_module(f"{PACKAGE}.base")
        declared: dict[str, ParameterLike] = base.parameters(module.Config)
    except Exception as error:  # a trainer is foreign code: whatever it raises is its own mistake
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"must be a trainer whose config.py loads, but {name}'s fails: {reason}."
        ) from error
    presets = dict(getattr(module, "PRESETS", {}))
    preset: Any = declared.get("preset")
    if preset is not None and presets and not preset.choices:
        declared["preset"] = replace(preset, choices=tuple(presets))
    return TrainerSchema(
        name=name,
        parameters=declared,
        presets=presets,
        metrics=dict(getattr(module, "METRICS", {})),
        data_kind=str(getattr(module, "DATA_KIND", "")),
        config=module.Config,
    )


def evaluated_metrics(name: str) -> dict[str, str]:
    """Return the goals of the metrics that a trainer recomputes from saved arrays, by name.

    This imports the trainer's ``metrics.py`` and with it numpy, so it is called only where a name
    is not among the reported metrics.
    """
    try:
        module = importlib.import_module(f"{package_of(name)}.metrics")
    except ImportError:
        return {}
    return dict(getattr(module, "GOALS", {}))


def full_config(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of a trainer: defaults, then the preset that is named, then `values`.

    Whole numbers become floats where the parameter is a float.

    Raises:
        UsageError: there is no such trainer.
    """
    return resolve(trainer_schema(name), values)


def resolve(schema: TrainerSchema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of `schema`: defaults, then the preset, then `values`."""
    config = {key: parameter.default for key, parameter in schema.parameters.items()}
    preset = values.get("preset", config.get("preset"))
    config.update(schema.presets.get(str(preset), {}))
    config.update(values)
    for key, value in config.items():
        known = schema.parameters.get(key)
        if known is not None and known.type is float and type(value) is int:
            config[key] = float(value)
    return config
