"""The watch over one run: the divergence rule, all other symptoms, and the policy.

::

    policy = Policy.of({"plateau": {"action": "stop", "patience": 20}, "rising": "stop"})
    watch = Watch("val_mae", "minimize", policy=policy, target=0.02, total_steps=200)
    for step, metrics in reports:
        for verdict in watch.update(step, metrics, loss_can_fall=others_fell):
            ...                                    # "warn", "remedy" or "stop", with its reason

By default only a lost run ends: a non-finite training loss, an explosion, lost progress; and a loss
that only rises, once another trial of the sweep has shown that the loss can fall or if the policy
names an action for it.

Every report costs the same, and memory is bounded whatever the length of the run. Verdicts depend
only on the reports and on `loss_can_fall`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from orchestrator.divergence.policy import GRAVITY, Patience, Policy
from orchestrator.divergence.rule import DivergenceRule, numbers_in
from orchestrator.divergence.schedule.declared import Declared
from orchestrator.divergence.symptom import (
    Detector,
    Observation,
    RunPlan,
    Verdict,
)
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.files.series_names import (
    best_validation_name,
    is_validation,
    kind_of,
    training_rank,
)


def finding_key(found: Verdict) -> str:
    """Return what makes two findings the same: the symptom, or the reason if each is separate."""
    symptom = all_symptoms().get(str(found.symptom))
    return found.reason if symptom is None or symptom.is_separate else symptom.name


class Watch:
    """Judge one run by all symptoms, report by report.

    Args:
        metric: the reported name that ranks the trials; None if there is none.
        goal: ``"minimize"`` or ``"maximize"`` `metric`.
        target: value of `metric` to reach.
        targets: further reported names, with the value to reach and the goal.
        total_steps: the last step; `plan_steps` sets it later.
        schedule: the configured learning rate; `plan_schedule` sets it later.
        memory_limit_mib: the memory that the trial may use; None if unlimited.
        phases: the steps at which the loss changes its meaning.

    Raises:
        ValueError: `goal` is neither of the two.
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
        phases: Collection[int] = (),
    ) -> None:
        self._rule = DivergenceRule(metric, goal, phases=phases)
        self._goal = goal
        aims = dict(targets or {})
        if metric is not None and target is not None:
            aims[metric] = target, goal
        signed = {name: (value, _sign(way)) for name, (value, way) in aims.items()}
        self._plan = RunPlan(metric, signed, total_steps, schedule, memory_limit_mib)
        self._policy = policy or Policy()
        self._patience = Patience(self._policy)
        self._reported: set[tuple[str, int | None]] = set()
        self._findings: dict[str, Verdict] = {}  # the last onset of each
        self._onsets: Counter[str] = Counter()
        self._detectors: dict[str, Detector] = {}
        self._start_detectors()
        self._judged: str | None = None
        self._is_reached = False
        self._rising: Verdict | None = None
        self._last_step: int | None = None

    def plan_steps(self, total_steps: float) -> None:
        """Set the last step, once it is known; it may change when a run is continued."""
        self._plan = replace(self._plan, total_steps=total_steps)

    def plan_schedule(self, schedule: Declared) -> None:
        """Set the configured learning rate, once it is known."""
        self._plan = replace(self._plan, schedule=schedule)

    @property
    def has_fallen(self) -> bool:
        """True once this run has shown that its loss can fall; a rising sibling is judged by it."""
        return self._rule.has_fallen

    @property
    def is_rising(self) -> bool:
        """True while the deciding series is rising."""
        return self._rule.is_rising

    @property
    def judged(self) -> str | None:
        """The name of the deciding series."""
        return self._rule.judged

    @property
    def sign(self) -> float:
        """-1.0 if the deciding series is maximized, else 1.0."""
        return self._rule.sign

    def update(
        self, step: int, metrics: Mapping[str, float], *, loss_can_fall: bool = False
    ) -> list[Verdict]:
        """Process one report and return the verdicts that the policy makes of it, gravest first.

        Args:
            step: step or epoch of the report.
            metrics: reported names and values; may include NaN and infinities.
            loss_can_fall: whether another trial of the sweep has shown that.
        """
        if self._last_step is not None and step < self._last_step:
            self._start_detectors(per_series=True)  # the log starts again
        self._last_step = step
        self._patience.count(step)
        verdict = self._rule.update(step, metrics)
        if self._rule.begins_phase:
            self._start_detectors(per_series=True)
        found = [verdict] if verdict.symptom else []
        if verdict.symptom == "rising":
            self._rising = verdict
        elif not self._rule.is_rising:
            self._rising = None
        elif self._rising is not None and loss_can_fall and not verdict.stops:
            found.append(self._rising)  # reported before; now another trial shows what to expect
        seen = self._observe(step, metrics)
        for detector in self._detectors.values():
            found += detector.feed(seen)
        due = self._patience.due(self._still_holds)
        if not found and not due:
            return []
        applied = [
            self._patience.apply(
                self._policy.apply(one, loss_can_fall=loss_can_fall or one.stops), one
            )
            for one in found
        ]
        if verdict.stops and not applied[0].stops:
            self._rule.spare()
        new = [one for one in applied if one.symptom and (one.stops or self._is_new(one))]
        new += [one for one in due if one.stops or self._is_new(one)]
        return sorted(new, key=lambda one: GRAVITY.index(one.action))

    def spare(self) -> None:
        """Continue to judge a run that was found lost."""
        self._rule.spare()

    def holds(self, found: Verdict, *, is_over: bool = False) -> bool:
        """Return whether a finding still holds after the reports since; `is_over`: at the end."""
        symptom = all_symptoms().get(str(found.symptom))
        if symptom is None or found.stops:
            return True
        return not (is_over and symptom.is_forecast) and self._still_holds(found)

    def _still_holds(self, found: Verdict) -> bool:
        symptom = all_symptoms()[str(found.symptom)]
        if symptom.detector is not None:
            return self._detectors[symptom.name].holds(found)
        is_repeated = symptom.name == "non-finite" and self._onsets[finding_key(found)] > 1
        return is_repeated or self._rule.holds(found)

    def standing(self, *, is_over: bool = False) -> list[Verdict]:
        """Return the findings, each once, that the reports since have not refuted.

        The reason counts the onsets if there were several.
        """
        standing = []
        for key, found in self._findings.items():
            if not self.holds(found, is_over=is_over):
                continue
            more = 0 if key == found.reason else self._onsets[key] - 1
            if more:
                text = "1 earlier onset" if more == 1 else f"{more} earlier onsets"
                standing.append(replace(found, reason=f"{found.reason} (and {text})"))
            else:
                standing.append(found)
        return standing

    def _is_new(self, found: Verdict) -> bool:
        """Return whether this onset was not reported before, and remember it."""
        key = finding_key(found)
        if (key, found.onset) in self._reported:
            return False
        self._reported.add((key, found.onset))
        self._findings[key] = found
        self._onsets[key] += 1
        return True

    def _observe(self, step: int, metrics: Mapping[str, float]) -> Observation:
        values = {name: v for name, v in numbers_in(metrics).items() if math.isfinite(v)}
        judged = self._rule.judged if self._rule.judged in values else None
        if judged is not None and judged != self._judged:
            if self._judged is not None:
                self._start_detectors(per_series=True)
            self._judged = judged
        plan = self._plan
        if plan.metric in plan.targets and plan.metric in values:
            target, sign = plan.targets[plan.metric]
            self._is_reached |= sign * values[plan.metric] <= sign * target
        is_training = judged is not None and training_rank(judged) is not None
        kinds = {name: kind_of(name) for name in values}
        return Observation(
            step=step,
            values=values,
            kinds=kinds,
            judged=judged,
            sign=self._rule.sign,
            validation=self._validation(kinds) if is_training else None,
            is_reached=self._is_reached,
            plan=plan,
        )

    def _start_detectors(self, *, per_series: bool = False) -> None:
        for name, symptom in all_symptoms().items():
            if symptom.detector is not None and (symptom.is_per_series or not per_series):
                self._detectors[name] = symptom.detector()

    def _validation(self, kinds: Mapping[str, str]) -> tuple[str, float] | None:
        """Return the series that generalization is judged by, with its sign."""
        best = best_validation_name(kinds)
        metric = self._plan.metric
        has_metric = metric is not None and metric in kinds and is_validation(metric)
        if metric is not None and has_metric and (best is None or best[0][0] > 0):
            return metric, _sign(self._goal)
        return None if best is None else (best[1], 1.0)


def _sign(goal: str) -> float:
    return 1.0 if goal == "minimize" else -1.0
