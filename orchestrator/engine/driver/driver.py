"""Running a sweep from start to end, or continuing one."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.analysis import Success, judge_success
from orchestrator.engine.driver import control
from orchestrator.engine.driver.opening import chosen_trials, folder_for, open_sweep
from orchestrator.engine.driver.outcome import Outcome, is_unranked
from orchestrator.engine.queue.sweep_view import INTERRUPTED, Listener, SweepLog
from orchestrator.engine.runners.preparation import prepared
from orchestrator.engine.slots.machine import Machine, SlotOptions
from orchestrator.errors import SweepError, WaitTimeoutError
from orchestrator.files import atomic, lock
from orchestrator.placement import CPU, Plan
from orchestrator.placement.leases import Leases
from orchestrator.placement.memory_needs import HISTORY_FILE, History
from orchestrator.runs import (
    RunDir,
    SweepDir,
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    log_event,
    now,
)
from orchestrator.sweepfile.expand import count_trials
from orchestrator.sweepfile.model import Spec

if TYPE_CHECKING:
    from orchestrator.engine.conductor import Conductor
    from orchestrator.engine.driver.joining import Joined
    from orchestrator.engine.driver.shared_conductor import SharedConductor
    from orchestrator.engine.runners.cluster.sweep_nodes import Cluster
    from orchestrator.engine.slots.allocator import SlotAllocator

REQUESTS_EVERY_S = 0.5


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
    cluster: Cluster | None = None,
    join: str | None = None,
    on_open: Callable[[SweepDir, Mapping[int, TrialRecord]], None] = lambda folder, records: None,
    on_stop: Callable[[bool], object] = lambda at_once: None,
) -> Outcome:
    """Run what is left of a sweep and return how it ended.

    Finished trials are kept, interrupted ones run again.

    Args:
        new: start another sweep next to one of the same name.
        only: names or numbers of the only trials to run.
        inline: run in this process, one trial after another, without Ray.
        terms: how the machine is used; None for the default `Policy`.
        command: the command line that continues the sweep, for people.
        cluster: where trials run instead of on this machine; `plan` is its plan.
        join: share the sweep with other drivers; see `join_sweep`.
        on_open: receives the folder and the trials that it held, before anything starts.
        on_stop: called at the first Ctrl+C with False, and at the second, before the process ends,
            with True; in the signal handler: it must neither take a lock nor use a stream.

    Raises:
        ChangedSpecError: the folder holds a sweep of another spec.
        BusyError: another process runs this sweep.
        NotFoundError: `only` names a trial that the spec does not have.
        SweepError: the folder cannot be written any more, or Ray does not start.
        WaitTimeoutError: memory that others hold did not come free in time.
    """
    chosen = chosen_trials(spec, only, folder_for(spec, results, new=new))
    options = terms or SlotOptions()
    if inline and plan.slots[0].device != CPU:
        # What a process may see of CUDA is settled at its first touch, for all its trials.
        options = replace(options, gpus=plan.slots[0].device)
    with ExitStack() as stack:
        joined = None
        if join is None:
            folder, records = stack.enter_context(open_sweep(spec, results, new=new))
        else:
            from orchestrator.engine.driver.joining import join_sweep

            folder, records, joined = stack.enter_context(join_sweep(spec, results, join))
        try:
            retries = False
            if joined is None or joined.is_first:
                retries = _requeue(folder, records, retry_failed, chosen)
            on_open(folder, records)
            log = SweepLog(folder, listener)
            driver = _Driver(spec, plan, log, records, chosen, cluster, joined)
            # From here on, so that Ctrl+C never breaks into the start of a trial or of the study.
            here = not inline and cluster is None
            with (
                control.catching(
                    lambda: driver.stop(on_stop), lambda: driver.stop_at_once(on_stop)
                ),
                prepared(spec.trainer) if here else nullcontext() as place,
            ):
                return driver.run(command, options, retries=retries, place=place)
        except OSError as error:
            raise SweepError(
                f"{folder.path}: {atomic.what_is_wrong(error, folder.path)}. Once that is mended, "
                "run the sweep again to continue it: what has ended is kept, the rest waits."
            ) from error


class _Driver:
    """One run of a sweep, and what the user's signals request meanwhile."""

    def __init__(
        self,
        spec: Spec,
        plan: Plan,
        log: SweepLog,
        kept: dict[int, TrialRecord],
        only: frozenset[str],
        cluster: Cluster | None,
        joined: Joined | None,
    ) -> None:
        self._cluster = cluster
        self._joined = joined
        self._spec = spec
        self._plan = plan
        self._folder = log.folder
        self._kept = kept
        self._only = only
        self._log = log
        self._conductor: Conductor | None = None
        self._must_stop = False
        self._timeout = ""
        self._looked_at = 0.0
        self._identity = lock.identity(self._folder.lock_file)

    def stop(self, on_stop: Callable[[bool], object]) -> None:
        """Request an end in order; called in a signal handler."""
        self._must_stop = True
        on_stop(False)

    def stop_at_once(self, on_stop: Callable[[bool], object]) -> None:
        """Write down which trials were interrupted; the process ends now."""
        if self._conductor is not None:
            self._conductor.mark_interrupted()
        on_stop(True)

    def run(
        self, command: str, options: SlotOptions, *, retries: bool, place: Path | None
    ) -> Outcome:
        """Run all trials that are left, write down how the sweep ended and return it.

        Args:
            retries: True if trials run again that had ended.
            place: as `prepared` yields it; None for trials in this process or on a cluster.
        """
        # While a forkserver loads PyTorch, this process loads Optuna.
        import orchestrator.engine.conductor  # noqa: F401
        from orchestrator.engine.slots.allocator import SlotAllocator

        spec, folder, plan, log, kept = self._spec, self._folder, self._plan, self._log, self._kept
        if self._joined is None or self._joined.is_first:
            control.take(folder)  # requests to a driver that is gone
        atomic.write_json(folder.plan_file, plan.to_dict())
        before = SweepRecord.load(folder)
        record = self._new_record(command, before, retries=retries)
        record.save(folder)
        log_event(folder, "sweep_started", plan=plan.to_dict(), kept=len(kept))
        cluster = self._cluster
        machine = Machine(plan, options.gpus) if cluster is None else cluster.machine(plan)
        leases = Leases() if cluster is None else None  # its agents keep them
        try:
            history = History(folder.path.parent / HISTORY_FILE)
            slots = SlotAllocator(spec, plan, options, machine, log, history=history, leases=leases)
            slots.restore(kept.values())
            self._conductor = conductor = self._make_conductor(slots, record)
            if kept:  # those of later stages count from the first line on
                log.show("expected", None, {"n_trials": conductor.trials.expected})
            if not conductor.is_over:
                before = None
                self._run_trials(conductor, place)
            elif self._only:
                log.emit("start", words="warning: of --only, nothing is left to run")
            conductor.close()
        except BaseException as error:
            record.state, record.reason = SweepState.FAILED, f"{type(error).__name__}: {error}"
            if isinstance(error, OSError):
                record.state = SweepState.INTERRUPTED
            with suppress(OSError):  # which may be what went wrong
                self._folder.lock_file.stat()  # no other folder is made in its place
                if self._conductor is not None:
                    self._conductor.mark_interrupted()
                self._close_record(record)
            raise
        finally:
            if leases is not None:
                leases.release()
            machine.close()
        success = self._judge(conductor, record)
        self._close_record(record, before)
        if self._timeout:
            raise WaitTimeoutError(self._timeout)
        unranked = self._spec.metric is not None and is_unranked(conductor.records.values())
        return Outcome(folder, record.state, conductor.records, conductor.ending, success, unranked)

    def _make_conductor(self, slots: SlotAllocator, record: SweepRecord) -> Conductor:
        spec, log, kept = self._spec, self._log, self._kept
        if self._joined is not None:
            return self._joined.conductor(spec, log, slots, records=kept, state=record)
        from orchestrator.engine.conductor import Conductor

        return Conductor(spec, log, slots, records=kept, state=record, only=self._only)

    def _run_trials(self, conductor: Conductor, place: Path | None) -> None:
        """Run what the conductor hands out: on a cluster, on this machine, or in this process."""
        if self._cluster is not None:
            from orchestrator.engine.runners.cluster import join

            join.run_trials(self._cluster, conductor, self._tick)
            return
        if place is None:
            from orchestrator.engine.runners import inline

            inline.run_trials(conductor, self._tick)
            return
        if self._spec.program is None:  # the first trial waits for it
            self._log.show("starting", None, {"words": "loading PyTorch"})
        from orchestrator.engine.runners import ray_runner

        def warn(text: str) -> None:
            self._log.emit("start", words=f"warning: {text}")

        slots = len(self._plan.slots)
        ray_runner.run_trials(conductor, self._tick, slots=slots, folder=place, warn=warn)

    def _new_record(
        self, command: str, before: SweepRecord | None, *, retries: bool
    ) -> SweepRecord:
        """Return the record with which a driver starts; `before` is the one it found, if any."""
        spec = self._spec
        record = SweepRecord(
            sweep=self._folder.name,
            n_trials=count_trials(spec),
            metric=spec.metric.name if spec.metric else "",
            goal=spec.metric.goal if spec.metric else "minimize",
            spec_path=str(spec.path),
            command=command,
        )
        if before is not None and isinstance(before.course, dict):
            # What trials decided that run again is decided again.
            stale = ("ended", "success", *(("stages", "gates", "kept") if retries else ()))
            record.course = {key: value for key, value in before.course.items() if key not in stale}
            if "stages" in record.course:
                record.n_trials = before.n_trials
        return record

    def _judge(self, conductor: Conductor, record: SweepRecord) -> Success | None:
        """Write into the record how the sweep ended; return the verdict on ``success``, if any."""
        reason = conductor.stop_reason
        if reason is not None and conductor.ending is not None:
            # The sweep came to its own end before the user's, unless trials wait for that reason.
            was_interrupted = any(
                trial.state is TrialState.WAITING and trial.reason == reason
                for trial in conductor.records.values()
            )
        else:
            was_interrupted = reason is not None and not conductor.trials.is_complete
        if was_interrupted:
            record.state, record.reason = SweepState.INTERRUPTED, reason
            return None
        record.state = SweepState.FINISHED
        record.reason = f"only {', '.join(sorted(self._only))}" if self._only else None
        if conductor.ending is not None:
            record.reason = conductor.ending.reason
        if not self._spec.success or self._only:
            return None
        trials = list(conductor.records.values())
        success = judge_success(self._spec.success, self._folder, trials, self._spec.metrics)
        record.course["success"] = success.to_dict()
        return success

    def _close_record(self, record: SweepRecord, before: SweepRecord | None = None) -> None:
        """Save when and how the sweep ended; if nothing was left to run, earlier times stay."""
        is_shared = self._joined is not None and bool(self._joined.drivers.others())
        if is_shared and record.state is not SweepState.FINISHED:
            return  # the sweep goes on
        record.ended_at = now()
        if before is not None:
            record.started_at, record.ended_at = before.started_at, before.ended_at
        record.save(self._folder)
        log_event(self._folder, "sweep_ended", state=record.state, reason=record.reason)

    def _tick(self) -> None:
        """Pass on what signals, `sweep stop` and the clock request; called many times a second."""
        conductor = self._conductor
        assert conductor is not None
        if self._must_stop:
            conductor.stop()
        conductor.tick()
        if time.monotonic() - self._looked_at < REQUESTS_EVERY_S:
            return
        self._looked_at = time.monotonic()
        if lock.identity(self._folder.lock_file) != self._identity:
            # Whoever comes next would run the sweep too; nothing more is written here.
            raise FileNotFoundError(errno.ENOENT, "the sweep's lock was removed")
        requests = control.take(self._folder)
        if self._joined is not None:
            requests = cast("SharedConductor", conductor).pass_on(requests)
        for number in requests:
            if number is None:
                conductor.stop("stopped by `sweep stop`")
            else:
                conductor.stop_trial(number, "stopped by `sweep stop`")
        if conductor.slots.timeout_message and not conductor.stopping:
            self._timeout = conductor.slots.timeout_message
            conductor.stop("--wait-timeout is over")
        conductor.update_state()


def _requeue(
    folder: SweepDir, records: dict[int, TrialRecord], retry_failed: bool, only: frozenset[str]
) -> bool:
    """Let trials of a killed driver wait and, on request, failed ones; return if failed ones do."""
    retries = False
    for record in records.values():
        reason = INTERRUPTED
        calls = (RunDir.is_called(text, record.number, record.name) for text in only)
        if retry_failed and record.state is TrialState.FAIL and (not only or any(calls)):
            reason = f"failed before: {(record.reason or '').partition(chr(10))[0]}"
            retries = True
        elif record.state is not TrialState.RUNNING:
            continue
        record.state, record.reason = TrialState.WAITING, reason
        record.save(folder.run_dir(record.number, record.name))
    return retries
