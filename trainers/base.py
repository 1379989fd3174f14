"""The contract between a training system and the engine that runs it.

A trainer is a folder with three modules:

``config.py``   (no torch) `Config`, a frozen dataclass whose fields are made by `parameter`;
                `PRESETS`, a map from preset name to the values it sets; `METRICS`, a map from the
                name of every reported metric to a `Metric`; `DATA_KIND`, the kind of its arrays.
``metrics.py``  (no torch) ``evaluate(predictions, targets, **data) -> dict[str, float]``, which
                recomputes the metrics from saved arrays; and ``GOALS``. For sequences of unequal
                length, set ``SEQUENCES = True``: `evaluate` then gets two lists of
                one-dimensional arrays.
``train.py``    ``train(config, run)``, which may import torch.

This module does not import torch, so a sweep file is checked in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_type_hints

C = TypeVar("C")
Goal = Literal["minimize", "maximize"]


class Run(Protocol):
    """The object that a trainer receives in addition to its config.

    Attributes:
        directory: the run directory; the trainer may write its own files there.
        device: ``"cpu"`` or ``"cuda"``; only the device of the trial's slot is visible.
        threads: CPU threads that the trial may use.
        data_fraction: share of the training data to use, in (0, 1].
    """

    directory: Path
    device: str
    threads: int
    data_fraction: float

    @property
    def should_stop(self) -> bool:
        """Return whether the trial should save its results and return.

        True immediately after a report whose training loss is not finite.
        """

    def report(self, step: int, **metrics: float) -> None:
        """Report metrics. Names start with ``train_`` or ``val_``, or are ``lr`` or ``grad_norm``.

        Args:
            step: completed epochs or batches, from 1, increasing.
            metrics: finite or not; a non-finite training loss ends the trial.
        """

    def progress(self, text: str) -> None:
        """Show a short status message before the first report."""

    def warn(self, text: str) -> None:
        """Show a warning once; it is kept in the metadata and printed below the table."""

    def describe(self, **facts: Any) -> None:
        """Merge `facts` into ``metadata.json``.

        Known names: ``total_steps`` (int), ``parameters`` (count), ``effective`` (values read back
        from the live objects), ``data`` (``{"kind": ..., ...}`` for `evaluate`), ``lr_schedule``
        (the configured learning-rate schedule, with the keys of the sweep file's
        ``lr_schedule``; reported rates are compared with it).
        """

    def save_predictions(
        self, predictions: Any, targets: Any, split: str = "test", groups: Any = None
    ) -> None:
        """Save predictions and targets of one split, in physical units.

        Args:
            predictions: array or tensor [N, ...]; or, if samples differ in length, a list of
                N one-dimensional arrays, which may be empty.
            targets: same shape; or a list of N one-dimensional arrays of any length.
            split: ``"test"``, ``"val"``, or ``"train"`` (a fixed sample of the training data, to
                compare the training error with the test error).
            groups: [N] whole numbers; samples with equal ones are related (one room, one person),
                and intervals treat them as one. None if no samples are.
        """

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Save `state` (tensors, numbers, nested maps), replacing the previous checkpoint."""

    def restore(self) -> dict[str, Any] | None:
        """Return the state to continue from, or None to start.

        It comes from an earlier attempt at this trial or, if this trial continues another one
        (promotion, remedy, ``sweep resume``), from that trial, which had another config. Take
        values that the config sets, such as the learning rate, from the config, not the state.
        Keep the learning-rate schedule under the key ``scheduler``: if a new schedule is
        requested, the key is missing and the schedule starts again.
        """


@dataclass(frozen=True)
class Metric:
    """A reported metric.

    Attributes:
        goal: which way is better.
        unit: unit of the values, "" for none.
        is_loss: whether the value depends on parameters that alter the loss, so trials that set
            them differently cannot be compared by it.
    """

    goal: Goal = "minimize"
    unit: str = ""
    is_loss: bool = False


@dataclass(frozen=True)
class Parameter:
    """One parameter of a trainer.

    Attributes:
        name: name in a sweep file.
        type: bool, int, float or str.
        default: value if none is given.
        help: one-line description.
        unit: unit of the values, "" for none.
        low: minimum, inclusive; None for no bound.
        high: maximum, inclusive; None for no bound.
        choices: allowed values; empty for any.
        nullable: whether null (None) is allowed.
        alters_loss: whether it changes the meaning of the loss.
        alters_memory: whether it changes the memory that a trial needs.
        is_path: whether values are paths, relative to the sweep file's folder.
    """

    name: str
    type: type
    default: Any
    help: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    nullable: bool = False
    alters_loss: bool = False
    alters_memory: bool = False
    is_path: bool = False


def parameter(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    alters_loss: bool = False,
    alters_memory: bool = False,
    is_path: bool = False,
) -> Any:
    """Declare a field of a trainer's `Config`; see `Parameter` for the arguments."""
    details = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "choices": choices,
        "alters_loss": alters_loss,
        "alters_memory": alters_memory,
        "is_path": is_path,
    }
    return field(default=default, metadata=details)


def parameters(config: type) -> dict[str, Parameter]:
    """Return the parameters that a `Config` class declares, in its order."""
    hints = get_type_hints(config)
    found = {}
    for item in fields(config):
        options = getattr(hints[item.name], "__args__", (hints[item.name],))
        kinds = [option for option in options if option is not type(None)]
        found[item.name] = Parameter(
            name=item.name,
            type=kinds[0],
            default=None if item.default is MISSING else item.default,
            nullable=len(kinds) < len(options),
            **item.metadata,
        )
    return found


def build(
    config: type[C], presets: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]
) -> C:
    """Return the config for `values`: defaults, then the preset that they name, then `values`.

    Integers become floats if the field is a float. Names and bounds were checked with the
    sweep file; a name that is still unknown raises TypeError.
    """
    declared = parameters(config)
    preset = values.get("preset", declared["preset"].default if "preset" in declared else None)
    merged = {**presets.get(str(preset), {}), **values}
    for name, value in merged.items():
        if name in declared and declared[name].type is float and isinstance(value, int):
            merged[name] = float(value)
    return config(**merged)
