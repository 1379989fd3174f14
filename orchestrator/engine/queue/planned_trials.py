"""The trials of a sweep file that no trial has been made of yet, in the order of their start.

Trials of a random sweep are known by their numbers. Those of a grid are known by their configs,
since the grid may have got more values, or another order, since its first trials ran.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.sweep_view import SweepView
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

    def __iter__(self) -> Iterator[Planned]:
        """Yield the trials of the sweep file that have no record yet, in their order."""
        if self._proposes:
            yield from self._proposed()
            return
        if self._spec.method == "grid" and self._spec.ablate is None and not self._spec.seeds:
            yield from self._of_grid()
            return
        for trial in iter_configs(self._spec):
            moved = self._moved(trial)
            known = self._view.records.get(moved.number)
            if known is None and self._is_wanted(moved.name, moved.number):
                yield moved

    def _of_grid(self) -> Iterator[Planned]:
        """Yield the configs of a grid that no trial has; one whose number is taken gets another.

        The grid may have got more values or another order since its first trials ran.
        """
        records = self._view.records
        known = self._known_configs()
        taken = set(records)
        number = self._view.next_number()
        for trial in iter_configs(self._spec):
            names = known.get(self._key_of(trial.config), []) if known else []
            known_as = trial.name if trial.name in names else None
            if known_as in names:
                names.remove(known_as)
                continue
            planned = trial
            if trial.number in taken:
                planned, number = replace(trial, number=number), number + 1
            if self._is_wanted(planned.name, planned.number):
                yield planned

    def _known_configs(self) -> dict[Hashable, list[str | None]]:
        """Return the configs of the grid that have a trial, each with the names of its trials.

        Several named trials may have one config. A name that the grid no longer has is None: it
        stands for any config with these values, since names change when a grid gets more values.
        """
        known: dict[Hashable, list[str | None]] = {}
        for record in self._view.records.values():
            if record.origin is None and record.stage == self._spec.stage:
                known.setdefault(self._key_of(record.config), []).append(record.name)
        if known:
            now: dict[Hashable, set[str]] = {}
            for trial in iter_configs(self._spec):
                if (key := self._key_of(trial.config)) in known:
                    now.setdefault(key, set()).add(trial.name)
            for key, names in known.items():
                current = now.get(key, set())
                known[key] = [name if name in current else None for name in names]
        return known

    def _key_of(self, config: Mapping[str, Any]) -> Hashable:
        """Return what tells the configs of a grid apart."""
        named = {name for trial in self._spec.trials.values() for name in trial.set}
        chosen = {name: config[name] for name in named if name in config}
        return drawn_key(chosen | varied_of(self._spec, config))

    def _proposed(self) -> Iterator[Planned]:
        """Yield proposals for bayes, each followed by its other replicates at once."""
        records, cap = self._view.records, count_trials(self._spec)
        given: set[int] = set()
        start = list(enumerate(self._spec.start.configs)) if self._spec.start is not None else []
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
                trial = make_config(self._spec, place * self._view.seeds, chosen)
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
                for other in range(number + 1, number + self._view.seeds):
                    if other not in known:
                        return other
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
