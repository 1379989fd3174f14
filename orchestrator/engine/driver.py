"""Running a sweep from start to end, or on from where it was left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.engine import facts, requests
from orchestrator.engine.conductor import INTERRUPTED, Conductor, Listener
from orchestrator.engine.interrupts import catching
from orchestrator.engine.machine import ThisMachine
from orchestrator.engine.only import chosen_trials
from orchestrator.engine.opening import OpenSweep, folder_for, open_sweep
from orchestrator.engine.placing import Placing
from orchestrator.engine.terms import Terms
from orchestrator.errors import SweepError, WaitTimeoutError
from orchestrator.files import atomic
from orchestrator.placement.history import FILE, History
from orchestrator.placement.leases import Leases
from orchestrator.placement.model import CPU, Plan
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import (
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    log_event,
    now,
)
from orchestrator.search.study import Study
from orchestrator.spec.expand import count_trials
from orchestrator.spec.model import Spec

REQUESTS_EVERY_S = 0.5

Runner = Callable[[Conductor, Callable[[], None]], None]


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    Attributes:
        folder: the sweep's folder.
        state: FINISHED, INTERRUPTED or FAILED.
        records: all its trials, by number.
    """

    folder: SweepDir
    state: SweepState
    records: Mapping[int, TrialRecord]

    @property
    def exit_code(self) -> int:
        """0 where all went well, 1 where a trial failed, 130 where it was interrupted."""
        if self.state is SweepState.INTERRUPTED:
            return 130
        failed = any(record.state is TrialState.FAIL for record in self.records.values())
        return 1 if failed or self.state is SweepState.FAILED else 0


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
    terms: Terms | None = None,
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
        _settle(opened, retry_failed)
        on_open(opened.folder, opened.records)
        signals = _Signals(on_stop)
        # From here on, so that Ctrl+C never breaks into the start of Ray or into its end.
        with catching(signals.first, signals.second) as install:
            signals.install = install
            return _run(
                spec,
                plan,
                terms or Terms(),
                opened,
                signals,
                listener=listener,
                only=chosen,
                inline=inline,
                command=command,
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
    terms: Terms,
    opened: OpenSweep,
    signals: _Signals,
    *,
    listener: Listener,
    only: frozenset[str],
    inline: bool,
    command: str,
) -> Outcome:
    folder = opened.folder
    if inline and plan.slots[0].device != CPU:
        # What a process may see of CUDA is settled at its first touch, for all its trials.
        terms = replace(terms, gpus=plan.slots[0].device)
    requests.take(folder)  # asked of a driver that is gone
    atomic.write_json(folder.plan_file, plan.to_dict())
    record = SweepRecord(
        sweep=folder.name,
        n_trials=count_trials(spec),
        metric=spec.metric.name if spec.metric else "",
        goal=spec.metric.goal if spec.metric else "minimize",
        spec_path=str(spec.path),
        command=command,
    )
    before = SweepRecord.load(folder)
    record.save(folder)
    log_event(folder, "sweep_started", plan=plan.to_dict(), kept=len(opened.records))
    machine = ThisMachine(plan, terms.gpus)
    leases = Leases()
    try:
        placing = Placing(
            spec,
            plan,
            terms,
            machine,
            history=History(folder.path.parent / FILE),
            leases=leases,
        )
        placing.restore(opened.records.values())
        conductor = _open_conductor(spec, placing, opened, listener, only)
        signals.conductor = conductor
        if not conductor.is_over:
            before = None
            _drive(conductor, folder, record, plan, signals, inline=inline)
        conductor.abandon()
        conductor.placing.close()
        _note_placement(conductor, folder, record)
    except BaseException as error:
        record.state, record.reason = SweepState.FAILED, f"{type(error).__name__}: {error}"
        with suppress(OSError):  # which may be what went wrong
            if signals.conductor is not None:
                signals.conductor.mark_interrupted()
            _close(folder, record)
        raise
    finally:
        leases.release()
        machine.close()
    if conductor.stopping and not conductor.is_complete:
        record.state, record.reason = SweepState.INTERRUPTED, conductor.stop_reason
    else:
        record.state = SweepState.FINISHED
        record.reason = f"only {', '.join(sorted(only))}" if only else None
    _close(folder, record, before)
    if signals.timeout:
        raise WaitTimeoutError(signals.timeout)
    return Outcome(folder, record.state, conductor.records)


def _close(folder: SweepDir, record: SweepRecord, before: SweepRecord | None = None) -> None:
    record.ended_at = now()
    if before is not None:  # nothing was left to run, so its times are those of then
        record.started_at, record.ended_at = before.started_at, before.ended_at
    record.save(folder)
    log_event(folder, "sweep_ended", state=record.state, reason=record.reason)


def _open_conductor(
    spec: Spec, placing: Placing, opened: OpenSweep, listener: Listener, only: frozenset[str]
) -> Conductor:
    folder = opened.folder
    study = Study.open(
        folder.study_file,
        name=folder.name,
        goal=spec.metric.goal if spec.metric else "minimize",
        method=spec.method,
        seed=spec.seed,
        pruner=spec.pruner,
        metric=spec.metric.name if spec.metric else "",
    )
    study.close_stale()
    program = spec.program
    return Conductor(
        spec,
        folder,
        study,
        placing,
        listener=listener,
        records=opened.records,
        only=only,
        commit=facts.commit_of(Path(program.workdir) if program else Path(__file__).parent),
    )


def _drive(
    conductor: Conductor,
    folder: SweepDir,
    record: SweepRecord,
    plan: Plan,
    signals: _Signals,
    *,
    inline: bool,
) -> None:
    looked = 0.0

    def tick() -> None:
        nonlocal looked
        if signals.wants_stop:
            conductor.stop()
        conductor.placing.tick()
        if time.monotonic() - looked >= REQUESTS_EVERY_S:
            looked = time.monotonic()
            for number in requests.take(folder):
                if number is None:
                    conductor.stop("stopped by `sweep stop`")
                else:
                    conductor.stop_trial(number, "stopped by `sweep stop`")
            if conductor.placing.is_over_waiting and not conductor.stopping:
                signals.timeout = conductor.placing.timeout_words()
                conductor.stop("--wait-timeout is over")
            _note_placement(conductor, folder, record)

    if inline:
        from orchestrator.engine.inline import run_inline

        run_inline(conductor, tick)
        return
    from orchestrator.engine.cluster import local_ray, run_trials

    with local_ray(len(plan.slots)) as scratch:
        # Ray puts in signal handlers of its own when it starts.
        signals.install()
        tick()
        if not conductor.is_over:
            run_trials(conductor, tick, scratch)


def _note_placement(conductor: Conductor, folder: SweepDir, record: SweepRecord) -> None:
    """Write down what placement has to say, where that changed."""
    words = conductor.placing.words()
    if words != record.placement:
        record.placement = words
        record.save(folder)


def _settle(opened: OpenSweep, retry_failed: bool) -> None:
    """Let wait what is to run again: what a killed driver left running, and failures if asked."""
    for record in opened.records.values():
        reason = INTERRUPTED
        if retry_failed and record.state is TrialState.FAIL:
            reason = f"failed before: {(record.reason or '').partition(chr(10))[0]}"
        elif record.state is not TrialState.RUNNING:
            continue
        record.state, record.reason = TrialState.WAITING, reason
        record.save(opened.folder.run_dir(record.number, record.name))
