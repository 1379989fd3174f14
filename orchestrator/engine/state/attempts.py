"""An attempt from its start to its end: what is written down, and what travels to its process."""

from __future__ import annotations

import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.engine.child.process import Attempt
from orchestrator.engine.child.saving import inherit_checkpoint
from orchestrator.engine.judging.judge import Judge, OtherTrials
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.engine.remedies import LINK_RESUMING, policy_for
from orchestrator.errors import nearest
from orchestrator.files import atomic, format_duration
from orchestrator.placement import CPU
from orchestrator.placement.memory_needs import Kind
from orchestrator.runs import RunDir, TrialRecord, TrialState, now, read_reports
from orchestrator.search import Study
from orchestrator.sweepfile.model import Spec

_LOG_TAIL_BYTES = 65_536


@dataclass
class RunningAttempt:
    """An attempt that was handed out and whose process is not gone.

    Attributes:
        log_from: size of the trial's log when the attempt started; earlier attempts print into
            the same file.
        requested_end: the state and the reason with which it was asked to end.
        is_finished: True once its end was written down; its process may still be there.
        has_output_folder: True once the folder of its script has appeared.
        timeout_s: the longest time that it may take; None for any, or if it watches that itself.
        out_of_memory: which memory it ran out of, and its message; need not be the trial's end.
    """

    record: TrialRecord
    run: RunDir
    judge: Judge
    log_from: int
    requested_end: tuple[TrialState, str] | None = None
    is_finished: bool = False
    has_output_folder: bool = False
    timeout_s: float | None = None
    out_of_memory: tuple[Kind, str] | None = None
    _started: float = field(default_factory=time.monotonic)
    _is_moving: bool = False

    @property
    def gpus(self) -> int:
        """How many GPUs it holds."""
        device = str((self.record.slot or {}).get("device", CPU))
        return 0 if device == CPU else len(device.split(","))

    def log_tail(self) -> str:
        """Return the end of what this attempt printed."""
        try:
            with self.run.log_file.open("rb") as stream:
                end = stream.seek(0, 2)
                stream.seek(max(self.log_from, end - _LOG_TAIL_BYTES))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def request_end(self, state: TrialState, reason: str) -> None:
        """Ask it to save what it has and end; the first request counts."""
        if self.requested_end is None and not self.is_finished:
            self.requested_end = (state, reason)

    def move(self, reason: str) -> None:
        """Ask it to save what it has and end, so that its trial continues elsewhere."""
        if self.requested_end is None:
            self.request_end(TrialState.WAITING, reason)
            self._is_moving = True

    @property
    def continues(self) -> bool:
        """Whether its trial runs again if it waits."""
        return self.requested_end is None or self._is_moving

    def end_in_time(self) -> None:
        """Ask it to end as a failure if it has taken longer than it may."""
        if self.timeout_s is not None and time.monotonic() - self._started >= self.timeout_s:
            limit = format_duration(self.timeout_s)
            self.request_end(TrialState.FAIL, f"exceeded its timeout of {limit}")

    def reported_end(self) -> tuple[TrialState, str | None]:
        """Return how an attempt ended that reports that it is done."""
        metadata = atomic.read_json(self.run.metadata_file) or {}
        if self.requested_end is None:
            if not metadata.get("lost"):
                return TrialState.COMPLETE, None
            # It ended itself over a value that the judge had no reason to end it for.
            self.record.symptom = "non-finite"
            return TrialState.PRUNED, f"diverged: {metadata['lost']}"
        was_stopped = metadata.get("status") == "stopped"
        if self.requested_end[0] is TrialState.PRUNED or was_stopped:
            return self.requested_end
        return TrialState.COMPLETE, None

    def finish(self, spec: Spec, state: TrialState, reason: str | None) -> str:
        """Write down how it ended; return why the metric of a complete trial is unknown, or ""."""
        record, judge = self.record, self.judge
        if self.requested_end is not None and (state is TrialState.FAIL or self.out_of_memory):
            # We ended it; that its process did not end well is no news.
            state, reason = self.requested_end
        is_complete = state is TrialState.COMPLETE
        record.value, problem = judge.value(is_complete=is_complete)
        unknown = ""
        refuted = judge.refuted(is_complete=is_complete)
        record.warnings = [text for text in record.warnings if text not in refuted]
        if is_complete and record.value is None and not problem:
            unknown = _why_unknown(spec, self.run)
        record.warnings += [text for text in (problem, unknown) if text]
        record.state, record.reason, record.ended_at = state, reason, now()
        record.save(self.run)
        self.is_finished = True
        return unknown


def start(
    view: SweepView,
    record: TrialRecord,
    attempt_id: str,
    slot: dict[str, Any],
    study: Study,
    others: OtherTrials,
) -> RunningAttempt:
    """Write down that the next attempt at a trial starts."""
    record.attempt += 1
    record.state, record.reason = TrialState.RUNNING, None
    record.ray_id, record.slot = attempt_id, slot
    record.started_at, record.ended_at = now(), None
    record.value, record.warnings, record.symptom = None, [], None
    run = view.run_dir(record)
    if record.from_checkpoint and record.attempt == 1 and record.origin is not None:
        origin = view.origin_of(record)
        # What was lost continues from where it was best, not from where it was lost.
        best = origin is not None and origin.symptom in divergence_symptoms()
        if record.link == LINK_RESUMING:  # the user has chosen
            best = record.change.get("from") == "best"
        if origin is None or not inherit_checkpoint(view.run_dir(origin), run, best=best):
            why = "left no checkpoint"
            if view.spec.options.get("keep") is not None:
                why += ", or `keep` has deleted it"
            record.warnings.append(f"starts from scratch: trial {record.origin} {why}")
    record.save(run)
    log_from = run.log_file.stat().st_size if run.log_file.exists() else 0
    judge = Judge(view, study, record, others)
    # The runner of a program watches the time of each of its commands.
    timeout_s = view.spec.options.get("timeout") if view.spec.program is None else None
    return RunningAttempt(record, run, judge, log_from, timeout_s=timeout_s)


def for_child(
    spec: Spec,
    running: RunningAttempt,
    *,
    commit: str | None,
    cap_bytes: int | None,
    gpu_bytes: int | None,
) -> Attempt:
    """Return what travels to the process of an attempt; see `Attempt` for the arguments."""
    record = running.record
    return Attempt(
        run_path=str(running.run.path.resolve()),
        number=record.number,
        name=record.name,
        attempt=record.attempt,
        config=record.config,
        trainer=spec.trainer,
        program=asdict(spec.program) if spec.program else None,
        slot=record.slot or {},
        cap_bytes=cap_bytes,
        gpu_bytes=gpu_bytes,
        stage=record.stage,
        commit=commit,
        folder=str(spec.path.parent),
        from_checkpoint=record.from_checkpoint,
        stops_at_non_finite=policy_for(spec).stops_at_once("non-finite"),
        rule=_only_rule(spec, record),
        new_schedule=bool(record.change.get("new_schedule")),
        private=dict(spec.private),
    )


def _only_rule(spec: Spec, record: TrialRecord) -> dict[str, Any] | None:
    """Return the arguments of the divergence rule if nothing else can stop an attempt.

    One that continues is judged with reports that its process does not know.
    """
    others = spec.divergence or spec.remedy or spec.early_terminate or spec.pruner != "none"
    if others or record.attempt > 1 or record.from_checkpoint:
        return None
    metric = spec.metric
    goal = {"metric": metric.name, "goal": metric.goal} if metric else {}
    return {**goal, "phases": list(spec.phases)}


def commit_of(folder: Path) -> str | None:
    """Return the git commit of `folder`, with ``+changes`` if files differ; None without git."""
    # No tag matches, so this is the commit itself.
    describe = ["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"]
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *describe],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _why_unknown(spec: Spec, run: RunDir) -> str:
    """Return why the metric by which a complete trial should be ranked is unknown."""
    metric = spec.metric
    if metric is None:
        return ""
    names = dict.fromkeys(name for _, metrics in read_reports(run) for name in metrics)
    if metric.name in names:
        return f"{metric.name} was never a finite number"
    reported = f"it reported {', '.join(names)}" if names else "it reported nothing"
    hint = nearest(metric.name, names)
    if not hint and spec.program is not None:
        hint = " Let metrics.pattern find it, or correct metric."
    return (
        f"{metric.name} is not known: {reported}, and saved no arrays that give it, so nothing can "
        f"be ranked or promoted by it, and no sampler learns.{hint}"
    )
