"""What a symptom is: its record, what its detector sees, the verdict on it, and the advice.

Each module of `orchestrator.divergence.symptoms` defines one record. Defaults, checks, messages and
the docs of all symptoms are derived from these records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.series import Standing, Streak, in_a_row, number, rate_in

Action = Literal["continue", "warn", "remedy", "stop"]
Choice = Literal["stop", "warn", "remedy", "ignore"]
CHOICES: tuple[Choice, ...] = ("stop", "warn", "remedy", "ignore")

ABSURD_RATE = 10.0
"""A learning rate from here on is a typing error, whatever the optimizer."""

_CLIPS = ("gradient_clip_val", "clip", "grad_clip", "max_grad_norm", "clip_norm", "gradient_clip")

LUCKY_START = "do not continue from the lucky first epoch: it is luck, not a result"
KEEP_ARCHITECTURE = "do not change the architecture before you have seen a run with the lower rate"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should happen to a run after one report.

    Attributes:
        action: ``"warn"``: the run continues and the user is informed; ``"remedy"``: it ends so
            that another trial may try a remedy; ``"stop"``: it is lost.
        symptom: the name of what was found; None if nothing was.
        onset: step at which the symptom began.
        reason: one sentence with the numbers behind it.
        numbers: the same numbers by name.
    """

    action: Action = "continue"
    symptom: str | None = None
    onset: int | None = None
    reason: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def stops(self) -> bool:
        """True if the run ends."""
        return self.action in ("stop", "remedy")


CONTINUE = Verdict()


class Named(Protocol):
    """A series with its name; its sign is -1.0 if it is maximized."""

    name: str
    sign: float


def verdict_on(series: Named, condition: str, streak: Streak, standing: Standing) -> Verdict:
    """Return what a condition on a series leads to, with the numbers behind it.

    Args:
        series: what was judged.
        condition: of `lost_levels.REPORTS`, ``"raised"``, ``"rising"`` or ``"lost by rising"``.
        streak: for how long it has held.
        standing: the last report.
    """
    sign = series.sign
    numbers = {
        "value": sign * standing.value,
        "first": sign * standing.first,
        "best": sign * standing.best,
        "lost": standing.lost,
        "noise": standing.noise,
        "reports": float(streak.count),
    }
    value, first, best = (number(numbers[key]) for key in ("value", "first", "best"))
    symptom = "lost progress"
    if condition in ("explosion", "steep"):
        symptom = "explosion"
        times = "ten times" if condition == "steep" else "twice"
        text = f"{value} is more than {times} its first value {first} and its best {best}"
    elif condition in ("rising", "lost by rising"):
        symptom = "rising"
        above = (standing.value - standing.first) / (abs(standing.first) or 1.0)
        share = f"{above:.0%}" if standing.first else number(above)
        side = "below" if sign > 0 else "above"
        text = f"{value} was never {side} its first value {first} and is {share} worse than it"
    else:
        share = "all" if standing.lost >= 1 else f"{standing.lost:.0%}"
        text = f"{value} has lost {share} of its progress from {first} to {best}"
    reason = f"{series.name} {text}{in_a_row(streak.count)} since step {streak.since}"
    if condition == "raised":
        reason += "; it may be meant, as if a weight of the loss or the difficulty grows"
    action: Action = "warn" if condition in ("raised", "rising") else "stop"
    return Verdict(action, symptom, streak.since, reason, numbers)


@dataclass(frozen=True)
class RunPlan:
    """What is known of a run before it reports: the arguments of `Watch`.

    Attributes:
        targets: reported name → (value to reach, sign); the sign is -1.0 for a maximized name.
    """

    metric: str | None = None
    targets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    total_steps: float | None = None
    schedule: Declared | None = None
    memory_limit_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One report as detectors see it.

    Attributes:
        values: the finite values by reported name.
        kinds: what each of these names is; see `kind_of`.
        judged: the series that decides; None if this report does not contain it.
        sign: -1.0 if that series is maximized, else 1.0.
        validation: name and sign of the series that generalization is judged by; None if this
            report contains none, or if the deciding series is not a training loss.
        is_reached: True once the metric has met its target.
    """

    step: int
    values: Mapping[str, float]
    kinds: Mapping[str, str]
    judged: str | None
    sign: float
    validation: tuple[str, float] | None
    is_reached: bool
    plan: RunPlan

    def of_kind(self, kind: str) -> list[tuple[str, float]]:
        """Return the names of a kind with their values, in the order of reporting."""
        return [(name, value) for name, value in self.values.items() if self.kinds[name] == kind]


class Detector:
    """Looks for one symptom, report by report, in constant time and memory."""

    def feed(self, seen: Observation) -> Iterable[Verdict]:
        """Process one report and return what it shows for the first time."""
        raise NotImplementedError

    def holds(self, found: Verdict) -> bool:
        """Return whether a finding still holds after the reports since."""
        return True


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run besides the symptom; None for what was not reported.

    Attributes:
        unit: what steps count: ``"epoch"`` or ``"step"``.
        rate: learning rate at the onset.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "epoch"
    best_step: int | None = None
    rate: float | None = None
    rate_at_best: float | None = None
    first_step: int | None = None

    def configured_rate(self) -> tuple[str, float] | None:
        """Return name and value of the learning rate in the config."""
        return rate_in(self.config)

    def scale_rate(self, factor: float) -> str:
        """Return the advice to multiply the learning rate by `factor`."""
        known = self.configured_rate()
        if known is not None and known[1] >= ABSURD_RATE:
            return f"lower {known[0]} from {number(known[1])} to 0.001"
        verb = "lower" if factor < 1 else "raise"
        name, rate = known or ("the learning rate", self.rate)
        if not rate:
            return f"{verb} the learning rate by a factor of {number(max(factor, 1 / factor))}"
        return f"{verb} {name} from {number(rate)} to {number(rate * factor)}"

    def clip_gradients(self) -> tuple[str, ...]:
        """Return the advice to clip gradients, unless the config clips them."""
        clips = (value for key, value in self.config.items() if str(key).lower() in _CLIPS)
        return () if any(clips) else ("clip the norm of the gradients at 1.0",)

    def is_early(self, onset: int | None) -> bool:
        """Return whether a symptom began within the first three reports."""
        first = self.first_step if self.first_step is not None else 1
        return onset is not None and onset <= first + 2

    def rate_rose(self) -> bool:
        """Return whether the rate at the onset is a fifth above the rate at the best value."""
        return bool(self.rate and self.rate_at_best and self.rate > 1.2 * self.rate_at_best)

    def avoid_checkpoint(self, onset: int | None) -> str:
        """Return which checkpoints of a lost run must not be used."""
        if self.is_early(onset) or self.best_step is None or onset is None:
            return LUCKY_START
        if self.best_step >= onset:
            return "do not continue from a checkpoint of this run: start from scratch"
        return (
            f"do not continue from a checkpoint after {self.unit} {self.best_step}, the best: "
            "the state of the optimizer is damaged as well"
        )


@dataclass(frozen=True)
class Advice:
    """The likely cause of a symptom, what to change (most important first), what not to do."""

    cause: str
    change: tuple[str, ...]
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Symptom:
    """One way in which a learning curve goes wrong.

    Attributes:
        name: as in messages and, with any separators, in the sweep file.
        default: what it leads to unless the sweep file sets something else. Those that stop by
            default are divergence; the others are notes.
        confidence: how much a finding is worth. On the labeled real curves with it, it was right
            for nearly all (sure), more than two of three (likely), or fewer (possible).
        detector: makes the detector for one run; None if the divergence rule finds the symptom.
        is_per_series: True if the detector starts over when another series becomes the judged one,
            and when the log starts again.
        is_forecast: True if it is only worth reporting while the run continues.
        is_separate: True if findings with different reasons are different findings, as of two
            targets; False if one finding per run says it all.
    """

    name: str
    default: Choice
    confidence: Literal["sure", "likely", "possible"]
    advise: Callable[[Verdict, RunFacts], Advice]
    detector: Callable[[], Detector] | None = None
    is_per_series: bool = False
    is_forecast: bool = False
    is_separate: bool = False
