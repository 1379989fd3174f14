"""Opening a sweep's folder to run in it: a new one, or one to continue."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from orchestrator.analysis import evaluate_run
from orchestrator.engine.driver.more_seeds import add_seeds
from orchestrator.engine.queue.decisions import Decisions
from orchestrator.engine.queue.planned_trials import PlannedTrials
from orchestrator.engine.queue.sweep_view import SweepLog, SweepView
from orchestrator.errors import ChangedSpecError, NotFoundError, UsageError, nearest
from orchestrator.files import atomic, lock
from orchestrator.metrics import ArrayProblem
from orchestrator.runs import (
    RunDir,
    SweepDir,
    SweepRecord,
    TrialRecord,
    TrialState,
    load_trials,
    read_reports,
)
from orchestrator.sweepfile import differences
from orchestrator.sweepfile.expand import iter_configs
from orchestrator.sweepfile.model import MetricGoal, Spec, TrialConfig

# A reader that checks for a running driver holds the lock for an instant.
LOCK_TIMEOUT_S = 2.0

# Trials that are searched at most for a name of ``--only``.
MOST_SEARCHED = 100_000


@contextmanager
def open_sweep(
    spec: Spec, results: Path, *, new: bool = False
) -> Iterator[tuple[SweepDir, dict[int, TrialRecord]]]:
    """Hold the folder of `spec` under `results`, which is made if it is missing.

    Args:
        new: start another sweep ``<name>-2`` next to one that exists.

    Yields:
        The folder, and the trials that it holds already, by number.

    Raises:
        ChangedSpecError: the folder holds a sweep of another spec, and `new` was not given.
        BusyError: another process runs this sweep.
        UsageError: the folder cannot be made or written.
    """
    folder = folder_for(spec, results, new=new)
    make_folder(folder)
    with alone_in(folder):
        yield folder, prepare(spec, folder)


@contextmanager
def alone_in(folder: SweepDir) -> Iterator[None]:
    """Keep all other drivers out of the folder of a sweep."""
    held = lock.acquire(
        folder.lock_file, timeout_s=LOCK_TIMEOUT_S, holder=f"the sweep '{folder.name}'"
    )
    try:
        if not lock.is_held(folder.lock_file):
            raise UsageError(
                f"{folder.lock_file}: the file system grants a lock that is already held, so "
                "nothing would keep two drivers of this sweep apart. Choose a folder on another "
                "disk with --results."
            )
        yield
    finally:
        held.release()


def prepare(spec: Spec, folder: SweepDir) -> dict[int, TrialRecord]:
    """Make a folder that nobody else uses ready to run `spec`; return its trials by number."""
    atomic.remove_leftovers(folder.path, folder.written_by_driver)
    for run in folder.run_dirs():
        atomic.remove_leftovers(run.path, run.written_by_driver)
    present = _plain(spec)
    changed = _changes(folder, present)
    records = {record.number: record for record in load_trials(folder)}
    if changed and not any(folder.run_dirs()):  # nothing has run with the former spec
        folder.study_file.unlink(missing_ok=True)
    elif changed:
        lines = "\n  ".join(changed)
        raise ChangedSpecError(
            f"{folder.path}: cannot continue with a changed spec:\n"
            f"  {lines}\nGive --new to start '{_unused(folder).name}' next to it, or undo "
            "the change. (run_cap, budget, targets, gates and remedies may change, a grid "
            "may get more values or a wider range, an ablation more changes, the list of seeds "
            "may get longer, and unless method is bayes, goal may change.)"
        )
    spec_before = atomic.read_json(folder.spec_file) or {}
    if records:
        add_seeds(spec, folder, records, spec_before)
    before = spec_before.get("metric") or {}
    if spec.metric is not None and before.get("name") not in (None, spec.metric.name):
        _rename(folder, records.values(), str(before["name"]), spec.metric)
    elif spec.metric is not None and before.get("goal") not in (None, spec.metric.goal):
        _judge_again(folder, records.values(), spec.metric)
    atomic.write_json(folder.spec_file, present)
    return records


def refuse_other_spec(spec: Spec, folder: SweepDir) -> None:
    """Raise `ChangedSpecError` if `spec` differs in anything from that of a running sweep."""
    present = _plain(spec)
    if atomic.read_json(folder.spec_file) != present:
        lines = "\n  ".join(_changes(folder, present) or ["in what may change between two runs"])
        raise ChangedSpecError(
            f"{folder.path}: cannot join with another spec than that of the drivers that run it:\n"
            f"  {lines}\nUse the same file and the same options."
        )


def _judge_again(folder: SweepDir, records: Iterable[TrialRecord], metric: MetricGoal) -> None:
    """Give ended trials the best reported value by a corrected goal, unless arrays gave theirs."""
    better = min if metric.goal == "minimize" else max
    for record in records:
        run = folder.run_dir(record.number, record.name)
        if record.value is None or any(run.predictions_file(s).exists() for s in ("test", "val")):
            continue
        found = [metrics.get(metric.name, math.nan) for _, metrics in read_reports(run)]
        record.value = better(filter(math.isfinite, found), default=record.value)
        record.save(run)


def _rename(
    folder: SweepDir, records: Iterable[TrialRecord], former: str, metric: MetricGoal
) -> None:
    """Give ended trials their best value of a metric that is now called by its right name."""
    better = min if metric.goal == "minimize" else max
    for record in records:
        if not record.state.is_finished:
            continue
        run = folder.run_dir(record.number, record.name)
        found = [metrics.get(metric.name, math.nan) for _, metrics in read_reports(run)]
        record.value = better(filter(math.isfinite, found), default=None)
        has_arrays = any(run.predictions_file(split).exists() for split in ("test", "val"))
        if has_arrays and record.state is TrialState.COMPLETE:
            with suppress(ArrayProblem):
                record.value = evaluate_run(run.path).get(metric.name)
        heads = (f"{former} is not known", f"metric {former} is not reported")
        record.warnings = [text for text in record.warnings if not text.startswith(heads)]
        record.save(run)


def folder_for(spec: Spec, results: Path, *, new: bool) -> SweepDir:
    """Return the folder that a run of `spec` uses; it may not exist yet.

    Of a sweep and those that ``--new`` made next to it, the last one of this very spec continues.
    """
    first = SweepDir.called(results, spec.name)
    if new:
        return _unused(first)
    present = _plain(spec)
    numbered = re.compile(re.escape(first.name) + r"-([1-9]\d*)")
    try:
        names = [path.name for path in first.path.parent.iterdir()]
    except OSError:
        return first
    numbers = [int(match[1]) for name in names if (match := numbered.fullmatch(name))]
    for number in sorted(numbers, reverse=True):
        folder = _numbered(first, number)
        if _changes(folder, present) == []:
            return folder
    return first


def _plain(spec: Spec) -> dict[str, Any]:
    """Return `spec` as JSON would read it back."""
    found: dict[str, Any] = json.loads(json.dumps(atomic.plain(spec.to_dict())))
    return found


def _changes(folder: SweepDir, present: dict[str, Any]) -> list[str] | None:
    """Return how the spec differs from that of the sweep in a folder; None if it holds none."""
    before = atomic.read_json(folder.spec_file)
    return None if before is None else differences(before, present)


def _numbered(first: SweepDir, number: int) -> SweepDir:
    return SweepDir(first.path.with_name(f"{first.name}-{number}"))


def _unused(first: SweepDir) -> SweepDir:
    folders = chain([first], (_numbered(first, number) for number in count(2)))
    return next(folder for folder in folders if not folder.spec_file.exists())


def make_folder(folder: SweepDir) -> None:
    """Make the folder of a sweep if it is missing; `UsageError` if it cannot be written."""
    try:
        folder.trials_dir.mkdir(parents=True, exist_ok=True)
        if not os.access(folder.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(
            f"{folder.path}: cannot write there ({error.strerror}). Choose another folder with "
            "--results."
        ) from None


def chosen_trials(spec: Spec, only: Iterable[str], folder: SweepDir) -> frozenset[str]:
    """Return the names and numbers of the only trials to run; empty for all.

    `only` has names, numbers or folder names; `NotFoundError` if one is not a trial of the sweep.
    """
    wanted = frozenset(only)
    if not wanted:
        return wanted
    # What bayes is to propose has neither number nor name; what it has proposed is in the folder.
    kept = load_trials(folder)
    known: Iterable[TrialRecord | TrialConfig] = kept
    if spec.method == "random":
        known = chain((record for record in kept if record.origin is not None), iter_configs(spec))
    elif spec.method == "grid":  # whose configs keep the numbers of their trials
        known = chain(kept, _missing(spec, folder, kept))
    # A named trial that is combined with parameters stands for all its combinations.
    families = wanted & set(spec.trials)
    members: set[str] = set()
    names: list[str] = []
    missing = set(wanted)
    for config in iter_configs(spec) if families else ():
        if config.trial in families:
            members.add(config.name)
            missing.discard(str(config.trial))
        if len(members) >= MOST_SEARCHED:
            break
    for trial in known:
        missing = {text for text in missing if not RunDir.is_called(text, trial.number, trial.name)}
        names.append(trial.name)
        if not missing or len(names) >= MOST_SEARCHED:
            break
    if not missing:
        return wanted | members
    name = min(missing)
    known_names = f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}" or "none yet"
    raise NotFoundError(
        f"--only {name}: no such trial in '{spec.name}' (found: {known_names})."
        f"{nearest(name, names[:1000])}"
    )


def _missing(spec: Spec, folder: SweepDir, kept: Iterable[TrialRecord]) -> Iterable[TrialConfig]:
    """Return the configs of a grid that have no trial, with the numbers that they will have."""
    view = SweepView(spec, folder, {record.number: record for record in kept})
    decisions = Decisions(SweepRecord(spec.name), SweepLog(folder, lambda *event: None))
    plan = PlannedTrials(
        view, decisions, proposes=False, is_wanted=lambda name, number: True, only_some=False
    )
    return (trial for trial in plan if isinstance(trial, TrialConfig))
