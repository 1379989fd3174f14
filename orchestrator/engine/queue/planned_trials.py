"""The trials of a sweep file that no trial has been made of yet, in the order of their start.

Trials of a random sweep are known by their numbers. Those of a grid are known by their configs,
since the grid may have got more values, or another order, since its first trials ran.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from typing import Literal

from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.runs import TrialRecord
from orchestrator.sweepfile.expand import (
    at_first,
    count_trials,
    drawn_key,
    iter_configs,
    make_config,
    varied_of,
)
from orchestrator.sweepfile.model import TrialConfig

Planned = TrialConfig | Literal["propose"]
"""A config of the sweep file, or that the study is to propose one."""


class PlannedTrials:
    """Plans the trials of a sweep file; each iteration starts with what is missing at present.

    Args:
        proposes: True if the study proposes configs.
        is_wanted: returns whether the trial of a name and a number is to run.
        only_some: True if not all trials are wanted.
    """

    def __init__(
        self,
        view: SweepView,
        decisions: Decisions,
        *,
        proposes: bool,
        is_wanted: Callable[[str, int], bool],
        only_some: bool,
    ) -> None:
        self._view = view
        self._spec = at_first(view.spec)
        self._decisions = decisions
        self._proposes = proposes
        self._is_wanted = is_wanted
        self._only_some = only_some
        # Of the configs whose numbers are not those of the file: the first number, to the one used.
        self._firsts: dict[int, int] = {}

    def __iter__(self) -> Iterator[Planned]:
        """Yield the trials of the sweep file that have no record yet, in their order."""
        if self._proposes:
            yield from self._proposed()
            return
        if self._spec.method == "grid" or self._has_more_seeds():
            yield from self._of_grid()
            return
        for trial in iter_configs(self._spec):
            moved = self._moved(trial)
            known = self._view.records.get(moved.number)
            if known is None and self._is_wanted(moved.name, moved.number):
                yield moved

    def _has_more_seeds(self) -> bool:
        """Return whether seeds were added: then replicates have no consecutive numbers."""
        own = (record for record in self._view.records.values() if record.origin is None)
        return any(one.group is not None and one.number != one.group + one.replicate for one in own)

    def _of_grid(self) -> Iterator[Planned]:
        """Yield the trials of a grid, an ablation or a sweep with more seeds that have no record.

        Its configs keep the numbers of the trials that they have. If others took the numbers of a
        config, since the grid has changed, it gets the next ones that are free.
        """
        records, many = self._view.records, self._view.seeds
        known = self._known_configs()
        there = {(record.group, record.replicate) for record in records.values()}
        free = self._view.next_number()
        for trial in iter_configs(self._spec):
            first = trial.number - trial.replicate
            if trial.replicate == 0:
                found = known.get(self._key_of(trial), [])
                names = [name for name, _ in found]
                if trial.name in names or None in names:
                    place = names.index(trial.name if trial.name in names else None)
                    self._firsts[first] = found.pop(place)[1]
                elif any(number in records for number in range(first, first + many)):
                    self._firsts[first], free = free, free + many
            start = self._firsts.get(first, first)
            planned = trial
            if start != first:
                group = None if trial.group is None else start
                planned = replace(trial, number=start + trial.replicate, group=group)
            is_there = planned.number in records or (start, trial.replicate) in there
            if not is_there and self._is_wanted(planned.name, planned.number):
                yield planned

    def renumbered(self, trial: TrialConfig, start: int) -> TrialConfig:
        """Return a trial that was planned with the numbers of its config from `start` on.

        A trial that followed from another has taken its number meanwhile.
        """
        before = trial.number - trial.replicate
        first = next((f for f, used in self._firsts.items() if used == before), before)
        self._firsts[first] = start
        group = None if trial.group is None else start
        return replace(trial, number=start + trial.replicate, group=group)

    def _known_configs(self) -> dict[Hashable, list[tuple[str | None, int]]]:
        """Return the configs that have trials, each with the name and number of the first of them.

        Several named trials may have one config. A name that the grid no longer has is None: it
        stands for any config with these values, since names change when a grid gets more values.
        """
        known: dict[Hashable, list[tuple[str | None, int]]] = {}
        firsts: dict[int, TrialRecord] = {}
        for record in self._view.records.values():
            if record.origin is None and record.stage == self._spec.stage:
                first = record.number if record.group is None else record.group
                if first not in firsts or record.replicate == 0:
                    firsts[first] = record
        for first, record in firsts.items():
            known.setdefault(self._key_of(record), []).append((record.name, first))
        now: dict[Hashable, set[str]] = {}
        for trial in iter_configs(self._spec) if known else ():
            if trial.replicate == 0 and (key := self._key_of(trial)) in known:
                now.setdefault(key, set()).add(trial.name)
        for key, found in known.items():
            current = now.get(key, set())
            known[key] = [(name if name in current else None, first) for name, first in found]
        return known

    def _key_of(self, trial: TrialConfig | TrialRecord) -> Hashable:
        """Return what tells the configs of a grid apart, or the changes of an ablation."""
        if self._spec.ablate is not None:
            return trial.change if isinstance(trial, TrialConfig) else trial.change.get("name")
        named = {name for entry in self._spec.trials.values() for name in entry.set}
        chosen = {name: trial.config[name] for name in named if name in trial.config}
        return drawn_key(chosen | varied_of(self._spec, trial.config))

    def _proposed(self) -> Iterator[Planned]:
        """Yield proposals for bayes, each followed by its other replicates at once."""
        records, cap = self._view.records, count_trials(self._spec)
        given: set[int] = set()
        tried = {
            drawn_key(varied_of(self._spec, record.config))
            for record in records.values()
            if record.origin is None and self._has_more_seeds()
        }
        configs = enumerate(self._spec.start.configs if self._spec.start is not None else ())
        start = [(place, chosen) for place, chosen in configs if drawn_key(chosen) not in tried]
        while True:
            own = {number for number, record in records.items() if record.origin is None}
            missing = self._missing_replicate(own | given)
            room = cap is None or len(own | given) < cap
            if missing is not None and room:
                given.add(missing)
                first = records[missing - missing % self._view.seeds]
                yield make_config(self._spec, missing, varied_of(self._spec, first.config))
            elif room and start:
                place, chosen = start.pop(0)
                number = place * self._view.seeds
                if tried and number in own:
                    number = self._view.next_number()
                trial = make_config(self._spec, number, chosen)
                if trial.number not in own and self._is_wanted(trial.name, trial.number):
                    given.add(trial.number)
                    yield trial
            elif room and not self._only_some:  # what has yet to be proposed has no name
                yield "propose"
            else:
                return

    def _missing_replicate(self, known: set[int]) -> int | None:
        """Return the number of the first replicate that a proposed config lacks."""
        if self._view.seeds == 1:
            return None
        for number, record in sorted(self._view.records.items()):
            if record.origin is None and record.replicate == 0:
                there = {one.replicate for one in self._view.replicates(record)}
                for replicate in range(1, self._view.seeds):
                    if replicate not in there and number + replicate not in known:
                        return number + replicate
        return None

    def _moved(self, trial: TrialConfig) -> TrialConfig:
        """Return a config under the number that is left for it.

        If the cap of a random sweep is raised after trials have followed from others, these have
        the numbers of its next configs.
        """
        shifts: list[list[int]] = self._decisions.value("shifts", [])
        shift = next((by for start, by in reversed(shifts) if trial.number >= start), 0)
        known = self._view.records.get(trial.number + shift)
        if known is not None and known.origin is not None:
            start = trial.number - trial.number % self._view.seeds
            shift = self._view.next_number() - start
            self._decisions.keep("shifts", [*shifts, [start, shift]])
        if not shift:
            return trial
        group = None if trial.group is None else trial.group + shift
        return replace(trial, number=trial.number + shift, group=group)
