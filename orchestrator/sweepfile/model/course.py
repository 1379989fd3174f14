"""The course of a sweep as its file describes it: its start, its stages, its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class EarlyTerminate:
    """W&B's hyperband stopping, as `sweepfile.wandb_files` computes it."""

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3
    strict: bool = True


NOT_WORSE = "not worse"


@dataclass(frozen=True)
class Promote:
    """Which trials of a stage run again at the next; all that is given must hold.

    Attributes:
        or_not_worse: also those that chance alone may separate from the last of the best.
    """

    top: int | None = None
    fraction: float | None = None
    condition: str | None = None
    or_not_worse: bool = False

    def in_words(self) -> str:
        """Return the rule as text."""
        parts = [f"top {self.top}"] if self.top is not None else []
        parts += [f"the best {100 * self.fraction:.4g} %"] if self.fraction is not None else []
        parts += ["or not worse"] if self.or_not_worse else []
        parts += [f"if {self.condition}"] if self.condition is not None else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Stage:
    """One budget that trials pass through.

    Attributes:
        resumes: True if the trials promoted to this stage continue from their checkpoints.
    """

    name: str
    set: Settings = field(default_factory=dict)
    promote: Promote | None = None
    resumes: bool = False


@dataclass(frozen=True)
class Change:
    """One named change of an ablation; `gate` is a condition on the change's own trial."""

    set: Settings = field(default_factory=dict)
    note: str = ""
    gate: str | None = None


@dataclass(frozen=True)
class Ablate:
    """A baseline, and changes that are tried one at a time.

    Attributes:
        changes: in the order of the file; a list value in a file is several of them.
        gate: condition that the baseline must meet before any change runs.
    """

    baseline: Settings = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)
    gate: str | None = None
    keep_improvements: bool = False


@dataclass(frozen=True)
class Budget:
    """What bounds a whole sweep, over all its drivers; the first bound reached ends it in order."""

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    failures: int | None = None


@dataclass(frozen=True)
class Start:
    """What a random or bayes sweep starts from.

    Attributes:
        configs: a value for each searched parameter, of each config that is tried first.
        source: absolute folder of an earlier sweep whose results the sampler learns.
    """

    configs: tuple[Settings, ...] = ()
    source: str | None = None


@dataclass(frozen=True)
class Remedy:
    """What answers a symptom of a trial: a successor with another config.

    Attributes:
        set: parameter to its new value: absolute, ``"*0.1"`` (times the value before), or a list
            of such, one for each answer in turn.
        times: how many answers one chain of trials may have.
    """

    set: Settings = field(default_factory=dict)
    start: Literal["scratch", "checkpoint"] = "scratch"
    condition: str | None = None
    times: int = 1


@dataclass(frozen=True)
class Sampler:
    """An Optuna sampler, in `sweepfile.space.SAMPLERS` or a class, and its keyword arguments."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
