"""The watch over one run: the rule, the notes beside it and the policy, in one place.

::

    watch = Watch("val_mae", "minimize", target=0.02, total_steps=200, schedule=declared({...}))
    for step, metrics in reports:
        for verdict in watch.update(step, metrics, loss_can_fall=others_fell):
            ...                                    # "warn", "remedy" or "stop", with its reason

Every report costs the same and the memory is bounded, whatever the length of the run. Verdicts
depend on the reports and on `loss_can_fall` alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from orchestrator.divergence import series_names
from orchestrator.divergence.rule import DivergenceRule, numbers_in
from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.schedule.rates import Rates
from orchestrator.divergence.symptoms.leak import MemoryGrowth, Restart
from orchestrator.divergence.symptoms.oscillation import Oscillation
from orchestrator.divergence.symptoms.overfitting import Overfitting
from orchestrator.divergence.symptoms.pace import Pace
from orchestrator.divergence.symptoms.stuck import Dead, NoGradient, Plateau
from orchestrator.divergence.verdict import Policy, Verdict

_RATE = re.compile(r"(?:^|[_/.-])(?:lr|learning_rate|learning rate)(?:$|[_/.-])")
_NORM = re.compile(r"grad(?:ient)?[_/. ]?norm")
_MEMORY = re.compile(r"(?:^|[_/.])(?:memory|mem|vram)(?:$|[_/.])")
_MEMORY_UNITS = {"gib": 1024.0, "gb": 1e9 / 2**20, "bytes": 2.0**-20}


@lru_cache(maxsize=1024)
def _kind_of(name: str) -> str:
    """Return what `name` is to the notes: ``rate``, ``norm``, ``memory``, ``val`` or nothing."""
    plain = name.lower()
    if is_rate(plain):
        return "rate"
    if _NORM.search(plain):
        return "norm"
    if _MEMORY.search(plain):
        return "memory"
    return "val" if series_names.is_validation_loss(plain) else ""


def _sign(way: str) -> float:
    return 1.0 if way == "minimize" else -1.0


def is_rate(name: str) -> bool:
    """Tell whether `name` is a learning rate."""
    return _RATE.search(name.lower()) is not None


class Watch:
    """Judge one run by all symptoms, report by report.

    Args:
        metric: the reported name that ranks the sweep's trials, or None.
        goal: ``"minimize"`` or ``"maximize"``: which way `metric` is better.
        policy: what each symptom leads to.
        target: the value of `metric` to reach, or None.
        targets: further reported names, with the value to reach and which way is better.
        total_steps: the last step, or None where unknown; `plan_steps` says it later.
        schedule: the configured learning rate, or None.
        memory_limit_mib: the memory that the trial may take, for the words.

    Attributes:
        rates: the learning rates seen: ``first``, ``peak`` and ``last``.

    Raises:
        ValueError: `goal` is another word.
    """

    def __init__(
        self,
        metric: str | None = None,
        goal: str = "minimize",
        *,
        policy: Policy | None = None,
        target: float | None = None,
        targets: Mapping[str, tuple[float, str]] | None = None,
        total_steps: float | None = None,
        schedule: Declared | None = None,
        memory_limit_mib: float | None = None,
    ) -> None:
        self.rates = Rates(schedule, total_steps)
        self._rule = DivergenceRule(metric, goal)
        self._metric = metric
        self._metric_sign = _sign(goal)
        self._policy = policy or Policy()
        self._memory_limit_mib = memory_limit_mib
        self._restart = Restart()
        self._memory = MemoryGrowth()
        self._norm = NoGradient()
        self._oscillation = Oscillation()
        self._dead = Dead()
        self._plateau = Plateau()
        self._overfitting = Overfitting()
        self._noted: str | None = None
        self._rate: str | None = None
        self._told: dict[str, int | None] = {}
        self._rising: Verdict | None = None
        self._targets = {
            name: (value, _sign(way)) for name, (value, way) in (targets or {}).items()
        }
        if metric is not None and target is not None:
            self._targets[metric] = target, self._metric_sign
        self._paces: dict[str, Pace] = {}
        if total_steps:
            self.plan_steps(total_steps)

    def plan_steps(self, total_steps: float) -> None:
        """Say which step is the last, once that is known; it may change in a run that goes on."""
        self.rates.last_step = total_steps
        for name, (value, sign) in self._targets.items():
            pace = self._paces.setdefault(name, Pace(sign * value, total_steps))
            pace.total_steps = total_steps

    def plan_schedule(self, schedule: Declared) -> None:
        """Say what the learning rate is configured to do, once that is known."""
        self.rates.configured = schedule

    @property
    def has_fallen(self) -> bool:
        """True once this run has shown that its loss can fall: what others' `rising` hangs on."""
        return self._rule.has_fallen

    @property
    def is_rising(self) -> bool:
        """True while the series that decides is rising."""
        return self._rule.is_rising

    @property
    def judged(self) -> str | None:
        """The name of the series that decides."""
        return self._rule.judged

    def update(
        self, step: int, metrics: Mapping[str, float], *, loss_can_fall: bool = False
    ) -> list[Verdict]:
        """Take in one report and return what the policy makes of it, the gravest first.

        Args:
            step: the step or epoch of the report.
            metrics: reported names and values, NaN and infinities among them.
            loss_can_fall: True once another trial of the sweep has shown that the loss can fall.
        """
        verdict = self._rule.update(step, metrics)
        found = [verdict] if verdict.symptom else []
        if verdict.symptom == "rising":
            self._rising = verdict
        elif not self._rule.is_rising:
            self._rising = None
        elif self._rising is not None and loss_can_fall and not verdict.stops:
            found.append(self._rising)  # told before; now another trial has shown what to expect
        found += self._notes(step, metrics)
        if not found:
            return []
        applied = [self._policy.apply(one, loss_can_fall=loss_can_fall) for one in found]
        if verdict.stops and not (applied and applied[0].stops):
            self._rule.spare()
        fresh = [one for one in applied if one.symptom and self._is_new(one)]
        return sorted(fresh, key=lambda one: ("stop", "remedy", "warn").index(one.action))

    def _is_new(self, verdict: Verdict) -> bool:
        """Tell whether a warning has not been told for this onset; what ends a run always is."""
        if verdict.stops:
            return True
        symptom = str(verdict.symptom)
        if symptom in ("schedule", "too slow"):
            return True  # the audit tells each fault once itself, and so does each target's pace
        if symptom in self._told and self._told[symptom] == verdict.onset:
            return False
        self._told[symptom] = verdict.onset
        return True

    def _notes(self, step: int, metrics: Mapping[str, float]) -> list[Verdict]:
        finite = {
            name: value for name, value in numbers_in(metrics).items() if math.isfinite(value)
        }
        found = [self._restart.feed(step), *self._of_series(step, finite)]
        for name, value in finite.items():
            if name in self._paces or _kind_of(name) not in ("", "val"):
                found += self._of_value(name, step, value)
        return [note for note in found if note is not None]

    def _of_series(self, step: int, finite: Mapping[str, float]) -> list[Verdict | None]:
        name = self._rule.judged
        if name is None or name not in finite:
            return []
        if name != self._noted:
            self._noted = name
            self._oscillation, self._dead, self._plateau = Oscillation(), Dead(), Plateau()
        value, sign = finite[name], self._rule.sign
        plateau = self._plateau.feed(name, step, sign * value, sign)
        found = [
            self._oscillation.feed(name, step, value),
            self._dead.feed(name, step, value),
            None if self._is_reached else plateau,
        ]
        validation = self._validation(finite)
        if validation is not None and series_names.training_rank(name) is not None:
            other, way = validation
            fits = self._overfitting.feed(other, step, value, way * finite[other], way)
            found.append(fits)
        return found

    @property
    def _is_reached(self) -> bool:
        pace = self._paces.get(self._metric or "")
        return pace is not None and pace.is_reached

    def _validation(self, finite: Mapping[str, float]) -> tuple[str, float] | None:
        """Return the series that generalisation is judged by, with its sign."""
        losses = [(len(name), name) for name in finite if _kind_of(name) == "val"]
        if losses:
            return min(losses)[1], 1.0
        if (
            self._metric in finite
            and self._metric is not None
            and series_names.is_validation(self._metric)
        ):
            return self._metric, self._metric_sign
        return None

    def _of_value(self, name: str, step: int, value: float) -> list[Verdict | None]:
        found: list[Verdict | None] = []
        if name in self._paces:
            sign = self._targets[name][1]
            found.append(self._paces[name].feed(name, step, sign * value, sign))
        kind = _kind_of(name)
        if kind == "rate":
            # Groups of parameters have rates of their own; the first that is reported counts.
            self._rate = self._rate or name
            if name != self._rate:
                return found
            faults = self.rates.add(step, value)
            found += [
                Verdict("warn", "schedule", int(fault.since), fault.text, fault.numbers)
                for fault in faults
            ]
        elif kind == "norm":
            found.append(self._norm.feed(name, step, value))
        elif kind == "memory":
            plain = name.lower()
            unit = next((size for end, size in _MEMORY_UNITS.items() if plain.endswith(end)), 1.0)
            limit = self._memory_limit_mib
            found.append(self._memory.feed(name, step, value * unit, limit))
        return found
