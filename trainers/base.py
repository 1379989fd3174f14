"""The contract between a training system and whatever runs it.

A trainer is a folder with three modules:

``config.py``   (no torch) `Config`, a frozen dataclass whose fields are made by `parameter`;
                `PRESETS`, a map from preset name to the values it sets; `METRICS`, a map from the
                name of every reported metric to a `Metric`; `DATA_KIND`, what its arrays are.
``metrics.py``  (no torch) ``evaluate(predictions, targets, **data) -> dict[str, float]``: the
                metrics of its kind of data, recomputed from saved arrays; and ``GOALS``. Where
                its data are sequences of unequal length it also says ``SEQUENCES = True``, and
                `evaluate` gets two lists of one-dimensional arrays.
``train.py``    ``train(config, run)``, which may import torch.

Nothing here imports torch, so that a sweep file is checked in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_type_hints

C = TypeVar("C")
Goal = Literal["minimize", "maximize"]


class Run(Protocol):
    """What a trainer is handed beside its config.

    Attributes:
        directory: the run directory; the trainer may write files of its own there.
        device: ``"cpu"`` or ``"cuda"``; a trial sees only the device of its slot.
        threads: CPU threads that the trial may use.
        data_fraction: share of the training data to use, in (0, 1].
    """

    directory: Path
    device: str
    threads: int
    data_fraction: float

    @property
    def should_stop(self) -> bool:
        """True once the trial should save what it has and return.

        It is at once after a report whose training loss is not finite.
        """

    def report(self, step: int, **metrics: float) -> None:
        """Hand over one report. Names carry ``train_`` or ``val_``, or are ``lr``, ``grad_norm``.

        Args:
            step: epochs or batches done, from 1, rising.
            metrics: finite or not; a non-finite training loss ends the trial.
        """

    def progress(self, text: str) -> None:
        """Say in a few words what happens before the first report."""

    def warn(self, text: str) -> None:
        """Say, once, what the user should know; it stands in the metadata and below the table."""

    def describe(self, **facts: Any) -> None:
        """Merge `facts` into ``metadata.json``.

        Known names: ``total_steps`` (int), ``parameters`` (count), ``effective`` (values read back
        from the live objects), ``data`` (``{"kind": ..., ...}`` for `evaluate`), ``lr_schedule``
        (what the learning rate is configured to do, in the words of the sweep file's
        ``lr_schedule``: the rates that are reported are held against it).
        """

    def save_predictions(self, predictions: Any, targets: Any, split: str = "test") -> None:
        """Save predictions and targets of one split, in physical units.

        Args:
            predictions: array or tensor [N, ...]; or, where samples differ in length, a list of
                N one-dimensional arrays, which may be empty.
            targets: of the same shape; or a list of N one-dimensional arrays of other lengths.
            split: ``"test"``, ``"val"``, or ``"train"``: a fixed sample of the training data, for
                trainers whose test error is held against the one of training.
        """

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Save `state` (tensors, numbers, nested maps) in place of the checkpoint before."""

    def restore(self) -> dict[str, Any] | None:
        """Return the state to go on from, or None to begin.

        It is that of an earlier attempt at this trial, or, where this trial follows from another
        (a promotion, a remedy, ``sweep resume``), of that one, which had another config. So what
        the config sets, such as the learning rate, comes from the config and not from the state.
        What moves the learning rate belongs under the key ``scheduler``: where a new schedule is
        asked for, that key is missing, and the schedule begins anew.
        """


@dataclass(frozen=True)
class Metric:
    """A reported metric.

    Attributes:
        goal: which way is better.
        unit: unit of its values, "" for none.
        is_loss: True where its value depends on parameters that alter the loss, so that it cannot
            be compared between trials that set them differently.
    """

    goal: Goal = "minimize"
    unit: str = ""
    is_loss: bool = False


@dataclass(frozen=True)
class Parameter:
    """One parameter of a trainer.

    Attributes:
        name: as it stands in a sweep file.
        type: bool, int, float or str.
        default: value where nothing is said.
        help: one line for people.
        unit: unit of its values, "" for none.
        low: least value, inclusive; None for no bound.
        high: greatest value, inclusive; None for no bound.
        choices: the only values; empty for any.
        nullable: True where null (None) is a value.
        alters_loss: True where it changes what the loss means.
        alters_memory: True where it changes the memory that a trial takes.
        is_path: True where its values are paths; relative ones start at the sweep file's folder.
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
    """Return the config for `values`: defaults, then the preset that they name, then they.

    Integers become floats where the field is a float. Names and bounds were checked with the
    sweep file; a name that is unknown all the same raises TypeError.
    """
    declared = parameters(config)
    preset = values.get("preset", declared["preset"].default if "preset" in declared else None)
    merged = {**presets.get(str(preset), {}), **values}
    for name, value in merged.items():
        if name in declared and declared[name].type is float and isinstance(value, int):
            merged[name] = float(value)
    return config(**merged)
