"""Where a program's metrics and arrays are found: what ``metrics`` says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

ARRAYS = tuple(
    f"{split}{role}" for split in ("", "val_", "train_") for role in ("predictions", "targets")
)
"""The arrays that ``metrics`` may name; those without a split are of test data."""


@dataclass(frozen=True)
class MetricSources:
    """Where metrics come from.

    Attributes:
        files: paths and globs of logs, with macros; relative to the folder that ``outputs``
            adopts, where there is one, else to that where the program runs.
        step: the column of logs that is the step; None finds it.
        names: our name of a metric to its name in the logs.
        arrays: one of `ARRAYS` to a path or glob, with ``:key`` behind it for an ``.npz`` file.
    """

    files: tuple[str, ...] = ()
    step: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return what the good entries of ``metrics`` say."""
        return cls(
            files=_many(values.get("files")),
            step=values.get("step"),
            names=dict(values.get("names", {})),
            arrays={name: values[name] for name in ARRAYS if name in values},
        )


def _many(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
