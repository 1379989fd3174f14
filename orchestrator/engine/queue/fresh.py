"""What the spec still asks for, made one at a time and in the order of starting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Literal

from orchestrator.engine.queue.candidates import number_after
from orchestrator.engine.queue.decisions import Decisions
from orchestrator.runs.records import TrialRecord
from orchestrator.sweepfile.expand.configs import iter_configs, make_config, varied_of
from orchestrator.sweepfile.model.spec import Spec, TrialConfig

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
