"""The kinds of learning-rate schedules: one record each, from which everything else is derived.

A record gives the name, the parameters with their limits and defaults, and the rate after `n`
scheduler steps, counted from 0: the rate of the first batch (or epoch) is ``at(0)``. The sweep
file's ``lr_schedule``, the option ``--schedule`` and the audit read these records.

Past its end a schedule keeps its last rate; schedulers that climb again there
(`torch.optim.lr_scheduler.CosineAnnealingLR` does) are what an audit should find. The formulas are
those of PyTorch's schedulers and, for warm-up, of its `LinearLR`; tests compare them with PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Values = Mapping[str, Any]

REQUIRED = object()
"""Default of a parameter that must be given."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a schedule.

    Attributes:
        help: one line for people and editors.
        default: its value if it is not given, or `REQUIRED`.
        type: ``"steps"`` is one number or a list of numbers.
        least: inclusive lower limit of a number; `above` and `below` are exclusive limits.
    """

    help: str
    default: Any = REQUIRED
    type: Literal["number", "steps", "choice", "switch"] = "number"
    least: float = 0.0
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()

    def convert(self, value: Any) -> Any:
        """Return `value` as the formulas need it.

        Raises:
            ValueError: it is not allowed; the message states what is expected.
        """
        if self.type == "number":
            return self._number(value)
        if self.type == "steps":
            items = value if isinstance(value, list | tuple) else [value]
            return tuple(sorted(self._number(item) for item in items))
        if self.type == "choice" and value not in self.choices:
            raise ValueError(" or ".join(self.choices))
        if self.type == "switch" and not isinstance(value, bool):
            raise ValueError("true or false")
        return value

    def _number(self, value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise ValueError("a number")
        if self.above is not None and value <= self.above:
            raise ValueError(f"a number above {self.above:g}")
        if value < self.least:
            raise ValueError(f"a number of at least {self.least:g}")
        if self.below is not None and value >= self.below:
            raise ValueError(f"a number below {self.below:g}")
        return float(value)


@dataclass(frozen=True)
class ScheduleKind:
    """A kind of schedule.

    Attributes:
        help: one line for people and editors.
        parameters: its parameters by name, warm-up among them unless it has its own.
        rate: values and scheduler steps → rate. Fractions of a step are between two steps.
        turns: values → the steps at which it stops rising or falling; the last one is its end.
        needs_one_of: parameters of which at least one must be given.
        follows_losses: True if the rate may be anywhere from ``final`` to `rate`, because it falls
            when the losses stop falling.
    """

    name: str
    help: str
    parameters: Mapping[str, Parameter]
    rate: Callable[[Values, float], float]
    turns: Callable[[Values], tuple[float, ...]] = lambda values: ()
    needs_one_of: tuple[str, ...] = ()
    follows_losses: bool = False

    @property
    def rate_name(self) -> str:
        """The parameter that is the learning rate."""
        return "max_lr" if "max_lr" in self.parameters else "lr"

    def conflict(self, values: Values) -> tuple[str, str] | None:
        """Return which parameter does not fit the others ("" for all) and why; None if all fit."""
        if self.needs_one_of and not any(values.get(name) for name in self.needs_one_of):
            return "", f"needs {' or '.join(self.needs_one_of)}"
        warmup, total = values.get("warmup") or 0, values.get("total")
        if total is not None and warmup >= total:
            return "warmup", f"expected less than total {total:g} (found {warmup:g})"
        return None


@dataclass(frozen=True)
class Schedule:
    """A configured schedule: an optional straight rise, then a kind with its values.

    Attributes:
        name: of the kind.
        values: a value for each of its parameters; ``total`` does not include the rise.
        warmup: steps of the rise.
        warmup_start: fraction of the rate at which the rise begins.
    """

    name: str
    values: Values
    warmup: float = 0.0
    warmup_start: float = 0.0

    @property
    def _record(self) -> ScheduleKind:
        return SCHEDULES[self.name]  # looked up, so that a schedule can be pickled

    @property
    def kind(self) -> str:
        """What messages call it."""
        return f"warm-up and {self.name}" if self.warmup else self.name

    @property
    def follows_losses(self) -> bool:
        """True if the rate may be below `at`."""
        return self._record.follows_losses

    @property
    def turns(self) -> tuple[float, ...]:
        """The steps at which it stops rising or falling."""
        turns = tuple(self.warmup + turn for turn in self._record.turns(self.values))
        return (self.warmup, *turns) if self.warmup else turns

    @property
    def end(self) -> float | None:
        """The step of its last rate; None if it has no end."""
        return self.turns[-1] if self._record.turns(self.values) else None

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(self.at(place) for place in (0.0, *self.turns))

    @property
    def peak_at(self) -> float:
        """The first step at which the rate is at its peak."""
        peak = self.peak * (1 - 1e-12)
        return next(place for place in sorted({0.0, *self.turns}) if self.at(place) >= peak)

    def at(self, n: float) -> float:
        """Return the rate after `n` scheduler steps, from 0; the highest one if it may be lower."""
        if n >= self.warmup:
            return self._record.rate(self.values, n - self.warmup)
        share = self.warmup_start + (1 - self.warmup_start) * n / self.warmup
        return self._record.rate(self.values, 0) * share

    def bounds(self, start: float, end: float) -> tuple[float, float]:
        """Return the lowest and the highest rate between two steps, both inclusive."""
        start = max(0.0, start)
        end = max(start, end)
        places = [start, end, *(turn for turn in self.turns if start < turn < end)]
        rates = [self.at(place) for place in places]
        if self.follows_losses and end > self.warmup:
            rates.append(self.values["final"])
        return min(rates), max(rates)


def _between(first: float, last: float, share: float, *, is_cosine: bool) -> float:
    """Return the rate at a fraction (0 to 1) of the way from one rate to another."""
    if is_cosine:
        return last + (first - last) / 2 * (1 + math.cos(math.pi * share))
    return first + (last - first) * share


def _step_rate(values: Values, n: float) -> float:
    if values["size"]:
        falls = math.floor(n / values["size"])
    else:
        falls = sum(n >= place for place in values["milestones"])
    return float(values["lr"] * values["gamma"] ** falls)


def _fall(values: Values, n: float, *, is_cosine: bool) -> float:
    share = min(n, values["total"]) / values["total"]
    return _between(values["lr"], values["final"], share, is_cosine=is_cosine)


def _onecycle_phases(values: Values) -> list[tuple[float, float, float]]:
    """Return the last step, the first rate and the last rate of each phase."""
    peak, rising = values["max_lr"], values["pct_start"] * values["total"]
    first = peak / values["div_factor"]
    last = first / values["final_div_factor"]
    end = values["total"] - 1
    if values["three_phase"]:
        return [(rising - 1, first, peak), (2 * rising - 2, peak, first), (end, first, last)]
    return [(rising - 1, first, peak), (end, peak, last)]


def _onecycle_rate(values: Values, n: float) -> float:
    phases = _onecycle_phases(values)
    place = min(n, phases[-1][0])
    index = next((i for i, phase in enumerate(phases) if place <= phase[0]), len(phases) - 1)
    begin = phases[index - 1][0] if index else 0.0
    end, first, last = phases[index]
    share = (place - begin) / (end - begin) if end > begin else 1.0
    return _between(first, last, share, is_cosine=values["anneal"] == "cos")


WARM_UP = {
    "warmup": Parameter("steps of a straight rise that belong to total", 0.0),
    "warmup_start": Parameter("fraction of the rate at which the rise begins; by default 0", 0.0),
}
_LR = Parameter("the rate that it begins with; by default the trial's", above=0)
_TOTAL = Parameter("scheduler steps from first to last; by default those of the trial", above=0)
_FINAL = Parameter("the rate that it ends with; by default 0", 0.0)
_FALLING = {"lr": _LR, "total": _TOTAL, "final": _FINAL, **WARM_UP}

_ALL = (
    ScheduleKind(
        "constant", "one rate throughout", {"lr": _LR, **WARM_UP}, lambda values, n: values["lr"]
    ),
    ScheduleKind(
        "step",
        "falls by a factor every size steps, or at the milestones (StepLR, MultiStepLR)",
        {
            "lr": _LR,
            "size": Parameter("steps between two falls", None, above=0),
            "gamma": Parameter("factor of each fall; by default 0.1", 0.1),
            "milestones": Parameter("the steps at which it falls", (), "steps"),
            **WARM_UP,
        },
        _step_rate,
        needs_one_of=("size", "milestones"),
    ),
    ScheduleKind(
        "linear",
        "falls in a straight line (LinearLR)",
        _FALLING,
        lambda values, n: _fall(values, n, is_cosine=False),
        lambda values: (values["total"],),
    ),
    ScheduleKind(
        "cosine",
        "falls in half a cosine (CosineAnnealingLR up to its T_max)",
        _FALLING,
        lambda values, n: _fall(values, n, is_cosine=True),
        lambda values: (values["total"],),
    ),
    ScheduleKind(
        "onecycle",
        "rises to a peak and falls far down (OneCycleLR)",
        {
            "max_lr": Parameter("the rate at the peak; by default the trial's", above=0),
            "total": _TOTAL,
            "pct_start": Parameter("fraction of the rise, below 1; by default 0.3", 0.3, below=1),
            "div_factor": Parameter("peak divided by first rate; by default 25", 25.0, above=0),
            "final_div_factor": Parameter(
                "first rate divided by last; by default 10000", 1e4, above=0
            ),
            "anneal": Parameter(
                "shape of its slopes; by default cos", "cos", "choice", choices=("cos", "linear")
            ),
            "three_phase": Parameter(
                "fall back to the first rate as fast as it rose, then to the last", False, "switch"
            ),
        },
        _onecycle_rate,
        lambda values: tuple(max(0.0, end) for end, _, _ in _onecycle_phases(values)),
    ),
    ScheduleKind(
        "plateau",
        "falls when the validation loss no longer does (ReduceLROnPlateau)",
        {
            "lr": _LR,
            "factor": Parameter("factor of each fall; by default 0.1", 0.1),
            "final": Parameter("the rate that it does not fall below; by default 0", 0.0),
            **WARM_UP,
        },
        lambda values, n: values["lr"],
        follows_losses=True,
    ),
)

SCHEDULES: Mapping[str, ScheduleKind] = {kind.name: kind for kind in _ALL}

PER = ("batch", "epoch")
STEPPING = {
    "per": Parameter(
        "when the scheduler is meant to step; by default epoch", "epoch", "choice", choices=PER
    ),
    "batches_per_epoch": Parameter("batches in one epoch", None, least=1),
    "steps": Parameter(
        "what the steps of the reports count; by default inferred", None, "choice", choices=PER
    ),
    "start": Parameter("scheduler steps done before it began, as after a resume", 0.0),
}
"""What may be given besides the kind."""
