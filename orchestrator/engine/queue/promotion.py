"""Stage after stage: when one is over, who of it runs again at the next, and with which config.

Who is promoted from one stage to the next: a function of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis import facts_of, joint_facts
from orchestrator.engine.queue.candidates import number_after
from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.study_trials import replicates
from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.sweepfile.conditions import broken_by, parse
from orchestrator.sweepfile.expand import config_at, safe, without_seed
from orchestrator.sweepfile.model import Goal, Promote, Spec, Stage

LINK = "promoted"
_SHOWN = 8


def chain_of(spec: Spec) -> tuple[Stage, ...]:
    """Return the stages that a sweep runs in order: from the first as far as they promote."""
    if spec.stage is not None:
        return ()
    chain: list[Stage] = []
    for stage in spec.stages:
        chain.append(stage)
        if stage.promote is None:
            break
    return tuple(chain)


class Stages:
    """Decides who is promoted, once all trials of a stage have ended, and makes their successors.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        records: its trials by number; read only.
        decisions: where it is written down.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        records: Mapping[int, TrialRecord],
        decisions: Decisions,
    ) -> None:
        self._spec = spec
        self._sweep = sweep
        self._records = records
        self._decisions = decisions
        self._chain = chain_of(spec)
        self._many = max(len(spec.seeds), 1)

    @property
    def last(self) -> str | None:
        """The last stage that trials may come to; None where no stage promotes."""
        return self._chain[-1].name if self._chain else None

    def review(self, *, is_asked: bool) -> list[TrialRecord]:
        """Return the trials that are promoted now, unsaved, whatever an earlier driver left undone.

        Args:
            is_asked: True while the spec still asks for trials of the first stage.
        """
        for place, (stage, following) in enumerate(zip(self._chain, self._chain[1:], strict=False)):
            entered = self._at(stage)
            if not entered or (place == 0 and is_asked):
                return []
            if not all(record.state.is_finished for record in entered):
                return []
            owed = self._owed(self._decide(stage, following, entered), following)
            if owed:
                return owed
        return []

    def expected(self, fresh: int) -> int:
        """Return how many trials there will be after the first stage, as far as can be said.

        Ties, and conditions that fewer keep, are not foreseen.

        Args:
            fresh: trials of the first stage, with those to come.
        """
        total, count = 0, fresh
        for stage, following in zip(self._chain, self._chain[1:], strict=False):
            there = len(self._at(following))
            decided = self._decisions.get("stages", stage.name)
            assert stage.promote is not None
            if decided is not None and self._stands(decided, stage, self._at(stage)):
                count = max(there, len(decided["promoted"]) * self._many)
            elif stage.promote.top is None and stage.promote.fraction is None:
                count = there
            else:
                count = max(there, at_most(stage.promote, -(-count // self._many)) * self._many)
            total += count
        return total

    def _at(self, stage: Stage) -> list[TrialRecord]:
        return [record for record in self._records.values() if record.stage == stage.name]

    def _decide(
        self, stage: Stage, following: Stage, entered: Sequence[TrialRecord]
    ) -> dict[str, Any]:
        known = self._decisions.get("stages", stage.name)
        if known is not None and self._stands(known, stage, entered):
            return known
        rule = stage.promote
        assert rule is not None
        entrants = [self._entrant(record, following) for record in entered if not record.replicate]
        goal = self._spec.metric.goal if self._spec.metric else "minimize"
        chosen = promoted(rule, goal, entrants, lambda entrant: self._holds(rule, entrant))
        words = self._words(stage, following, entered, chosen)
        barred = [entrant for entrant in entrants if entrant.barred]
        if barred:
            told = ", ".join(f"{entrant.name} {entrant.barred}" for entrant in barred[:_SHOWN])
            more = f" and {len(barred) - _SHOWN} more" if len(barred) > _SHOWN else ""
            words += f"; not allowed there: {told}{more}"
        return self._decisions.note(
            "stages",
            stage.name,
            "promotion",
            words,
            stage=stage.name,
            to=following.name,
            trials=len(entered),
            rule=rule.in_words(),
            promoted=[entrant.number for entrant in chosen],
        )

    @staticmethod
    def _stands(decided: Mapping[str, Any], stage: Stage, entered: Sequence[TrialRecord]) -> bool:
        """Tell whether a decision is of these trials and of the rule that the file has now."""
        rule = stage.promote.in_words() if stage.promote is not None else ""
        return decided.get("trials") == len(entered) and decided.get("rule") == rule

    def _entrant(self, first: TrialRecord, following: Stage) -> Entrant:
        members = replicates(first, self._records)
        complete = [member for member in members if member.state is TrialState.COMPLETE]
        values = [member.value for member in complete if member.value is not None]
        mean = sum(values) / len(values) if values else None
        barred = ""
        if self._spec.constraints:
            broken = broken_by(self._spec, self._config_at(first, following))
            barred = f"({broken})" if broken is not None else ""
        name = (
            without_seed(first.name, self._spec.seed_parameter) if first.group is not None else ""
        )
        return Entrant(first.number, name or first.name, mean, bool(complete), barred)

    def _holds(self, rule: Promote, entrant: Entrant) -> bool | None:
        assert rule.condition is not None
        members = replicates(self._records[entrant.number], self._records)
        known = [
            facts_of(member, self._sweep.run_dir(member.number, member.name), self._spec.metric)
            for member in members
        ]
        return joint_facts(known).hold(parse(rule.condition))

    def _words(
        self,
        stage: Stage,
        following: Stage,
        entered: Sequence[TrialRecord],
        chosen: Sequence[Entrant],
    ) -> str:
        complete = sum(record.state is TrialState.COMPLETE for record in entered)
        noun = "trial" if len(entered) == 1 else "trials"
        head = f"stage {stage.name}: {len(entered)} {noun}, {complete} complete; "
        rule = f"({stage.promote.in_words()})" if stage.promote else ""
        if not chosen:
            return f"{head}none promoted to {following.name} {rule}"
        named = [
            entrant.name if entrant.value is None else f"{entrant.name} {entrant.value:.4g}"
            for entrant in chosen[:_SHOWN]
        ]
        more = f" and {len(chosen) - _SHOWN} more" if len(chosen) > _SHOWN else ""
        return f"{head}{len(chosen)} promoted to {following.name} {rule}: {', '.join(named)}{more}"

    def _owed(self, decision: Mapping[str, Any], following: Stage) -> list[TrialRecord]:
        made: dict[int, TrialRecord] = {}
        for number in decision["promoted"]:
            origin = self._records.get(number)
            members = replicates(origin, self._records) if origin is not None else []
            before = {
                record.origin: record
                for record in self._records.values()
                if record.link == LINK and record.stage == following.name
            }
            there = [before[member.number] for member in members if member.number in before]
            start = number_after(self._spec, {**self._records, **made})
            if there and there[0].group is not None:
                start = there[0].group
            for member in members:
                if member.number not in before:
                    record = self._successor(member, following, start)
                    made[record.number] = record
        # As at the first stage, so that early results compare configs and not seeds.
        return sorted(made.values(), key=lambda record: (record.replicate, record.number))

    def _root(self, record: TrialRecord) -> TrialRecord:
        """Return the trial of the first stage that a trial goes back to."""
        while record.origin is not None and record.origin in self._records:
            record = self._records[record.origin]
        return record

    def _config_at(self, origin: TrialRecord, stage: Stage) -> dict[str, Any]:
        root, old = self._root(origin), str(origin.stage)
        return restaged(self._spec, origin.config, root, old, stage.name)

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


def restaged(
    spec: Spec, config: Mapping[str, Any], root: TrialRecord, old: str, new: str
) -> dict[str, Any]:
    """Return a config of one stage as it is at another.

    What the trial's own choice makes of both stages is compared, and where they differ the config
    follows, unless it was changed there since.

    Args:
        spec: what was asked.
        config: at the stage `old`.
        root: the trial of the first stage that it goes back to.
        old: a stage.
        new: another one.
    """
    before, after = (config_at(spec, stage, root.name, root.config) for stage in (old, new))
    return _rebased(config, before, after)


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


@dataclass(frozen=True)
class Entrant:
    """One config that ran at a stage.

    Attributes:
        number: of its trial, or of the first of its replicates.
        name: for people.
        value: what ranks it; None where it has no such value, because it did not end well.
        is_complete: True where it ended well.
        barred: why it may not run at the next stage; "" where it may.
    """

    number: int
    name: str
    value: float | None
    is_complete: bool
    barred: str = ""


def best_of(entrants: Sequence[Entrant], count: int, goal: Goal) -> list[Entrant]:
    """Return the best `count` of those that have a finite value, the best first.

    Everything tied with the last of them goes along.
    """
    sign = 1.0 if goal == "minimize" else -1.0
    ranked = sorted(
        (entrant for entrant in entrants if _is_ranked(entrant)),
        key=lambda entrant: (sign * (entrant.value or 0.0), entrant.number),
    )
    if count < 1 or len(ranked) <= count:
        return ranked if count >= 1 else []
    last = ranked[count - 1].value
    return ranked[:count] + [entrant for entrant in ranked[count:] if entrant.value == last]


def promoted(
    rule: Promote,
    goal: Goal,
    entrants: Sequence[Entrant],
    holds: Callable[[Entrant], bool | None],
) -> list[Entrant]:
    """Return those that a rule promotes: what ended well, may go on and keeps all that is given.

    A share is of all that ran, rounded up; a condition that is not known does not hold.

    Args:
        rule: the rule.
        goal: which way the value is better.
        entrants: all that ran at the stage.
        holds: tells whether the rule's condition holds of one; asked only where there is one.
    """
    chosen = [entrant for entrant in entrants if entrant.is_complete and not entrant.barred]
    if rule.top is not None:
        chosen = best_of(chosen, rule.top, goal)
    if rule.fraction is not None:
        best = best_of(entrants, most_of(rule.fraction, len(entrants)), goal)
        chosen = [entrant for entrant in chosen if entrant in best]
    if rule.condition is not None:
        chosen = [entrant for entrant in chosen if holds(entrant) is True]
    return chosen


def most_of(fraction: float, count: int) -> int:
    """Return how many a share of `count` is, rounded up."""
    # 0.1 · 30 is 3.0000000000000004 in floats, and not four.
    return math.ceil(round(fraction * count, 9))


def at_most(rule: Promote, count: int) -> int:
    """Return how many of `count` configs a rule promotes at most, ties aside."""
    most = count
    if rule.top is not None:
        most = min(most, rule.top)
    if rule.fraction is not None:
        most = min(most, most_of(rule.fraction, count))
    return most


def _is_ranked(entrant: Entrant) -> bool:
    may = entrant.is_complete and not entrant.barred
    return may and entrant.value is not None and math.isfinite(entrant.value)
