"""Which trial is next: what waits to run again or follows from others, then the file's own trials.

::

    queue = TrialQueue(view, study_trials, decisions, only=only)
    candidates = queue.candidates()     # what may start now, in order
    record = queue.take(place)          # one of them leaves, with its number in the study
    queue.put_back(record)              # it runs again, before all others
    queue.add(successor)                # a trial that follows from another; saved WAITING before
    queue.review()                      # after each end: gates and promotions

Everything follows from the sweep file, the records and the decisions that were written down, so a
sweep that continues after a killed driver loses no trial and makes none twice. The owner of the
records adds each trial that it takes, adds or skips to them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from orchestrator.engine.queue.ablation import Ablation
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.engine.queue.planned_trials import Planned, PlannedTrials
from orchestrator.engine.queue.promotion import LINK, Promotions
from orchestrator.engine.queue.study_trials import StudyTrials
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.runs import RunDir, TrialRecord, TrialState
from orchestrator.sweepfile.expand import (
    at_first,
    count_trials,
    make_config,
    numbers_end,
)
from orchestrator.sweepfile.model import TrialConfig

LOOK_AHEAD = 64
"""How many trials placement chooses from at most."""


@dataclass(frozen=True)
class Candidate:
    """A trial that could start now.

    Attributes:
        config: the values that are known.
        number: the trial's number; None for one that the study has yet to propose.
        record: of a trial that has run before or follows from another.
        turn: the place of its seed among the sweep's; all configs run with their first seed before
            one runs with its second.
    """

    config: Mapping[str, Any]
    number: int | None = None
    record: TrialRecord | None = None
    turn: int = 0


class TrialQueue:
    """Hands out trials, each with its number in the study.

    `only` names the only trials to hand out, if it is not empty; then nothing is promoted and no
    gate holds anything back.
    """

    def __init__(
        self,
        view: SweepView,
        study_trials: StudyTrials,
        decisions: Decisions,
        *,
        only: frozenset[str] = frozenset(),
    ) -> None:
        self._view = view
        self._spec = at_first(view.spec)
        self._study_trials = study_trials
        self._decisions = decisions
        self._only = only
        self._promotions = Promotions(view, decisions)
        self._ablation = Ablation(view, decisions) if view.spec.ablate is not None else None
        records = sorted(view.records.values(), key=lambda one: (one.replicate, one.number))
        self._waiting = deque(
            record
            for record in records
            if not record.state.is_finished and self.is_wanted(record.name, record.number)
        )
        self._ahead: deque[Planned] = deque()
        self._plan = PlannedTrials(
            view,
            decisions,
            proposes=study_trials.proposes,
            is_wanted=self.is_wanted,
            only_some=bool(only),
        )
        self._planned = iter(self._plan)
        self._n_planned = count_trials(self._spec)

    def __bool__(self) -> bool:
        """Return whether there is a trial that may start now."""
        return bool(self._waiting) or bool(self._startable(1))

    @property
    def last_stage(self) -> str | None:
        """The stage at which trials have come to their end; None if no stage promotes."""
        return self._promotions.last_stage

    def expected(self) -> int | None:
        """Return how many trials there will be, as far as is known; None if unbounded."""
        if self._n_planned is None:
            return None
        records = self._view.records.values()
        followers = sum(record.link != LINK and record.origin is not None for record in records)
        at_first_stage = self._n_planned + followers
        return at_first_stage + self._promotions.expected(at_first_stage)

    def candidates(self, limit: int = LOOK_AHEAD) -> list[Candidate]:
        """Return the trials that may start next, in order, without asking the study.

        All trials that the study has yet to propose are one candidate: their values are unknown.
        """
        found = [
            Candidate(record.config, record.number, record, record.replicate)
            for record in islice(self._waiting, limit)
        ]
        for planned in self._startable(limit - len(found)):
            if isinstance(planned, TrialConfig):
                found.append(Candidate(planned.config, planned.number, turn=planned.replicate))
            else:
                blank = make_config(self._spec, self._view.next_number(), {})
                found.append(Candidate(blank.config))
        return found

    def take(self, place: int = 0) -> TrialRecord:
        """Return the trial at a place among `candidates`, which leaves the queue."""
        assert self, "there must be a trial that may start"
        if place < len(self._waiting):
            record = self._waiting[place]
            del self._waiting[place]
            self._study_trials.begin(record)
            return record
        place -= len(self._waiting)
        planned = self._startable(place + 1)[place]
        del self._ahead[place]
        proposal = None
        if isinstance(planned, TrialConfig):
            trial = planned
            if trial.number in self._view.records:  # taken by a trial that followed from another
                group, start = trial.group, self._view.next_number()
                trial = self._plan.renumbered(trial, start)
                self._ahead = deque(
                    replace(other, number=start + other.replicate, group=start)
                    if isinstance(other, TrialConfig) and group is not None and other.group == group
                    else other
                    for other in self._ahead
                )
        else:
            proposal = self._study_trials.propose()
            trial = make_config(self._spec, self._view.next_number(), proposal.params)
        record = TrialRecord(
            number=trial.number,
            name=trial.name,
            config=trial.config,
            stage=self._spec.stage,
            note=self._note(trial),
            change=self._ablation.change_of(trial) if self._ablation is not None else {},
            group=trial.group,
            replicate=trial.replicate,
        )
        self._study_trials.begin(record, proposal)
        return record

    def drop(self, record: TrialRecord) -> None:
        """Remove a trial that waits to run again, if it is in the queue."""
        if record in self._waiting:
            self._waiting.remove(record)

    def add(self, record: TrialRecord) -> None:
        """Put a trial that follows from others (a promotion, a remedy) behind those that wait."""
        self._waiting.append(record)
        if not self._study_trials.proposes and numbers_end(self._spec) == 0:
            # A random sweep without an end keeps no numbers free: they are given again.
            self._plan_again()

    def learn(self, before: TrialRecord | None, record: TrialRecord) -> None:
        """Note what another driver did: `record`, now among the records, replaces `before`."""
        if before is not None:
            self.drop(before)
        if record.state is TrialState.WAITING:
            self._waiting.append(record)
        self._plan_again()

    def _plan_again(self) -> None:
        self._ahead.clear()
        self._planned = iter(self._plan)

    def skip(self, record: TrialRecord) -> None:
        """Remove a trial of the sweep file that is not to run."""
        self._ahead = deque(
            planned
            for planned in self._ahead
            if not isinstance(planned, TrialConfig) or planned.number != record.number
        )

    def put_back(self, record: TrialRecord) -> None:
        """Let a trial run again, before all others."""
        self._waiting.appendleft(record)

    def review(self) -> tuple[list[TrialRecord], Ending | None]:
        """Return trials that follow from each end, unsaved, and why the sweep ends, if it does."""
        if self._only:
            return [], None
        if self._ablation is not None:
            return [], self._ablation.review()
        return self._promotions.review(more_to_come=self._look_ahead(1)), None

    def may_promote(self, record: TrialRecord) -> bool:
        """Return whether a stage may yet continue from the checkpoint of a trial."""
        return self._promotions.may_promote(record)

    def is_wanted(self, name: str, number: int) -> bool:
        """Return whether `only` names a trial or one that it follows; True without `only`."""
        if not self._only:
            return True
        record = self._view.records.get(number)
        lineage = [] if record is None else self._view.lineage(record)
        called = [(number, name), *((one.number, one.name) for one in lineage)]
        return any(RunDir.is_called(text, *one) for text in self._only for one in called)

    def _startable(self, limit: int) -> list[Planned]:
        """Return the first of the planned trials that need not wait for others."""
        found: list[Planned] = []
        while len(found) < limit and self._look_ahead(len(found) + 1):
            planned = self._ahead[len(found)]
            if self._ablation is not None and isinstance(planned, TrialConfig) and not self._only:
                if not self._ablation.may_start(planned):
                    break
                adapted = self._ablation.adapted(planned)
                if adapted is None:
                    del self._ahead[len(found)]
                    continue
                self._ahead[len(found)] = planned = adapted
            found.append(planned)
            if planned == "propose":
                break
        return found

    def _look_ahead(self, count: int) -> bool:
        """Plan the next trials, and return whether there are `count` of them."""
        # One proposal is enough: how many follow depends on those taken before.
        while len(self._ahead) < count and "propose" not in self._ahead:
            planned = next(self._planned, None)
            if planned is None:
                break
            self._ahead.append(planned)
        return len(self._ahead) >= count

    def _note(self, trial: TrialConfig) -> dict[str, Any]:
        note: dict[str, Any] = {}
        if trial.trial is not None and trial.trial in self._spec.trials:
            note = asdict(self._spec.trials[trial.trial])
        elif trial.change is not None and self._spec.ablate is not None:
            note = {"note": self._spec.ablate.changes[trial.change].note}
        return {key: value for key, value in note.items() if value and key != "set"}
