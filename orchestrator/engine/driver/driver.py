"""Running a sweep from start to end, or on from where it was left.

``--only``: the trials that are to run, by name or number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from orchestrator.engine.conductor import INTERRUPTED, Conductor
from orchestrator.engine.driver import control
from orchestrator.engine.driver.closing import Outcome, conclude, new_record, stamp
from orchestrator.engine.driver.control import catching
from orchestrator.engine.driver.opening import OpenSweep, folder_for, open_sweep
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.engine.sweep_log import Listener, SweepLog
from orchestrator.errors import NotFoundError, SweepError, WaitTimeoutError, nearest
from orchestrator.files import atomic
from orchestrator.placement import CPU, Plan
from orchestrator.placement.leases import Leases
from orchestrator.placement.memory_needs import HISTORY_FILE, History
from orchestrator.runs import (
    SweepDir,
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    is_called,
    load_trials,
    log_event,
)
from orchestrator.sweepfile.expand import iter_configs
from orchestrator.sweepfile.model import Spec, TrialConfig

REQUESTS_EVERY_S = 0.5

Runner = Callable[[Conductor, Callable[[], None]], None]


def run_sweep(
    spec: Spec,
    plan: Plan,
    *,
    results: Path,
    listener: Listener,
    new: bool = False,
    only: Iterable[str] = (),
    inline: bool = False,
    retry_failed: bool = False,
    terms: SlotOptions | None = None,
    command: str = "",
    on_open: Callable[[SweepDir, Mapping[int, TrialRecord]], None] = lambda folder, records: None,
    on_stop: Callable[[], object] = lambda: None,
) -> Outcome:
    """Run what is left of a sweep and return how it ended.

    Finished trials are kept, interrupted ones run again.

    Args:
        spec: what to run.
        plan: where.
        results: where sweeps are kept.
        listener: told of every event.
        new: start another sweep beside one of the same name.
        only: names or numbers of the only trials to run.
        inline: run in this process, one after another, without Ray.
        retry_failed: run trials that failed again.
        terms: how the machine is used; None for what a `Policy` says by default.
        command: the command line that continues the sweep, for people.
        on_open: told the folder and the trials that it held, before anything starts.
        on_stop: called at the first Ctrl+C, in the signal handler: it must neither take a lock nor
            use a stream that may be in use.

    Raises:
        ChangedSpecError: the folder holds a sweep of another spec.
        BusyError: another process runs this sweep.
        NotFoundError: `only` names a trial that the spec has not.
        SweepError: the folder cannot be written any more, or Ray does not start.
        WaitTimeoutError: memory that others hold did not come free in time.
    """
    chosen = chosen_trials(spec, only, folder_for(spec, results, new=new))
    opened = open_sweep(spec, results, new=new)
    try:
        retries = _settle(opened, retry_failed)
        on_open(opened.folder, opened.records)
        signals = _Signals(on_stop)
        # From here on, so that Ctrl+C never breaks into the start of Ray or into its end.
        with catching(signals.first, signals.second) as install:
            signals.install = install
            return _run(
                spec,
                plan,
                terms or SlotOptions(),
                opened,
                signals,
                listener=listener,
                only=chosen,
                inline=inline,
                command=command,
                retries=retries,
            )
    except OSError as error:
        raise SweepError(
            f"{opened.folder.path}: the driver must be able to read and write there, but got: "
            f"{error}. Run the sweep again to continue it."
        ) from error
    finally:
        opened.close()


class _Signals:
    """What the user's signals ask for.

    Attributes:
        wants_stop: True once the sweep should end in order.
        conductor: set as soon as there is one.
        timeout: why the waiting for memory ended the sweep; "" while it did not.
        install: puts the signal handlers in again.
    """

    def __init__(self, on_stop: Callable[[], object]) -> None:
        self.wants_stop = False
        self.timeout = ""
        self.conductor: Conductor | None = None
        self.install: Callable[[], None] = lambda: None
        self._on_stop = on_stop

    def first(self) -> None:
        """Ask for an end in order."""
        self.wants_stop = True
        self._on_stop()

    def second(self) -> None:
        """Write down how it stands; the process ends now."""
        if self.conductor is not None:
            self.conductor.mark_interrupted()
        with suppress(OSError):
            os.write(2, b"\nEnded at once. Run it again to continue.\n")


def _run(
    spec: Spec,
    plan: Plan,
    terms: SlotOptions,
    opened: OpenSweep,
    signals: _Signals,
    *,
    listener: Listener,
    only: frozenset[str],
    inline: bool,
    command: str,
    retries: bool,
) -> Outcome:
    folder = opened.folder
    if inline and plan.slots[0].device != CPU:
        # What a process may see of CUDA is settled at its first touch, for all its trials.
        terms = replace(terms, gpus=plan.slots[0].device)
    control.take(folder)  # asked of a driver that is gone
    atomic.write_json(folder.plan_file, plan.to_dict())
    before = SweepRecord.load(folder)
    record = new_record(spec, folder, command, before, retries=retries)
    record.save(folder)
    log_event(folder, "sweep_started", plan=plan.to_dict(), kept=len(opened.records))
    machine = Machine(plan, terms.gpus)
    leases = Leases()
    log = SweepLog(folder, listener)
    try:
        placing = SlotAllocator(
            spec,
            plan,
            terms,
            machine,
            log,
            history=History(folder.path.parent / HISTORY_FILE),
            leases=leases,
        )
        placing.restore(opened.records.values())
        conductor = Conductor(spec, log, placing, records=opened.records, state=record, only=only)
        signals.conductor = conductor
        if opened.records:  # those of later stages count from the first line on
            listener("expected", None, {"n_trials": conductor.expected})
        if not conductor.is_over:
            before = None
            _drive(conductor, folder, record, plan, signals, listener, inline=inline)
        conductor.abandon()
        conductor.close()
        _note(conductor, folder, record, listener)
    except BaseException as error:
        record.state, record.reason = SweepState.FAILED, f"{type(error).__name__}: {error}"
        with suppress(OSError):  # which may be what went wrong
            if signals.conductor is not None:
                signals.conductor.mark_interrupted()
            stamp(record)
            record.save(folder)
            log_event(folder, "sweep_ended", state=record.state, reason=record.reason)
        raise
    finally:
        leases.release()
        machine.close()
    outcome = conclude(conductor, spec, folder, record, before, only)
    log_event(folder, "sweep_ended", state=record.state, reason=record.reason)
    if signals.timeout:
        raise WaitTimeoutError(signals.timeout)
    return outcome


def _drive(
    conductor: Conductor,
    folder: SweepDir,
    record: SweepRecord,
    plan: Plan,
    signals: _Signals,
    listener: Listener,
    *,
    inline: bool,
) -> None:
    looked = 0.0

    def tick() -> None:
        nonlocal looked
        if signals.wants_stop:
            conductor.stop()
        conductor.tick()
        if time.monotonic() - looked >= REQUESTS_EVERY_S:
            looked = time.monotonic()
            for number in control.take(folder):
                if number is None:
                    conductor.stop("stopped by `sweep stop`")
                else:
                    conductor.stop_trial(number, "stopped by `sweep stop`")
            if conductor.placing.is_over_waiting and not conductor.stopping:
                signals.timeout = conductor.placing.timeout_message()
                conductor.stop("--wait-timeout is over")
            _note(conductor, folder, record, listener)

    if inline:
        from orchestrator.engine.runners.inline import run_trials
    else:
        from orchestrator.engine.runners.ray_runner import run_trials
    # Ray installs its own signal handlers when it starts.
    run_trials(conductor, tick, slots=len(plan.slots), on_start=signals.install)


def _note(conductor: Conductor, folder: SweepDir, record: SweepRecord, listener: Listener) -> None:
    """Write down what placement has to say and how many trials there will be, where it changed."""
    words, expected = conductor.placing.summary(), conductor.expected
    if expected != record.n_trials:
        listener("expected", None, {"n_trials": expected})
    if words != record.placement or expected != record.n_trials:
        record.placement, record.n_trials = words, expected
        record.save(folder)


def _settle(opened: OpenSweep, retry_failed: bool) -> bool:
    """Let wait what is to run again: what a killed driver left running, and failures if asked.

    Returns:
        Whether trials run again that had ended.
    """
    retries = False
    for record in opened.records.values():
        reason = INTERRUPTED
        if retry_failed and record.state is TrialState.FAIL:
            reason = f"failed before: {(record.reason or '').partition(chr(10))[0]}"
            retries = True
        elif record.state is not TrialState.RUNNING:
            continue
        record.state, record.reason = TrialState.WAITING, reason
        record.save(opened.folder.run_dir(record.number, record.name))
    return retries


# A sweep of more trials than these is not searched to its end for a name.
MOST_SEARCHED = 100_000


def chosen_trials(spec: Spec, only: Iterable[str], folder: SweepDir) -> frozenset[str]:
    """Return the names and numbers of the only trials to run; empty for all.

    Args:
        spec: what is to run.
        only: names, numbers or folder names, as ``--only`` takes them.
        folder: of the sweep, for what bayes has proposed already.

    Raises:
        NotFoundError: one of them is no trial of the sweep.
    """
    wanted = frozenset(only)
    if not wanted:
        return wanted
    # What bayes is to propose has neither number nor name; what it has proposed stands there.
    kept = load_trials(folder)
    followers = [record for record in kept if record.origin is not None]
    known: Iterable[TrialRecord | TrialConfig] = kept
    if spec.method != "bayes":
        known = chain(followers, iter_configs(spec))
    # A named trial that parameters multiply stands for all that they make of it.
    families = wanted & set(spec.trials)
    members: set[str] = set()
    names: list[str] = []
    missing = set(wanted)
    for trial in known:
        family = trial.trial if isinstance(trial, TrialConfig) else None
        if family in families:
            members.add(str(trial.number))
            missing.discard(str(family))
        missing = {text for text in missing if not is_called(text, trial.number, trial.name)}
        names.append(trial.name)
        if not missing and not families:
            return wanted
        if len(names) >= MOST_SEARCHED:
            break
    if not missing:
        return wanted | members
    name = sorted(missing)[0]
    has = f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}" or "none yet"
    raise NotFoundError(
        f"--only {name}: must be a trial of '{spec.name}', but it has {has}."
        f"{nearest(name, names[:1000])}"
    )
