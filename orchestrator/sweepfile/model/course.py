"""The course of a sweep beyond single configs, as plain values of `Spec`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Promote:
    """Which trials of a stage run again at the next; all that is given must hold.

    Attributes:
        top: the best so many, and those tied with the last of them.
        fraction: the best share, in (0, 1], rounded up, and ties.
        condition: on one trial.
    """

    top: int | None = None
    fraction: float | None = None
    condition: str | None = None

    def in_words(self) -> str:
        """Return the rule as text."""
        parts = [f"top {self.top}"] if self.top is not None else []
        parts += [f"the best {100 * self.fraction:.4g} %"] if self.fraction is not None else []
        parts += [f"if {self.condition}"] if self.condition is not None else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Stage:
    """One budget that trials pass through.

    Attributes:
        promote: which of its trials run again at the next stage; None for none.
        resumes: True if the trials promoted to this stage continue from their checkpoints.
    """

    name: str
    set: Settings = field(default_factory=dict)
    promote: Promote | None = None
    resumes: bool = False


@dataclass(frozen=True)
class Change:
    """One named change of an ablation.

    Attributes:
        set: the values in which it differs from the baseline.
        gate: condition on the change's own trial; None for none.
    """

    set: Settings = field(default_factory=dict)
    note: str = ""
    gate: str | None = None


@dataclass(frozen=True)
class Ablate:
    """A baseline, and changes that are tried one at a time.

    Attributes:
        changes: by name, in the order of the file; a list value in a file is several of them.
        gate: condition that the baseline must meet before any change runs; None for none.
        keep_improvements: True if a change that gains more than the noise stays for those after.
    """

    baseline: Settings = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)
    gate: str | None = None
    keep_improvements: bool = False


@dataclass(frozen=True)
class Budget:
    """What bounds a whole sweep; the first bound that is reached ends it in order.

    Attributes:
        trials: finished trials.
        hours: hours while a driver ran, all drivers of the sweep together.
        gpu_hours: hours of all attempts times the GPUs that each held.
        failures: failed trials in a row.
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    failures: int | None = None


@dataclass(frozen=True)
class Remedy:
    """What answers a symptom of a trial: a successor with another config.

    Attributes:
        set: parameter to its new value: absolute, ``"*0.1"`` (times the value before), or a list
            of such, of which the first answer takes the first, and so on.
        condition: condition on the trial; None for none.
        times: how many answers one chain of trials may have.
    """

    set: Settings = field(default_factory=dict)
    start: Literal["scratch", "checkpoint"] = "scratch"
    condition: str | None = None
    times: int = 1


@dataclass(frozen=True)
class Reference:
    """What the trials are compared with.

    Attributes:
        metrics: metric to its published value.
        path: a run folder, absolute, whose metrics are recomputed; None for none.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    path: str | None = None


@dataclass(frozen=True)
class Sampler:
    """An Optuna sampler, one of `sweepfile.space.SAMPLERS`, and its keyword arguments."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
