"""Which trial is next: what waits to run again or follows from others, then what the spec asks for.

::

    agenda = Agenda(spec, sweep, configs, records, decisions=decisions, only=only)
    candidates = agenda.candidates()      # what may start now, in order
    record = agenda.take(place)           # one of them leaves, with its number in the study
    agenda.put_back(record)               # it runs again, before all others
    agenda.add(successor)                 # a trial that follows from another; saved WAITING before
    agenda.review()                       # after each end: gates, promotions; None, or the end

Everything is a function of the spec, the records and the decisions that were written down, so a
sweep that goes on after a killed driver loses no trial and makes none twice.

What the spec still asks for, made one at a time and in the order of starting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Literal

from orchestrator.engine.queue.ablation import Changes
from orchestrator.engine.queue.candidates import LOOK_AHEAD, Candidate, number_after
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.engine.queue.promotion import Stages
from orchestrator.engine.queue.study_trials import Configs
from orchestrator.runs import SweepDir, TrialRecord, is_called
from orchestrator.sweepfile.expand import (
    at_first,
    count_trials,
    iter_configs,
    make_config,
    numbers_end,
    varied_of,
)
from orchestrator.sweepfile.model import Spec, TrialConfig

Asked = TrialConfig | Literal["propose"]
"""A config, or that the study is to propose one."""


class Fresh:
    """Yields the trials that have no record yet.

    Args:
        spec: what was asked.
        records: the trials that there are; the caller adds those that it takes from here.
        is_wanted: tells by name and number whether a trial is among those to run.
        is_whole: False where only named trials run: what bayes has yet to propose has no name.
        decisions: where it is kept which numbers had to give way.
    """

    def __init__(
        self,
        spec: Spec,
        records: Mapping[int, TrialRecord],
        is_wanted: Callable[[str, int], bool],
        *,
        is_whole: bool,
        decisions: Decisions,
    ) -> None:
        self._spec = spec
        self._records = records
        self._is_wanted = is_wanted
        self._is_whole = is_whole
        self._decisions = decisions
        self._many = max(len(spec.seeds), 1)

    def proposed(self) -> Iterator[Asked]:
        """Yield what bayes asks for: proposals, each followed by its other replicates at once."""
        spec, cap = self._spec, self._spec.run_cap
        given: set[int] = set()
        while True:
            own = {number for number, record in self._records.items() if record.origin is None}
            missing = self._missing(own | given)
            room = cap is None or len(own | given) < cap
            if missing is not None and room:
                given.add(missing)
                first = self._records[missing - missing % self._many]
                yield make_config(spec, missing, varied_of(spec, first.config))
            elif room and self._is_whole:
                yield "propose"
            else:
                return

    def listed(self) -> Iterator[TrialConfig]:
        """Yield what a grid, a random draw or an ablation asks for."""
        for trial in iter_configs(self._spec):
            moved = self._moved(trial)
            known = self._records.get(moved.number)
            if known is None and self._is_wanted(moved.name, moved.number):
                yield moved

    def _missing(self, there: set[int]) -> int | None:
        """Return the number of the first replicate that a proposed config lacks."""
        if self._many == 1:
            return None
        for number in sorted(self._records):
            record = self._records[number]
            if record.origin is None and record.replicate == 0:
                for other in range(number + 1, number + self._many):
                    if other not in there:
                        return other
        return None

    def _moved(self, trial: TrialConfig) -> TrialConfig:
        """Return a config under the number that is left for it.

        Where the cap of a random sweep is raised after trials have followed from others, these
        stand where its next ones would.
        """
        shifts: list[list[int]] = self._decisions.course.get("shifts", [])
        shift = next((by for start, by in reversed(shifts) if trial.number >= start), 0)
        known = self._records.get(trial.number + shift)
        if known is not None and known.origin is not None:
            start = trial.number - trial.number % self._many
            shift = number_after(self._spec, self._records) - start
            self._decisions.course["shifts"] = [*shifts, [start, shift]]
            self._decisions.save()
        if not shift:
            return trial
        group = None if trial.group is None else trial.group + shift
        return replace(trial, number=trial.number + shift, group=group)


class Agenda:
    """Hands out trials, each with its number in the study.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        configs: asks the study for a trial when a config starts.
        records: the trials that there are; the agenda adds those that it makes.
        decisions: where decisions are written down.
        only: names or numbers of the only trials to hand out; empty for all. With it nothing is
            promoted and no gate holds anything back.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        configs: Configs,
        records: dict[int, TrialRecord],
        *,
        decisions: Decisions,
        only: frozenset[str] = frozenset(),
    ) -> None:
        self._spec = at_first(spec)
        self._configs = configs
        self._records = records
        self._only = only
        self._stages = Stages(spec, sweep, records, decisions)
        self._changes = (
            Changes(spec, sweep, records, decisions) if spec.ablate is not None else None
        )
        self._again = deque(
            record
            for record in sorted(records.values(), key=lambda one: (one.replicate, one.number))
            if not record.state.is_finished and self.is_wanted(record.name, record.number)
        )
        self._source = Fresh(
            self._spec, records, self.is_wanted, is_whole=not only, decisions=decisions
        )
        self._is_proposing = configs.proposes
        self._fresh: Iterator[Asked] = (
            self._source.proposed() if self._is_proposing else self._source.listed()
        )
        self._numbers_end = numbers_end(self._spec)
        self._ahead: deque[Asked] = deque()
        self._counted: int | None = None
        self._is_counted = False

    def __bool__(self) -> bool:
        """Tell whether there is a trial that may start now."""
        return bool(self._again) or bool(self._startable(1))

    @property
    def last_stage(self) -> str | None:
        """The stage at which trials have come to their end; None where none promotes."""
        return self._stages.last

    @property
    def asks(self) -> bool:
        """True while the spec asks for trials that have not been taken, held back or not."""
        return self._look(1)

    def expected(self) -> int | None:
        """Return how many trials there will be, as far as can be said; None where unbounded."""
        if not self._is_counted:
            self._counted, self._is_counted = count_trials(self._spec), True
        if self._counted is None:
            return None
        of_stage = [
            record
            for record in self._records.values()
            if record.link != "promoted" and record.origin is not None
        ]
        fresh = self._counted + len(of_stage)
        return fresh + self._stages.expected(fresh)

    def candidates(self, limit: int = LOOK_AHEAD) -> list[Candidate]:
        """Return the trials that may start next, in their order, without asking the study.

        Of those that the study proposes, of which nobody knows how they will differ, it is one.
        """
        found = [
            Candidate(record.config, record.number, record, record.replicate)
            for record in islice(self._again, limit)
        ]
        for asked in self._startable(limit - len(found)):
            if asked == "propose":
                blank = make_config(self._spec, number_after(self._spec, self._records), {})
                found.append(Candidate(blank.config))
            else:
                assert isinstance(asked, TrialConfig)
                found.append(Candidate(asked.config, asked.number, turn=asked.replicate))
        return found

    def take(self, place: int = 0) -> TrialRecord:
        """Return the trial at a place among `candidates`, which leaves the agenda."""
        assert self, "there must be a trial that may start"
        if place < len(self._again):
            record = self._again[place]
            del self._again[place]
            self._configs.begin(record)
            return record
        place -= len(self._again)
        asked = self._startable(place + 1)[place]
        del self._ahead[place]
        proposal = None
        if asked == "propose":
            proposal = self._configs.propose()
            number = number_after(self._spec, self._records)
            trial = make_config(self._spec, number, proposal.params)
        else:
            assert isinstance(asked, TrialConfig)
            trial = asked
        record = TrialRecord(
            number=trial.number,
            name=trial.name,
            config=trial.config,
            stage=self._spec.stage,
            note=self._note(trial),
            change=dict(self._changes.told(trial)) if self._changes is not None else {},
            group=trial.group,
            replicate=trial.replicate,
        )
        self._records[record.number] = record
        self._configs.begin(record, proposal)
        return record

    def drop(self, record: TrialRecord) -> None:
        """Take a trial that waits to run again off the agenda, where it stands on it."""
        if record in self._again:
            self._again.remove(record)

    def add(self, record: TrialRecord) -> None:
        """Put a trial that follows from others (a promotion, a remedy) behind those that wait.

        Its record, WAITING, was saved already: so it is not lost with the driver, nor made twice.
        """
        self._records[record.number] = record
        self._again.append(record)
        if not self._is_proposing and self._numbers_end == 0:
            # Nothing keeps numbers free for a random sweep without an end: they are given anew.
            self._ahead.clear()
            self._fresh = self._source.listed()

    def skip(self, record: TrialRecord) -> None:
        """Take note of a trial that the spec asks for and that is not to run."""
        self._records[record.number] = record
        self._ahead = deque(
            asked
            for asked in self._ahead
            if not isinstance(asked, TrialConfig) or asked.number != record.number
        )

    def put_back(self, record: TrialRecord) -> None:
        """Let a trial run again, before all others."""
        self._again.appendleft(record)

    def review(self, follow: Callable[[TrialRecord], None]) -> Ending | None:
        """Decide what follows from the trials that have ended; call it after each end.

        Args:
            follow: saves a trial that follows from others and puts it on the agenda.

        Returns:
            Why the sweep ends here; None where it goes on.
        """
        if self._only:
            return None
        if self._changes is not None:
            return self._changes.review()
        for record in self._stages.review(is_asked=self.asks):
            follow(record)
        return None

    def is_wanted(self, name: str, number: int) -> bool:
        """Tell whether a trial is among those to hand out, by itself or by what it follows."""
        seen: set[int] = set()
        while self._only and not any(is_called(text, number, name) for text in self._only):
            record = self._records.get(number)
            before = (
                self._records.get(record.origin) if record and record.origin is not None else None
            )
            if before is None or before.number in seen:
                return False
            number, name = before.number, before.name
            seen.add(number)
        return True

    def _startable(self, limit: int) -> list[Asked]:
        """Return the first of what the spec asks for that need wait for nothing."""
        found: list[Asked] = []
        while len(found) < limit and self._look(len(found) + 1):
            asked = self._ahead[len(found)]
            if self._changes is not None and isinstance(asked, TrialConfig) and not self._only:
                if not self._changes.may_start(asked):
                    break
                adapted = self._changes.adapted(asked)
                if adapted is None:
                    del self._ahead[len(found)]
                    continue
                self._ahead[len(found)] = asked = adapted
            found.append(asked)
            if asked == "propose":
                break
        return found

    def _look(self, count: int) -> bool:
        """Make the next fresh trials ahead, and tell whether there are `count` of them."""
        # Of those to propose one is enough: how many there will be depends on those taken before.
        while len(self._ahead) < count and "propose" not in self._ahead:
            asked = next(self._fresh, None)
            if asked is None:
                break
            self._ahead.append(asked)
        return len(self._ahead) >= count

    def _note(self, trial: TrialConfig) -> dict[str, Any]:
        words: dict[str, Any] = {}
        if trial.trial is not None and trial.trial in self._spec.trials:
            words = asdict(self._spec.trials[trial.trial])
        elif trial.change is not None and self._spec.ablate is not None:
            words = {"note": self._spec.ablate.changes[trial.change].note}
        return {key: value for key, value in words.items() if value and key != "set"}
