"""Which trial is next: interrupted ones first, then what the spec still asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

from orchestrator.runs.layout import is_called
from orchestrator.runs.records import TrialRecord
from orchestrator.search.study import Study
from orchestrator.spec.expand import iter_configs, make_config, numbers_end, varied_of
from orchestrator.spec.model import Spec, TrialConfig

LOOK_AHEAD = 64
"""How many trials `TrialQueue.candidates` shows at most."""


@dataclass(frozen=True)
class Candidate:
    """A trial that could start now.

    Attributes:
        config: the values that the sweep gives, as far as they are known.
        number: the trial's number; None for one that the study has yet to propose.
        record: where it has run before.
    """

    config: Mapping[str, Any]
    number: int | None = None
    record: TrialRecord | None = None


def number_after(spec: Spec, records: Mapping[int, TrialRecord]) -> int:
    """Return the number of a trial that is made now.

    What a grid or a random draw still asks for has its numbers already; a trial that follows from
    another must not take one of them.
    """
    # Not their count: a folder whose record was lost must not shift the numbers.
    return max(max(records, default=-1) + 1, numbers_end(spec))


class TrialQueue:
    """Hands out trials, each with its number in the study.

    Args:
        spec: what was asked.
        study: told of every trial that is handed out, and asked for configs where it samples.
        records: the trials that there are; the queue adds those that it makes.
        only: names or numbers of the only trials to hand out; empty for all.
    """

    def __init__(
        self, spec: Spec, study: Study, records: dict[int, TrialRecord], only: frozenset[str]
    ) -> None:
        self._spec = spec
        self._study = study
        self._records = records
        self._only = only
        self._space = {
            name: domain
            for name, domain in spec.parameters.items()
            if not domain.is_constant and name not in spec.overrides
        }
        self._again = deque(
            record
            for record in records.values()
            if not record.state.is_finished and self.is_wanted(record.name, record.number)
        )
        self._fresh = self._fresh_configs()
        self._ahead: deque[TrialConfig | Literal["propose"]] = deque()

    def __bool__(self) -> bool:
        return bool(self._again) or self._look(1)

    def candidates(self, limit: int = LOOK_AHEAD) -> list[Candidate]:
        """Return the trials that may start next, in their order, without asking the study.

        Of those that the study proposes, of which nobody knows how they will differ, it is one.
        """
        found = [
            Candidate(record.config, record.number, record) for record in islice(self._again, limit)
        ]
        if len(found) < limit and self._look(limit - len(found)):
            for asked in islice(self._ahead, limit - len(found)):
                if asked == "propose":
                    found.append(Candidate(make_config(self._spec, len(self._records), {}).config))
                    break
                assert isinstance(asked, TrialConfig)
                found.append(Candidate(asked.config, asked.number))
        return found

    def take(self, place: int = 0) -> TrialRecord:
        """Return the trial at a place among `candidates`, which leaves the queue."""
        assert self, "the queue must not be empty"
        if place < len(self._again):
            record = self._again[place]
            del self._again[place]
            varied = varied_of(self._spec, record.config)
            # An Optuna trial that is set back to waiting keeps its old reports: ask for a new one.
            record.optuna_number = self._ask(varied)
            return record
        place -= len(self._again)
        self._look(place + 1)
        asked = self._ahead[place]
        del self._ahead[place]
        if asked == "propose":
            proposal = self._study.ask(self._space, None)
            trial = make_config(self._spec, self.next_number, proposal.params)
            optuna_number = proposal.number
        else:
            assert isinstance(asked, TrialConfig)
            trial = asked
            optuna_number = self._ask(trial.varied)
        record = TrialRecord(
            number=trial.number,
            name=trial.name,
            config=trial.config,
            optuna_number=optuna_number,
            stage=self._spec.stage,
            note=self._note(trial),
        )
        self._records[record.number] = record
        return record

    def drop(self, record: TrialRecord) -> None:
        """Take a trial that waits to run again out of the queue, where it stands in it."""
        if record in self._again:
            self._again.remove(record)

    def add(self, record: TrialRecord) -> None:
        """Queue a trial that follows from others (a promotion, a remedy), behind those that wait.

        Its record, WAITING, was saved already: so it is not lost with the driver, nor made twice.
        """
        self._records[record.number] = record
        self._again.append(record)

    @property
    def next_number(self) -> int:
        """The number of a trial that is made now."""
        return number_after(self._spec, self._records)

    def put_back(self, record: TrialRecord) -> None:
        """Let a trial run again, before all others."""
        self._again.appendleft(record)

    def _look(self, count: int) -> bool:
        """Make the next fresh trials, `count` of them where there are so many; False for none."""
        # Of those to propose one is enough: how many there will be depends on those taken before.
        while len(self._ahead) < count and "propose" not in self._ahead:
            asked = next(self._fresh, None)
            if asked is None:
                break
            self._ahead.append(asked)
        return bool(self._ahead)

    def _ask(self, varied: Mapping[str, object]) -> int:
        chosen = {name: varied[name] for name in self._space if name in varied}
        return self._study.ask({name: self._space[name] for name in chosen}, chosen).number

    def _note(self, trial: TrialConfig) -> dict[str, object]:
        named = self._spec.trials.get(trial.trial) if trial.trial else None
        words = asdict(named) if named else {}
        return {key: value for key, value in words.items() if value and key != "set"}

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

    def _fresh_configs(self) -> Iterator[TrialConfig | Literal["propose"]]:
        if self._spec.method == "bayes" and self._space:
            cap = 0 if self._only else self._spec.run_cap  # what is to come has no name yet
            while cap is None or len(self._records) < cap:
                yield "propose"
            return
        for trial in iter_configs(self._spec):
            if trial.number not in self._records and self.is_wanted(trial.name, trial.number):
                yield trial
