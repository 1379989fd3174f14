"""Who of a stage runs again at the next one, once the stage is over, and with which config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from typing import Any

from orchestrator.analysis import facts_of, joint_facts
from orchestrator.analysis.relate import not_worse
from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.runs.read import open_run
from orchestrator.sweepfile.conditions import broken_by, parse
from orchestrator.sweepfile.expand import config_at, safe, without_seed
from orchestrator.sweepfile.model import Promote, Stage

LINK = "promoted"
_MOST_NAMED = 8


@dataclass(frozen=True)
class _Entrant:
    """One config that ran at a stage.

    Attributes:
        number: of its trial, or of the first of its replicates.
        value: ranks it; None if it has none.
        may_continue: True if it ended well and may run at the next stage.
        barred: why it may not run there; "" if it may.
    """

    number: int
    name: str
    value: float | None
    may_continue: bool
    barred: str = ""


class Promotions:
    """Decides who is promoted, once all trials of a stage have ended.

    Attributes:
        last_stage: the last stage that trials may reach; None if no stage promotes.
    """

    def __init__(self, view: SweepView, decisions: Decisions) -> None:
        self._view = view
        self._decisions = decisions
        # The stages that a sweep runs in order: from the first as far as they promote.
        stages = () if view.spec.stage is not None else view.spec.stages
        promoting = len(list(takewhile(lambda stage: stage.promote is not None, stages)))
        self._stages = stages[: promoting + 1]
        self.last_stage = self._stages[-1].name if self._stages else None

    def review(self, *, more_to_come: bool) -> list[TrialRecord]:
        """Return the trials that are promoted now, unsaved, also what an earlier driver owes.

        `more_to_come` is True if the sweep file still has trials of the first stage to start.
        """
        for stage, following in pairwise(self._stages):
            entered = self._trials_at(stage)
            if not entered or (stage is self._stages[0] and more_to_come):
                return []
            if not all(record.state.is_finished for record in entered):
                return []
            owed = self._owed(self._decide(stage, following, entered)["promoted"], following)
            if owed:
                return owed
        return []

    def may_promote(self, record: TrialRecord) -> bool:
        """Return whether a stage may yet continue from the checkpoint of a trial.

        A stage that runs alone may be followed by all of them, in another run of the sweep. A
        decision may have been written down by a driver that was killed before it acted on it.
        """
        for stage, following in pairwise(self._view.spec.stages):
            if stage.name == record.stage and stage.promote is not None and following.resumes:
                decided = self._decided(stage, self._trials_at(stage)) if self._stages else None
                owed = [] if decided is None else self._owed(decided["promoted"], following)
                return decided is None or any(one.origin == record.number for one in owed)
        return False

    def expected(self, at_first_stage: int) -> int:
        """Return how many trials there will be after those of the first stage, as far as is known.

        What is not worse, and conditions that few trials meet, are not foreseen.
        """
        total, count, seeds = 0, at_first_stage, self._view.seeds
        for stage, following in pairwise(self._stages):
            there = len(self._trials_at(following))
            rule = stage.promote
            assert rule is not None
            decided = self._decided(stage, self._trials_at(stage))
            if decided is not None:
                found = (self._view.records.get(number) for number in decided["promoted"])
                promoted = (self._view.replicates(one) for one in found if one is not None)
                count = max(there, sum(map(len, promoted)))
            elif rule.top is None and rule.fraction is None:
                count = there
            else:
                configs = -(-count // seeds)
                top = configs if rule.top is None else rule.top
                count = max(there, min(configs, top, _part_of(configs, rule.fraction)) * seeds)
            total += count
        return total

    def _trials_at(self, stage: Stage) -> list[TrialRecord]:
        return [record for record in self._view.records.values() if record.stage == stage.name]

    def _decided(self, stage: Stage, entered: Sequence[TrialRecord]) -> dict[str, Any] | None:
        """Return the decision on a stage, if it is about these trials and the present rule."""
        known = self._decisions.get("stages", stage.name)
        rule = stage.promote.in_words() if stage.promote is not None else ""
        fits = known is not None and (known.get("trials"), known.get("rule")) == (
            len(entered),
            rule,
        )
        return known if fits else None

    def _decide(
        self, stage: Stage, following: Stage, entered: Sequence[TrialRecord]
    ) -> dict[str, Any]:
        known = self._decided(stage, entered)
        if known is not None:
            return known
        rule = stage.promote
        assert rule is not None
        entrants = [self._entrant(record, following) for record in entered if not record.replicate]
        chosen = self._promoted(rule, entrants)
        complete = sum(record.state is TrialState.COMPLETE for record in entered)
        noun = "trial" if len(entered) == 1 else "trials"
        text = (
            f"stage {stage.name}: {len(entered)} {noun}, {complete} complete; "
            f"{len(chosen) or 'none'} promoted to {following.name} ({rule.in_words()})"
        )
        if chosen:
            named = (
                each.name if each.value is None else f"{each.name} {each.value:.4g}"
                for each in chosen
            )
            text += f": {_named(list(named))}"
        barred = [f"{entrant.name} {entrant.barred}" for entrant in entrants if entrant.barred]
        if barred:
            text += f"; not allowed there: {_named(barred)}"
        return self._decisions.note(
            "stages",
            stage.name,
            text,
            stage=stage.name,
            to=following.name,
            trials=len(entered),
            rule=rule.in_words(),
            promoted=[entrant.number for entrant in chosen],
        )

    def _promoted(self, rule: Promote, entrants: Sequence[_Entrant]) -> list[_Entrant]:
        """Return those that a rule promotes: they ended well, may continue and meet all its parts.

        A fraction is of all that ran, rounded up; a condition that is unknown does not hold.
        """
        metric = self._view.spec.metric
        goal = metric.goal if metric else "minimize"
        able = [entrant for entrant in entrants if entrant.may_continue]
        chosen = able
        if rule.top is not None:
            chosen = _best_of(able, rule.top, goal)
        if rule.fraction is not None:
            best = _best_of(entrants, _part_of(len(entrants), rule.fraction), goal)
            chosen = [entrant for entrant in chosen if entrant in best]
        if rule.or_not_worse and metric is not None and chosen and len(chosen) < len(able):
            chosen += self._not_worse(chosen[-1], _best_of(able, len(able), goal)[len(chosen) :])
        if rule.condition is not None:
            chosen = [entrant for entrant in chosen if self._holds(rule.condition, entrant)]
        return chosen

    def _not_worse(self, last: _Entrant, others: Sequence[_Entrant]) -> list[_Entrant]:
        """Return those of `others` that chance alone may separate from the last promoted one."""
        view, metric = self._view, self._view.spec.metric
        assert metric is not None
        runs = {
            entrant.number: [
                open_run(view.run_dir(member).path, member)
                for member in view.replicates(view.records[entrant.number])
                if member.state is TrialState.COMPLETE
            ]
            for entrant in (last, *others)
        }
        kept = not_worse(runs, last.number, metric.name)
        return [entrant for entrant in others if entrant.number in kept]

    def _entrant(self, first: TrialRecord, following: Stage) -> _Entrant:
        spec = self._view.spec
        members = self._view.replicates(first)
        complete = [member for member in members if member.state is TrialState.COMPLETE]
        values = [member.value for member in complete if member.value is not None]
        name, barred = first.name, ""
        if first.group is not None:
            name = without_seed(first.name, spec.seed_parameter) or first.name
        if spec.constraints:
            broken = broken_by(spec, self._config_at(first, following))
            barred = f"({broken})" if broken is not None else ""
        mean = sum(values) / len(values) if values else None
        return _Entrant(first.number, name, mean, bool(complete) and not barred, barred)

    def _holds(self, condition: str, entrant: _Entrant) -> bool:
        view = self._view
        known = [
            facts_of(member, view.run_dir(member), view.spec.metrics)
            for member in view.replicates(view.records[entrant.number])
        ]
        return joint_facts(known).hold(parse(condition)) is True

    def _owed(self, numbers: Sequence[int], following: Stage) -> list[TrialRecord]:
        """Return the successors of promoted trials that have none yet, with their replicates."""
        view = self._view
        made: dict[int, TrialRecord] = {}
        before = {
            record.origin: record for record in self._trials_at(following) if record.link == LINK
        }
        for number in numbers:
            origin = view.records.get(number)
            members = view.replicates(origin) if origin is not None else []
            start = replace(view, records={**view.records, **made}).next_number()
            there = [before[member.number] for member in members if member.number in before]
            if there and there[0].group is not None:
                start = there[0].group
            for member in members:
                if member.number not in before:
                    record = self._successor(member, following, start)
                    made[record.number] = record
        # As at the first stage, so that early results compare configs and not seeds.
        return sorted(made.values(), key=lambda record: (record.replicate, record.number))

    def _config_at(self, origin: TrialRecord, stage: Stage) -> dict[str, Any]:
        """Return the config of a trial as it is at another stage.

        The values that its root trial chose are expanded for both stages; where the results differ,
        the config follows, unless it was changed there since.
        """
        spec, root = self._view.spec, self._view.lineage(origin)[0]
        before = config_at(spec, str(origin.stage), root.name, root.config)
        after = config_at(spec, stage.name, root.name, root.config)
        return _rebased(origin.config, before, after)

    def _successor(self, origin: TrialRecord, stage: Stage, start: int) -> TrialRecord:
        before = origin.name
        if origin.link == LINK:
            before = before.removesuffix(f"+{safe(str(origin.stage))}")
        return TrialRecord(
            number=start + origin.replicate,
            name=f"{before}+{safe(stage.name)}",
            config=self._config_at(origin, stage),
            stage=stage.name,
            note=dict(origin.note),
            origin=origin.number,
            link=LINK,
            from_checkpoint=stage.resumes,
            change=dict(origin.change),
            group=None if origin.group is None else start,
            replicate=origin.replicate,
        )


def _rebased(
    config: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*config, *after]):
        mine, old, new = (part.get(name, _ABSENT) for part in (config, before, after))
        if all(isinstance(part, Mapping) for part in (mine, old, new)):
            found[name] = _rebased(mine, old, new)
        elif mine is not _ABSENT and (old is _ABSENT or mine != old):
            found[name] = mine
        elif new is not _ABSENT:
            found[name] = new
    return found


_ABSENT: Any = object()


def _best_of(entrants: Sequence[_Entrant], count: int, goal: str) -> list[_Entrant]:
    """Return the best `count` of those that have a finite value, the best first.

    Of equal ones the first to start comes first, so that `top` promotes no more than that.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    values = {
        entrant.number: sign * entrant.value
        for entrant in entrants
        if entrant.may_continue and entrant.value is not None and math.isfinite(entrant.value)
    }
    known = [entrant for entrant in entrants if entrant.number in values]
    known.sort(key=lambda entrant: (values[entrant.number], entrant.number))
    return known[: max(0, count)]


def _part_of(count: int, fraction: float | None) -> int:
    """Return a fraction of `count`, rounded up; all of it for None."""
    # 0.1 · 30 is 3.0000000000000004 in floats, and not four.
    return count if fraction is None else math.ceil(round(fraction * count, 9))


def _named(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
