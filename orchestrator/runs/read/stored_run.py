"""What one run folder holds, and what its sweep asks of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import jsonl, regular
from orchestrator.metrics import OWN, check_pair
from orchestrator.runs.curves.folder_logs import may_hold_log
from orchestrator.runs.foreign import metadata as foreign
from orchestrator.runs.foreign.run_files import (
    ROLES,
    Manifest,
    Places,
    Source,
    last_match,
    own_places,
)
from orchestrator.runs.foreign.tools import Found, Tool
from orchestrator.runs.layout import RunDir, SweepDir, array_name
from orchestrator.runs.read import groups
from orchestrator.runs.read.arrays import load_array, load_sequences
from orchestrator.runs.read.report_log import reports_of
from orchestrator.runs.records import SweepRecord, TrialRecord, TrialState, read_reports

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.runs.curves.log_reader import LoggedRun

    Samples = NDArray[Any] | list[NDArray[Any]]

_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class SweepInfo:
    """What a ranking needs to know of the sweep that a run belongs to."""

    name: str
    path: Path  # absolute
    metric: str = ""  # the metric that ranks it, if known
    goal: str = "minimize"  # or "maximize"
    second: tuple[str, str] | None = None  # name and goal of the second metric, if it has two
    n_trials: int = 0  # that it plans; 0 if unbounded
    success: tuple[str, ...] = ()  # its conditions
    targets: Mapping[str, str] = field(default_factory=dict)  # {"t20_mae": "<= 0.02"}
    tiers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # least demanding first
    expect: Mapping[str, str] = field(default_factory=dict)  # {"train_mse@5": "< 0.2"}
    stages: tuple[str, ...] = ()  # in their order
    has_baseline: bool = False  # its first trial is the baseline of an ablation
    references: Mapping[str, Any] = field(default_factory=dict)  # name to metrics and path
    seed_parameter: str = "seed"  # by which the replicates of a config differ
    is_program: bool = False  # the user's own script made the arrays
    lives: bool = False  # a driver runs it
    arrays: Mapping[str, Any] = field(default_factory=dict)  # what its program's arrays are
    lr_schedule: Mapping[str, Any] = field(default_factory=dict)  # as in the sweep file
    trainer: str = ""  # "" for a program
    varied: frozenset[str] = frozenset()  # the parameters that it sets for its trials
    phases: tuple[int, ...] = ()  # the steps at which the loss changes its meaning

    @classmethod
    def load(cls, sweep: SweepDir) -> SweepInfo | None:
        """Return what the folder of a sweep holds; None if it is not a sweep's."""
        record = SweepRecord.load(sweep)
        spec = SweepRecord.load_spec(sweep)
        if record is None and not spec:
            return None
        metric = spec.get("metric") or {}
        two: list[dict[str, Any]] = spec.get("objectives") or []
        if record is None:
            record = SweepRecord(
                str(spec.get("name") or sweep.name), goal=str(metric.get("goal") or "minimize")
            )
        return cls(
            name=record.sweep,
            path=sweep.path,
            metric=record.metric or str(metric.get("name") or ""),
            goal=record.goal,
            second=(str(two[1].get("name")), str(two[1].get("goal"))) if len(two) > 1 else None,
            n_trials=record.n_trials or 0,
            success=tuple(spec.get("success") or ()),
            targets=_texts(spec.get("targets")),
            tiers={tier: _texts(bounds) for tier, bounds in (spec.get("tiers") or {}).items()},
            expect=_texts(spec.get("expect")),
            stages=tuple(str(stage.get("name")) for stage in spec.get("stages") or ()),
            has_baseline=bool(spec.get("ablate")),
            references=spec.get("references") or {},
            seed_parameter=str(spec.get("seed_parameter") or "seed"),
            is_program=spec.get("program") is not None,
            lives=sweep.driver_lives(),
            arrays=(spec.get("program") or {}).get("arrays") or {},
            lr_schedule=spec.get("lr_schedule") or {},
            trainer=str(spec.get("trainer") or ""),
            phases=tuple(spec.get("phases") or ()),
            varied=frozenset(
                [*(spec.get("parameters") or {})]
                + [
                    name
                    for trial in (spec.get("trials") or {}).values()
                    for name in trial.get("set") or ()
                ]
            ),
        )


def _texts(value: Any) -> dict[str, str]:
    known = value if isinstance(value, dict) else {}
    return {name: str(text) for name, text in known.items()}


@dataclass(frozen=True)
class StoredRun:
    """One run folder: each file is read once, when it is first needed."""

    path: Path  # below the path that was given
    files: frozenset[str] = frozenset()  # empty if nobody has looked
    sweep: SweepInfo | None = None  # the sweep of ours that it belongs to
    record: TrialRecord | None = None  # None for a folder of another tool
    state: TrialState | None = None  # the trial's state when the folder was found
    reason: str | None = None  # why it is in that state
    places: Places = field(default_factory=dict)
    tool: Tool | None = None  # that made it, if known
    manifest: Manifest | None = None  # the ``sweep-runs.yaml`` that describes it
    error: str | None = None  # why it cannot be read
    label: str = ""  # what tells it from other tools' runs; "" for its folder's name
    log: LoggedRun | None = None  # of a run that is in a file with others, or is only a log

    @property
    def name(self) -> str:
        """The trial's name, or the folder's."""
        if self.record is not None:
            return self.record.name
        return self.label or Path(os.path.abspath(self.path)).name

    @property
    def is_ours(self) -> bool:
        """True for a trial of a sweep."""
        return self.record is not None or self.sweep is not None

    @property
    def missing(self) -> list[str]:
        """Names of the arrays without which it cannot be ranked."""
        if self.log is not None:
            return []
        # A run whose arrays are of one other split only is ranked by that.
        splits = {split for split, _ in self.places}
        split = "test" if "test" in splits or not splits or self.is_ours else min(splits)
        names = {} if self.manifest is None else self.manifest.arrays
        return [
            names.get((split, role), array_name(role, split))
            for role in ROLES
            if (split, role) not in self.places
        ]

    @cached_property
    def _metadata_files(self) -> dict[str, tuple[dict[str, Any], str | None]]:
        # The second is what a script that we ran wrote about itself, next to our own metadata.
        names = ("metadata.json", "outputs_metadata.json")
        return {name: foreign.read_object(self.path / name) for name in names}

    @property
    def metadata(self) -> dict[str, Any]:
        """Content of ``metadata.json``; {} if it is no JSON object."""
        return self._metadata_files["metadata.json"][0]

    @property
    def _script_metadata(self) -> dict[str, Any]:
        return self._metadata_files["outputs_metadata.json"][0]

    @cached_property
    def from_tool(self) -> Found:
        """What the tool's own files, and those that a ``sweep-runs.yaml`` names, hold."""
        found, tool, manifest = Found(), self.tool, self.manifest
        if self.is_ours:
            return found
        if self.log is not None:
            return Found(dict(self.log.config), dict(self.log.last), list(self.log.notes))
        if tool is not None:
            tool.read(self.path, found)
        if manifest is not None and manifest.config:
            found.config |= found.read_named(self.path, manifest.config)
        if manifest is not None and manifest.logged:
            if self.curve:
                for _, metrics in self.curve:
                    found.logged |= metrics
            else:
                found.logged |= foreign.numbers(found.read_named(self.path, manifest.logged))
        return found

    @cached_property
    def reports(self) -> Sequence[tuple[int, dict[str, float]]]:
        """Step and metrics of every report in our own log; () if there is none."""
        return reports_of(read_reports(RunDir(self.path)))

    @cached_property
    def _logged_run(self) -> LoggedRun | None:
        from orchestrator.runs.curves.reader import read_runs  # which reads trials through here

        if self.log is not None:
            return self.log
        named = self.manifest.logged if self.manifest is not None else ""
        log = last_match(self.path, named) if named else self.path
        if log is None or self.error is not None:
            return None
        with suppress(NotFoundError, UsageError, OSError):
            if named or self.is_ours or may_hold_log(self.path, self.files, self.metadata):
                return read_runs(log)[0]
        return None

    @property
    def curve(self) -> Sequence[tuple[int, dict[str, float]]]:
        """Step and metrics of every report: in our log, or in the one that the tool wrote."""
        if self.is_ours:
            return self.reports
        return () if self._logged_run is None else self._logged_run.reports

    @property
    def curve_file(self) -> Path:
        """The log of another tool that `curve` is read from; the folder if there is none."""
        return self.path if self._logged_run is None else self._logged_run.path

    @property
    def logged_facts(self) -> Mapping[str, float]:
        """What the log of another tool holds about the run itself, as ``parameters``."""
        return {} if self.is_ours or self._logged_run is None else self._logged_run.facts

    def last_reports(self, *, all_in_tail: bool) -> list[dict[str, Any]]:
        """Return the last line of our own log as it is, or all those in its last 16 KiB."""
        # A status must cost next to nothing while a training runs: the log is not read whole.
        try:
            with regular.open_file(RunDir(self.path).metrics_file, self.path) as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = jsonl.parse(stream.read())
        except OSError:
            return []
        return lines if all_in_tail else lines[-1:]

    def report_at(self, metric: str, step: int) -> float | None:
        """Return what was reported of `metric` at `step`; the last value if it was repeated."""
        return value_at(self.reports, metric, step)

    @property
    def data(self) -> dict[str, Any]:
        """What the arrays are, as ``{"kind": "decay_curve", "rate_hz": 500}``; {} if unknown."""
        declared = {"data": {} if self.sweep is None else self.sweep.arrays}
        sources = (self.metadata, self._script_metadata, declared)
        known = [foreign.data_of(source) for source in sources]
        found = next(filter(None, known), {})
        named = known if self.manifest is None else [self.manifest.groups, *known]
        found |= next((one for one in map(_groups_of, named) if one), {})
        # Nothing in a run folder may choose code that is executed.
        return {key: value for key, value in found.items() if key != OWN}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Parameter values, nested ones with dots; those that the sweep set take precedence."""
        given = foreign.flatten(self.record.config) if self.record is not None else {}
        return {**self.from_tool.config, **foreign.config_of(self.metadata), **given}

    @cached_property
    def logged(self) -> dict[str, float]:
        """Numbers that the run itself logged last."""
        about = {**self._script_metadata, **self.metadata}
        return {**self.from_tool.logged, **foreign.logged_metrics(self.path, about)}

    @property
    def warnings(self) -> list[str]:
        """The warnings that the run recorded, and files that cannot be read."""
        record = self.record
        recorded = {} if record is None else {"warnings": record.warnings_now(runs=False)}
        return [
            *foreign.warnings_of(recorded),
            *foreign.warnings_of(self.metadata),
            *(
                f"{name} cannot be read: {why}"
                for name, (_, why) in self._metadata_files.items()
                if why
            ),
            *self.from_tool.problems,
        ]

    def load_pair(self, split: str = "test") -> tuple[Samples, Samples]:
        """Return the predictions and targets of ``"test"``, ``"val"`` or ``"train"``.

        Returns:
            Two arrays of the same shape [N, ...] with finite values, or, if there are files of
            lengths, two lists of N sequences. They are not kept.

        Raises:
            ArrayProblem: arrays are missing, unreadable, not finite, or do not fit each other.
        """
        run, places = RunDir(self.path), self.places
        first = places.get((split, "predictions"), Source(run.predictions_file(split)))
        second = places.get((split, "targets"), Source(run.targets_file(split)))
        lengths = run.predictions_lengths_file(split), run.targets_lengths_file(split)
        if any(map(os.path.exists, lengths)):
            predicted = load_sequences(first.path, lengths[0])
            wanted = load_sequences(second.path, lengths[1])
            check_pair(predicted, wanted)
            return predicted, wanted
        predictions, targets = (load_array(each.path, each.key) for each in (first, second))
        check_pair(predictions, targets)
        return predictions, targets

    def load_groups(self, split: str, n_samples: int) -> NDArray[Any] | None:
        """Return the number of the group of each sample [N], from 0; None if none are stated.

        Raises:
            ArrayProblem: there is not one label for each sample.
        """
        return groups.load_groups(self.path, self.data, split, n_samples)


def _groups_of(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key.endswith("groups")}


def open_run(path: Path, record: TrialRecord | None = None) -> StoredRun:
    """Return the run in a trial's folder, or in any whose arrays have our names."""
    places = own_places(path)
    if record is None:
        return StoredRun(path, places=places)
    return StoredRun(path, frozenset(), None, record, record.state, record.reason, places)


def value_at(
    reports: Sequence[tuple[int, Mapping[str, float]]], metric: str, step: int
) -> float | None:
    """Return the value of a metric at a step; the last one if the step was repeated."""
    found = [known[metric] for place, known in reports if place == step and metric in known]
    return found[-1] if found else None
